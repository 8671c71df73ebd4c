"""Where a courier reads, and where it settles: the journal itself, or what is delivered again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from bridge.events import Block
from bridge.journal import (
    Damage,
    DeadLetter,
    Journal,
    JournalReader,
    Lane,
    Move,
    Page,
    Replay,
    Retried,
    Stored,
)
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


class Resting(Protocol):
    """Says what rests because somebody said so; see `Pauses`."""

    def of(self, sink: str) -> Mapping[str, int]:
        """Return what rests of a sink."""


class _Nothing:
    """What is delivered again rests as a whole, or not: its owner sees to that."""

    def of(self, _: str) -> Mapping[str, int]:
        return {}


NOTHING_RESTS = _Nothing()


class Source(Protocol):
    """What a courier needs of the journal; see the methods of `Journal`."""

    @property
    def pauses(self) -> Resting:
        """What rests."""

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
        events: the types that the sink takes, None for all.

    Attributes:
        end: the offset behind it.
    """

    def __init__(
        self, journal: Journal, replay: Replay, events: frozenset[str] | None = None
    ) -> None:
        self._journal = journal
        self._events = events
        self._number = replay.number
        self.end = replay.end
        self.pauses: Resting = NOTHING_RESTS

    def lanes(self, _: str) -> Mapping[str, Lane]:
        """Return how far each table is."""
        tables = self._journal.replays.find(self._number).tables
        return {
            table: Lane(tally.cursor, (), tally.cursor, self._events)
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


class LetterPage:
    """Some dead letters, to be delivered again; no two of one offset.

    Args:
        journal: open.
        replay: of them.
        letters: with their entries, in the order of their numbers.

    Attributes:
        end: the offset behind the last one.
        last: the highest number.
    """

    def __init__(self, journal: Journal, replay: Replay, letters: Sequence[DeadLetter]) -> None:
        self._journal = journal
        self._number = replay.number
        self.pauses: Resting = NOTHING_RESTS
        self.last = letters[-1].number
        ordered = sorted(letters, key=lambda letter: letter.offset)
        self._numbers = {letter.offset: letter.number for letter in ordered}
        self._stored = [
            Stored(letter.offset, 1, letter.entry) for letter in ordered if letter.entry is not None
        ]
        self._offsets = [stored.offset for stored in self._stored]
        self.end = ordered[-1].offset + 1

    def lanes(self, _: str) -> Mapping[str, Lane]:
        """Return the tables, each from its first letter on."""
        lanes: dict[str, Lane] = {}
        for stored in self._stored:
            lanes.setdefault(stored.entry.table, Lane(stored.offset, (), stored.offset))
        return lanes

    def reader(self) -> Reader:
        """Return a reader of the letters' entries."""
        return _Entries(self._stored, self._offsets)

    def settle(self, _: str, moves: Sequence[Move]) -> None:
        """Let those go that were delivered; the others have been tried once more."""
        numbers = self._numbers
        delivered = [
            numbers[offset]
            for move in moves
            for run in move.settled
            if run.verdict == "delivered"
            for offset in range(run.offset, run.offset + run.count)
            if offset in numbers
        ]
        failed = [
            Retried(numbers[each.offset], each.reason, each.answer, max(1, each.attempts))
            for move in moves
            for each in move.dead_letters
            if each.offset in numbers
        ]
        if delivered or failed:
            self._journal.letters.settle(delivered, failed)
        bare = [replace(move, dead_letters=()) for move in moves]
        self._journal.replays.settle(self._number, bare, at_once=True)

    def wait(self, offset: int, timeout: float) -> bool:  # noqa: ARG002 (the contract)
        """Return False: nothing more comes."""
        return False


class _Entries:
    """Reads entries of one event each, out of a list."""

    def __init__(self, stored: Sequence[Stored], offsets: Sequence[int]) -> None:
        self._stored = stored
        self._offsets = offsets

    def read(
        self,
        start: int,
        *,
        max_bytes: int = 4 * 2**20,  # noqa: ARG002 (the page of letters is no larger)
        max_entries: int = 4096,
        tables: Collection[str] | None = None,
    ) -> Page:
        """Read as `JournalReader` does; between two letters there is nothing."""
        begin = bisect_left(self._offsets, start)
        found = self._stored[begin : begin + max_entries]
        wanted = [each for each in found if tables is None or each.entry.table in tables]
        return Page(wanted, found[-1].offset + 1 if found else start)

    def close(self) -> None:
        """Do nothing: there is no file."""


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
