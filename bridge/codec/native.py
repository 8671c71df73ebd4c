"""The codec on the compiled module: what `csrc/` does, with the bridge's errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bridge.codec import _native
from bridge.codec.avro import AvroColumn, AvroWriter
from bridge.codec.avro_native import NativeAvroWriter
from bridge.codec.base import Codec, Joined
from bridge.codec.digests import digests, native_form
from bridge.codec.faults import decode_error
from bridge.codec.form import Form, Member, Template, Values, Written, key_frame, unsigned
from bridge.codec.plan import operations
from bridge.codec.ranking import highest, lowest
from bridge.events import Schema, Times
from bridge.types import Order, type_of

_ORDERS = frozenset({Order.NUMBER, Order.FLOAT, Order.BYTES, Order.MOMENT, Order.ULONG})


@contextmanager
def _errors_of(schema: Schema) -> Iterator[None]:
    try:
        yield
    except _native.Malformed as malformed:
        raise decode_error(schema.columns, *malformed.args) from None


class NativeCodec(Codec):
    """Reads records in C; lets other threads run while it works on much.

    Attributes:
        plan: the compiled layout, for what else in the compiled module takes one.
    """

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self.plan = _native.Plan(operations(schema))
        # By the columns asked for: the place and form of each, None for what C does not know.
        self._digested: dict[tuple[str, ...] | None, tuple[tuple[int, Any], ...]] = {}

    def join(self, frames: Sequence[bytes]) -> Joined:
        """See `Codec.join`."""
        payload, count, bad = self.plan.join(frames)
        columns = self.schema.columns
        return Joined(payload, count, [decode_error(columns, *each) for each in bad])

    def decode(self, payload: bytes, count: int) -> list[dict[str, Any]]:
        """See `Codec.decode`."""
        with _errors_of(self.schema):
            return self.plan.decode(payload, count)

    def ends(self, payload: bytes, count: int) -> memoryview:
        """See `Codec.ends`."""
        with _errors_of(self.schema):
            return unsigned(self.plan.ends(payload, count))

    def highest(self, payload: bytes, count: int, column: str) -> tuple[Any, list[int]] | None:
        """See `Codec.highest`."""
        place, kind = self.place(column)
        order = type_of(kind).order
        if order not in _ORDERS:
            return highest(kind, self.decode(payload, count))
        with _errors_of(self.schema):
            return self.plan.highest(payload, count, place, order)

    def lowest(self, payload: bytes, count: int, column: str) -> tuple[Any, bool] | None:
        """See `Codec.lowest`."""
        place, kind = self.place(column)
        order = type_of(kind).order
        if order not in _ORDERS:
            return lowest(kind, self.decode(payload, count))
        with _errors_of(self.schema):
            return self.plan.lowest(payload, count, place, order)

    def digests(
        self, payload: bytes, count: int, columns: Sequence[str] | None = None
    ) -> memoryview:
        """See `Codec.digests`."""
        names = None if columns is None else tuple(columns)
        wanted = self._digested.get(names)
        if wanted is None:
            wanted = self._digested[names] = self._forms_of(names)
        if None not in (form for _, form in wanted):
            with _errors_of(self.schema):
                found = self.plan.digests(payload, count, wanted)
            if found is not None:
                return unsigned(found)
        return digests(self._columns(names), self.decode(payload, count))

    def _forms_of(self, names: tuple[str, ...] | None) -> tuple[tuple[int, Any], ...]:
        places = [self.place(column.name) for column in self._columns(names)]
        return tuple((place, native_form(column)) for place, column in places)

    def _make_form(
        self, values: Values, columns: Sequence[Member] | None, key: Sequence[Member] | None
    ) -> Form:
        return NativeForm(self.plan, self.schema, values, columns, key)

    def _make_avro(self, columns: Sequence[AvroColumn]) -> AvroWriter:
        return NativeAvroWriter(self.plan, self.schema, columns)


class NativeForm(Form):
    """Writes lines in C, without a Python object for a value.

    Args:
        plan: of the codec that it belongs to.
    """

    def __init__(
        self,
        plan: _native.Plan,
        schema: Schema,
        values: Values,
        columns: Sequence[Member] | None,
        key: Sequence[Member] | None,
    ) -> None:
        super().__init__(schema, values, columns, key)
        self._form = _native.Form(plan, self.record, self.key)

    def lines(
        self,
        payload: bytes,
        count: int,
        *,
        template: Template,
        first: int,
        times: Times,
        key_template: Template | None = None,
    ) -> Written:
        """See `Form.lines`."""
        before, after = key_frame(key_template)
        try:  # as `_errors_of`, which costs a small block a tenth of its lines
            lines, ends, keys, key_ends = self._form.lines(
                payload, count, template, first, times, before, after
            )
        except _native.Malformed as malformed:
            raise decode_error(self.schema.columns, *malformed.args) from None
        return Written(
            lines, unsigned(ends), keys, None if key_ends is None else unsigned(key_ends)
        )
