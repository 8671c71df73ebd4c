"""Sinks come and go, and their lanes move: what is told of both is held against the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import structlog

from bridge.journal.ahead import Ahead
from bridge.journal.lane import Boundary
from bridge.journal.log import SegmentLog
from bridge.journal.reader import JournalReader
from bridge.journal.records import Account, Lane, Move
from bridge.journal.registering import Wish
from bridge.journal.segment_pages import SegmentPages
from bridge.journal.state import State
from bridge.journal.troubles import Troubles

# Seconds in which a commit that is on disk must have become the head.
_HEAD_PATIENCE = 1.0

_log = structlog.get_logger(__name__)


class SinkLanes:
    """The lanes of an open journal, for every sink; safe to use from several threads.

    Args:
        path: the journal's folder.
        state: where the lanes stand.
        log: the segments.
        pruning: held while segments go.
        troubles: since when which file cannot be read.
        now: microseconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        state: State,
        log: SegmentLog,
        pruning: threading.Lock,
        troubles: Troubles,
        now: Callable[[], int],
    ) -> None:
        self._path = path
        self._state = state
        self._log = log
        self._pruning = pruning
        self._troubles = troubles
        self._now = now

    def __repr__(self) -> str:
        return f"<SinkLanes of {self._path}>"

    def register(
        self,
        sink: str,
        tables: Collection[str],
        begin: int | None,
        events: frozenset[str] | None,
    ) -> dict[str, Lane]:
        """See `Journal.register`."""
        state, log = self._state, self._log
        if state.was_lost(sink, log.oldest()[0]):
            begin = log.oldest()[0]
        elif begin is not None:
            begin = max(begin, log.complete_from())
        settled = begin is None and self._take(sink, events)
        # While segments go, nothing is counted, nor does a lane begin to want one.
        with (
            nullcontext() if settled else self._pruning,
            SegmentPages(self._path, self._troubles) as pages,
            JournalReader(self._path, extent=log.extent, troubles=self._troubles) as reader,
        ):

            def wish() -> Wish:
                head = log.head_boundary()
                at = head.offset if begin is None else min(begin, head.offset)
                places = log.extent().places
                ahead = Ahead(places, head, self._boundary_at, pages, reader)
                return Wish(at, head, events, ahead)

            state.register(sink, tables, wish)
        lanes = self.of(sink)
        _log.info("journal_sink_registered", sink=sink, lanes=len(lanes), head=log.head)
        return lanes

    def _take(self, sink: str, events: frozenset[str] | None) -> bool:
        """Return whether all lanes of a sink take these types already."""
        try:
            return all(lane.events == events for lane in self._state.lanes(sink).values())
        except KeyError:
            return True

    def unregister(self, sink: str) -> None:
        """See `Journal.unregister`."""
        pending = sum(each.pending for each in self.accounts() if each.sink == sink)
        self._state.unregister(sink, self._log.head_boundary())
        _log.info("journal_sink_unregistered", sink=sink)
        if pending:
            cause = "the sink is configured no more"
            _log.warning("journal_backlog_discarded", sink=sink, events=pending, cause=cause)

    def of(self, sink: str) -> dict[str, Lane]:
        """See `Journal.lanes`."""
        return {
            table: Lane(lane.cursor, lane.waiting, self._log.start_of(table, lane), lane.events)
            for table, lane in self._state.lanes(sink).items()
        }

    def settle(self, sink: str, moves: Sequence[Move]) -> None:
        """See `Journal.settle`."""
        furthest = max(move.to for move in moves)
        # A reader sees a commit a moment before the head tells of it.
        if not self._log.wait(furthest - 1, _HEAD_PATIENCE):
            raise ValueError(f"cursor {furthest} of {sink} is beyond the head {self._log.head}")
        lost = self._state.settle(sink, moves, self._log.boundary, self._now())
        if lost:
            _log.warning("journal_events_lost", sink=sink, before=furthest, events=lost)

    def accounts(self) -> list[Account]:
        """See `Journal.accounts`."""
        return self._state.accounts(self._log.totals)

    def totals_at(self, offset: int) -> Mapping[str, int]:
        """Return how many events of each table there were before an offset that is stored.

        Raises:
            JournalDiskError: the disk failed, or the database stayed busy.
        """
        with self._pruning:
            return self._boundary_at(offset).totals

    def _boundary_at(self, offset: int) -> Boundary:
        """Return the totals at any offset that is stored."""
        known, place = self._log.boundary_at(offset)
        if place is None or known.offset >= offset:
            return known
        totals = dict(known.totals)
        with SegmentPages(self._path, self._troubles) as pages:
            sums = pages.sums(place, offset, sealed=place.end is not None)
        for table, events in sums.items():
            totals[table] = totals.get(table, 0) + events
        return Boundary(offset, totals)
