"""The codec on the compiled module: what `csrc/` does, with the bridge's errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.codec import _native
from bridge.codec.base import Codec, Joined
from bridge.codec.faults import decode_error
from bridge.codec.fallback_form import FallbackForm
from bridge.codec.form import Form, Values, unsigned
from bridge.codec.plan import operations
from bridge.errors import DecodeError
from bridge.events import Schema


class NativeCodec(Codec):
    """Reads records in C; lets other threads run while it validates much."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self._plan = _native.Plan(operations(schema))

    def join(self, frames: Sequence[bytes]) -> Joined:
        """See `Codec.join`."""
        columns = self.schema.columns
        bad = [decode_error(columns, *bad) for bad in self._plan.validate(frames)]
        worse = {error.index for error in bad}
        good = [f for i, f in enumerate(frames) if i not in worse]
        return Joined(b"".join(good), len(good), bad)

    def decode(self, payload: bytes, count: int) -> list[dict[str, Any]]:
        """See `Codec.decode`."""
        try:
            return self._plan.decode(payload, count)
        except _native.Malformed as malformed:
            raise decode_error(self.schema.columns, *malformed.args) from None

    def ends(self, payload: bytes, count: int) -> memoryview:
        """See `Codec.ends`."""
        try:
            frames = self._plan.split(payload, count)
        except _native.Malformed as malformed:
            raise decode_error(self.schema.columns, *malformed.args) from None
        total = 0
        return unsigned([total := total + len(f) for f in frames])

    def highest(self, payload: bytes, count: int, column: str) -> tuple[Any, list[int]] | None:
        raise NotImplementedError

    def _make_form(
        self, values: Values, columns: Sequence[str] | None, key: Sequence[str] | None
    ) -> Form:
        return FallbackForm(self.decode, self.schema, values, columns, key)
