"""A schema as column operations: what both implementations compile their work from.

The declared type bounds what the base type would let through: `int8` and `int16` a value,
`charN` a length (N counts bytes). Source: protocol, section 5.2.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bridge.events import Column, Schema

_INT = (-(2**31), 2**31 - 1)
_LONG = (-(2**63), 2**63 - 1)
_SMALL_INTS = {"int8": (-(2**7), 2**7 - 1), "int16": (-(2**15), 2**15 - 1)}
_UNBOUNDED = (0, 2**63 - 1)
_BASES = {
    "int": _INT,
    "long": _LONG,
    "float": _UNBOUNDED,
    "double": _UNBOUNDED,
    "string": _UNBOUNDED,
    "bytes": _UNBOUNDED,
}
_CHAR = re.compile(r"char([0-9]+)")


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
        ValueError: no columns, two of one name, or an unknown base type.
    """
    names = [column.name for column in schema.columns]
    if not names:
        raise ValueError(f"type {schema.type_id} has no columns")
    if len(set(names)) != len(names):
        raise ValueError(f"type {schema.type_id} has two columns of one name: {names}")
    return tuple(_operation(column) for column in schema.columns)


def _operation(column: Column) -> Operation:
    if column.base not in _BASES:
        raise ValueError(f"column {column.name}: unknown base type {column.base!r}")
    low, high = _BASES[column.base]
    if column.base == "int":
        low, high = _SMALL_INTS.get(column.type, _INT)
    elif column.base == "string" and (char := _CHAR.fullmatch(column.type)):
        high = int(char.group(1))
    return Operation(column.name, column.base, column.nullable, low, high)
