"""A schema as column operations: what both implementations compile their work from.

The declared type bounds what the base type would let through: `int8` and `int16` a value,
`charN` a length (N counts bytes). Source: protocol, section 5.2.
"""

from __future__ import annotations

from typing import NamedTuple

from bridge.events import Column, Schema
from bridge.types import check_name, type_of


class Operation(NamedTuple):
    """How one column is read.

    Attributes:
        name: the column's.
        base: its Avro type: int, long, float, double, string or bytes.
        nullable: whether a union index stands before the value.
        low: the least value of an int or long; 0 for the others.
        high: the greatest value of an int or long, the most bytes of a string or bytes.
    """

    name: str
    base: str
    nullable: bool
    low: int
    high: int


def operations(schema: Schema) -> tuple[Operation, ...]:
    """Compile a schema's columns, in wire order.

    Raises:
        ValueError: no columns, two of one name, a name that is no text, or an unknown base type.
    """
    names = [column.name for column in schema.columns]
    if not names:
        raise ValueError(f"type {schema.type_id} has no columns")
    if len(set(names)) != len(names):
        raise ValueError(f"type {schema.type_id} has two columns of one name: {names}")
    return tuple(_operation(column) for column in schema.columns)


def _operation(column: Column) -> Operation:
    check_name(column.name)
    kind = type_of(column)
    return Operation(column.name, column.base, column.nullable, kind.low, kind.high)
