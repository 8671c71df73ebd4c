"""Any text is a configuration or a `ConfigurationError`, never anything else."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.config import Config, parse
from bridge.errors import ConfigurationError

from_anywhere = st.text(max_size=200) | st.binary(max_size=200)

# Pieces that a grammar stumbles over, in the order in which chance puts them.
pieces = st.lists(
    st.sampled_from(
        [
            "kinetica:", "urls:", "tables:", "- name: s.t", "sinks:", "type: file", "journal:",
            "max_size: 1GiB", "password_file: /dev/null", "timeout: 5s", "key: [a]", "options:",
            " ", "  ", "    ", "\n", "\n", "\n  ", "\t", ": ", "- ", "? ", "[", "]", "{", "}", ",",
            "&a ", "*a", "<<: *a", "!!int ", "!x ", "|", ">", "'", '"', "#", "---", "...", "%YAML",
            "${A}", "${B:-}", "${C:?no}", "${", "$$", "\\", "\\x", "\\ud800", "\ufeff", "\x00",
            "\x85", "null", "~", "true", "1", "-1", "1e999", ".inf", ".nan", "0x", "9" * 400,
            "9" * 400 + "s", "9" * 400 + "GiB", "é", "😀",
        ]
    ),
    max_size=40,
).map("".join)  # fmt: skip

# The right keys with values of every kind.
values: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["5s", "1GiB", "insert", "file", "stdout", "${A}", "${B:-}", "/dev/null"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            [
                "kinetica", "urls", "username", "password", "password_file", "token", "tls",
                "monitor_port", "timeout", "journal", "path", "max_size", "tables", "name", "key",
                "events", "filter", "catch_up", "column", "sinks", "audit", "type", "batch",
                "retry", "max_events", "options", "admin", "listen", "log", "level", "shutdown",
                "grace",
            ]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


def _flow(value: object) -> str:
    """Write a value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return {None: "null", True: "true", False: "false"}.get(value, str(value))  # type: ignore[call-overload]


def _holds(content: str | bytes) -> None:
    problems = []
    try:
        config = parse(content, "b.yaml", {"A": "a"})
    except ConfigurationError as error:
        problems = error.problems
    else:
        problems = [] if isinstance(config, Config) else ["no configuration"]
    for line in problems:
        assert re.fullmatch(r"b\.yaml:\d+: [^\n]+: [^\n]+", line), line
        assert not re.search(r"pydantic|Input should|Error\b", line), line


@settings(deadline=None)  # a busy machine is no failure
@given(from_anywhere)
def test_any_text_or_bytes(content: str | bytes) -> None:
    """Whatever somebody points -c at."""
    _holds(content)


@settings(deadline=None)  # a busy machine is no failure
@given(pieces)
def test_any_order_of_what_yaml_consists_of(text: str) -> None:
    """Half-written files."""
    _holds(text)


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.dictionaries(
        st.sampled_from(["kinetica", "tables", "sinks", "journal", "admin", "log"]), values
    )
)
def test_any_value_under_the_right_keys(data: dict[str, object]) -> None:
    """Every setting, with what does not belong there."""
    _holds(_flow(data))


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(values, max_size=3), st.dictionaries(st.sampled_from(["a", "b"]), values))
def test_any_table_and_any_sink(tables: list[object], sinks: dict[str, object]) -> None:
    """With the rest right, so that the checks of several settings run."""
    sinks = {
        name: {"type": "file", "path": "x", **sink} if isinstance(sink, dict) else sink
        for name, sink in sinks.items()
    }
    _holds(_flow({"kinetica": {"urls": "a"}, "tables": tables, "sinks": sinks}))
