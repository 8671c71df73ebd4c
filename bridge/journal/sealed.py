"""What is known of a segment that is complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.journal.layout import Place
from bridge.journal.typed import is_table


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A segment that nobody writes any more.

    Attributes:
        place: where it lies; `end` is never None.
        bytes: its size on disk.
        oldest_time: when its first event was received, None if that cannot be read.
        newest_time: when its last event was received, None if that cannot be read.
        totals: events of each table before it, since the journal began.
        ends: events of each table before its end.
        kept: of a thinned one, the offset behind each table's last entry.
        sizes: about how many bytes each table has in it, None where it was not measured.
    """

    place: Place
    bytes: int
    oldest_time: int | None = None
    newest_time: int | None = None
    totals: Mapping[str, int] = field(default_factory=dict)
    ends: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, int] | None = None
    sizes: Mapping[str, int] | None = None

    @property
    def first(self) -> int:
        """Its first offset."""
        return self.place.first

    @property
    def end(self) -> int:
        """The first offset behind it."""
        return self.place.end if self.place.end is not None else self.place.first


def tables_of(
    totals: Mapping[str, int], ends: Mapping[str, int], kept: Mapping[str, int] | None
) -> frozenset[str]:
    """Return the tables that have events in a segment."""
    if kept is not None:
        return frozenset(kept)
    return frozenset(
        table for table, end in ends.items() if end > totals.get(table, 0) and is_table(table)
    )
