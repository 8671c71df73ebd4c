"""The contract of a codec, and what both implementations share: the way to JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from bridge.codec.json_records import JsonForm, Values
from bridge.errors import DecodeError
from bridge.events import Schema


class Codec(ABC):
    """Reads the records of one schema. Immutable to its users, for any number of threads.

    A *frame* is the bytes of one record; a *payload* holds several, one after another.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._forms: dict[tuple[Values, tuple[str, ...] | None], JsonForm] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of type {self.schema.type_id}>"

    @abstractmethod
    def validate(self, frames: Sequence[bytes]) -> list[DecodeError]:
        """Walk frames of one record each, every one to its last byte; no values are built.

        Returns:
            One error for each bad frame, in order; an empty list when all are good.
        """

    @abstractmethod
    def decode(self, payload: bytes, count: int) -> list[dict[str, Any]]:
        """Make a dict of each of the `count` records in `payload`, columns in wire order.

        Values are those on the wire: int, float, str, bytes or None.

        Raises:
            DecodeError: at the first bad record. Bytes left over count as the last one's.
        """

    @abstractmethod
    def split(self, payload: bytes, count: int) -> list[bytes]:
        """Cut `payload` into the bytes of each of its `count` records.

        Raises:
            DecodeError: as `decode`.
        """

    def transcode(
        self,
        payload: bytes,
        count: int,
        *,
        values: Values,
        columns: Sequence[str] | None = None,
    ) -> list[bytes]:
        """Write each of the `count` records in `payload` as one compact UTF-8 JSON object.

        Args:
            payload: the records.
            count: how many.
            values: `declared` writes what the declared type means, `kinetica` the forms that
                Kinetica sends.
            columns: only these, in this order (a message key, say); None for all of them in
                wire order.

        Returns:
            JSON objects without a newline, one a record.

        Raises:
            DecodeError: as `decode`.
            ValueError: the schema has no such column, or `values` is neither of the two.
        """
        names = None if columns is None else tuple(columns)
        form = self._forms.get((values, names))
        if form is None:
            form = self._forms[values, names] = JsonForm(self.schema.columns, values, names)
        return form.write(self.decode(payload, count))
