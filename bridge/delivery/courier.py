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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from bridge.delivery.ahead import Coming
from bridge.delivery.batches import Batches
from bridge.delivery.calls import IDLE_SECONDS, Calls, Connection
from bridge.delivery.encoding import Writer
from bridge.delivery.feed import EncodingFailed
from bridge.delivery.health import Journalist, text_of
from bridge.delivery.lane import MOST_WAITING, Held, Lane, Load, Part
from bridge.delivery.ledger import Ledger
from bridge.delivery.letters import LetterMaker
from bridge.delivery.policy import Answer, Hold, Rules, Said, answer_of, begin
from bridge.delivery.sources import Source
from bridge.delivery.troubled import TroubledLanes, remember_waiting
from bridge.delivery.verdicts import Verdicts
from bridge.journal import WHOLE, Move
from bridge.sinks.base import Batching

# How long it may take until a courier with nothing to do notices what is asked of it.
_LOOK_SECONDS = 0.25


class Courier:
    """Delivers some lanes of a sink. Its methods run in its thread, but where they say otherwise.

    Args:
        name: the sink's id.
        tables: whose lanes it has.
        connection: to the sink.
        journal: where they are read, and settled.
        writer: in the sink's form.
        batching: how large a batch may be.
        rules: the numbers of the policy.
        by_key: whether its order is per key.
        ahead: told of what comes next while a batch is on its way.
        wake: set by whoever wants something of it.
        replaying: whether it delivers again what was delivered before.
        clock: monotonic.

    Attributes:
        draining: set by its owner: deliver what is there, and end at the first failure.
        leaving: set by its owner: end after the try that is under way.
        lanes: by table; replaced as a whole, so that any thread may look.
        calls: those to the sink, and how they went.
    """

    def __init__(
        self,
        name: str,
        tables: Sequence[str],
        connection: Connection,
        journal: Source,
        writer: Writer,
        *,
        batching: Batching,
        rules: Rules,
        by_key: bool,
        ahead: Callable[[Sequence[Coming]], None],
        wake: threading.Event,
        replaying: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._tables = frozenset(tables)
        self._journal = journal
        self._writer = writer
        self._batching = batching
        self._rules = rules
        self._by_key = by_key
        self._ahead = ahead
        self._wake = wake
        self._clock = clock
        self._verdicts = Verdicts(name, rules, by_key)
        self._journalist = Journalist(name, clock)
        self.calls = Calls(name, connection, rules, self._interrupted, clock, replaying=replaying)
        self._batches: Batches | None = None
        self._troubled: TroubledLanes | None = None
        self._held: Held | None = None
        letters = LetterMaker(journal.reader(), writer)
        self._ledger = Ledger(
            name, journal, self._journalist, self._pause, lambda: self.leaving, letters
        )
        self._skips: deque[tuple[str, Future[int]]] = deque()
        self.draining = False
        self.leaving = False
        self.lanes: dict[str, Lane] = {}
        self._fault: str | None = None
        self._resting: Mapping[str, int] = {}

    def __repr__(self) -> str:
        return f"<Courier of {self.name}, {len(self._tables)} lanes>"

    @property
    def fault(self) -> str | None:
        """What went wrong on our side, None where nothing did. Any thread may ask."""
        return self._fault or self._ledger.fault

    def is_through(self, end: int) -> bool:
        """Return whether all before an offset is settled and written down; in its thread."""
        batches = self._batches
        if batches is None or self._held is not None or self._ledger.behind:
            return False
        well = all(lane.flows(by_key=self._by_key) for lane in self.lanes.values())
        return well and batches.is_through(end)

    def skip(self, table: str) -> Future[int]:
        """Ask for the first waiting event of a lane to be set aside. Any thread may call."""
        asked: Future[int] = Future()
        self._skips.append((table, asked))
        self._wake.set()
        return asked

    def failed(self, error: BaseException) -> None:
        """Note that a pass raised; the next one begins anew with what the journal says."""
        self._fault = text_of(error)
        self._let_go()

    def close(self) -> None:
        """Let go of the journal's files, and of who still waits for an answer."""
        self._ledger.close()
        self._journalist.flush(all_of_it=True)
        self._let_go()
        while self._skips:
            self._skips.popleft()[1].cancel()

    def step(self) -> bool:
        """Make one pass: a try, or a wait. Returns whether to go on."""
        if self.leaving:
            return False
        if self._batches is not None and self._journal.pauses.of(self.name) != self._resting:
            self._let_go()  # what rests has changed: begin anew
        batches = self._batches or self._begin()
        if self._ledger.behind and not self._ledger.write():
            return not self.draining
        if self._skips:
            self._skip(*self._skips.popleft())
            return True
        now = self._clock()
        if self._held is not None and self._held.hold.due > now:
            self._pause(self._held.hold.due - now)
            return not self.draining
        try:
            worked = self._work(batches, now)
        except EncodingFailed as error:
            self._cannot_encode(batches, error)
            worked = True
        if self.draining:
            return worked and self._held is None
        last = batches.exhausted and self._held is None and not self._interrupted()
        if last or not worked:  # behind the last of what there was no other look is needed
            self._idle(batches, now)
        else:
            self.calls.idle()
        return True

    def _work(self, batches: Batches, now: float) -> bool:
        """Try what is next; False where there is nothing to try."""
        worked = False
        if self._held is None and not self.draining:
            lane = self._troubled.try_next(now) if self._troubled is not None else None
            if lane is not None:
                self._place_lane(batches, lane)
                worked = True
        if self._held is None:
            load = batches.next(at_once=self.draining)
            if load is None:
                return worked
            if not load.slices:
                now = self._clock()
                parts = load.parts.values()
                self._ledger.write([self._verdicts.passed(part, now) for part in parts])
                self._place(batches, load)
                return True
            self._held = Held(load)
        self._fault = None
        self._try_held(batches, self._held)
        return True

    def _begin(self) -> Batches:
        """Begin anew, with what the journal says."""
        places = self._journal.lanes(self.name)
        resting = self._resting = self._journal.pauses.of(self.name)
        batches = Batches(
            self.name,
            (self._journal.reader(), self._journal.reader()),
            self._writer,
            self._batching,
            by_key=self._by_key,
            ahead=self._ahead,
            clock=self._clock,
        )
        troubled = TroubledLanes(
            batches,
            self.calls,
            self._verdicts,
            self._batching,
            self._rules,
            self._ledger.write,
            self._clock,
        )
        lanes: dict[str, Lane] = {}
        starts: list[tuple[int, Lane]] = []
        try:
            for table in sorted(self._tables & places.keys()):
                place = places[table]
                start = max(place.start, place.cursor)
                lane = lanes[table] = Lane(table, place.cursor, start, events=place.events)
                if table in resting or WHOLE in resting:
                    continue
                if place.waiting:
                    remember_waiting(batches, lane, place.waiting)
                    lane.more_waits(self._clock())
                    troubled.note(lane)
                if lane.flows(by_key=self._by_key):
                    starts.append((start, lane))
        except BaseException:
            batches.close()
            raise
        batches.begin(starts)
        self.lanes, self._batches, self._troubled = lanes, batches, troubled
        return batches

    def _let_go(self) -> None:
        """Forget all but what is written down."""
        batches, self._batches, self._troubled = self._batches, None, None
        self._held = None
        self.calls.forget()
        self._ledger.forget()
        if batches is not None:
            batches.close()

    # A batch of what comes next.

    def _try_held(self, batches: Batches, held: Held) -> None:
        load = held.load
        outcome = self.calls.deliver(load.slices, load.standing, held=True)
        if outcome is None:
            return
        now = self._clock()
        if outcome.error is None:
            self._held = None
            self.calls.well()
            parts = load.parts.values()
            self._ledger.write([self._verdicts.conclude(p, outcome, now) for p in parts])
            if held.hold.failed and self._troubled is not None:
                self._troubled.forgive()
            if outcome.tables or outcome.events:
                self._charge(load, outcome.seconds)
            self._place(batches, load)
            return
        hold = held.hold.after(outcome.answer, len(load.tables), now, self._rules)
        if hold is not None:
            held.hold = hold
            self.calls.complain(outcome.answer, outcome.error)
            return
        self._held = None
        self.calls.forget()
        self._take_apart(load, outcome.answer, held.hold.failed, now)
        if len(load.tables) == 1:
            self._charge(load, outcome.seconds)
        self._place(batches, load)

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
        self._ledger.write(moves)

    def _charge(self, load: Load, seconds: float) -> None:
        if self._troubled is not None:
            self._troubled.charge([part.lane for part in load.parts.values()], seconds)

    def _place(self, batches: Batches, load: Load) -> None:
        """Let lanes leave those in step, or come back, as they now stand."""
        for part in load.parts.values():
            self._place_lane(batches, part.lane, part)

    def _place_lane(self, batches: Batches, lane: Lane, part: Part | None = None) -> None:
        if lane.full and lane.trouble is None and 2 * len(lane.waiting) < MOST_WAITING:
            lane.full = False
        if self._troubled is not None:
            self._troubled.note(lane)
        if part is not None and lane.cursor < part.to:
            batches.drop(lane)  # what was read behind the cursor is read again
        if lane.flows(by_key=self._by_key):
            lane.since = None
            batches.join(lane)
            return
        batches.drop(lane)
        if part is not None and part.slices:
            lane.since = part.time
            lane.start = max(lane.start, lane.cursor, part.begin)
        trouble = lane.trouble or lane.parked
        if trouble is not None and trouble.due > self._clock():
            cause = trouble.last.error
            self._journalist.warn("lane_waits", lane.table, table=lane.table, cause=cause)

    def _cannot_encode(self, batches: Batches, error: EncodingFailed) -> None:
        lane, stored = error.lane, error.stored
        cause, now = error.cause, self._clock()
        table, answer = lane.table, answer_of(cause)
        trace = cause if answer.said is Said.FAULT else None
        self._journalist.warn(
            "encoding_failed", table, table=table, cause=answer.error, exc_info=trace
        )
        failed = lane.trouble.failed if lane.trouble is not None else 0
        end = stored.offset + stored.count
        lane.trouble = begin(end, answer, failed, now, self._rules, apart=False)
        lane.since = stored.entry.time
        self._place_lane(batches, lane)

    def _skip(self, table: str, asked: Future[int]) -> None:
        """Set the first waiting event of a lane aside, and begin anew."""
        lane, hold = self.lanes.get(table), Hold()
        if self._held is not None and table in self._held.load.tables:
            hold = self._held.hold
        rests = table in self._resting or WHOLE in self._resting
        waits = lane is not None and (hold.failed or lane.trouble or lane.waiting or rests)
        if lane is None or self._troubled is None or not waits:
            _answer(asked, 0)
            return
        try:
            skipped = self._troubled.skip(lane, hold.last)
        except EncodingFailed:  # it waits for what would write it, not for the destination
            skipped = False
        if not skipped:
            _answer(asked, 0)
            return
        while (
            self._ledger.behind and not self._ledger.write() and not (self.draining or self.leaving)
        ):
            pass
        self._let_go()
        _answer(asked, 1)

    # What all of them do.

    def _idle(self, batches: Batches, now: float) -> None:
        """Wait for more to read, or for what is due."""
        self._journalist.flush()
        self._fault = None
        if WHOLE not in self._resting:
            self.calls.open_early(now)
        self.calls.idle()
        dues = self._troubled.due if self._troubled is not None else []
        until = min([now + _LOOK_SECONDS, *dues, *([] if batches.due is None else [batches.due])])
        position = batches.position
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
        """Wait, unless something is asked of us; the sink has its moments meanwhile."""
        until = self._clock() + seconds
        while not self._interrupted() and (left := until - self._clock()) > 0:
            if self._wake.wait(min(left, IDLE_SECONDS)):
                self._wake.clear()
                return
            self.calls.idle()


def _answer(asked: Future[int], events: int) -> None:
    with suppress(InvalidStateError):  # who asked has given up meanwhile
        asked.set_result(events)
