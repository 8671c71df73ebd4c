"""The whole journal as `journal ls` shows it, read beside a running bridge."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from bridge.journal.database import is_damage
from bridge.journal.extent import Extent
from bridge.journal.folder import look
from bridge.journal.lane import LaneState
from bridge.journal.layout import Place, database_bytes, place_path
from bridge.journal.records import Lane, Overview, SegmentSummary, SinkSummary
from bridge.journal.segment_pages import SegmentPages
from bridge.journal.segment_reader import SegmentReader
from bridge.journal.state_reader import StateReader
from bridge.journal.troubles import Troubles, translated
from bridge.journal.typed import all_events, total_of


def overview(journal: Path) -> Overview:
    """Return segments, sinks, lanes and counts of the journal in a folder.

    Raises:
        JournalUnavailable: there is no journal here, or it may not be read.
        JournalDiskError: the disk failed; try again.
    """
    with StateReader(journal) as state:
        # The counts first: what is appended meanwhile is pending, never negative.
        lanes, letters = state.lanes(), state.sum_dead_letters()
        journal_id = state.journal_id()
    extent = look(journal)
    with SegmentPages(journal, Troubles()) as pages:
        segments = [_summary(journal, place, pages, extent) for place in extent.places]
        totals = _totals_at_head(journal, extent, pages)
    sinks = [
        SinkSummary(
            sink,
            {
                table: _shown(lane, total_of(totals, table, lane.events), extent.head)
                for table, lane in own.items()
            },
            [
                lane.account(sink, table, total_of(totals, table, lane.events))
                for table, lane in own.items()
            ],
            sum(each.count for (name, _), each in letters.items() if name == sink),
        )
        for sink, own in lanes.items()
    ]
    return Overview(journal_id, extent.places[0].first, extent.head, segments, sinks)


def _shown(lane: LaneState, total: int, head: int) -> Lane:
    start = lane.waiting[0] if lane.waiting else lane.cursor
    return Lane(lane.cursor, lane.waiting, start if lane.pending(total) else head)


def _summary(journal: Path, place: Place, pages: SegmentPages, extent: Extent) -> SegmentSummary:
    path = place_path(journal, place)
    sealed = place is not extent.places[-1]
    end = place.end if place.end is not None else extent.head
    size = database_bytes(path)
    try:
        segment = SegmentReader(journal, place, sealed=sealed)
        try:
            segment.header()
            edges = segment.edges()
        finally:
            segment.close()
    except (sqlite3.Error, ValueError) as error:
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise translated(error, journal, path) from error
        return SegmentSummary(
            place.first, end, None, size, None, None, place.thin, problem=str(error)
        )
    oldest, newest = (None if edge is None else edge.time for edge in edges)
    sums = pages.sums(place, end, sealed=sealed)
    events = all_events(sums)
    return SegmentSummary(place.first, end, events, size, oldest, newest, place.thin)


def _totals_at_head(journal: Path, extent: Extent, pages: SegmentPages) -> Mapping[str, int]:
    newest = extent.places[-1]
    try:
        segment = SegmentReader(journal, newest, sealed=False)
        try:
            totals = dict(segment.header().totals or {})
        finally:
            segment.close()
    except (sqlite3.Error, ValueError):
        totals = {}
    for table, events in pages.sums(newest, extent.head, sealed=False).items():
        totals[table] = totals.get(table, 0) + events
    return totals
