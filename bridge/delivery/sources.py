"""Where a courier reads, and where it settles: the journal itself, or what is delivered again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from bridge.events import Block
from bridge.journal import Damage, Journal, JournalReader, Lane, Move, Page, Replay, Stored
from bridge.journal.blocks import cut


class Reader(Protocol):
    """Reads entries; used by one thread."""

    def read(
        self,
        start: int,
        *,
        max_bytes: int = ...,
        max_entries: int = ...,
        tables: Collection[str] | None = ...,
    ) -> Page:
        """Read entries from `start` on; see `JournalReader.read`."""

    def close(self) -> None:
        """Let go of the files; it may be used again."""


class Source(Protocol):
    """What a courier needs of the journal; see the methods of `Journal`."""

    def lanes(self, sink: str) -> Mapping[str, Lane]:
        """Return where each table stands."""

    def reader(self) -> Reader:
        """Return a reader for one thread; the caller closes it."""

    def settle(self, sink: str, moves: Sequence[Move]) -> None:
        """Note what became of events."""

    def wait(self, offset: int, timeout: float) -> bool:
        """Wait until there is an event at `offset`; False at once where none will come."""


class Span:
    """A span of the journal, to be delivered again.

    Args:
        journal: open.
        replay: begun.

    Attributes:
        end: the offset behind it.
    """

    def __init__(self, journal: Journal, replay: Replay) -> None:
        self._journal = journal
        self._number = replay.number
        self.end = replay.end

    def lanes(self, _: str) -> Mapping[str, Lane]:
        """Return how far each table is."""
        tables = self._journal.replays.find(self._number).tables
        return {
            table: Lane(tally.cursor, (), tally.cursor)
            for table, tally in tables.items()
            if tally.cursor < self.end
        }

    def reader(self) -> _Bounded:
        """Return a reader that knows nothing behind the span."""
        return _Bounded(self._journal.reader(), self.end)

    def settle(self, _: str, moves: Sequence[Move]) -> None:
        """Note what was delivered, and what was refused."""
        self._journal.replays.settle(self._number, moves)

    def wait(self, offset: int, timeout: float) -> bool:  # noqa: ARG002 (the contract)
        """Return False: nothing more comes."""
        return False


class _Bounded:
    """Reads the journal up to an offset."""

    def __init__(self, reader: JournalReader, end: int) -> None:
        self._reader = reader
        self._end = end

    def read(
        self,
        start: int,
        *,
        max_bytes: int = 4 * 2**20,
        max_entries: int = 4096,
        tables: Collection[str] | None = None,
    ) -> Page:
        """Read as `JournalReader` does; what stands behind the end is not there."""
        end = self._end
        if start >= end:
            return Page((), start)
        page = self._reader.read(start, max_bytes=max_bytes, max_entries=max_entries, tables=tables)
        if page.next <= end:
            return page
        entries = [_until(stored, end) for stored in page.entries if stored.offset < end]
        damaged = [
            Damage(each.first, min(each.last, end - 1), each.reason)
            for each in page.damaged
            if each.first < end
        ]
        return Page(entries, end, damaged)

    def close(self) -> None:
        """Let go of the files."""
        self._reader.close()


def _until(stored: Stored, end: int) -> Stored:
    """Return an entry without what stands behind an offset; as it is, where it cannot be cut."""
    count = end - stored.offset
    if stored.count <= count or not isinstance(stored.entry, Block):
        return stored
    (part,) = cut(stored.entry, [(0, count)])
    return Stored(stored.offset, count, part)
