"""The segments of an open journal as one log: the newest is written, the others are listed.

Appending and rolling belong to whoever holds `append_lock`. Head, totals, marks and the list
of sealed segments are published under a second lock that is never held while anything waits,
so that readers of these numbers do not wait for the disk.
"""

from __future__ import annotations

import sqlite3
import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from bridge.errors import JournalError
from bridge.journal.commit_times import CommitClock
from bridge.journal.database import PAGE_SIZE, is_damage, is_passing
from bridge.journal.extent import Extent
from bridge.journal.lane import Boundary, LaneState
from bridge.journal.layout import SPAN, Place, Spans, database_bytes, remove_database
from bridge.journal.moments import MARK, is_step, with_step
from bridge.journal.recent import Recent
from bridge.journal.records import Bounds, CommitTimes, Page
from bridge.journal.repair import Recovered
from bridge.journal.rows import Draft
from bridge.journal.sealed import SealedSegment, tables_of
from bridge.journal.segment import LARGE_PAGE_SIZE, LARGE_SEGMENT, SegmentWriter, create_segment
from bridge.journal.troubles import translated
from bridge.journal.typed import KNOWN, add, total_of, totals_of

_log = structlog.get_logger(__name__)


class SegmentLog:
    """Appends to the newest segment, and begins another when it is large or old enough.

    Args:
        path: the journal's folder.
        recovered: what was found there; the log takes it over.
        bounds: says when a new segment begins.
        memory: bytes of the newest entries that are kept for readers.
        now: microseconds since the epoch.
        note: told of each new head, once it is durable.

    Attributes:
        bounds: as given, or others from then on.
    """

    def __init__(
        self,
        path: Path,
        recovered: Recovered,
        *,
        bounds: Bounds,
        memory: int,
        now: Callable[[], int],
        note: Callable[[int], None],
    ) -> None:
        self._path = path
        self._journal_id = recovered.state.journal_id
        self.bounds = bounds
        self._now = now
        self._note = note
        # Held during a commit; guards the writer's connection.
        self.append_lock = threading.RLock()
        # Guards all below up to the blank line; never held while anything waits.
        self._grown = threading.Condition()
        self._writer = recovered.writer
        self._sealed = recovered.sealed
        self._thinned = recovered.state.thinned
        self._places = self._list_places()
        self._head = recovered.head
        times = [*(segment.newest_time for segment in self._sealed), self._writer.newest_time]
        self._latest = next(filter(None, reversed(times)), None)  # of what was appended last
        self._recent = Recent(recovered.head, memory)
        self._totals = {**recovered.totals, KNOWN: 1}
        self._marks = recovered.marks
        self._appended_events = 0
        self._appended_bytes = 0
        self._version = 0
        self._closed = False

        self._suspect = recovered.outdated
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
            return Extent(self._places, self._thinned, self._head)

    def recent(
        self, start: int, max_bytes: int, max_entries: int, tables: Collection[str] | None
    ) -> Page | None:
        """Return a page out of memory, empty at the head; None where what follows is not there."""
        if start == self._head:
            return Page((), start, [])
        with self._grown:
            return self._recent.page(start, max_bytes, max_entries, tables)

    @property
    def version(self) -> int:
        """Grows whenever a segment comes or goes."""
        return self._version

    def end(self) -> None:
        """Wake whoever waits; nothing more comes."""
        with self._grown:
            self._closed = True
            self._grown.notify_all()

    def close(self) -> None:
        """Seal the newest segment and wake whoever waits. Append lock held."""
        self.end()
        self._writer.seal()

    def marks(self) -> dict[str, str]:
        """Return the marks as of the last append."""
        with self._grown:
            return dict(self._marks)

    def carried_bytes(self) -> int:
        """Return about how many bytes a new segment carries over."""
        with self._grown:
            marks = sum(len(name) + len(text) + 64 for name, text in self._marks.items())
            return marks + sum(len(table) + 64 for table in self._totals)

    def bytes(self) -> int:
        """Return the size of all segments."""
        with self._grown:
            return sum(segment.bytes for segment in self._sealed) + self._writer.bytes

    def oldest(self) -> tuple[int, int | None]:
        """Return the first offset stored, and when that event was received if it is known."""
        with self._grown:
            if self._sealed:
                return self._sealed[0].first, self._sealed[0].oldest_time
            return self._writer.first, self._writer.oldest_time

    def complete_from(self) -> int:
        """Return the offset from which nothing was pruned."""
        with self._grown:
            return max(self._places[0].first, self._thinned[-1][1] if self._thinned else 0)

    def totals(self) -> dict[str, int]:
        """Return how many events of each table there have been."""
        with self._grown:
            return dict(self._totals)

    def head_boundary(self) -> Boundary:
        """Return the head with the totals there, of one moment."""
        with self._grown:
            return Boundary(self._head, dict(self._totals))

    def sealed(self) -> list[SealedSegment]:
        """Return the sealed segments, oldest first."""
        with self._grown:
            return list(self._sealed)

    def newest(self) -> SealedSegment:
        """Return the newest segment as it would be if it were sealed now."""
        with self._grown:
            return self._as_sealed(self._writer.bytes)

    def boundary(self, table: str, low: int, high: int) -> Boundary | None:
        """Return the last offset above `low` and not above `high` at which totals are known.

        That is where a segment begins, and the head. Only the total of one table is given.
        """
        with self._grown:
            if low < high == self._head:
                return Boundary(self._head, totals_of(self._totals, table))
            found = bisect_right(self._places, high, key=lambda place: place.first) - 1
            if found < 0 or self._places[found].first <= low:
                return None
            segment = self._sealed[found] if found < len(self._sealed) else self._writer
            return Boundary(self._places[found].first, totals_of(segment.totals, table))

    def boundary_at(self, offset: int) -> tuple[Boundary, Place | None]:
        """Return the last boundary at or before an offset, and the segment that begins there."""
        with self._grown:
            if offset >= self._head:
                return Boundary(self._head, dict(self._totals)), None
            found = bisect_right(self._places, offset, key=lambda place: place.first) - 1
            found = max(found, 0)
            segment = self._sealed[found] if found < len(self._sealed) else self._writer
            return Boundary(self._places[found].first, segment.totals), self._places[found]

    def start_of(self, table: str, lane: LaneState) -> int:
        """Return where reading for a lane must begin."""
        with self._grown:
            if lane.pending(total_of(self._totals, table, lane.events)) == 0:
                return self._head
            if lane.waiting:
                return lane.waiting[0]
            for place in self._places:
                if place.end is not None and place.end <= lane.cursor:
                    continue
                if place.tables is None or table in place.tables:
                    return max(lane.cursor, place.first)
            return lane.cursor

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

    def replace(self, gone: Collection[Place], new: SealedSegment | None, thinned: Spans) -> None:
        """Take segments off the list, put one that was thinned there, and note the spans."""
        with self._grown:
            self._sealed = [segment for segment in self._sealed if segment.place not in gone]
            if new is not None:
                self._sealed.append(new)
                self._sealed.sort(key=lambda segment: segment.first)
            self._thinned = thinned
            self._places = self._list_places()
            self._recent.forget(max((place.end or 0 for place in gone), default=0))
            self._version += 1

    def measured(self, place: Place, sizes: Mapping[str, int]) -> None:
        """Remember how many bytes each table has in a sealed segment."""
        with self._grown:
            self._sealed = [
                replace(segment, sizes=sizes) if segment.place == place else segment
                for segment in self._sealed
            ]

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
            JournalDiskError: the disk failed; nothing was stored.
        """
        # All is worked out before the commit: what failed behind it would be appended again.
        all_marks = {**self._marks, **marks} if marks else self._marks
        added: dict[str, int] = {}
        events, latest = 0, self._latest
        for index, draft in enumerate(drafts):
            if draft.after_step or (not index and is_step(latest, draft.time)):
                step = {MARK: with_step(all_marks, self._head + events, self._places[0].first)}
                marks, all_marks = {**marks, **step}, {**all_marks, **step}
                latest = None
            latest = draft.time if latest is None else max(latest, draft.time)
            add(added, draft.table, draft.kind, draft.events)
            events += draft.events
        totals = {name: self._totals.get(name, 0) + more for name, more in added.items()}
        if self._is_due(size, events):
            self.roll()
        head = self._write(drafts, marks)
        self._note(head)
        with self._grown:
            self._totals.update(totals)
            self._marks = all_marks
            self._appended_events += head - self._head
            self._appended_bytes += size
            self._head = head
            self._latest = latest
            self._recent.add(drafts)
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
        totals, large = dict(self._totals), self.bounds.segment_size >= LARGE_SEGMENT
        try:
            if before.first == head:
                # Nothing could be stored in it: it is made anew under the same name.
                before.seal()
                remove_database(before.path)
            create_segment(
                self._path,
                head,
                self._journal_id,
                now,
                totals,
                self._marks,
                page_size=LARGE_PAGE_SIZE if large else PAGE_SIZE,
            )
            writer = SegmentWriter(self._path, head, created=now, totals=totals)
        except (sqlite3.Error, OSError) as error:
            self._suspect = True
            raise self._failed(error) from error
        before.seal()
        size = database_bytes(before.path)
        with self._grown:
            if before.first != head:
                self._sealed = [*self._sealed, self._as_sealed(size)]
            self._writer = writer
            self._places = self._list_places()
            self._version += 1
        self._suspect = False

    def _as_sealed(self, size: int) -> SealedSegment:
        writer, totals = self._writer, dict(self._totals)
        tables = tables_of(writer.totals, totals, None)
        return SealedSegment(
            Place(writer.first, self._head, tables=tables),
            size,
            writer.oldest_time,
            writer.newest_time,
            writer.totals,
            totals,
            sizes=dict(writer.sizes) if writer.measures_all else None,
        )

    def _write(self, drafts: Sequence[Draft], marks: Mapping[str, str]) -> int:
        """Commit to the newest segment; begin another if nobody knows any more what it holds."""
        try:
            return self._commit(drafts, marks)
        except sqlite3.Error as error:
            if not self._suspect:
                raise self._failed(error) from error
            event = "journal_damaged" if is_damage(error) else "journal_write_failed"
            _log.error(event, path=str(self._writer.path), cause=str(error))
        self.roll()
        try:
            return self._commit(drafts, marks)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _commit(self, drafts: Sequence[Draft], marks: Mapping[str, str]) -> int:
        try:
            with self._commits:
                return self._writer.append(self._head, drafts, marks)
        except sqlite3.Error as error:
            # After an error of the disk nobody knows what this file holds: no more goes in.
            self._suspect = not is_passing(error)
            raise

    def _is_due(self, incoming: int, events: int) -> bool:
        if self._suspect:
            return True
        writer = self._writer
        return not writer.empty and (
            writer.bytes + incoming > self.bounds.segment_size
            or self._head + events > writer.first + SPAN
            or self._is_old()
        )

    def _is_old(self) -> bool:
        return self._now() - self._writer.created > self.bounds.segment_age * 1e6

    def _list_places(self) -> tuple[Place, ...]:
        return (*(segment.place for segment in self._sealed), Place(self._writer.first, None))

    def _failed(self, error: sqlite3.Error | OSError) -> JournalError:
        return translated(error, self._path, self._writer.path)
