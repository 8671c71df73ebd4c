"""Reading the journal: from any thread or process, without a lock, beside a running bridge.

A reader lists the segments anew for every page, so it follows the writer and the pruner
without talking to either; one that the journal itself made is told where they begin, and at
the head touches no file. It holds one segment open; if that file is deleted meanwhile, the
reader notices at its next page and goes on behind it. What cannot be read just now is no
damage: the call fails and may be made again.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bridge.errors import JournalDiskError, JournalError, JournalUnavailable
from bridge.journal.database import is_damage, require_readable
from bridge.journal.extent import Extent, holds_none, missing, thinned_of
from bridge.journal.layout import (
    Place,
    Spans,
    exists,
    list_files,
    no_journal,
    place_path,
    places_of,
    segments_folder,
    state_path,
)
from bridge.journal.lock import noted_head
from bridge.journal.records import Damage, DeadLetter, Page, Stored
from bridge.journal.segment_reader import SegmentReader
from bridge.journal.state_reader import StateReader
from bridge.journal.troubles import Troubles, translated


class JournalReader:
    """Reads entries and dead letters; not to be shared between threads.

    Args:
        path: the journal's folder.
        on_damage: told of every damaged span a page reports.
        extent: says where the segments lie and what the head is, where the journal is open
            in this process; else the folder is asked.
        recent: gives what that journal still has in memory, None where it has not.
        troubles: since when which file cannot be read; shared by those who read for one journal.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_damage: Callable[[Damage], None] | None = None,
        extent: Callable[[], Extent] | None = None,
        recent: Callable[[int, int, int, Collection[str] | None], Page | None] | None = None,
        troubles: Troubles | None = None,
    ) -> None:
        self._path = path
        self._on_damage = on_damage
        self._extent = extent
        self._recent = recent
        self._troubles = troubles or Troubles()
        self._open: SegmentReader | None = None
        self._looked_at: Sequence[Place] = ()  # the segments at the last page

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

    def journal_id(self) -> str:
        """Return the journal's id, to which offsets belong.

        Raises:
            JournalError: `state.db` cannot be read.
        """
        with StateReader(self._path) as state:
            return state.journal_id()

    def bounds(self) -> tuple[int, int]:
        """Return the first offset still stored and the offset that the next event gets.

        Raises:
            JournalUnavailable: there is no journal here, or it may not be read.
            JournalDiskError: the disk failed; try again.
        """
        extent = (self._extent or self._look)()
        return extent.places[0].first, extent.head

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
            tables: names of the tables wanted, None for all; payloads of others are not read.

        Returns:
            The page. What was pruned is passed over without a word, what is damaged is
            reported; at the head the page is empty and `next` is `start`.

        Raises:
            JournalUnavailable: there is no journal here, or it may not be read.
            JournalDiskError: the disk failed, or the database stayed busy; try again.
        """
        if self._recent is not None:
            found = self._recent(start, max_bytes, max_entries, tables)
            if found is not None:
                return found
        entries: Sequence[Stored] = ()
        damaged: list[Damage] = []
        position = start
        look = self._extent or self._look
        while True:
            extent = look()
            if self._extent is not None and position >= extent.head:
                break
            places, newest = extent.places, extent.places[-1]
            index = bisect_right(places, position, key=lambda place: place.first) - 1
            place = places[index] if index >= 0 else None
            if place is None or (place.end is not None and position >= place.end):
                following = places[index + 1].first if place is not newest else extent.head
                damaged += missing(position, following, extent.thinned)
                position = following
                if place is newest:
                    break
                continue
            sealed = place is not newest
            limit = place.end if place.end is not None else extent.head
            if sealed and holds_none(place, tables):
                position = limit
                continue
            page = self._read_segment(
                extent,
                place,
                position,
                limit,
                (max_bytes, max_entries, tables),
                sealed=sealed,
            )
            self._looked_at = places
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
            JournalUnavailable, JournalDiskError: as for `read`.
        """
        while True:
            page = self.read(offset, max_bytes=1, max_entries=1)
            if page.entries:
                return page.entries[0].entry.time
            if page.next <= offset:
                return None
            offset = page.next

    def dead_letters(
        self,
        sink: str | None = None,
        table: str | None = None,
        *,
        since: int | None = None,
        after: int | None = None,
        limit: int = 1000,
    ) -> list[DeadLetter]:
        """Return events set aside, oldest first.

        Args:
            sink: only those of a sink.
            table: only those of a table.
            since: only those set aside at this time or later, microseconds.
            after: only those with a higher number.
            limit: at most so many.

        Raises:
            JournalError: `state.db` cannot be read.
        """
        with StateReader(self._path) as state:
            return state.dead_letters(sink, table, since, after, limit)

    def sums(self, place: Place, before: int, *, sealed: bool) -> dict[str, int]:
        """Return events of each table from a segment's first offset to `before`, within it.

        Raises:
            JournalDiskError: the disk failed, or the database stayed busy.
        """
        try:
            return self._segment(place, sealed=sealed).sums(before)
        except (sqlite3.Error, OSError) as error:
            self.close()
            if isinstance(error, sqlite3.Error) and (is_damage(error) or self._gone(place)):
                return {}
            raise translated(error, self._path, place_path(self._path, place)) from error

    def sizes(self, place: Place) -> dict[str, int]:
        """Return about how many bytes each table has in a sealed segment.

        Raises:
            JournalDiskError: the disk failed, or the database stayed busy.
        """
        try:
            return self._segment(place, sealed=True).sizes()
        except (sqlite3.Error, OSError) as error:
            self.close()
            if isinstance(error, sqlite3.Error) and is_damage(error):
                return {}
            raise translated(error, self._path, place_path(self._path, place)) from error

    def look(self) -> Extent:
        """Return the segments and the head, by what the folder has.

        Raises:
            JournalUnavailable, JournalDiskError: as for `read`.
        """
        return self._look()

    def _read_segment(
        self,
        extent: Extent,
        place: Place,
        position: int,
        limit: int,
        wanted: tuple[int, int, Collection[str] | None],
        *,
        sealed: bool,
    ) -> Page | None:
        """Read a page of one segment, None where the file is gone and the list is stale."""
        path = place_path(self._path, place)
        try:
            page = self._sound_page(place, position, limit, wanted, sealed, extent)
        except (sqlite3.Error, OSError) as error:
            self.close()
            if self._gone(place):
                return None
            if not self._troubles.lasts(path.name):
                raise translated(error, self._path, path) from error
            return self._page_of_bad_disk(extent, place, position, limit, wanted, error)
        self._troubles.over(path.name)
        return page

    def _sound_page(
        self,
        place: Place,
        position: int,
        limit: int,
        wanted: tuple[int, int, Collection[str] | None],
        sealed: bool,
        extent: Extent,
    ) -> Page:
        """Read a page, and again where it has damage: the disk may only have failed just then."""
        for last in (False, True):
            try:
                page = self._page(place, position, limit, wanted, sealed, extent)
            except sqlite3.Error as error:
                if not is_damage(error) or self._gone(place):
                    raise
                page = self._whole(position, limit, str(error))
            if not page.damaged or last:
                break
            self.close()
            require_readable(place_path(self._path, place))
        if page.damaged:
            require_readable(place_path(self._path, place))
        return page

    def _page(
        self,
        place: Place,
        position: int,
        limit: int,
        wanted: tuple[int, int, Collection[str] | None],
        sealed: bool,
        extent: Extent,
    ) -> Page:
        segment = self._segment(place, sealed=sealed, unchanged=extent.places is self._looked_at)
        max_bytes, max_entries, tables = wanted
        return segment.read(
            position,
            limit,
            sealed=sealed,
            max_bytes=max_bytes,
            max_entries=max_entries,
            tables=tables,
        )

    def _page_of_bad_disk(
        self,
        extent: Extent,
        place: Place,
        position: int,
        limit: int,
        wanted: tuple[int, int, Collection[str] | None],
        error: sqlite3.Error | OSError,
    ) -> Page:
        """Read around what has failed for too long; fail where nothing else can be read either."""
        max_bytes, max_entries, tables = wanted
        segment: SegmentReader | None = None
        try:
            segment = SegmentReader(self._path, place, sealed=False, is_bad=_always)
            page = segment.read(
                position,
                limit,
                sealed=True,
                max_bytes=max_bytes,
                max_entries=max_entries,
                tables=tables,
            )
        except sqlite3.Error:
            page = self._whole(position, limit, str(error))
        finally:
            if segment is not None:
                segment.close()
        if page.entries or self._can_read_beside(extent, place):
            return page
        raise translated(error, self._path, place_path(self._path, place)) from error

    def _can_read_beside(self, extent: Extent, place: Place) -> bool:
        index = extent.places.index(place)
        for other in (*extent.places[index + 1 : index + 2], *extent.places[:index][-1:]):
            try:
                SegmentReader(self._path, other, sealed=False).close()
            except (sqlite3.Error, OSError):
                continue
            return True
        return False

    def _whole(self, position: int, limit: int, reason: str) -> Page:
        if position >= limit:
            return Page((), position)
        return Page((), limit, [Damage(position, limit - 1, reason)])

    def _segment(self, place: Place, *, sealed: bool, unchanged: bool = False) -> SegmentReader:
        """Return a reader of a segment; `unchanged` says that no file was made anew since."""
        open_now = self._open
        if (
            open_now is None
            or (open_now.place.first, open_now.place.thin) != (place.first, place.thin)
            or (not unchanged and open_now.is_stale(sealed=sealed))
        ):
            self.close()
            open_now = self._open = SegmentReader(self._path, place, sealed=sealed)
        return open_now

    def _gone(self, place: Place) -> bool:
        path = place_path(self._path, place)
        try:
            return not exists(path)
        except OSError as error:
            raise translated(error, self._path, path) from error

    def _look(self) -> Extent:
        """List the files, then ask what is thinned: what went in between is known to be gone."""
        try:
            files = list_files(self._path)
            if not files:
                raise no_journal(self._path)
            thinned = self._thinned(files)
            return Extent(places_of(files, thinned), thinned, self._head(files, thinned))
        except OSError as error:
            raise translated(error, self._path, segments_folder(self._path)) from error

    def _head(self, files: Sequence[tuple[int, int | None]], thinned: Spans) -> int:
        head = max([noted_head(self._path), *(end or first for first, end in files)])
        return max([head, *(end for _, end in thinned)])

    def _thinned(self, files: Sequence[tuple[int, int | None]]) -> Spans:
        try:
            if not exists(state_path(self._path)):
                return thinned_of(files)
            with StateReader(self._path) as state:
                return state.thinned()
        except (JournalDiskError, JournalUnavailable):
            raise
        except JournalError:
            return thinned_of(files)


def _always(error: sqlite3.Error) -> bool:
    return not isinstance(error, sqlite3.ProgrammingError)
