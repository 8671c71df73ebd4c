"""Where the segments of a journal lie, and what is missing between them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from bridge.journal.layout import Place, Spans, add_span
from bridge.journal.records import Damage


class Extent(NamedTuple):
    """Where a journal's segments lie, oldest first, and the head; of one moment.

    `places` is replaced, never changed: the same object means the same files.
    """

    places: Sequence[Place]
    thinned: Spans
    head: int


def thinned_of(files: Sequence[tuple[int, int | None]]) -> Spans:
    """Return the spans of all thinned segments, where no `state.db` says which are ready."""
    spans: Spans = ()
    for first, end in files:
        if end is not None:
            spans = add_span(spans, first, end)
    return spans


def holds_none(place: Place, tables: Collection[str] | None) -> bool:
    """Return whether a segment is known to have nothing of some tables."""
    return tables is not None and place.tables is not None and place.tables.isdisjoint(tables)


def missing(first: int, end: int, thinned: Spans) -> list[Damage]:
    """Return what of a span without segments was not pruned."""
    missing: list[Damage] = []
    for low, high in (*thinned, (end, end)):
        if high > first:
            if first < min(low, end):
                missing.append(Damage(first, min(low, end) - 1, "the segment is missing"))
            first = max(first, high)
        if first >= end:
            break
    return missing
