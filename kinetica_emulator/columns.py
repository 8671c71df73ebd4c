"""Record types: a table's columns, as clients define them and as the server describes them.

A type's id is a hash of its layout and properties, so that a table dropped and made again
alike has the same id, and any other change another. Source: protocol, sections 5.1 to 5.3.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import fastavro

from bridge.events import Column
from bridge.wire.types import BASE_TYPES, DECLARED_TYPES, declared_type, parse_schema
from kinetica_emulator.errors import RequestError

# What a column may be marked with besides its declared type; some take a parameter list.
_MARKS = frozenset(
    {
        "data",
        "text_search",
        "store_only",
        "disk_optimized",
        "primary_key",
        "soft_primary_key",
        "shard_key",
        "nullable",
        "compress",
        "dict",
        "init_with_now",
        "init_with_uuid",
        "update_with_now",
        "update_with_user",
        "default",
        "default_sql",
        "normalize",
    }
)
_NAME = re.compile(r"[A-Za-z0-9_]+")
_DECIMAL = re.compile(r"decimal\((\d+)(?:,(\d+))?\)")
_LARGEST_PRECISION = 27
_LARGEST_SCALE = 18


@dataclass(frozen=True, slots=True)
class RecordType:
    """A record layout with its properties.

    Attributes:
        type_id: decimal digits, equal for equal layouts and properties.
        label: what the creator called it.
        type_schema: Avro schema as JSON text, base types and nullability only.
        properties: column name to its properties, declared type among them.
        columns: the columns in wire order.
        primary_key: names of the key's columns, empty if there is none.
        record, array: fastavro schemas of one record, and of an array of them.
    """

    type_id: str
    label: str
    type_schema: str
    properties: Mapping[str, Sequence[str]]
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    record: Any = field(repr=False)
    array: Any = field(repr=False)

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises:
            RequestError: there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise RequestError(f"Column '{name}' does not exist")

    def default(self, name: str) -> str | None:
        """Return the text of a column's `default(...)`, None if it has none."""
        for text in self.properties.get(name, ()):
            if text.startswith("default(") and text.endswith(")"):
                return text[len("default(") : -1]
        return None


def build_type(
    columns: Sequence[tuple[str, str, bool]],
    properties: Mapping[str, Sequence[str]],
    label: str = "",
) -> RecordType:
    """Build a type from (name, base type, nullable) triples and properties.

    Raises:
        RequestError: a type or property that Kinetica does not have, or a contradiction.
    """
    if not columns:
        raise RequestError("A type needs at least one column")
    names = [name for name, _, _ in columns]
    if len({name.lower() for name in names}) != len(names):
        raise RequestError("Column names must differ")
    fields, kept = [], {}
    for name, base, union in columns:
        if not name or '"' in name:
            raise RequestError(f"Invalid column name: {name!r}")
        marks = list(dict.fromkeys(properties.get(name, ())))
        _check_properties(name, base, marks)
        nullable = union or "nullable" in marks
        if nullable and "nullable" not in marks:
            marks.append("nullable")
        if nullable and "primary_key" in marks:
            raise RequestError(f"Primary key column '{name}' cannot be nullable")
        fields.append({"name": name, "type": [base, "null"] if nullable else base})
        kept[name] = marks
    unknown = set(properties) - set(names)
    if unknown:
        raise RequestError(f"Properties given for unknown column '{min(unknown)}'")
    definition = {"type": "record", "name": "type_name", "fields": fields}
    text = json.dumps(definition, separators=(",", ":"))
    type_id = _content_id(text, kept)
    schema = parse_schema(type_id, text, kept)
    record = fastavro.parse_schema(definition)
    return RecordType(
        type_id,
        label,
        text,
        {name: marks for name, marks in kept.items() if marks},
        schema.columns,
        schema.primary_key,
        record,
        fastavro.parse_schema({"type": "array", "items": record}),
    )


def opaque_type(type_schema: str) -> RecordType:
    """Return a type of which only the schema's text is told, whatever that is."""
    kind = build_type([("unknown", "string", True)], {})
    return replace(kind, type_schema=type_schema, type_id=_content_id(type_schema, {}))


def parse_definition(
    definition: str, properties: Mapping[str, Sequence[str]], label: str
) -> RecordType:
    """Read what `/create/type` was given: an Avro record schema, or a list of column lists.

    Raises:
        RequestError: it is neither, or names what Kinetica does not have.
    """
    try:
        parsed = json.loads(definition)
        if isinstance(parsed, dict):
            columns = [_avro_column(entry) for entry in parsed["fields"]]
            return build_type(columns, properties, label)
        listed, marks = [], {}
        for name, type_name, *rest in parsed:
            base, declared = base_of(type_name)
            listed.append((name, base, "nullable" in rest))
            marks[name] = [*declared, *rest]
        return build_type(listed, {**marks, **properties}, label)
    except (ValueError, TypeError, KeyError) as error:
        raise RequestError(f"Type definition is not valid: {error}") from error


def _avro_column(entry: Mapping[str, Any]) -> tuple[str, str, bool]:
    base, nullable = entry["type"], False
    if isinstance(base, list):
        branches = [branch for branch in base if branch != "null"]
        if len(branches) != 1:
            raise RequestError(f"Column '{entry['name']}': unsupported union {base}")
        base, nullable = branches[0], len(base) > 1
    return entry["name"], base, nullable


def base_of(type_name: str) -> tuple[str, list[str]]:
    """Split a type name into its base type and the property that declares it.

    >>> base_of("decimal(10,2)")
    ('string', ['decimal(10,2)'])
    >>> base_of("long")
    ('long', [])

    Raises:
        RequestError: Kinetica has no such type.
    """
    if type_name in BASE_TYPES:
        return type_name, []
    match = _NAME.match(type_name)
    for base, names in DECLARED_TYPES.items():
        if match and match.group() in names:
            return base, [type_name]
    raise RequestError(f"Unsupported column type '{type_name}'")


def _check_properties(name: str, base: str, marks: Sequence[str]) -> None:
    if base not in BASE_TYPES:
        raise RequestError(f"Column '{name}': unsupported base type '{base}'")
    declared = []
    for mark in marks:
        match = _NAME.match(mark)
        word = match.group() if match else ""
        if any(word in names for names in DECLARED_TYPES.values()):
            if word not in DECLARED_TYPES.get(base, ()):
                raise RequestError(f"Column '{name}': property '{mark}' needs another base type")
            declared.append(mark)
        elif word not in _MARKS:
            raise RequestError(f"Column '{name}': unknown property '{mark}'")
    if len(declared) > 1:
        raise RequestError(f"Column '{name}': properties {declared} exclude each other")
    size = _DECIMAL.fullmatch(declared_type(base, marks))
    if size and (int(size[1]) > _LARGEST_PRECISION or int(size[2] or 0) > _LARGEST_SCALE):
        raise RequestError(f"Column '{name}': '{size.group()}' is out of range")


def _content_id(text: str, properties: Mapping[str, Sequence[str]]) -> str:
    ordered = {name: sorted(marks) for name, marks in sorted(properties.items())}
    content = text + json.dumps(ordered, separators=(",", ":"))
    return str(int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big"))
