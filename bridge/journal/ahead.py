"""Events between an offset and the head, counted by type: for lanes that do not begin there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.journal.lane import Boundary
from bridge.journal.layout import Place
from bridge.journal.reader import JournalReader
from bridge.journal.segment_pages import SegmentPages
from bridge.journal.typed import KNOWN, kind_of, total_of


class Ahead:
    """Counts what stands before the head, in an open journal. To be used while no segment goes.

    Args:
        places: all segments, oldest first.
        head: how far is counted.
        boundary_at: gives the totals at an offset.
        pages: reads segments.
        reader: reads entries.
    """

    def __init__(
        self,
        places: Sequence[Place],
        head: Boundary,
        boundary_at: Callable[[int], Boundary],
        pages: SegmentPages,
        reader: JournalReader,
    ) -> None:
        self._places = places
        self._head = head
        self._boundary_at = boundary_at
        self._pages = pages
        self._reader = reader
        self._boundaries: dict[int, Boundary] = {}
        self._sums: dict[tuple[int, int], dict[str, int]] = {}

    def count(self, table: str, start: int, events: frozenset[str] | None) -> int:
        """Return how many events of a table, of some types or all, stand from an offset on."""
        if start >= self._head.offset:
            return 0
        if start not in self._boundaries:
            self._boundaries[start] = self._boundary_at(start)
        totals = self._boundaries[start].totals
        if events is None or KNOWN in totals:
            at_head = total_of(self._head.totals, table, events)
            return max(0, at_head - total_of(totals, table, events))
        return self._counted(table, start, events)

    def kind(self, offset: int) -> str:
        """Return the type of the event at an offset, empty where it is gone."""
        page = self._reader.read(offset, max_bytes=1, max_entries=1)
        found = page.entries[0] if page.entries else None
        return kind_of(found.entry) if found is not None and found.offset <= offset else ""

    def _counted(self, table: str, start: int, events: frozenset[str]) -> int:
        """Count in segments of a version that did not count by type."""
        total = 0
        for place in self._places:
            end = self._head.offset if place.end is None else min(place.end, self._head.offset)
            if end <= start:
                continue
            total += total_of(self._before(place, end), table, events)
            if start > place.first:
                total -= total_of(self._before(place, start), table, events)
        return total

    def _before(self, place: Place, offset: int) -> dict[str, int]:
        known = place.first, offset
        if known not in self._sums:
            sums = self._pages.sums(place, offset, sealed=place.end is not None)
            self._sums[known] = sums
        return self._sums[known]
