"""When are two rows the same row: one that arrived live, and one read from the table later.

Kinetica may write a value differently in a notification than in a read (protocol, section
4.5: a `datetime` with six digits of fraction, where the column keeps three). So a row's
identity is a digest of its values, each brought to one canonical form by its type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.codec import Codec, compile_schema
from bridge.codec.digests import digests
from bridge.events import Schema
from bridge.types import comparable, literal

__all__ = ["RowReader", "comparable", "literal"]


class RowReader:
    """Reads rows of one schema, and tells them apart.

    Args:
        names: the columns that make the identity, in this order, if not all of them.
    """

    def __init__(self, schema: Schema, names: Sequence[str] | None = None) -> None:
        self.schema = schema
        self._codec: Codec = compile_schema(schema)
        by_name = {column.name: column for column in schema.columns}
        self._columns = [by_name[name] for name in names or by_name]

    def rows(self, payload: bytes, count: int) -> list[dict[str, Any]]:
        """Decode rows that stand one after another.

        Raises:
            DecodeError: they are no rows of this schema.
        """
        return self._codec.decode(payload, count)

    def identity(self, row: dict[str, Any]) -> int:
        """Return the digest of a row, the same in every process."""
        return digests(self._columns, [row])[0]
