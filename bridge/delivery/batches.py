"""What comes next of one courier's lanes, up to a batch.

Lanes that stand near each other are read together by one feed, and nearly always there is one. A
lane that comes back from trouble, or was far behind at the start, has a feed of its own until
that has caught up with the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise

from bridge.delivery.ahead import Coming
from bridge.delivery.encoding import Writer
from bridge.delivery.feed import EncodingFailed, Feed
from bridge.delivery.lane import Lane, Load
from bridge.delivery.policy import EVERYTHING
from bridge.delivery.sources import Reader
from bridge.sinks.base import Batching

# Lanes whose next events lie farther apart than this are not read in step.
_SPAN = 100_000
_MOST_AT_START = 8
# So many feeds may keep what they have read between two batches.
_MOST_HOLDING = 2


class Batches:
    """All that a courier reads. Used by its thread alone.

    Args:
        sink: the sink's id.
        readers: of the journal: one for the feeds, one for lanes that are tried alone.
        writer: in the sink's form.
        batching: how large a batch may be.
        by_key: whether its order is per key.
        ahead: told of what comes next where a batch is full.
        clock: monotonic.

    Attributes:
        exhausted: whether there was nothing behind what `next` returned last.
    """

    def __init__(
        self,
        sink: str,
        readers: tuple[Reader, Reader],
        writer: Writer,
        batching: Batching,
        *,
        by_key: bool,
        ahead: Callable[[Sequence[Coming]], None],
        clock: Callable[[], float],
    ) -> None:
        self._sink = sink
        self._readers = readers
        self._writer = writer
        self._batching = batching
        self._by_key = by_key
        self._ahead = ahead
        self._clock = clock
        self._feeds: deque[Feed] = deque()
        self._filling: tuple[Feed, Load, float] | None = None
        self.exhausted = False

    def __repr__(self) -> str:
        return f"<Batches {list(self._feeds)}>"

    @property
    def position(self) -> int | None:
        """How far the one furthest behind was read; None without any."""
        return min((feed.position for feed in self._feeds if feed.lanes), default=None)

    def is_through(self, end: int) -> bool:
        """Return whether all before an offset was read, and taken."""
        feeds = [feed for feed in self._feeds if feed.lanes]
        return self._filling is None and all(f.empty and f.position >= end for f in feeds)

    @property
    def due(self) -> float | None:
        """When a batch that is not full goes out all the same; None where there is none."""
        return None if self._filling is None else self._filling[2]

    def begin(self, starts: Sequence[tuple[int, Lane]]) -> None:
        """Take in lanes, each from an offset on."""
        ordered = sorted(starts, key=lambda start: start[0])
        jumps = [
            (after[0] - before[0], place)
            for place, (before, after) in enumerate(pairwise(ordered), 1)
            if after[0] - before[0] > _SPAN
        ]
        cuts = sorted(place for _, place in sorted(jumps, reverse=True)[: _MOST_AT_START - 1])
        for low, high in zip([0, *cuts], [*cuts, len(ordered)], strict=True):
            group = ordered[low:high]
            if group:
                self._feeds.append(self._feed([lane for _, lane in group], group[0][0]))

    def next(self, *, at_once: bool) -> Load | None:
        """Return what comes next, up to a batch; None if there is nothing, or not yet enough.

        Args:
            at_once: whether a batch that is not full goes out without waiting for more.

        Raises:
            JournalError: the journal could not be read.
            EncodingFailed: an entry could not be encoded; its lane is to be dropped.
        """
        self.exhausted = False
        self._tidy()
        for _ in range(len(self._feeds)):
            feed = self._feeds[0]
            self._feeds.rotate(-1)
            load = self._begun(feed)
            try:
                full = feed.extend(load)
            except EncodingFailed:
                feed.give_back(load)
                if self._fills(feed):
                    self._filling = None
                raise
            if not load.slices and not any(p.to > p.lane.cursor for p in load.parts.values()):
                continue
            if not full and load.slices and not at_once and self._may_fill(feed, load):
                continue
            self._filling = None if self._filling and self._filling[0] is feed else self._filling
            if full:
                self._ahead(feed.coming())
            self.exhausted = not full and len(self._feeds) == 1
            return load
        return None

    def drop(self, lane: Lane) -> None:
        """Let a lane go: it waits."""
        for feed in self._feeds:
            feed.drop(lane.table)
        lane.hand.clear()

    def join(self, lane: Lane) -> None:
        """Take a lane in again that waited, unless it is in."""
        for feed in self._feeds:
            if lane.table in feed.lanes:
                return
        near = [f for f in self._feeds if f.position <= lane.start <= f.position + _SPAN]
        if near:
            feed = max(near, key=lambda feed: feed.position)
            feed.lanes[lane.table] = lane
        else:
            self._feeds.append(self._feed([lane], lane.start))

    def alone(
        self,
        lane: Lane,
        *,
        start: int | None = None,
        stop: int = EVERYTHING,
        only: Sequence[int] | None = None,
        looking: bool = False,
        as_json: bool = False,
    ) -> Feed:
        """Return a feed of one lane that is in none of these.

        Args:
            lane: whose.
            start: where to begin; by default where it is read from, or the first of `only`.
            stop: events from here on are left alone.
            only: if given, only these offsets, ascending.
            looking: what no sink can get is passed over, not settled.
            as_json: whatever the sink wants, which may not be had just now.
        """
        if start is None:
            start = only[0] if only else lane.start
        return Feed(
            self._sink,
            self._readers[1],
            self._writer.in_json() if as_json else self._writer,
            [lane],
            start,
            stop=stop,
            only=only,
            live=False,
            looking=looking,
        )

    def close(self) -> None:
        """Close the readers."""
        for reader in self._readers:
            reader.close()

    def _feed(self, lanes: Sequence[Lane], position: int) -> Feed:
        return Feed(
            self._sink,
            self._readers[0],
            self._writer,
            lanes,
            position,
            by_key=self._by_key,
        )

    def _tidy(self) -> None:
        """Join feeds that have caught up with the next one; let the others hold little."""
        if len(self._feeds) < 2:
            return
        ordered = sorted(self._feeds, key=lambda feed: feed.position)
        for feed, ahead in pairwise(ordered):
            if not feed.lanes:
                self._feeds.remove(feed)
            elif feed.empty and feed.position >= ahead.position and not self._fills(feed):
                ahead.lanes.update(feed.lanes)
                self._feeds.remove(feed)
        if len(self._feeds) > _MOST_HOLDING:
            for feed in ordered[:-1]:
                if not self._fills(feed):
                    feed.rewind()

    def _fills(self, feed: Feed) -> bool:
        return self._filling is not None and self._filling[0] is feed

    def _begun(self, feed: Feed) -> Load:
        if self._filling is not None and self._filling[0] is feed:
            return self._filling[1]
        return Load(self._batching.max_events, self._batching.max_bytes)

    def _may_fill(self, feed: Feed, load: Load) -> bool:
        """Keep a batch that is not full for a moment, if it may wait."""
        now = self._clock()
        if self._filling is None:
            self._filling = (feed, load, now + self._batching.max_wait)
        return self._filling[0] is feed and now < self._filling[2]
