"""Reading the journal: from any thread or process, without a lock, beside a running bridge.

A reader lists the segments anew for every page, so it follows the writer and the pruner
without talking to either; one that the journal itself made is told where they begin, and at
the head touches no file. It holds one segment open; if that file is deleted meanwhile, the
reader notices at its next page and goes on behind it.
"""

from __future__ import annotations

import os
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from bridge.errors import JournalError, JournalUnavailable
from bridge.journal.database import is_damage
from bridge.journal.layout import (
    database_bytes,
    list_segments,
    segment_path,
    segments_folder,
    unwritable,
)
from bridge.journal.lock import noted_head
from bridge.journal.records import (
    Damage,
    DeadLetter,
    Extent,
    Overview,
    Page,
    SegmentSummary,
    SinkSummary,
    Stored,
)
from bridge.journal.segment_reader import SegmentReader
from bridge.journal.state_reader import StateReader


class JournalReader:
    """Reads entries, cursors, counts and dead letters; not to be shared between threads.

    Args:
        path: the journal's folder.
        on_damage: told of every damaged span a page reports.
        extent: says where the segments begin and what the head is, where the journal is open
            in this process; else the folder is asked.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_damage: Callable[[Damage], None] | None = None,
        extent: Callable[[], Extent] | None = None,
    ) -> None:
        self._path = path
        self._on_damage = on_damage
        self._extent = extent
        self._open: SegmentReader | None = None
        self._looked_at: Sequence[int] = ()  # the segments at the last page

    def __repr__(self) -> str:
        return f"<JournalReader of {self._path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files; the reader may be used again, and closed again."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def bounds(self) -> tuple[int, int]:
        """Return the first offset still stored and the offset that the next event gets.

        Raises:
            JournalUnavailable: there is no journal here, or it may not be read.
        """
        firsts = self._firsts()
        return firsts[0], self._head(firsts[-1])

    def read(
        self,
        start: int,
        *,
        max_bytes: int = 4 * 2**20,
        max_entries: int = 4096,
        tables: Collection[str] | None = None,
    ) -> Page:
        """Read entries from `start` on.

        Args:
            start: an offset; where it lies inside an entry, that entry comes whole.
            max_bytes: of payloads; the page ends with the entry that reaches it.
            max_entries: most entries given, and most rows looked at.
            tables: names of the tables wanted, None for all.

        Returns:
            The page. What was pruned is passed over without a word, what is damaged is
            reported; at the head the page is empty and `next` is `start`.

        Raises:
            JournalUnavailable: there is no journal here, or it may not be read.
            JournalError: the database stayed busy; try again.
        """
        entries: Sequence[Stored] = ()
        damaged: list[Damage] = []
        position = start
        look = self._extent or self._look
        while True:
            firsts, head = look()
            if self._extent is not None and position >= head:
                break
            if position < firsts[0]:
                lost_from = max(position, self._pruned_to())
                if lost_from < firsts[0]:
                    damaged.append(Damage(lost_from, firsts[0] - 1, "the segment is missing"))
                position = firsts[0]
            index = bisect_right(firsts, position) - 1
            sealed = index + 1 < len(firsts)
            limit = firsts[index + 1] if sealed else head
            page = self._read_segment(
                firsts[index],
                position,
                limit,
                sealed,
                max_bytes,
                max_entries,
                tables,
                unchanged=firsts is self._looked_at,
            )
            self._looked_at = firsts
            if page is None:
                look = self._look  # somebody deleted a file that the journal knows of
                continue
            damaged.extend(page.damaged)
            position = page.next
            if page.entries or not sealed or position < limit:
                entries = page.entries
                break
        if self._on_damage is not None:
            for damage in damaged:
                self._on_damage(damage)
        return Page(entries, position, damaged)

    def time_of(self, offset: int) -> int | None:
        """Return when the event at or after an offset was received, None at the head.

        Raises:
            JournalUnavailable, JournalError: as for `read`.
        """
        while True:
            page = self.read(offset, max_bytes=1, max_entries=1)
            if page.entries:
                return page.entries[0].entry.time
            if page.next <= offset:
                return None
            offset = page.next

    def sums(self, first: int, before: int, *, sealed: bool = False) -> dict[str, int]:
        """Return events of each table from a segment's first offset to `before`, within it.

        Raises:
            JournalError: the database stayed busy.
        """
        try:
            return self._segment(first, sealed=sealed).sums(before)
        except sqlite3.Error as error:
            if is_damage(error) or self._gone(first):
                return {}
            raise self._failed(first, error) from error

    def cursors(self) -> list[tuple[str, int]]:
        """Return every registered sink with the offset before which all is settled.

        Raises:
            JournalError: `state.db` cannot be read.
        """
        with StateReader(self._path) as state:
            return state.cursors()

    def dead_letters(self, sink: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        """Return the events set aside, of one sink or of all, the newest first.

        Raises:
            JournalError: `state.db` cannot be read.
        """
        with StateReader(self._path) as state:
            return state.dead_letters(sink, limit)

    def overview(self) -> Overview:
        """Return what `journal ls` shows: segments, sinks, counts.

        Raises:
            JournalUnavailable, JournalError: as for `read`.
        """
        firsts = self._firsts()
        with StateReader(self._path) as state:
            # The counts first: what is appended meanwhile is pending, never negative.
            tallies, dead_letters = state.tallies(), state.count_dead_letters()
            journal_id = state.journal_id()
        head = self._head(firsts[-1])
        segments = self._summaries(firsts, head)
        totals = self._totals_at_head(firsts[-1], head)
        sinks = [
            SinkSummary(
                sink,
                cursor,
                [tally.account(sink, table, totals) for table, tally in sorted(tables.items())],
                dead_letters.get(sink, 0),
            )
            for sink, (cursor, tables) in sorted(tallies.items())
        ]
        return Overview(journal_id, firsts[0], head, segments, sinks)

    def _summaries(self, firsts: Sequence[int], head: int) -> list[SegmentSummary]:
        summaries: list[SegmentSummary] = []
        before: int | None = None
        for first in reversed(firsts):
            summary, totals = self._summary(first, sealed=first != firsts[-1])
            if totals is not None:
                if first == firsts[-1]:
                    summary = replace(summary, events=head - first)
                elif before is not None:
                    summary = replace(summary, events=before - totals)
            summaries.append(summary)
            before = totals
        return summaries[::-1]

    def _summary(self, first: int, *, sealed: bool) -> tuple[SegmentSummary, int | None]:
        size = database_bytes(segment_path(self._path, first))
        try:
            segment = self._segment(first, sealed=sealed)
            header = segment.header()
            oldest, newest = segment.edges()
        except (sqlite3.Error, ValueError) as error:
            if isinstance(error, sqlite3.Error) and not is_damage(error):
                raise self._failed(first, error) from error
            return SegmentSummary(first, None, size, None, None, str(error)), None
        total = None if header.totals is None else sum(header.totals.values())
        oldest_time, newest_time = (None if e is None else e.time for e in (oldest, newest))
        return SegmentSummary(first, None, size, oldest_time, newest_time), total

    def _totals_at_head(self, first: int, head: int) -> dict[str, int]:
        try:
            totals = dict(self._segment(first, sealed=False).header().totals or {})
        except (sqlite3.Error, ValueError):
            totals = {}
        for table, events in self.sums(first, head).items():
            totals[table] = totals.get(table, 0) + events
        return totals

    def _head(self, newest: int) -> int:
        try:
            _, last = self._segment(newest, sealed=False).edges()
        except (sqlite3.Error, ValueError) as error:
            if isinstance(error, sqlite3.Error) and not is_damage(error):
                raise self._failed(newest, error) from error
            return max(newest, noted_head(self._path))
        return newest if last is None else last.end

    def _pruned_to(self) -> int:
        try:
            with StateReader(self._path) as state:
                return state.oldest()
        except JournalError:
            return 0

    def _read_segment(
        self,
        first: int,
        position: int,
        limit: int,
        sealed: bool,
        max_bytes: int,
        max_entries: int,
        tables: Collection[str] | None,
        *,
        unchanged: bool,
    ) -> Page | None:
        """Read a page of one segment, None where the file is gone and the list is stale."""
        try:
            segment = self._segment(first, sealed=sealed, unchanged=unchanged)
            return segment.read(
                position,
                limit,
                sealed=sealed,
                max_bytes=max_bytes,
                max_entries=max_entries,
                tables=tables,
            )
        except sqlite3.Error as error:
            self.close()
            if self._gone(first):
                return None
            if not is_damage(error):
                raise self._failed(first, error) from error
            if position >= limit:
                return Page((), position)
            return Page((), limit, [Damage(position, limit - 1, str(error))])

    def _segment(self, first: int, *, sealed: bool, unchanged: bool = False) -> SegmentReader:
        """Return a reader of a segment; `unchanged` says that no file was made anew since."""
        open_now = self._open
        if (
            open_now is None
            or open_now.first != first
            or (not unchanged and open_now.is_stale(sealed=sealed))
        ):
            self.close()
            open_now = self._open = SegmentReader(self._path, first, sealed=sealed)
        return open_now

    def _gone(self, first: int) -> bool:
        return not segment_path(self._path, first).exists()

    def _look(self) -> Extent:
        return Extent(self._firsts(), noted_head(self._path))

    def _firsts(self) -> list[int]:
        try:
            firsts = list_segments(self._path)
        except OSError as error:
            raise unwritable(self._path, segments_folder(self._path), error.strerror) from error
        if not firsts:
            raise JournalUnavailable(
                f"journal {self._path}: there is no journal here",
                hint="name the folder that journal.path names",
            )
        return firsts

    def _failed(self, first: int, error: sqlite3.Error) -> JournalError:
        path = segment_path(self._path, first)
        if not os.access(path, os.R_OK):
            return unwritable(self._path, path, "it cannot be read")
        return JournalError(f"journal {self._path}: cannot read {path.name}: {error}")
