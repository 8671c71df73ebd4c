"""Column types: what Kinetica declares, from the two places where it says so.

A type schema (Avro) has base types and nullability only; the declared type (`decimal(10,2)`,
`char16`, `timestamp`) stands among a column's properties in `/show/table`. Source: protocol,
sections 5.2 and 5.3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.events import Column, Schema

BASE_TYPES = frozenset({"int", "long", "float", "double", "string", "bytes"})

# Declared types by the base type that carries them; a parameter list may follow the name.
DECLARED_TYPES: Mapping[str, frozenset[str]] = {
    "int": frozenset({"boolean", "int8", "int16"}),
    "long": frozenset({"timestamp"}),
    "string": frozenset(
        {"date", "time", "datetime", "decimal", "ulong", "ipv4", "uuid", "json", "array", "wkt"}
        | {f"char{n}" for n in (1, 2, 4, 8, 16, 32, 64, 128, 256)}
    ),
    "bytes": frozenset({"vector", "wkt"}),
}

_NAME = re.compile(r"[a-z0-9]+")


def declared_type(base: str, properties: Sequence[str]) -> str:
    """Return the declared type among a column's properties, the base type if there is none.

    >>> declared_type("string", ["nullable", "decimal(10,2)", "shard_key"])
    'decimal(10,2)'
    >>> declared_type("int", ["primary_key"])
    'int'
    """
    known = DECLARED_TYPES.get(base, frozenset())
    for text in properties:
        name = _NAME.match(text)
        if name and name.group() in known:
            return text.replace(" ", "")
    return base


def parse_schema(type_id: str, type_schema: str, properties: Mapping[str, Sequence[str]]) -> Schema:
    """Build a `Schema` from what `/show/table` says of a table.

    Args:
        type_id: Kinetica's id of the layout.
        type_schema: JSON text of the Avro record schema.
        properties: column name to its list of properties, in no particular order.

    Raises:
        ValueError: the text is no record schema, or has a type that Kinetica does not have.
    """
    try:
        fields = json.loads(type_schema)["fields"]
        columns = tuple(_column(field, properties) for field in fields)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not an Avro record schema: {error!r}") from error
    keys = tuple(
        column.name for column in columns if "primary_key" in properties.get(column.name, ())
    )
    return Schema(type_id, columns, keys)


def _column(field: Mapping[str, Any], properties: Mapping[str, Sequence[str]]) -> Column:
    name, base, nullable = field["name"], field["type"], False
    if isinstance(base, list):
        if len(base) != 2 or base[1] != "null":
            raise ValueError(f"column {name}: a union must be [type, null], not {base}")
        base, nullable = base[0], True
    if base not in BASE_TYPES:
        raise ValueError(f"column {name}: unknown base type {base!r}")
    return Column(name, base, declared_type(base, properties.get(name, ())), nullable)
