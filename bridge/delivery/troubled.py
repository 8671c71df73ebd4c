"""Lanes in trouble: each is tried alone when it is due, its events read again from the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bridge.delivery.batches import Batches
from bridge.delivery.calls import Calls, Outcome
from bridge.delivery.feed import Feed
from bridge.delivery.lane import Lane, Load, Part, Waits
from bridge.delivery.policy import REST, Ahead, Alone, Answer, Rules, Share, Trouble, Try, answer_of
from bridge.delivery.verdicts import Verdicts
from bridge.journal import Move
from bridge.sinks.base import Batching

FeedOf = Callable[..., Feed]


class TroubledLanes:
    """The lanes of one courier in which something waits. Used by its thread alone.

    Args:
        batches: where their events are read.
        calls: where they go.
        verdicts: says what becomes of them.
        batching: how large a batch may be.
        rules: the numbers of the policy.
        write: writes moves down.
        clock: monotonic.
    """

    def __init__(
        self,
        batches: Batches,
        calls: Calls,
        verdicts: Verdicts,
        batching: Batching,
        rules: Rules,
        write: Callable[[Sequence[Move | None]], bool],
        clock: Callable[[], float],
    ) -> None:
        self._batches = batches
        self._calls = calls
        self._verdicts = verdicts
        self._batching = batching
        self._rules = rules
        self._write = write
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._share = Share()
        self._looked_at: dict[str, int] = {}  # by table: the last event tried to prove a suspect

    @property
    def due(self) -> list[float]:
        """When something is to be tried."""
        others_flow = self._others_flow
        return [
            self._due(lane, trouble, others_flow=others_flow) for lane, trouble in self._troubles()
        ]

    def note(self, lane: Lane) -> None:
        """Look after a lane as long as something in it waits."""
        if lane.trouble is not None or lane.parked is not None:
            self._lanes[lane.table] = lane
        else:
            self._lanes.pop(lane.table, None)

    def try_next(self, now: float) -> Lane | None:
        """Try the lane that is due longest, and return it; None where none is.

        A suspect that another event was accepted after goes first: nothing is to come between.
        """
        others_flow = self._others_flow
        best: tuple[bool, float, Lane, Trouble] | None = None
        for lane, trouble in self._troubles():
            if trouble.due > now:
                continue
            due, later = self._due(lane, trouble, others_flow=others_flow), not trouble.is_proven
            if due <= now and (best is None or (later, due) < best[:2]):
                best = later, due, lane, trouble
        if best is None:
            return None
        _, _, lane, trouble = best
        if isinstance(trouble.step, Ahead):
            self._look_ahead(lane, trouble, trouble.step)
        elif trouble is lane.trouble:
            self._try_lane(lane, trouble.step)
        else:
            self._try_parked(lane, trouble.step)
        return lane

    def charge(self, lanes: Sequence[Lane], seconds: float) -> None:
        """Note that a batch of several lanes took so long, and some of them are in trouble now.

        What the others took of it is not known, so these rest as long as it took, no longer.
        """
        self._charge(lanes, seconds / REST)

    def forgive(self) -> None:
        """Note that the sink as a whole is well again, so what took long may not any more."""
        self._share = Share()
        for lane in self._lanes.values():
            lane.seconds = 0.0

    def skip(self, lane: Lane, held: Answer) -> bool:
        """Set the first waiting event of a lane aside by hand.

        Args:
            lane: whose.
            held: the last answer to the batch that it is in, if it waits in one.

        Returns:
            False if there is none.
        """
        trouble = lane.trouble or lane.parked
        last = trouble.last if trouble is not None else held
        load = Load(1, 1)
        first = next(iter(lane.waiting), None)
        only = None if first is None else [first]
        self._batches.alone(lane, only=only, as_json=True).extend(load)  # it goes nowhere
        if not load.slices:
            return False
        tries = trouble.tries if trouble is not None else 1
        part = load.part(lane)
        self._write([self._verdicts.skip(part, tries, last.answer, self._clock())])
        return True

    def _charge(self, lanes: Sequence[Lane], seconds: float) -> None:
        harmed = [lane for lane in lanes if lane.trouble is not None or lane.parked is not None]
        for lane in harmed:
            lane.seconds = seconds
        if harmed:
            self._share = self._share.after(seconds, self._clock(), self._rules)

    @property
    def _others_flow(self) -> bool:
        return self._batches.position is not None

    def _troubles(self) -> Iterator[tuple[Lane, Trouble]]:
        for lane in self._lanes.values():
            if lane.trouble is not None:
                yield lane, lane.trouble
            if lane.parked is not None:
                yield lane, lane.parked

    def _due(self, lane: Lane, trouble: Trouble, *, others_flow: bool) -> float:
        if not others_flow or trouble.is_proven:
            return trouble.due
        return max(trouble.due, self._share.due(lane.seconds))

    def _deliver(self, lane: Lane, load: Load, *, in_order: bool = False) -> Outcome | None:
        standing = load.standing if in_order else load.beside
        outcome = self._calls.deliver(load.slices, standing)
        if outcome is not None:
            lane.seconds = outcome.seconds
            if outcome.error is not None or outcome.tables or outcome.events:
                self._charge([lane], outcome.seconds)
        return outcome

    def _try_lane(self, lane: Lane, step: Try | Alone) -> None:
        stop = step.stop if isinstance(step, Try) else step.offset + 1
        load = Load(self._batching.max_events, self._batching.max_bytes)
        feed = self._batches.alone(lane, stop=stop)
        more = feed.extend(load)
        part = load.part(lane)
        if not more and not part.slices:
            # No further than was read: a commit may be seen once, and not be there yet again.
            part.to = max(part.to, min(stop, feed.position))
        outcome = self._deliver(lane, load, in_order=True) if part.slices else Outcome()
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
        full = self._batches.alone(lane, only=only).extend(load) if only else False
        part = load.part(lane)
        if not full:
            self._forget_missing(lane, only, part)
        if not part.slices:
            lane.parked = lane.parked and lane.parked.passed(self._clock())
            lane.more_waits(self._clock())
            return
        outcome = self._deliver(lane, load)
        if outcome is not None:
            self._write([self._verdicts.waited(part, outcome, self._clock())])

    def _look_ahead(self, lane: Lane, trouble: Trouble, step: Ahead) -> None:
        """Try another event of the table than the suspect."""
        blocking = trouble is lane.trouble
        tried = self._looked_at.get(lane.table, -1) if step.distance > 1 else -1
        alone = self._batches.alone
        load = None if blocking else _further_with_its_key(alone, lane, step, tried)
        if load is None and (blocking or not self._verdicts.by_key):
            # What began to wait under a sink with keys holds up the whole lane in one without.
            load = _further_in_order(alone, lane, step, tried)
        answer: Answer | None = None
        if load is not None:
            (part,) = load.parts.values()
            self._looked_at[lane.table] = part.first
            outcome = self._deliver(lane, load)
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


def remember_waiting(batches: Batches, lane: Lane, offsets: Sequence[int]) -> None:
    """Look at the keys and times of what waits."""
    feed = batches.alone(lane, only=offsets)
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


def _further_in_order(alone: FeedOf, lane: Lane, step: Ahead, tried: int) -> Load | None:
    """Find the event that stands so far ahead, else the newest; holds no more than one piece.

    Args:
        alone: makes a feed of one lane.
        lane: whose event.
        step: behind which offset, and how far.
        tried: the last one that was tried for this suspect.

    Returns:
        It, alone; None where all that there are were tried.
    """
    low, high = max(tried, step.offset) + 1, step.offset + step.distance
    found = _first(alone, lane, max(low, high))
    if found is not None or high <= low:
        return found
    newest: Load | None = None
    while low < high:
        middle = (low + high) // 2
        found = _first(alone, lane, middle)
        if found is None:
            high = middle
        else:
            newest, low = found, max(low, found.slices[0].end)
    return newest


def _further_with_its_key(alone: FeedOf, lane: Lane, step: Ahead, tried: int) -> Load | None:
    """Find what waits so far ahead with its key, else the newest; so no other key is hurt."""
    suspect = lane.waiting.get(step.offset)
    if suspect is None:
        return None
    low, far = max(tried, step.offset), step.offset + step.distance
    found = [o for o, waits in lane.waiting.items() if o > low and waits.key == suspect.key]
    if not found:
        return None
    load = Load(1, 1)
    alone(lane, only=[next((o for o in found if o >= far), found[-1])]).extend(load)
    return load if load.slices else None


def _first(alone: FeedOf, lane: Lane, start: int) -> Load | None:
    load = Load(1, 1)
    alone(lane, start=start, looking=True).extend(load)
    return load if load.slices else None
