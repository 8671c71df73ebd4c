"""Avro of another schema, in C."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.codec import _native
from bridge.codec.avro import AvroColumn, AvroWriter, AvroWritten
from bridge.codec.faults import decode_error
from bridge.codec.form import unsigned
from bridge.events import Schema


class NativeAvroWriter(AvroWriter):
    """Writes without a Python object for a value.

    Args:
        plan: of the codec that it belongs to.
    """

    def __init__(self, plan: _native.Plan, schema: Schema, columns: Sequence[AvroColumn]) -> None:
        super().__init__(schema, columns)
        self._form = _native.AvroForm(plan, self.columns)

    def write(self, payload: bytes, count: int, header: bytes) -> AvroWritten:
        """See `AvroWriter.write`."""
        try:
            values, ends, refused = self._form.write(payload, count, header)
        except _native.Malformed as malformed:
            raise decode_error(self.schema.columns, *malformed.args) from None
        if refused:
            raise self._unwritable(refused)
        return AvroWritten(values, unsigned(ends))
