"""When are two rows the same row: one that arrived live, and one read from the table later.

Kinetica may write a value differently in a notification than in a read (protocol, section
4.5: a `datetime` with six digits of fraction, where the column keeps three). So a row's
identity is a digest of its values, each brought to one canonical form by its declared type.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any

from bridge.codec import Codec, compile_schema
from bridge.events import Column, Schema


def _fraction(text: str) -> str:
    head, point, digits = text.partition(".")
    digits = digits.rstrip("0")
    return (f"{head}.{digits}" if point and digits else head).replace("T", " ", 1)


def _decimal(text: str) -> str:
    try:
        return format(Decimal(text).normalize(), "f")
    except InvalidOperation:
        return text


def _uuid(text: str) -> str:
    return text.replace("-", "").lower()


def _json(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return text


_CANONICAL: dict[str, Callable[[str], str]] = {
    "datetime": _fraction,
    "time": _fraction,
    "decimal": _decimal,
    "uuid": _uuid,
    "json": _json,
    "array": _json,
}


def comparable(column: Column, value: Any) -> Any:
    """Return a wire value as something that orders as the column's values do."""
    kind = column.type.partition("(")[0]
    if kind == "ulong":
        return int(value)
    if kind == "decimal":
        return Decimal(value)
    return _CANONICAL[kind](value) if kind in ("datetime", "time") else value


def literal(column: Column, value: Any) -> str:
    """Write a wire value as a constant of an expression.

    >>> literal(Column("name", "string", "char8"), "o'clock")
    "'o''clock'"
    """
    if column.base != "string" or column.type.partition("(")[0] in ("ulong", "decimal"):
        return str(value)
    text = str(value).replace("'", "''")
    return f"'{text}'"


class RowReader:
    """Reads rows of one schema, and tells them apart.

    Args:
        names: the columns that make the identity, in this order, if not all of them.
    """

    def __init__(self, schema: Schema, names: Sequence[str] | None = None) -> None:
        self.schema = schema
        self._codec: Codec = compile_schema(schema)
        forms = {c.name: _CANONICAL.get(c.type.partition("(")[0]) for c in schema.columns}
        self._parts = [(name, forms[name]) for name in names or forms]

    def rows(self, payload: bytes, count: int) -> list[dict[str, Any]]:
        """Decode rows that stand one after another.

        Raises:
            DecodeError: they are no rows of this schema.
        """
        return self._codec.decode(payload, count)

    def identity(self, row: dict[str, Any]) -> int:
        """Return the digest of a row, the same in every process."""
        values = []
        for name, form in self._parts:
            value = row[name]
            values.append(value if form is None or value is None else form(value))
        return int.from_bytes(blake2b(repr(values).encode(), digest_size=8).digest(), "big")
