"""The codec where no C compiler was at hand: equal results, slower.

`Walker` comes to the verdict, fastavro makes the values. A payload is decoded in one call,
as an Avro array of records: a block's count before it, an empty block after.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import fastavro

from bridge.codec.avro import AvroColumn, AvroWriter
from bridge.codec.avro_fallback import FallbackAvroWriter
from bridge.codec.base import Codec, Joined
from bridge.codec.digests import digests
from bridge.codec.fallback_form import FallbackForm
from bridge.codec.faults import Fault, decode_error
from bridge.codec.form import Form, Member, Values, unsigned
from bridge.codec.plan import Operation, operations
from bridge.codec.ranking import highest, lowest
from bridge.codec.walk import FaultFound, Walker
from bridge.errors import DecodeError
from bridge.events import Schema


class FallbackCodec(Codec):
    """Reads records with fastavro."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        layout = operations(schema)
        self._walker = Walker(layout)
        self._names = [operation.name for operation in layout]
        self._avro = fastavro.parse_schema(_array_schema(layout))

    def join(self, frames: Sequence[bytes]) -> Joined:
        """See `Codec.join`."""
        good, bad = [], []
        for index, frame in enumerate(frames):
            try:
                self._walker.frame(frame)
            except FaultFound as found:
                bad.append(self._error(index, found))
            else:
                good.append(frame)
        return Joined(b"".join(good), len(good), bad)

    def decode(self, payload: bytes, count: int) -> list[dict[str, Any]]:
        """See `Codec.decode`."""
        self._boundaries(payload, count)
        if count == 0:
            return []
        array = b"".join((_zigzag_varint(count), payload, b"\0"))
        records: Any = fastavro.schemaless_reader(BytesIO(array), self._avro, None)
        return [dict(zip(self._names, record.values(), strict=True)) for record in records]

    def ends(self, payload: bytes, count: int) -> memoryview:
        """See `Codec.ends`."""
        return unsigned(self._boundaries(payload, count)[1:])

    def highest(self, payload: bytes, count: int, column: str) -> tuple[Any, list[int]] | None:
        """See `Codec.highest`."""
        _, kind = self.place(column)
        return highest(kind, self.decode(payload, count))

    def lowest(self, payload: bytes, count: int, column: str) -> tuple[Any, bool] | None:
        """See `Codec.lowest`."""
        _, kind = self.place(column)
        return lowest(kind, self.decode(payload, count))

    def digests(
        self, payload: bytes, count: int, columns: Sequence[str] | None = None
    ) -> memoryview:
        """See `Codec.digests`."""
        return digests(self._columns(columns), self.decode(payload, count))

    def _make_form(
        self, values: Values, columns: Sequence[Member] | None, key: Sequence[Member] | None
    ) -> Form:
        return FallbackForm(self.decode, self.schema, values, columns, key)

    def _make_avro(self, columns: Sequence[AvroColumn]) -> AvroWriter:
        return FallbackAvroWriter(self._boundaries, self._walker, self.schema, columns)

    def _boundaries(self, payload: bytes, count: int) -> list[int]:
        """Walk all records; where each begins, and where the last one ends."""
        if count < 0:
            raise ValueError("a count of records is not negative")
        bounds = [0]
        for index in range(count):
            try:
                bounds.append(self._walker.record(payload, bounds[-1]))
            except FaultFound as found:
                raise self._error(index, found) from None
        if bounds[-1] != len(payload):
            start = bounds[-2] if count else 0
            left_over = FaultFound(Fault.LEFT_OVER, bounds[-1] - start)
            raise self._error(max(count - 1, 0), left_over)
        return bounds

    def _error(self, index: int, found: FaultFound) -> DecodeError:
        return decode_error(self.schema.columns, index, found.at, found.fault, found.column)


def _array_schema(layout: Sequence[Operation]) -> dict[str, Any]:
    """Describe an array of records to fastavro; by position, as Avro forbids many a name."""
    fields = [
        {
            "name": f"column_{place}",
            "type": [operation.base, "null"] if operation.nullable else operation.base,
        }
        for place, operation in enumerate(layout)
    ]
    return {"type": "array", "items": {"type": "record", "name": "record", "fields": fields}}


def _zigzag_varint(number: int) -> bytes:
    bits = number << 1
    written = bytearray()
    while bits >= 0x80:
        written.append(bits & 0x7F | 0x80)
        bits >>= 7
    written.append(bits)
    return bytes(written)
