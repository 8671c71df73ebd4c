"""The contract of Avro of another schema: one way to write a schema's records anew.

A record stays Avro. What differs: a union has null first, the columns may be fewer and in another
order, and what is text in Kinetica is a number or bytes where its form says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from bridge.errors import Unwritable
from bridge.events import Schema
from bridge.types import JsonForm

MOST_DIGITS = 38
"""Of a decimal: what 127 bits hold."""


class AvroForm(StrEnum):
    """How a column's values are written; the compiled module knows them by the same names."""

    COPY = "copy"  # as received
    BOOLEAN = "boolean"
    DATE = "date"  # days since 1970-01-01
    TIME = "time"  # milliseconds since midnight
    DATETIME = "datetime"  # milliseconds since 1970-01-01T00:00:00, of no zone
    DECIMAL = "decimal"  # the unscaled number, two's complement
    ULONG = "ulong"  # as a decimal without fraction
    UUID = "uuid"  # text of 36 characters
    VECTOR = "vector"  # an array of float
    HASH = "hash"  # text in place of what nobody is to see: see `bridge.codec.form.Mask`
    REDACT = "redact"


class AvroColumn(NamedTuple):
    """One field of a value.

    Attributes:
        place: the column's place in the record.
        form: how its values are written.
        digits: of a decimal, at most `MOST_DIGITS`.
        scale: how many of them stand behind the point.
        json: the JSON form of what is hashed.
        mask_key: of the hash.
    """

    place: int
    form: AvroForm
    digits: int = 0
    scale: int = 0
    json: JsonForm | None = None
    mask_key: bytes = b""

    def __repr__(self) -> str:  # the key of hashes is a secret
        return f"AvroColumn({self.place}, {self.form!r}, {self.digits}, {self.scale})"


class AvroWritten(NamedTuple):
    """Values one after the other, and where each ends; unsigned 64-bit."""

    values: bytes
    ends: memoryview


class AvroWriter(ABC):
    """Writes the records of one schema in one way. Immutable, for any number of threads.

    Args:
        schema: of the records.
        columns: the fields of a value, in their order.
    """

    def __init__(self, schema: Schema, columns: Sequence[AvroColumn]) -> None:
        self.schema = schema
        self.columns = tuple(columns)

    @abstractmethod
    def write(self, payload: bytes, count: int, header: bytes) -> AvroWritten:
        """Write each of the `count` records in `payload`, the header before each.

        Raises:
            DecodeError: at the first bad record. Bytes left over count as the last one's.
            Unwritable: records have values that their forms do not have; it names all of them.
            ValueError: a negative count.
        """

    def _unwritable(self, refused: Sequence[tuple[int, int]]) -> Unwritable:
        """Put in words which records have a value without a form, and in which field."""
        return Unwritable([(index, self._reason(field)) for index, field in refused])

    def _reason(self, field: int) -> str:
        # The value is not quoted: it may be one that nobody is to see.
        column = self.columns[field]
        kind = self.schema.columns[column.place]
        what = _WHAT[column.form].format(digits=column.digits, scale=column.scale)
        return f"column {kind.name}: {what}"


_WHAT = {
    AvroForm.DATE: "no date of the form 2026-11-23",
    AvroForm.TIME: "no time of the form 08:42:00.123",
    AvroForm.DATETIME: "no date and time of the form 2026-11-23 08:42:00.123",
    AvroForm.DECIMAL: "no number that decimal({digits},{scale}) holds",
    AvroForm.ULONG: "no number of 64 bits",
    AvroForm.UUID: "no UUID",
    AvroForm.VECTOR: "bytes that are no whole floats",
}
