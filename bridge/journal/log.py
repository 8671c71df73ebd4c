"""The segments of an open journal as one log: the newest is written, the others are listed.

Appending and rolling belong to whoever holds `append_lock`. Head, totals, marks and the list
of sealed segments are published under a second lock that is never held while anything waits,
so that readers of these numbers do not wait for the disk.
"""

from __future__ import annotations

import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from errno import ENOSPC
from pathlib import Path

import structlog

from bridge.errors import JournalError, JournalFull
from bridge.journal.commit_times import CommitClock
from bridge.journal.database import is_damage, is_full
from bridge.journal.layout import SPAN, database_bytes, remove_database
from bridge.journal.reader import JournalReader
from bridge.journal.records import CommitTimes, Extent, SealedSegment
from bridge.journal.repair import Recovered
from bridge.journal.rows import Draft
from bridge.journal.segment import SegmentWriter, create_segment
from bridge.journal.tally import Boundary

_log = structlog.get_logger(__name__)


class SegmentLog:
    """Appends to the newest segment, and begins another when it is large or old enough.

    Args:
        path: the journal's folder.
        recovered: what was found there; the log takes it over.
        segment_size: bytes after which a new segment begins.
        segment_age: microseconds after which a new segment begins.
        now: microseconds since the epoch.
        note: told of each new head, once it is durable.
    """

    def __init__(
        self,
        path: Path,
        recovered: Recovered,
        *,
        segment_size: int,
        segment_age: float,
        now: Callable[[], int],
        note: Callable[[int], None],
    ) -> None:
        self._path = path
        self._journal_id = recovered.state.journal_id
        self._segment_size = segment_size
        self._segment_age = segment_age
        self._now = now
        self._note = note
        # Held during a commit; guards the writer's connection.
        self.append_lock = threading.RLock()
        # Guards all below up to the blank line; never held while anything waits.
        self._grown = threading.Condition()
        self._writer = recovered.writer
        self._sealed = recovered.sealed
        self._firsts = self._list_firsts()
        self._head = recovered.head
        self._totals = recovered.totals
        self._marks = recovered.marks
        self._appended_events = 0
        self._appended_bytes = 0
        self._closed = False

        self._suspect = False
        self._commits = CommitClock()

    def __repr__(self) -> str:
        return f"<SegmentLog of {self._path}, head {self._head}>"

    @property
    def head(self) -> int:
        """The offset that the next event gets."""
        return self._head

    @property
    def appended_events(self) -> int:
        """Events appended since the journal was opened."""
        return self._appended_events

    @property
    def appended_bytes(self) -> int:
        """Bytes appended since the journal was opened."""
        return self._appended_bytes

    @property
    def empty(self) -> bool:
        """Whether the newest segment holds nothing."""
        return self._writer.empty

    def extent(self) -> Extent:
        """Return what readers in this process need not look up in the folder."""
        with self._grown:
            return Extent(self._firsts, self._head)

    def close(self) -> None:
        """Seal the newest segment and wake whoever waits. Append lock held."""
        self._writer.seal()
        with self._grown:
            self._closed = True
            self._grown.notify_all()

    def marks(self) -> dict[str, str]:
        """Return the marks as of the last append."""
        with self._grown:
            return dict(self._marks)

    def bytes(self) -> int:
        """Return the size of all segments."""
        with self._grown:
            return sum(segment.bytes for segment in self._sealed) + self._writer.bytes

    def oldest(self) -> tuple[int, int | None]:
        """Return the first offset stored, and when that event was received if it is known."""
        with self._grown:
            oldest = self._sealed[0] if self._sealed else self._writer
            return oldest.first, oldest.oldest_time

    def head_boundary(self) -> Boundary:
        """Return the head with the totals there, of one moment."""
        with self._grown:
            return Boundary(self._head, dict(self._totals))

    def sealed(self) -> tuple[list[SealedSegment], list[Boundary]]:
        """Return the sealed segments, oldest first, and for each the boundary at its end."""
        with self._grown:
            ends = [self._boundary(index) for index in range(1, len(self._firsts))]
            return list(self._sealed), ends

    def boundary_between(self, low: int, high: int, *, or_head: bool = False) -> Boundary | None:
        """Return the last offset above `low` and not above `high` at which totals are known.

        That is where a segment begins, and, if it is asked for, the head.
        """
        with self._grown:
            if or_head and low < high == self._head:
                return Boundary(self._head, dict(self._totals))
            found = bisect_right(self._firsts, high) - 1
            if found < 0 or self._firsts[found] <= low:
                return None
            return self._boundary(found)

    def totals_at(self, offset: int) -> dict[str, int]:
        """Return the totals at an offset that is stored, as far as they can be read.

        Raises:
            JournalError: the database stayed busy.
        """
        boundary = self.boundary_between(-1, offset)
        if boundary is None:
            return {}
        totals = dict(boundary.totals)
        with JournalReader(self._path) as reader:
            for table, events in reader.sums(boundary.offset, offset).items():
                totals[table] = totals.get(table, 0) + events
        return totals

    def commits(self) -> CommitTimes:
        """Return how long the commits took."""
        return self._commits.snapshot()

    def wait(self, offset: int, timeout: float) -> bool:
        """Wait until there is an event at `offset`; at once False once the log is closed."""
        if self._head > offset:
            return True
        with self._grown:
            self._grown.wait_for(lambda: self._head > offset or self._closed, timeout)
            return self._head > offset

    def forget(self, count: int) -> None:
        """Take the oldest sealed segments off the list."""
        with self._grown:
            del self._sealed[:count]
            self._firsts = self._list_firsts()

    def append(self, drafts: Sequence[Draft], marks: Mapping[str, str], size: int) -> int:
        """Write drafts and marks in one durable transaction. Append lock held.

        Args:
            drafts: entries without offsets.
            marks: facts that go with them.
            size: of the drafts, in bytes.

        Returns:
            The new head.

        Raises:
            JournalFull: the disk is full; nothing was stored.
            JournalError: the disk failed; nothing was stored.
        """
        if self._is_due(size, sum(draft.events for draft in drafts)):
            self.roll()
        head = self._write(drafts, marks)
        self._note(head)
        with self._grown:
            for draft in drafts:
                self._totals[draft.table] = self._totals.get(draft.table, 0) + draft.events
            self._marks.update(marks)
            self._appended_events += head - self._head
            self._appended_bytes += size
            self._head = head
            self._grown.notify_all()
        return head

    def roll_if_old(self) -> None:
        """Begin a new segment if the newest has entries and is old. Append lock held."""
        if not self.empty and self._is_old():
            self.roll()

    def roll(self) -> None:
        """Begin a new segment at the head and seal the one before. Append lock held.

        Raises:
            JournalFull, JournalError: the one before stays the newest.
        """
        before, head, now = self._writer, self._head, self._now()
        totals = dict(self._totals)
        try:
            if before.first == head:
                # Nothing could be stored in it: it is made anew under the same name.
                before.seal()
                remove_database(before.path)
            create_segment(self._path, head, self._journal_id, now, totals, self._marks)
            writer = SegmentWriter(self._path, head, created=now, totals=totals)
        except (sqlite3.Error, OSError) as error:
            self._suspect = True
            raise self._failed(error, "begin a segment") from error
        before.seal()
        with self._grown:
            if before.first != head:
                self._sealed.append(
                    SealedSegment(
                        before.first,
                        head,
                        database_bytes(before.path),
                        before.oldest_time,
                        before.newest_time,
                        before.totals,
                    )
                )
            self._writer = writer
            self._firsts = self._list_firsts()
        self._suspect = False

    def _write(self, drafts: Sequence[Draft], marks: Mapping[str, str]) -> int:
        """Commit to the newest segment; begin another if that one turns out damaged."""
        try:
            return self._commit(drafts, marks)
        except sqlite3.Error as error:
            if not self._suspect or not is_damage(error):
                raise self._failed(error, "append") from error
            _log.error("journal_damaged", path=str(self._writer.path), cause=str(error))
        self.roll()
        try:
            return self._commit(drafts, marks)
        except sqlite3.Error as error:
            raise self._failed(error, "append") from error

    def _commit(self, drafts: Sequence[Draft], marks: Mapping[str, str]) -> int:
        try:
            with self._commits:
                return self._writer.append(self._head, drafts, marks)
        except sqlite3.Error as error:
            # After an error of the disk nobody knows what this file holds: no more goes in.
            self._suspect = not is_full(error)
            raise

    def _is_due(self, incoming: int, events: int) -> bool:
        if self._suspect:
            return True
        writer = self._writer
        return not writer.empty and (
            writer.bytes + incoming > self._segment_size
            or self._head + events > writer.first + SPAN
            or self._is_old()
        )

    def _is_old(self) -> bool:
        return self._now() - self._writer.created > self._segment_age

    def _list_firsts(self) -> tuple[int, ...]:
        return (*(segment.first for segment in self._sealed), self._writer.first)

    def _boundary(self, index: int) -> Boundary:
        """Return where the segment of that index begins, the newest being the last."""
        segment = self._sealed[index] if index < len(self._sealed) else self._writer
        return Boundary(segment.first, segment.totals)

    def _failed(self, error: sqlite3.Error | OSError, act: str) -> JournalError:
        full = is_full(error) if isinstance(error, sqlite3.Error) else error.errno == ENOSPC
        if full:
            return JournalFull(
                f"journal {self._path}: the disk is full",
                hint="free space, or lower journal.max_size",
            )
        return JournalError(f"journal {self._path}: cannot {act}: {error}")
