"""The contract of a codec, which both implementations keep with equal results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridge.codec.avro import AvroColumn, AvroWriter
from bridge.codec.form import Form, Member, Values
from bridge.errors import DecodeError
from bridge.events import Column, Schema

_Wish = tuple[Values, tuple[Member, ...] | None, tuple[Member, ...] | None]


@dataclass(frozen=True, slots=True)
class Joined:
    """Frames put together.

    Attributes:
        payload: the good ones, one after another.
        count: how many they are.
        bad: one error for each bad one, in order; an error's index is the frame's place.
    """

    payload: bytes
    count: int
    bad: list[DecodeError]


class Codec(ABC):
    """Reads the records of one schema. Immutable to its users, for any number of threads.

    A *frame* is the bytes of one record; a *payload* holds several, one after another.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._forms: dict[_Wish, Form] = {}
        self._avro_writers: dict[tuple[AvroColumn, ...], AvroWriter] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of type {self.schema.type_id}>"

    @abstractmethod
    def join(self, frames: Sequence[bytes]) -> Joined:
        """Walk frames of one record each, every one to its last byte, and join the good ones."""

    @abstractmethod
    def decode(self, payload: bytes, count: int) -> list[dict[str, Any]]:
        """Make a dict of each of the `count` records in `payload`, columns in wire order.

        Values are those on the wire: int, float, str, bytes or None.

        Raises:
            DecodeError: at the first bad record. Bytes left over count as the last one's.
        """

    @abstractmethod
    def ends(self, payload: bytes, count: int) -> memoryview:
        """Find where each of the `count` records in `payload` ends; unsigned 64-bit.

        Raises:
            DecodeError: as `decode`.
        """

    @abstractmethod
    def highest(self, payload: bytes, count: int, column: str) -> tuple[Any, list[int]] | None:
        """Find the greatest value of a column, by the order of its type, and who has it.

        Returns:
            The wire value of the first record that has it, and the places of all that have an
            equal one, from 0; None where all are null.

        Raises:
            DecodeError: as `decode`.
            ValueError: no such column.
        """

    @abstractmethod
    def lowest(self, payload: bytes, count: int, column: str) -> tuple[Any, bool] | None:
        """Find the least value of a column, by the order of its type, and whether it has nulls.

        Returns:
            The wire value of the first record that has it, and whether any is null; None where
            all are.

        Raises:
            DecodeError: as `decode`.
            ValueError: no such column.
        """

    @abstractmethod
    def digests(
        self, payload: bytes, count: int, columns: Sequence[str] | None = None
    ) -> memoryview:
        """Find a number for each record: equal records have one, others in all likelihood not.

        Args:
            payload: records, one after another.
            count: how many.
            columns: those that count, in this order; None for all in wire order.

        Returns:
            Unsigned 64-bit numbers, the same in every process; `bridge.codec.digests` says how.

        Raises:
            DecodeError: as `decode`.
            ValueError: no such column.
        """

    @abstractmethod
    def _make_form(
        self, values: Values, columns: Sequence[Member] | None, key: Sequence[Member] | None
    ) -> Form: ...

    def form(
        self,
        *,
        values: Values = "declared",
        columns: Sequence[Member] | None = None,
        key: Sequence[Member] | None = None,
    ) -> Form:
        """Compile a way to write records as lines; the same arguments give the same form.

        Args:
            values: `declared` writes what the declared type means, `kinetica` the forms that
                Kinetica sends.
            columns: only these, in this order; None for all of them in wire order.
            key: the columns of the message key, in this order; None or none for no key.

        Raises:
            ValueError: the schema has no such column, or `values` is neither of the two.
        """
        wish = (values, None if columns is None else tuple(columns), tuple(key) if key else None)
        form = self._forms.get(wish)
        if form is None:
            form = self._forms[wish] = self._make_form(*wish)
        return form

    @abstractmethod
    def _make_avro(self, columns: Sequence[AvroColumn]) -> AvroWriter: ...

    def avro(self, columns: Sequence[AvroColumn]) -> AvroWriter:
        """Compile a way to write records as Avro; the same columns give the same writer."""
        wish = tuple(columns)
        writer = self._avro_writers.get(wish)
        if writer is None:
            writer = self._avro_writers[wish] = self._make_avro(wish)
        return writer

    def place(self, name: str) -> tuple[int, Column]:
        """Return the column of a name and its place in the record.

        Raises:
            ValueError: there is none.
        """
        for place, column in enumerate(self.schema.columns):
            if column.name == name:
                return place, column
        names = ", ".join(column.name for column in self.schema.columns)
        raise ValueError(f"no column {name} among {names}")

    def _columns(self, names: Sequence[str] | None) -> Sequence[Column]:
        """Return columns by their names, all of them for None."""
        return self.schema.columns if names is None else [self.place(name)[1] for name in names]
