"""A courier takes the events of some lanes of one sink to their destination, one try at a time.

Lanes in step are read together; what comes next in line is a batch, held as it is until it goes
through or has to be taken apart. A lane in trouble leaves the others and keeps no payload: when
it is due, its stretch is read again and tried alone. A lane that is well again reads by itself
until it has caught up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from bridge.delivery.connection import Connection
from bridge.delivery.encoding import Encoder
from bridge.delivery.feed import EncodingFailed
from bridge.delivery.feeds import Feeds
from bridge.delivery.health import Journalist
from bridge.delivery.lane import MOST_WAITING, Lane, Load, Part
from bridge.delivery.outlet import Outlet
from bridge.delivery.policy import (
    Answer,
    Hold,
    Rules,
    Said,
    begin,
)
from bridge.delivery.recovery import Recovery, remember_waiting
from bridge.delivery.verdicts import Verdicts
from bridge.errors import JournalError, SinkError
from bridge.journal import Journal, Move
from bridge.loop import backoff
from bridge.sinks.base import Batching

# How long it may take until a courier with nothing to do notices what is asked of it.
_LOOK_SECONDS = 0.25
_LONGEST_SECONDS = 3600.0


@dataclass(slots=True)
class _Held:
    """The batch that is next, and how it fared."""

    load: Load
    hold: Hold = field(default_factory=Hold)


class Courier:
    """Delivers some lanes of a sink. Its methods run in its thread, but where they say otherwise.

    Args:
        name: the sink's id.
        tables: whose lanes it has.
        connection: to the sink.
        journal: where they are read, and settled.
        encoder: makes lines of entries.
        batching: how large a batch may be.
        rules: the numbers of the policy.
        keyed: whether the sink uses keys.
        by_key: whether its order is per key.
        wake: set by whoever wants something of it.
        clock: monotonic.

    Attributes:
        draining: set by its owner: deliver what is there, and end at the first failure.
        leaving: set by its owner: end after the try that is under way.
        lanes: by table; replaced as a whole, so that any thread may look.
        outlet: how things go out.
        fault: what went wrong on our side, None where nothing did.
    """

    def __init__(
        self,
        name: str,
        tables: Sequence[str],
        connection: Connection,
        journal: Journal,
        encoder: Encoder,
        *,
        batching: Batching,
        rules: Rules,
        keyed: bool,
        by_key: bool,
        wake: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._tables = frozenset(tables)
        self._journal = journal
        self._encoder = encoder
        self._batching = batching
        self._rules = rules
        self._keyed = keyed
        self._by_key = by_key
        self._wake = wake
        self._clock = clock
        self._verdicts = Verdicts(name, rules, by_key)
        self._journalist = Journalist(name, clock)
        self.outlet = Outlet(name, connection, rules, self._interrupted, clock)
        self._feeds: Feeds | None = None
        self._recovery: Recovery | None = None
        self._held: _Held | None = None
        self._unwritten: deque[list[Move]] = deque()  # what one try settled, in order
        self._write_failed = 0
        self._skips: deque[tuple[str, Future[int]]] = deque()
        self.draining = False
        self.leaving = False
        self.lanes: dict[str, Lane] = {}
        self.fault: str | None = None

    def __repr__(self) -> str:
        return f"<Courier of {self.name}, {len(self._tables)} lanes>"

    def skip(self, table: str) -> Future[int]:
        """Ask for the first waiting event of a lane to be set aside. Any thread may call."""
        asked: Future[int] = Future()
        self._skips.append((table, asked))
        self._wake.set()
        return asked

    def failed(self, error: BaseException) -> None:
        """Note that a pass raised; the next one begins anew with what the journal says."""
        self.fault = _text(error)
        self._let_go()

    def close(self) -> None:
        """Let go of the journal's files, and of who still waits for an answer."""
        with suppress(Exception):  # it was told already; the cost is duplicates
            while self._unwritten:
                self._journal.settle(self.name, self._unwritten.popleft())
        self._journalist.flush(all_of_it=True)
        self._let_go()
        while self._skips:
            self._skips.popleft()[1].cancel()

    def step(self) -> bool:
        """Make one pass: a try, or a wait. Returns whether to go on."""
        if self.leaving:
            return False
        feeds = self._feeds or self._begin()
        if self._unwritten and not self._write():
            return not self.draining
        if self._skips:
            self._skip(feeds, *self._skips.popleft())
            return True
        now = self._clock()
        if self._held is not None and self._held.hold.due > now:
            self._pause(self._held.hold.due - now)
            return not self.draining
        try:
            worked = self._work(feeds, now)
        except EncodingFailed as error:
            self._cannot_encode(feeds, error)
            worked = True
        if self.draining:
            return worked and self._held is None
        if not worked:
            self._idle(feeds, now)
        return True

    def _work(self, feeds: Feeds, now: float) -> bool:
        """Try what is next; False where there is nothing to try."""
        worked = False
        if self._held is None and not self.draining:
            lane = self._recovery.try_next(now) if self._recovery is not None else None
            if lane is not None:
                self._place_lane(feeds, lane)
                worked = True
        if self._held is None:
            load = feeds.next_load(at_once=self.draining)
            if load is None:
                return worked
            if not load.slices:
                now = self._clock()
                self._write([self._verdicts.passed(part, now) for part in load.parts.values()])
                self._place(feeds, load)
                return True
            self._held = _Held(load)
        self.fault = None
        self._try_held(feeds, self._held)
        return True

    def _begin(self) -> Feeds:
        """Begin anew, with what the journal says."""
        places = self._journal.lanes(self.name)
        feeds = Feeds(
            self.name,
            (self._journal.reader(), self._journal.reader()),
            self._encoder,
            self._batching,
            keyed=self._keyed,
            by_key=self._by_key,
            clock=self._clock,
        )
        recovery = Recovery(
            feeds,
            self.outlet,
            self._verdicts,
            self._batching,
            self._rules,
            self._write,
            self._clock,
        )
        lanes: dict[str, Lane] = {}
        starts: list[tuple[int, Lane]] = []
        try:
            for table in sorted(self._tables & places.keys()):
                place = places[table]
                start = max(place.start, place.cursor)
                lane = lanes[table] = Lane(table, place.cursor, start)
                if place.waiting:
                    remember_waiting(feeds, lane, place.waiting)
                    lane.more_waits(self._clock())
                    recovery.note(lane)
                if lane.flows(by_key=self._by_key):
                    starts.append((start, lane))
        except BaseException:
            feeds.close()
            raise
        feeds.begin(starts)
        self.lanes, self._feeds, self._recovery = lanes, feeds, recovery
        return feeds

    def _let_go(self) -> None:
        """Forget all but what is written down."""
        feeds, self._feeds, self._recovery = self._feeds, None, None
        self._held = self.outlet.trouble = None
        self._unwritten.clear()
        if feeds is not None:
            feeds.close()

    # A batch of what comes next.

    def _try_held(self, feeds: Feeds, held: _Held) -> None:
        load = held.load
        outcome = self.outlet.deliver(load.slices, held=True)
        if outcome is None:
            return
        now = self._clock()
        if outcome.error is None:
            self._held = None
            self.outlet.well()
            self._write([self._verdicts.conclude(p, outcome, now) for p in load.parts.values()])
            self._place(feeds, load)
            return
        hold = held.hold.after(outcome.answer, len(load.tables), now, self._rules)
        if hold is not None:
            held.hold = hold
            self.outlet.complain(outcome.answer, outcome.error)
            return
        self._held = self.outlet.trouble = None
        self._take_apart(load, outcome.answer, held.hold.failed, now)
        self._place(feeds, load)

    def _take_apart(self, load: Load, answer: Answer, failed: int, now: float) -> None:
        """Let each table of a batch that was refused go on by itself."""
        moves: list[Move | None] = []
        several = len(load.tables) > 1
        for part in load.parts.values():
            if not part.slices:
                moves.append(self._verdicts.passed(part, now))
            elif several:
                rules = self._rules
                part.lane.trouble = begin(part.stop, answer, failed, now, rules, apart=True)
            else:
                moves.append(self._verdicts.failed(part, answer, now, failed=failed, refused=True))
        self._write(moves)

    def _place(self, feeds: Feeds, load: Load) -> None:
        """Let lanes leave those in step, or come back, as they now stand."""
        for part in load.parts.values():
            self._place_lane(feeds, part.lane, part)

    def _place_lane(self, feeds: Feeds, lane: Lane, part: Part | None = None) -> None:
        if lane.full and lane.trouble is None and 2 * len(lane.waiting) < MOST_WAITING:
            lane.full = False
        if self._recovery is not None:
            self._recovery.note(lane)
        if part is not None and lane.cursor < part.to:
            feeds.drop(lane)  # what was read behind the cursor is read again
        if lane.flows(by_key=self._by_key):
            lane.since = None
            feeds.join(lane)
            return
        feeds.drop(lane)
        if part is not None and part.slices:
            lane.since = part.time
            lane.start = max(lane.start, lane.cursor, part.begin)
        trouble = lane.trouble or lane.parked
        if trouble is not None and trouble.due > self._clock():
            cause = trouble.last.error
            self._journalist.warn("lane_waits", lane.table, table=lane.table, cause=cause)

    def _cannot_encode(self, feeds: Feeds, error: EncodingFailed) -> None:
        lane, stored = error.lane, error.stored
        cause, now = error.cause, self._clock()
        table = lane.table
        self._journalist.warn(
            "encoding_failed", table, table=table, cause=_text(cause), exc_info=cause
        )
        failed = lane.trouble.failed if lane.trouble is not None else 0
        end = stored.offset + stored.count
        answer = Answer(Said.FAULT, _text(cause))
        lane.trouble = begin(end, answer, failed, now, self._rules, apart=False)
        lane.since = stored.entry.time
        self._place_lane(feeds, lane)

    def _skip(self, feeds: Feeds, table: str, asked: Future[int]) -> None:
        """Set the first waiting event of a lane aside, and begin anew."""
        lane = self.lanes.get(table)
        held = self._held.load.tables if self._held is not None and self.outlet.trouble else ()
        if lane is None or not (table in held or lane.trouble or lane.waiting):
            _answer(asked, 0)
            return
        trouble = lane.trouble or lane.parked
        last = trouble.last if trouble is not None else self.outlet.trouble
        load = Load(1, 1)
        first = next(iter(lane.waiting), None)
        feeds.alone(lane, only=None if first is None else [first]).extend(load)
        if not load.slices:
            _answer(asked, 0)
            return
        tries = trouble.tries if trouble is not None else 1
        part, answer = load.part(lane), last.answer if last is not None else None
        self._write([self._verdicts.skip(part, tries, answer, self._clock())])
        while self._unwritten and not self._write() and not (self.draining or self.leaving):
            pass
        self._let_go()
        _answer(asked, 1)

    # What all of them do.

    def _write(self, moves: Sequence[Move | None] = ()) -> bool:
        """Write down what became of events; what cannot be written is kept for later."""
        if known := [move for move in moves if move is not None]:
            self._unwritten.append(known)
        try:
            while self._unwritten:
                self._journal.settle(self.name, self._unwritten[0])
                self._tell(self._unwritten.popleft())
                self._write_failed, self.fault = 0, None
        except (JournalError, OSError) as error:
            # Delivered, and not written down: a crash now means duplicates, no loss.
            self._write_failed += 1
            self.fault = _text(error)
            self._journalist.warn("cursor_not_written", cause=self.fault)
            self._pause(backoff(self._write_failed))
            return False
        except KeyError:
            if not self.leaving:
                raise
            self._unwritten.clear()  # the sink is not configured any more
        return True

    def _tell(self, moves: Sequence[Move]) -> None:
        for move in moves:
            for letter in move.dead_letters:
                table, cause = move.table, letter.reason
                self._journalist.warn(
                    "event_set_aside", table, table=table, id=letter.id, cause=cause
                )

    def _idle(self, feeds: Feeds, now: float) -> None:
        """Wait for more to read, or for what is due."""
        self._journalist.flush()
        self.fault = None
        self.outlet.open_early(now)
        dues = self._recovery.due if self._recovery is not None else []
        until = min([now + _LOOK_SECONDS, *dues, *([] if feeds.due is None else [feeds.due])])
        position = feeds.position
        seconds = max(0.0, until - self._clock())
        if position is None:
            self._pause(seconds)
        else:
            started = self._clock()
            if not self._journal.wait(position, seconds) and self._clock() < started + seconds / 2:
                self._pause(seconds)  # the journal is closed: nobody waits in it

    def _interrupted(self) -> bool:
        return self.draining or self.leaving

    def _pause(self, seconds: float) -> None:
        if seconds > 0 and not self.draining and not self.leaving:
            self._wake.wait(min(seconds, _LONGEST_SECONDS))
            self._wake.clear()


def _answer(asked: Future[int], events: int) -> None:
    with suppress(InvalidStateError):  # who asked has given up meanwhile
        asked.set_result(events)


def _text(error: BaseException) -> str:
    known = isinstance(error, SinkError | JournalError)
    return str(error) if known else f"{type(error).__name__}: {error}"
