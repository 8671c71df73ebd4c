"""Lanes in trouble: each is tried alone when it is due, its events read again from the journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.delivery import lookahead
from bridge.delivery.attempt import Outcome
from bridge.delivery.feeds import Feeds
from bridge.delivery.lane import Lane, Load, Part, Waits
from bridge.delivery.outlet import Outlet
from bridge.delivery.policy import Ahead, Alone, Answer, Rules, Trouble, Try, answer_of
from bridge.delivery.verdicts import Verdicts
from bridge.journal import Move
from bridge.sinks.base import Batching


class Recovery:
    """The lanes of one courier in which something waits. Used by its thread alone.

    Args:
        feeds: where their events are read.
        outlet: where they go.
        verdicts: says what becomes of them.
        batching: how large a batch may be.
        rules: the numbers of the policy.
        write: writes moves down.
        clock: monotonic.
    """

    def __init__(
        self,
        feeds: Feeds,
        outlet: Outlet,
        verdicts: Verdicts,
        batching: Batching,
        rules: Rules,
        write: Callable[[Sequence[Move | None]], bool],
        clock: Callable[[], float],
    ) -> None:
        self._feeds = feeds
        self._outlet = outlet
        self._verdicts = verdicts
        self._batching = batching
        self._rules = rules
        self._write = write
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._looked_at: dict[str, int] = {}  # by table: the last event tried to prove a suspect

    @property
    def due(self) -> list[float]:
        """When something is to be tried."""
        lanes = self._lanes.values()
        return [each.due for lane in lanes for each in (lane.trouble, lane.parked) if each]

    def note(self, lane: Lane) -> None:
        """Look after a lane as long as something in it waits."""
        if lane.trouble is not None or lane.parked is not None:
            self._lanes[lane.table] = lane
        else:
            self._lanes.pop(lane.table, None)

    def try_next(self, now: float) -> Lane | None:
        """Try the lane that is due longest, and return it; None where none is."""
        best: tuple[float, Lane, Trouble] | None = None
        for lane in self._lanes.values():
            for trouble in (lane.trouble, lane.parked):
                if (
                    trouble is not None
                    and trouble.due <= now
                    and (not best or trouble.due < best[0])
                ):
                    best = trouble.due, lane, trouble
        if best is None:
            return None
        _, lane, trouble = best
        if isinstance(trouble.step, Ahead):
            self._look_ahead(lane, trouble, trouble.step)
        elif trouble is lane.trouble:
            self._try_lane(lane, trouble.step)
        else:
            self._try_parked(lane, trouble.step)
        return lane

    def _try_lane(self, lane: Lane, step: Try | Alone) -> None:
        stop = step.stop if isinstance(step, Try) else step.offset + 1
        load = Load(self._batching.max_events, self._batching.max_bytes)
        more = self._feeds.alone(lane, stop=stop).extend(load)
        part = load.part(lane)
        if not more and not part.slices:
            part.to = max(part.to, stop)
        outcome = self._outlet.deliver(load.slices) if part.slices else Outcome()
        if outcome is None:
            return
        lane.since = part.time if part.slices else lane.since
        now = self._clock()
        if outcome.error is not None:
            self._write([self._verdicts.failed(part, outcome.answer, now)])
        else:
            self._write([self._verdicts.conclude(part, outcome, now)])

    def _try_parked(self, lane: Lane, step: Try | Alone) -> None:
        stop = step.stop if isinstance(step, Try) else step.offset + 1
        start = 0 if isinstance(step, Try) else step.offset
        only = [offset for offset in lane.waiting if start <= offset < stop]
        only = only[: self._batching.max_events]
        load = Load(self._batching.max_events, self._batching.max_bytes)
        full = self._feeds.alone(lane, only=only).extend(load) if only else False
        part = load.part(lane)
        if not full:
            self._forget_missing(lane, only, part)
        if not part.slices:
            lane.parked = lane.parked and lane.parked.passed(self._clock())
            lane.more_waits(self._clock())
            return
        outcome = self._outlet.deliver(load.slices)
        if outcome is not None:
            self._write([self._verdicts.waited(part, outcome, self._clock())])

    def _look_ahead(self, lane: Lane, trouble: Trouble, step: Ahead) -> None:
        """Try another event of the table than the suspect."""
        blocking = trouble is lane.trouble
        tried = self._looked_at.get(lane.table, -1) if step.distance > 1 else -1
        find = lookahead.in_order if blocking else lookahead.by_key
        load = find(self._feeds.alone, lane, step, tried)
        answer: Answer | None = None
        if load is not None:
            part = lookahead.only_part(load)
            self._looked_at[lane.table] = part.first
            outcome = self._outlet.deliver(load.slices)
            if outcome is None:
                return
            mark = outcome.error or outcome.tables.get(lane.table) or outcome.events.get(part.first)
            answer = answer_of(mark)
            if mark is None:
                self._write([self._verdicts.ahead(part, self._clock())])
        after = trouble.after_ahead(answer, self._clock(), self._rules)
        if blocking:
            lane.trouble = after
        else:
            lane.parked = after if lane.waiting else None

    def _forget_missing(self, lane: Lane, wanted: Sequence[int], part: Part) -> None:
        """Let go of what waited and is in the journal no more."""
        found = {o for piece in part.slices for o in range(piece.offset, piece.end)}
        for offset in wanted:
            if offset not in found:
                lane.waiting.pop(offset, None)


def remember_waiting(feeds: Feeds, lane: Lane, offsets: Sequence[int]) -> None:
    """Look at the keys and times of what waits."""
    feed = feeds.alone(lane, only=offsets)
    while True:
        load = Load(len(offsets), 2**20)
        more = feed.extend(load)
        for piece in load.slices:
            for index in range(len(piece)):
                key = piece.lines.key(piece.start + index)
                digest = None if key is None else hash(key)
                time_ = piece.lines.time(piece.start + index)
                lane.waiting[piece.offset + index] = Waits(digest, time_)
        if not more:
            return
