"""Layouts: what Kinetica declares of a table's columns, from the two places where it says so.

A type schema (Avro) has base types and nullability only; the declared type (`decimal(10,2)`,
`char16`, `timestamp`) stands among a column's properties in `/show/table`. Source: protocol,
sections 5.2 and 5.3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.events import Column, Schema
from bridge.types import BASE_TYPES, DECLARED_TYPES, check_name, declared_type

__all__ = ["BASE_TYPES", "DECLARED_TYPES", "declared_type", "parse_schema"]


def parse_schema(type_id: str, type_schema: str, properties: Mapping[str, Sequence[str]]) -> Schema:
    """Build a `Schema` from what `/show/table` says of a table.

    Args:
        type_id: Kinetica's id of the layout.
        type_schema: JSON text of the Avro record schema.
        properties: column name to its list of properties, in no particular order.

    Raises:
        ValueError: the text is no record schema, or has a type that Kinetica does not have, or
            a name that is no text.
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
    check_name(name)
    if isinstance(base, list):
        if len(base) != 2 or base[1] != "null":
            raise ValueError(f"column {name}: a union must be [type, null], not {base}")
        base, nullable = base[0], True
    if base not in BASE_TYPES:
        raise ValueError(f"column {name}: unknown base type {base!r}")
    return Column(name, base, declared_type(base, properties.get(name, ())), nullable)
