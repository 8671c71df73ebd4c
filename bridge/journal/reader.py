"""Reading the journal: from any thread or process, without a lock, beside a running bridge.

A reader lists the segments anew for every page, so it follows the writer and the pruner
without talking to either; one that the journal itself made is told where they begin, and at
the head touches no file. It holds one segment open; if that file is deleted meanwhile, the
reader notices at its next page and goes on behind it. What cannot be read just now is no
damage: the call fails and may be made again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Self

from bridge.journal.extent import Extent, holds_none, missing
from bridge.journal.folder import look
from bridge.journal.layout import Spans
from bridge.journal.records import Damage, DeadLetter, LetterFilter, LetterSum, Page, Stored
from bridge.journal.scan import Wanted
from bridge.journal.segment_pages import SegmentPages
from bridge.journal.state_reader import StateReader
from bridge.journal.troubles import Troubles

EVERY_LETTER = LetterFilter()


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
        self._pages = SegmentPages(path, troubles or Troubles())

    def __repr__(self) -> str:
        return f"<JournalReader of {self._path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files; the reader may be used again, and closed again."""
        self._pages.close()

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
        extent = self._look()
        return extent.places[0].first, extent.head

    def thinned(self) -> Spans:
        """Return the spans of which only what some sink waits for is kept."""
        return self._look().thinned

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
        stale = False
        while True:
            # Somebody may have deleted a file that the journal knows of.
            extent = look(self._path) if stale else self._look()
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
            wanted = Wanted(position, limit, sealed, max_bytes, max_entries, tables)
            page = self._pages.page(places, place, wanted)
            if page is None:
                stale = True
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

    def time_before(self, offset: int) -> int | None:
        """Return when the event before an offset was received.

        Where it cannot be read any more, the latest time before that which is known: of an
        earlier event, or of when the journal began; None where not even that is.

        Raises:
            JournalError: the journal cannot be read.
        """
        earlier = [place for place in self._look().places if place.first < offset]
        if earlier:
            page = self.read(offset - 1, max_bytes=1, max_entries=1)
            if page.entries and page.entries[0].offset < offset:
                return page.entries[0].entry.time
        for place in reversed(earlier):
            oldest, newest = self._pages.edges(place)
            for edge in (newest, oldest):
                if edge is not None and edge.end <= offset:
                    return edge.time
        with StateReader(self._path) as state:
            return state.created()

    def look_through(self, offset: int, begin: int) -> None:
        """Read the segment of an offset, so that `on_damage` is told of all there is in it.

        Args:
            offset: where damage was found.
            begin: what lies before both is left out.

        Raises:
            JournalUnavailable, JournalDiskError: as for `read`.
        """
        extent = self._look()
        for place in [place for place in extent.places if place.first <= offset][-1:]:
            end = place.end if place.end is not None else extent.head
            position = max(place.first, min(begin, offset))
            while position < end:
                page = self.read(position)
                if page.next <= position:
                    break  # nothing is stored there any more
                position = page.next

    def dead_letters(
        self,
        which: LetterFilter = EVERY_LETTER,
        *,
        limit: int = 1000,
        max_bytes: int = 4 * 2**20,
        entries: bool = False,
    ) -> list[DeadLetter]:
        """Return events set aside, oldest first; for the next page ask `after` the last one.

        Args:
            which: only these.
            limit: at most so many.
            max_bytes: the page ends with the letter that reaches it.
            entries: whether the entries are wanted, too.

        Raises:
            JournalError: `state.db` cannot be read.
        """
        with StateReader(self._path) as state:
            return state.dead_letters(which, limit, max_bytes, entries=entries)

    def count_letters(
        self, which: LetterFilter, limit: int | None = None
    ) -> tuple[Counter[tuple[str, str]], int]:
        """Return how many events set aside a filter lets through, by lane, and the last number.

        Args:
            which: the filter.
            limit: the first so many alone, None for all.

        Raises:
            JournalError: `state.db` cannot be read.
        """
        with StateReader(self._path) as state:
            return state.count_dead_letters(which, limit)

    def letters_of(self, table: str, offset: int) -> dict[str, int]:
        """Return the numbers under which an event is set aside, by sink; as above."""
        with StateReader(self._path) as state:
            return state.letters_of(table, offset)

    def letter_sums(self) -> dict[tuple[str, str], LetterSum]:
        """Return what there is of events set aside, by sink and table.

        Raises:
            JournalError: `state.db` cannot be read.
        """
        with StateReader(self._path) as state:
            return state.sum_dead_letters()

    def last_letter(self) -> int:
        """Return the number of the event set aside last, 0 where there was none; as above."""
        with StateReader(self._path) as state:
            return state.last_dead_letter()

    def paused(self) -> dict[tuple[str, str], int]:
        """Return what rests and since when, by sink and table (empty for a sink); as above."""
        with StateReader(self._path) as state:
            return state.paused()

    def _look(self) -> Extent:
        return look(self._path) if self._extent is None else self._extent()
