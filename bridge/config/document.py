"""A configuration file as plain data: YAML read so that every key keeps its line.

The file is composed to nodes, not constructed to objects, so nothing in it can run. Scalars
follow YAML 1.2: `yes`, `on` and `12:30:00` are text. The environment is put into text here,
after parsing. What cannot be used is reported and reading goes on, except after an error of
syntax, which is the only one then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from bridge.config.problems import KeyPath, Problems
from bridge.config.substitution import substitute
from bridge.config.syntax import NodeReader, TooDeep, syntax_reason
from bridge.errors import ConfigurationError

# A file may use anchors, and a few lines of them can unfold to billions of values.
_MOST_VALUES = 50_000
_DEEPEST = 40

_TAG = "tag:yaml.org,2002:"
_UNSET = object()


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds.

    Attributes:
        data: mappings with text keys, lists and scalars; None for an empty file.
        lines: the line, from 1, of each setting.
        origins: the text as it stands in the file, for each value that the environment is in.
        unset: settings whose value is an empty substitution; they count as not given.
        problems: what was wrong so far.
    """

    data: Any
    lines: Mapping[KeyPath, int]
    origins: Mapping[KeyPath, str]
    unset: frozenset[KeyPath]
    problems: Problems


def read_document(content: bytes, file: str, environment: Mapping[str, str]) -> Document:
    """Read the bytes of a YAML file.

    Args:
        content: the file, UTF-8.
        file: its name for messages.
        environment: the variables that may be put in.

    Raises:
        ConfigurationError: it is no YAML in UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"not UTF-8: byte 0x{content[error.start]:02x} is no part of it"
        raise ConfigurationError([f"{file}:{line}: {reason}; save the file as UTF-8"]) from None
    node = _compose(text, file)
    builder = _Builder(environment, file)
    data = None if node is None else builder.build(node)
    return Document(
        data, builder.lines, builder.origins, frozenset(builder.unset), builder.problems
    )


def _compose(text: str, file: str) -> yaml.Node | None:
    reader: NodeReader | None = None
    try:
        reader = NodeReader(text)
        return reader.get_single_node()
    except (yaml.YAMLError, ValueError, OverflowError, TooDeep) as error:
        # An escape such as "\UFFFFFFFF", which is no character, ends in one of Python's own.
        line, reason = syntax_reason(error, text, reader)
    raise ConfigurationError([f"{file}:{line}: not valid YAML: {reason}"])


class _Builder:
    """Turns nodes into plain data, once."""

    def __init__(self, environment: Mapping[str, str], file: str) -> None:
        self._environment = environment
        self._values = 0
        self.lines: dict[KeyPath, int] = {}
        self.origins: dict[KeyPath, str] = {}
        self.unset: set[KeyPath] = set()
        self.problems = Problems(file, self.lines)

    def build(self, node: yaml.Node) -> Any:
        value = self._value(node, ())
        return None if value is _UNSET else value

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._values += 1
        if len(path) > _DEEPEST or self._values > _MOST_VALUES:
            self.problems.add(
                path[:1], "its anchors (&) and aliases (*) unfold to more than a file may hold"
            )
            return None
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return self._sequence(node, path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        return self._unknown_tag(path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node, merged in self._pairs(node, path, 0):
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.add(path, "a key must be text", line=line, settles=False)
                continue
            key = str(key_node.value)
            inner = (*path, key)
            if key in first:
                if not merged:
                    reason = f"given twice, first on line {first[key]}"
                    self.problems.add(inner, reason, line=line, settles=False)
                continue
            first[key] = self.lines[inner] = line
            value = self._value(value_node, inner)
            if value is _UNSET:
                self.unset.add(inner)
            else:
                result[key] = value
        return result

    def _pairs(
        self, node: yaml.MappingNode, path: KeyPath, depth: int
    ) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        """Give a mapping's own pairs, then those that `<<` merges into it."""
        merges: list[yaml.Node] = []
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == "<<" and key.style is None:
                listed = isinstance(value, yaml.SequenceNode)
                merges.extend(value.value if listed else [value])
            else:
                yield key, value, False
        for merge in merges:
            self._values += 1
            bounded = depth < _DEEPEST and self._values < _MOST_VALUES
            if not isinstance(merge, yaml.MappingNode) or not bounded:
                self.problems.add((*path, "<<"), "merges settings from an alias such as *name")
                continue
            for key, value, _ in self._pairs(merge, path, depth + 1):
                yield key, value, True

    def _sequence(self, node: yaml.SequenceNode, path: KeyPath) -> list[Any]:
        result: list[Any] = []
        for item in node.value:
            inner = (*path, len(result))
            self.lines[inner] = item.start_mark.line + 1
            value = self._value(item, inner)
            if value is not _UNSET:
                result.append(value)
        return result

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        text = str(node.value)
        match node.tag.removeprefix(_TAG):
            case "str":
                return self._text(text, path)
            case "null":
                return None
            case "bool" if text.lower() in {"true", "false"}:
                return text.lower() == "true"
            case "int" | "float" as kind:
                return self._number(text, kind, path)
        return self._unknown_tag(path)

    def _text(self, text: str, path: KeyPath) -> Any:
        try:
            value, touched = substitute(text, self._environment)
        except ValueError as error:
            self.problems.add(path, str(error))
            return None
        if touched:
            self.origins[path] = text
            if not value:
                return _UNSET
        return value

    def _number(self, text: str, kind: str, path: KeyPath) -> Any:
        plain = text.lower()
        try:
            if kind == "float":
                return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", plain))
            return int(plain, {"0o": 8, "0x": 16}.get(plain[:2], 10))
        except ValueError:
            self.problems.add(path, "not a number that can be read; put text in quotes")
            return None

    def _unknown_tag(self, path: KeyPath) -> None:
        self.problems.add(
            path, "a YAML tag that has no meaning here; put text that starts with ! in quotes"
        )
