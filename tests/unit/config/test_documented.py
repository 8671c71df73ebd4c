"""The reference page names every setting with its default, and its examples are true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.config import json_schema, parse
from bridge.errors import ConfigurationError

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
ROW = re.compile(
    r"^\| `(?P<name>[^`]+)` \| (?P<default>[^|]+) \| (?P<meaning>[^|]+) \|$", re.MULTILINE
)
# One block is a comment for editors, which configures nothing.
EXAMPLES = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if block[0] != "#"]
SHIPPED = ("file", "kafka", "postgres", "redis", "stdout", "webhook")

# What the page says in words, since the default depends on other settings.
IN_WORDS = {"tables[].sinks": "all"}


def _settings(schema: dict[str, Any], definitions: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """Walk a schema; give each setting's name and its default as the page writes it."""
    for key, setting in schema["properties"].items():
        name = prefix + key
        references = [one["$ref"] for one in (setting, *setting.get("anyOf", ())) if "$ref" in one]
        inner = setting.get("items", {}).get("$ref") or (references and references[0])
        if inner:
            dot = "[]." if "items" in setting else "."
            yield from _settings(definitions[inner.rpartition("/")[2]], definitions, name + dot)
        elif key in schema.get("required", ()):
            yield name, "required"
        else:
            yield name, _written(setting.get("default"))


def _written(default: Any) -> str:
    if default is None:
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`[{', '.join(default)}]`" if isinstance(default, list) else f"`{default}`"


def _documented(section: str) -> dict[str, str]:
    return {row["name"]: row["default"] for row in ROW.finditer(section)}


def test_every_setting_stands_there_with_its_default() -> None:
    """A setting that is added, or gets another default, must be written down."""
    schema = json_schema()
    top = {**schema, "properties": {**schema["properties"]}}
    del top["properties"]["sinks"]

    settings = dict(_settings(top, schema["$defs"], "")) | IN_WORDS

    documented = _documented(PAGE)
    assert {name: documented.get(name) for name in settings} == settings
    assert {name for name in documented if not name.startswith("sinks.ID.")} == set(settings)


@pytest.mark.parametrize("sink", SHIPPED)
def test_every_setting_of_a_sink_stands_in_its_section(sink: str) -> None:
    """What all sinks share stands once; a sink's own defaults for it stand in words."""
    schema = json_schema()
    settings = dict(_settings(schema["$defs"][f"sink-{sink}"], schema["$defs"], "sinks.ID."))
    section = PAGE.partition(f"### `type: {sink}`")[2]
    section = re.split(r"^##", section, maxsplit=1, flags=re.MULTILINE)[0]
    common = _documented(PAGE.partition("## `sinks`")[2].partition("### `type")[0])

    own = {name: default for name, default in settings.items() if name not in common}
    other = {n: d for n, d in settings.items() if n in common and d != common[n]}

    assert _documented(section) == own
    assert set(common) <= set(settings)
    for name, default in other.items():
        assert f"`{name.rpartition('.')[2]}: {default.strip('`')}`" in section


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_loads(example: str) -> None:
    """What is copied from the page works as it is."""
    environment = {"KINETICA_URLS": "http://a:9191,http://b:9191", "MASK_KEY": "of hashes"}
    assert parse(example, environment=environment).tables


def test_the_messages_shown_are_the_ones_given() -> None:
    """The page quotes the program."""
    text = """\
kinetica:
  url: http://a
  timeout: 30
tables:
  # This table is watched for what the finance
  # department wants to see.
  - name: ki_home.orders
    key: [order_id]
    sinks: [audit, audti]
sinks: {audit: {type: stdout}}
"""

    with pytest.raises(ConfigurationError) as caught:
        parse(text)

    assert caught.value.problems == [
        line[4:] for line in PAGE.splitlines() if line[:8] == "    brid"
    ]
