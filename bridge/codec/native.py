"""The codec on the compiled module: what `csrc/` does, with the bridge's errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.codec import _native
from bridge.codec.base import Codec
from bridge.codec.faults import decode_error
from bridge.codec.plan import operations
from bridge.errors import DecodeError
from bridge.events import Schema


class NativeCodec(Codec):
    """Reads records in C; lets other threads run while it validates much."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self._plan = _native.Plan(operations(schema))

    @property
    def plan(self) -> _native.Plan:
        """The compiled layout, for what else is compiled."""
        return self._plan

    def validate(self, frames: Sequence[bytes]) -> list[DecodeError]:
        """See `Codec.validate`."""
        columns = self.schema.columns
        return [decode_error(columns, *bad) for bad in self._plan.validate(frames)]

    def decode(self, payload: bytes, count: int) -> list[dict[str, Any]]:
        """See `Codec.decode`."""
        try:
            return self._plan.decode(payload, count)
        except _native.Malformed as malformed:
            raise decode_error(self.schema.columns, *malformed.args) from None

    def split(self, payload: bytes, count: int) -> list[bytes]:
        """See `Codec.split`."""
        try:
            return self._plan.split(payload, count)
        except _native.Malformed as malformed:
            raise decode_error(self.schema.columns, *malformed.args) from None
