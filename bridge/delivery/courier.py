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

from bridge.delivery import lookahead
from bridge.delivery.attempt import Outcome, attempt
from bridge.delivery.connection import Connection, Interrupted
from bridge.delivery.encoding import Encoder
from bridge.delivery.feed import EncodingFailed
from bridge.delivery.feeds import Feeds
from bridge.delivery.health import Complaint, Journalist
from bridge.delivery.lane import MOST_WAITING, Lane, Load, Part, Waits
from bridge.delivery.policy import (
    Ahead,
    Alone,
    Answer,
    Hold,
    Rules,
    Said,
    Trouble,
    Try,
    answer_of,
    begin,
)
from bridge.delivery.verdicts import Verdicts
from bridge.errors import JournalError, SinkError
from bridge.journal import Journal, Move
from bridge.loop import backoff
from bridge.sinks.base import Batching, NotConnected

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
        trouble: the answer to the batch that is held, None where it did not fail.
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
        self._connection = connection
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
        self._complaint = Complaint(name, clock)
        self._feeds: Feeds | None = None
        self._held: _Held | None = None
        self._waiting: dict[str, Lane] = {}  # those of the lanes in which something waits
        self._unwritten: deque[list[Move]] = deque()  # what one try settled, in order
        self._write_failed = 0
        self._looked_at: dict[str, int] = {}  # by table: the last event tried to prove a suspect
        self._skips: deque[tuple[str, Future[int]]] = deque()
        self._open_due = 0.0
        self._open_failed = 0
        self.draining = False
        self.leaving = False
        self.lanes: dict[str, Lane] = {}
        self.trouble: Answer | None = None
        self.fault: str | None = None
        self.attempts = 0
        self.retries = 0
        self.busy_seconds = 0.0

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
            worked = self._try_waiting(feeds, now)
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
        lanes: dict[str, Lane] = {}
        starts: list[tuple[int, Lane]] = []
        for table in sorted(self._tables & places.keys()):
            place = places[table]
            start = max(place.start, place.cursor)
            lane = lanes[table] = Lane(table, place.cursor, start)
            if place.waiting:
                _remember_waiting(feeds, lane, place.waiting)
                lane.more_waits(self._clock())
                self._waiting[table] = lane
            if lane.flows(by_key=self._by_key):
                starts.append((start, lane))
        feeds.begin(starts)
        self.lanes, self._feeds = lanes, feeds
        return feeds

    def _let_go(self) -> None:
        """Forget all but what is written down."""
        feeds, self._feeds = self._feeds, None
        self._held = self.trouble = None
        self._unwritten.clear()
        self._waiting, self._looked_at = {}, {}
        if feeds is not None:
            feeds.close()

    # A batch of what comes next.

    def _try_held(self, feeds: Feeds, held: _Held) -> None:
        load = held.load
        outcome = self._deliver(load)
        if outcome is None:
            return
        now = self._clock()
        if outcome.error is None:
            self._held = None
            self._well()
            self._write([self._verdicts.conclude(p, outcome, now) for p in load.parts.values()])
            self._place(feeds, load)
            return
        hold = held.hold.after(outcome.answer, len(load.tables), now, self._rules)
        if hold is not None:
            held.hold = hold
            self._complain(outcome.answer, outcome.error)
            return
        self._held = self.trouble = None
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
        if lane.trouble is not None or lane.parked is not None:
            self._waiting[lane.table] = lane
        else:
            self._waiting.pop(lane.table, None)
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

    # Lanes that wait.

    def _try_waiting(self, feeds: Feeds, now: float) -> bool:
        """Try the lane that is due longest; False where none is."""
        best: tuple[float, Lane, Trouble] | None = None
        for lane in self._waiting.values():
            for trouble in (lane.trouble, lane.parked):
                if (
                    trouble is not None
                    and trouble.due <= now
                    and (not best or trouble.due < best[0])
                ):
                    best = trouble.due, lane, trouble
        if best is None:
            return False
        _, lane, trouble = best
        if isinstance(trouble.step, Ahead):
            self._look_ahead(feeds, lane, trouble, trouble.step)
        elif trouble is lane.trouble:
            self._try_lane(feeds, lane, trouble.step)
        else:
            self._try_parked(feeds, lane, trouble.step)
        self._place_lane(feeds, lane)
        return True

    def _try_lane(self, feeds: Feeds, lane: Lane, step: Try | Alone) -> None:
        stop = step.stop if isinstance(step, Try) else step.offset + 1
        load = Load(self._batching.max_events, self._batching.max_bytes)
        more = feeds.alone(lane, stop=stop).extend(load)
        part = load.part(lane)
        if not more and not part.slices:
            part.to = max(part.to, stop)
        outcome = self._deliver(load) if part.slices else Outcome()
        if outcome is None:
            return
        lane.since = part.time if part.slices else lane.since
        now = self._clock()
        if outcome.error is not None:
            self._write([self._verdicts.failed(part, outcome.answer, now)])
        else:
            self._write([self._verdicts.conclude(part, outcome, now)])

    def _try_parked(self, feeds: Feeds, lane: Lane, step: Try | Alone) -> None:
        stop = step.stop if isinstance(step, Try) else step.offset + 1
        start = 0 if isinstance(step, Try) else step.offset
        only = [offset for offset in lane.waiting if start <= offset < stop]
        only = only[: self._batching.max_events]
        load = Load(self._batching.max_events, self._batching.max_bytes)
        full = feeds.alone(lane, only=only).extend(load) if only else False
        part = load.part(lane)
        if not full:
            self._forget_missing(lane, only, part)
        if not part.slices:
            lane.parked = lane.parked and lane.parked.passed(self._clock())
            lane.more_waits(self._clock())
            return
        outcome = self._deliver(load)
        if outcome is not None:
            self._write([self._verdicts.waited(part, outcome, self._clock())])

    def _look_ahead(self, feeds: Feeds, lane: Lane, trouble: Trouble, step: Ahead) -> None:
        """Try another event of the table than the suspect."""
        blocking = trouble is lane.trouble
        tried = self._looked_at.get(lane.table, -1) if step.distance > 1 else -1
        find = lookahead.in_order if blocking else lookahead.by_key
        load = find(feeds.alone, lane, step, tried)
        answer: Answer | None = None
        if load is not None:
            part = lookahead.only_part(load)
            self._looked_at[lane.table] = part.first
            outcome = self._deliver(load)
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

    def _skip(self, feeds: Feeds, table: str, asked: Future[int]) -> None:
        """Set the first waiting event of a lane aside, and begin anew."""
        lane = self.lanes.get(table)
        held = (
            self._held is not None and self.trouble is not None and table in self._held.load.parts
        )
        if lane is None or not (held or lane.trouble or lane.waiting):
            _answer(asked, 0)
            return
        trouble = lane.trouble or lane.parked
        last = trouble.last if trouble is not None else self.trouble
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

    def _deliver(self, load: Load) -> Outcome | None:
        """Try a batch once; None where something else was asked for meanwhile."""
        now = self._clock()
        try:
            self._connection.connect(self._interrupted)
        except Interrupted:
            return None
        except BaseException as error:  # noqa: BLE001 (whatever a sink raises, it is not open)
            return Outcome(_not_open(error), error)
        if self._held is None:
            self._well()
        try:
            with self._connection.use(self._interrupted) as sink:
                outcome = attempt(sink, load.slices)
        except Interrupted:
            return None
        self.busy_seconds += self._clock() - now
        self.attempts += 1
        if outcome.error is not None or outcome.events or outcome.tables:
            self.retries += 1
        if isinstance(outcome.error, NotConnected):
            self._connection.lose()
        return outcome

    def _write(self, moves: Sequence[Move | None] = ()) -> bool:
        """Write down what became of events; what cannot be written is kept for later."""
        known = [move for move in moves if move is not None]
        if known:
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

    def _complain(self, answer: Answer, error: BaseException) -> None:
        if self.trouble is None or answer.said is not self.trouble.said:
            self.trouble = answer
        self._complaint.begin(answer.error, error if answer.said is Said.FAULT else None)

    def _idle(self, feeds: Feeds, now: float) -> None:
        """Wait for more to read, or for what is due."""
        self._journalist.flush()
        self.fault = None
        self._open_early(now)
        dues = [t.due for lane in self._waiting.values() for t in (lane.trouble, lane.parked) if t]
        until = min([now + _LOOK_SECONDS, *dues, *([] if feeds.due is None else [feeds.due])])
        position = feeds.position
        seconds = max(0.0, until - self._clock())
        if position is None:
            self._pause(seconds)
        else:
            started = self._clock()
            if not self._journal.wait(position, seconds) and self._clock() < started + seconds / 2:
                self._pause(seconds)  # the journal is closed: nobody waits in it

    def _open_early(self, now: float) -> None:
        """Connect though there is nothing to send, so that trouble shows before there is."""
        if self._connection.open:
            self._open_failed = 0
            self._well()
            return
        if now < self._open_due:
            return
        try:
            self._connection.connect(self._interrupted)
        except Interrupted:
            return
        except BaseException as error:  # noqa: BLE001 (as above)
            self._open_failed += 1
            self._open_due = self._clock() + self._rules.pause(self._open_failed)
            self._complain(_not_open(error), error)
        else:
            self._open_failed = 0
            self._well()

    def _well(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            self._complaint.end()

    def _interrupted(self) -> bool:
        return self.draining or self.leaving

    def _pause(self, seconds: float) -> None:
        if seconds > 0 and not self.draining and not self.leaving:
            self._wake.wait(min(seconds, _LONGEST_SECONDS))
            self._wake.clear()


def _remember_waiting(feeds: Feeds, lane: Lane, offsets: Sequence[int]) -> None:
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


def _answer(asked: Future[int], events: int) -> None:
    with suppress(InvalidStateError):  # who asked has given up meanwhile
        asked.set_result(events)


def _not_open(error: BaseException) -> Answer:
    """Read what a sink's `open` raised: whatever it is, the destination is not reached."""
    answer = answer_of(error)
    if answer.said is Said.DISABLED:
        return answer
    return Answer(Said.AWAY, answer.error, answer.answer, answer.after)


def _text(error: BaseException) -> str:
    known = isinstance(error, SinkError | JournalError)
    return str(error) if known else f"{type(error).__name__}: {error}"
