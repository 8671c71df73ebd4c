"""YAML's grammar as the configuration uses it, and its errors in plain words.

The words never quote the file: a password that starts with `*`, `&` or `!` is an error of
syntax, and would end up in a log.
"""

from __future__ import annotations

import re
from typing import Any

from yaml.composer import Composer
from yaml.error import MarkedYAMLError
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

# Nothing in a configuration is nested deeper; the composer calls itself for each level.
_DEEPEST = 40

_DIGITS = list("-+0123456789")


class TooDeep(Exception):
    """Lists or mappings within each other, beyond what any setting needs."""


class NodeReader(Reader, Scanner, Parser, Composer, BaseResolver):
    """Composes YAML to nodes, with the scalars of YAML 1.2's core schema."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node, within bounds."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TooDeep
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


for _name, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", _DIGITS),
    (
        "float",
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        [*_DIGITS, "."],
    ),
):
    NodeReader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first
    )

_REASONS = (
    (r"found character '\\t'", "a tab where YAML wants spaces"),
    (
        r"found character '(?P<c>.)'",
        "text that starts with {c} must be in quotes",
    ),
    (r"undefined alias|expected alphabetic", "text that starts with * or & must be in quotes"),
    (r"duplicate anchor", "an anchor (&) of this name stands above already"),
    (r"tag|directive", "text that starts with ! or % must be in quotes"),
    (
        r"mapping values are not allowed",
        'a ": " where no key can stand; put the text in quotes or mend the indentation',
    ),
    (r"could not find expected ':'", 'a key without its ": "'),
    (r"expected <block end>|<block mapping start>", "the indentation does not fit the lines above"),
    (r"another document", 'a second document; a configuration is one, with no "---" within'),
    (r"escape", r"a backslash that escapes nothing; use single quotes to keep it as it is"),
)


def syntax_reason(error: Exception, text: str, reader: NodeReader | None) -> tuple[int, str]:
    """Say where and why a text is no YAML.

    Args:
        error: what PyYAML raised, or `TooDeep`.
        text: the file.
        reader: what was reading it, None if it never began.

    Returns:
        The line, from 1, and the reason.
    """
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, int(error.position)) + 1
        return line, f"a control character (U+{int(error.character):04X})"
    if isinstance(error, MarkedYAMLError):
        return _marked(error, text)
    line = 1 if reader is None else reader.line + 1
    if isinstance(error, TooDeep):
        return line, f"nested more than {_DEEPEST} deep"
    return line, "an escape that is no character"


def _marked(error: MarkedYAMLError, text: str) -> tuple[int, str]:
    problem = error.problem or error.context or "it ends too early"
    mark = error.problem_mark or error.context_mark
    if "end of stream" in problem or "stream end" in problem:
        # Where the quote or bracket was opened tells more than where the file ends.
        mark = error.context_mark or mark
    line = 1 if mark is None else mark.line + 1
    if "unexpected end of stream" in problem:
        return line, "a quote that is never closed"
    lines = text.splitlines()
    near = lines[line - 1] if line <= len(lines) else ""
    if "expected ',' or" in problem and re.search(r"[\[{,:]\s*[^\"'\s]*\$\{", near):
        return line, "${…} within [ ] or { } must be in quotes"
    if "expected ',' or" in problem:
        opened = line if error.context_mark is None else error.context_mark.line + 1
        since = "" if opened == line else f", opened on line {opened},"
        return line, f"a list or mapping in brackets{since} lacks a comma or its end"
    for pattern, reason in _REASONS:
        found = re.search(pattern, problem)
        if found:
            return line, reason.format(**found.groupdict()) if found.groupdict() else reason
    return line, problem
