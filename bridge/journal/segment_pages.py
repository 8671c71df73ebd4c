"""Pages of one segment after the other, told apart: gone, out of reach just now, or damaged.

One segment is held open. What SQLite calls damage is believed once the disk has read the whole
file, and what cannot be read for long is read around.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from bridge.journal.database import is_damage, require_readable
from bridge.journal.layout import Place, exists, place_path
from bridge.journal.records import Damage, Page
from bridge.journal.scan import Wanted
from bridge.journal.segment_reader import Edge, SegmentReader
from bridge.journal.troubles import Troubles, translated


class SegmentPages:
    """Reads segments of a journal; not to be shared between threads.

    Args:
        journal: the journal's folder.
        troubles: since when which file cannot be read; shared by those who read for one journal.
    """

    def __init__(self, journal: Path, troubles: Troubles) -> None:
        self._journal = journal
        self._troubles = troubles
        self._open: SegmentReader | None = None
        self._looked_at: Sequence[Place] = ()  # the segments at the last page

    def __repr__(self) -> str:
        return f"<SegmentPages of {self._journal}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; may be used again, and closed again."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def page(self, places: Sequence[Place], place: Place, wanted: Wanted) -> Page | None:
        """Read a page of one segment, None where its file is gone.

        Args:
            places: all segments; the same object as before means the same files.
            place: the one to read.
            wanted: of it.

        Raises:
            JournalDiskError: the disk failed, or the database stayed busy; try again.
        """
        path = place_path(self._journal, place)
        unchanged, self._looked_at = places is self._looked_at, places
        try:
            page = self._sound_page(place, wanted, unchanged=unchanged)
        except (sqlite3.Error, OSError) as error:
            self.close()
            if self._gone(place):
                return None
            if not self._troubles.lasts(path.name):
                raise translated(error, self._journal, path) from error
            return self._page_of_bad_disk(places, place, wanted, error)
        self._troubles.over(path.name)
        return page

    def sums(self, place: Place, before: int, *, sealed: bool) -> dict[str, int]:
        """Return events of each table from a segment's first offset to `before`, within it.

        Raises:
            JournalDiskError: the disk failed, or the database stayed busy.
        """
        return self._numbers(place, lambda segment: segment.sums(before), sealed=sealed)

    def sizes(self, place: Place) -> dict[str, int]:
        """Return about how many bytes each table has in a sealed segment.

        Raises:
            JournalDiskError: the disk failed, or the database stayed busy.
        """
        return self._numbers(place, SegmentReader.sizes, sealed=True)

    def edges(self, place: Place) -> tuple[Edge | None, Edge | None]:
        """Return the first and the last entry of a segment, None for what cannot be read.

        Raises:
            JournalDiskError: the disk failed, or the database stayed busy.
        """
        try:
            return self._segment(place, sealed=False).edges()
        except ValueError:
            return None, None
        except (sqlite3.Error, OSError) as error:
            self.close()
            if isinstance(error, sqlite3.Error) and (is_damage(error) or self._gone(place)):
                return None, None
            raise translated(error, self._journal, place_path(self._journal, place)) from error

    def _numbers(
        self, place: Place, read: Callable[[SegmentReader], dict[str, int]], *, sealed: bool
    ) -> dict[str, int]:
        try:
            return read(self._segment(place, sealed=sealed))
        except (sqlite3.Error, OSError) as error:
            self.close()
            if isinstance(error, sqlite3.Error) and (is_damage(error) or self._gone(place)):
                return {}
            raise translated(error, self._journal, place_path(self._journal, place)) from error

    def _sound_page(self, place: Place, wanted: Wanted, *, unchanged: bool) -> Page:
        """Read a page, and again where it has damage: the disk may only have failed just then."""
        path = place_path(self._journal, place)
        for last in (False, True):
            try:
                segment = self._segment(place, sealed=wanted.sealed, unchanged=unchanged)
                page = segment.read(wanted)
            except sqlite3.Error as error:
                if not is_damage(error) or self._gone(place):
                    raise
                page = _all_damaged(wanted, str(error))
            if not page.damaged or last:
                break
            self.close()
            require_readable(path)
        if page.damaged:
            require_readable(path)
        return page

    def _page_of_bad_disk(
        self,
        places: Sequence[Place],
        place: Place,
        wanted: Wanted,
        error: sqlite3.Error | OSError,
    ) -> Page:
        """Read around what has failed for too long; fail where nothing else can be read either."""
        segment: SegmentReader | None = None
        try:
            segment = SegmentReader(self._journal, place, sealed=False, is_bad=_always)
            page = segment.read(wanted._replace(sealed=True))
        except sqlite3.Error:
            page = _all_damaged(wanted, str(error))
        finally:
            if segment is not None:
                segment.close()
        if page.entries or self._can_read_beside(places, place):
            return page
        raise translated(error, self._journal, place_path(self._journal, place)) from error

    def _can_read_beside(self, places: Sequence[Place], place: Place) -> bool:
        index = places.index(place)
        for other in (*places[index + 1 : index + 2], *places[:index][-1:]):
            try:
                SegmentReader(self._journal, other, sealed=False).close()
            except (sqlite3.Error, OSError):
                continue
            return True
        return False

    def _segment(self, place: Place, *, sealed: bool, unchanged: bool = False) -> SegmentReader:
        """Return a reader of a segment; `unchanged` says that no file was made anew since."""
        open_now = self._open
        if (
            open_now is None
            or (open_now.place.first, open_now.place.thin) != (place.first, place.thin)
            or (not unchanged and open_now.is_stale(sealed=sealed))
        ):
            self.close()
            open_now = self._open = SegmentReader(self._journal, place, sealed=sealed)
        return open_now

    def _gone(self, place: Place) -> bool:
        path = place_path(self._journal, place)
        try:
            return not exists(path)
        except OSError as error:
            raise translated(error, self._journal, path) from error


def _all_damaged(wanted: Wanted, reason: str) -> Page:
    if wanted.start >= wanted.limit:
        return Page((), wanted.start)
    return Page((), wanted.limit, [Damage(wanted.start, wanted.limit - 1, reason)])


def _always(error: sqlite3.Error) -> bool:
    return not isinstance(error, sqlite3.ProgrammingError)
