"""Which rows were delivered already: what a read from the table must leave out.

The memory of that is the stream itself: the supervisor lends a way to read back what was
received, the journal's entries in the service. Rows of an older layout are compared by the
columns that both layouts have.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

from bridge.errors import DecodeError
from bridge.events import Column, Schema
from bridge.monitor.identity import RowReader, comparable
from bridge.monitor.records import each_row

# Above this, rows are delivered rather than remembered: memory is bounded, and a duplicate
# is better than a loss. About 200 MiB.
MAX_REMEMBERED = 2_000_000


class ReceivedRows(Protocol):
    """Rows as received, a block of them."""

    @property
    def schema(self) -> Schema:
        """Their layout."""

    @property
    def payload(self) -> bytes:
        """Their bytes, one after another."""

    @property
    def count(self) -> int:
        """How many there are."""


class Follow(Protocol):
    """A place in the stream of one table's received rows."""

    def more(self) -> Iterator[ReceivedRows]:
        """Yield what has been received and stored since the last call."""

    def close(self) -> None:
        """Let go of the place."""


class History(Protocol):
    """What was received, readable again."""

    def follow(self, table: str, since: float) -> Follow:
        """Return the place at a moment, seconds since the epoch; 0 for the beginning."""


class SeenRows:
    """Rows received since a moment, as often as each was. Used by one thread.

    Args:
        schema: the layout that reads have.
        follow: where the received rows come from.
        column: the growing column that bounds what is read, if any.
        low: only rows from this value of the column on are read.
    """

    def __init__(
        self, schema: Schema, follow: Follow, column: Column | None = None, low: Any = None
    ) -> None:
        self._schema = schema
        self._follow = follow
        self._column = column
        self._low = None if column is None or low is None else comparable(column, low)
        self._counts: dict[tuple[str, ...], dict[int, int]] = defaultdict(dict)
        self._readers: dict[Schema, RowReader] = {}
        self._own = tuple(c.name for c in schema.columns)
        self._remembered = 0

    def catch_up(self) -> None:
        """Take in what has been received since the last time."""
        for rows in self._follow.more():
            if self._remembered >= MAX_REMEMBERED:
                return
            names = self._common(rows.schema)
            reader = self._reader(rows.schema, names)
            counts = self._counts[names]
            with contextlib.suppress(DecodeError):  # damaged since: it will be delivered again
                for row in each_row(reader, rows.payload, rows.count):
                    if self._is_read(row):
                        identity = reader.identity(row)
                        counts[identity] = counts.get(identity, 0) + 1
                        self._remembered += 1

    def remember(self, identities: Collection[int]) -> None:
        """Count rows as seen at least once."""
        counts = self._counts[self._own]
        for identity in identities:
            counts.setdefault(identity, 1)

    def unseen(self, frames: Sequence[bytes], rows: Sequence[dict[str, Any]]) -> list[bytes]:
        """Return the frames whose rows were not received; what was is used up."""
        left = []
        readers = [
            (counts, RowReader(self._schema, names)) for names, counts in self._counts.items()
        ]
        for frame, row in zip(frames, rows, strict=True):
            for counts, reader in readers:
                identity = reader.identity(row)
                if counts.get(identity, 0) > 0:
                    counts[identity] -= 1
                    break
            else:
                left.append(frame)
        return left

    def _is_read(self, row: dict[str, Any]) -> bool:
        if self._low is None or self._column is None:
            return True
        value = row.get(self._column.name)
        return value is not None and bool(comparable(self._column, value) >= self._low)

    def _common(self, schema: Schema) -> tuple[str, ...]:
        theirs = {column.name for column in schema.columns}
        return tuple(name for name in self._own if name in theirs)

    def _reader(self, schema: Schema, names: tuple[str, ...]) -> RowReader:
        reader = self._readers.get(schema)
        if reader is None:
            reader = self._readers[schema] = RowReader(schema, names)
        return reader
