"""The worker of one sink: the name owns it, whatever is configured under that name.

It brings the sink's lanes to couriers, one, or as many as the sink takes calls at once, each with
lanes of its own. What is configured anew takes effect when every `deliver` that runs has returned:
so two sinks of one name never write at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout

import structlog

from bridge.delivery.ahead import Ahead
from bridge.delivery.calls import Connection
from bridge.delivery.courier import Courier
from bridge.delivery.encoding import Encoder, Writer
from bridge.delivery.health import SinkStats
from bridge.delivery.job import Job
from bridge.delivery.policy import Said
from bridge.delivery.replaying import Replayer
from bridge.formats.base import Output
from bridge.journal import WHOLE, Journal
from bridge.loop import Loop
from bridge.sinks.base import Assignment, Sink, SinkSettings

log = structlog.get_logger()

_LOOK_SECONDS = 0.1
_SKIP_SECONDS = 10.0


class _Crew:
    """The couriers of one job; the first runs in the worker's thread, others in their own."""

    def __init__(self, name: str, job: Job, journal: Journal, encoder: Encoder) -> None:
        self.job = job
        self.connection = Connection(name, job.sink)
        writer = Writer(encoder, job.output)
        self.ahead = Ahead(name, writer)
        self.wakes: list[threading.Event] = []
        self.couriers: list[Courier] = []
        tables = sorted(job.tables)
        number = max(1, min(job.sink.max_in_flight, len(tables)))
        for place in range(number):
            wake = threading.Event()
            self.wakes.append(wake)
            self.couriers.append(
                Courier(
                    name,
                    tables[place::number],
                    self.connection,
                    journal,
                    writer,
                    batching=job.settings.batch,
                    rules=job.rules,
                    by_key=job.sink.ordered_by_key,
                    ahead=self.ahead.ask,
                    wake=wake,
                )
            )
        self.loops = [
            Loop(
                f"sink-{name}-{place}",
                courier.step,
                failed=courier.failed,
                done=courier.close,
            )
            for place, courier in enumerate(self.couriers[1:], 2)
        ]
        self.replayer = Replayer(
            name,
            self.connection,
            journal,
            job,
            hindrance=self.hindrance,
        )
        # Started once there is something to replay.
        self.replay_loop = Loop(
            f"sink-{name}-replay",
            self.replayer.step,
            failed=self.replayer.failed,
            done=self.replayer.close,
        )

    def tell(self, *, draining: bool = False, leaving: bool = False) -> None:
        """Ask all couriers to end, or to deliver what is there and end."""
        for courier in self.couriers:
            courier.draining = courier.draining or draining
            courier.leaving = courier.leaving or leaving
        for wake in self.wakes:
            wake.set()
        if draining or leaving:
            self.replayer.leave()  # what is replayed goes on after a restart

    def hindrance(self) -> str | None:
        """Return why nothing may be replayed now: the live stream goes first."""
        for courier in self.couriers:
            if courier.fault is not None:
                return courier.fault
            if courier.calls.trouble is not None:
                return courier.calls.trouble.error
        return None if self.connection.open else "the sink is connecting"


class Worker:
    """Deliver one sink's events. Any thread may call.

    Args:
        name: the sink's id.
        journal: where lanes are registered before they are configured here.
        encoder: shared by all sinks.

    Attributes:
        loop: its thread.
    """

    def __init__(self, name: str, journal: Journal, encoder: Encoder) -> None:
        self.name = name
        self._journal = journal
        self._encoder = encoder
        self._lock = threading.Lock()  # guards what is asked for, and the loop's end
        self._job: Job | None = None
        self._crew: _Crew | None = None
        self._stopping = False
        self._ended = False
        self._counts = [0, 0, 0.0]  # of crews that are gone: attempts, retries, seconds
        self.loop = self._make_loop()

    def __repr__(self) -> str:
        return f"<Worker of {self.name}>"

    def configure(
        self, sink: Sink, settings: SinkSettings, tables: Collection[str], output: Output
    ) -> None:
        """Take over a configuration: at the start, and at each reload.

        Returns at once. The old sink is closed and the new one opened when the `deliver` that
        runs, if any, has returned.

        Args:
            sink: not open; the worker owns it from now on.
            settings: of the sink.
            tables: those routed to it; their lanes are registered in the journal.
            output: the form that it wants.
        """
        self._ask(Job(sink, settings, frozenset(tables), output))

    def retire(self) -> None:
        """Let the worker end once the `deliver` that runs has returned; `configure` revives it."""
        self._ask(None)

    def start(self) -> None:
        """Start delivering."""
        with self._lock:
            if not self.loop.started:
                self.loop.start()

    def stop(self) -> None:
        """Deliver what is in the journal and end; at the first failure, end."""
        with self._lock:
            self._stopping = True
            crew = self._crew
        if crew is not None:
            crew.tell(draining=True)

    def join(self, timeout: float) -> bool:
        """Wait for the end; False if it did not come within `timeout` seconds."""
        return self.loop.join(timeout)

    def replay(self) -> None:
        """Carry out the replays that the journal has for the sink."""
        with self._lock:
            crew = self._crew
            if crew is None:
                return  # the next one looks
            if not crew.replay_loop.started:
                crew.replay_loop.start()
        crew.replayer.look()

    @property
    def replay_waits(self) -> str | None:
        """Why the present replay does not go on, None where it does."""
        crew = self._crew
        return "the sink is connecting" if crew is None else crew.replayer.why

    def skip(self, table: str) -> int:
        """Set the first waiting event of a table aside by hand.

        Returns:
            How many events were: 1, or 0 where none waits.

        Raises:
            TimeoutError: a try is under way that does not end.
        """
        crew = self._crew
        for courier in crew.couriers if crew is not None else ():
            if table in courier.lanes:
                asked = courier.skip(table)
                try:
                    return asked.result(_SKIP_SECONDS)
                except FutureTimeout:
                    asked.cancel()
                    raise TimeoutError(f"{self.name} is in the middle of a try") from None
                except CancelledError:
                    return 0
        return 0

    def look(self) -> None:
        """Let the couriers look again at what rests, whatever they wait for."""
        crew = self._crew
        for wake in crew.wakes if crew is not None else ():
            wake.set()

    @property
    def loops(self) -> list[Loop]:
        """All threads, the first of them `loop`."""
        crew = self._crew
        if crew is None:
            return [self.loop]
        replay = [crew.replay_loop] if crew.replay_loop.started else []
        return [self.loop, *crew.loops, crew.ahead.loop, *replay]

    def stats(self) -> SinkStats:
        """Return a snapshot."""
        crew = self._crew
        couriers = crew.couriers if crew is not None else []
        resting = self._journal.pauses.of(self.name)
        waiting = {table: "paused by hand" for table in resting if table != WHOLE}
        oldest: dict[str, int] = {}
        flowing = False
        states: list[tuple[str, str | None]] = []
        if self.loop.fault is not None:
            states.append(("failed", self.loop.fault))
        for courier in couriers:
            held, fault = courier.calls.trouble, courier.fault
            if fault is not None:
                states.append(("failed", fault))
            elif held is not None:
                states.append((_STATES[held.said], held.error))
            for lane in courier.lanes.values():
                trouble = lane.trouble or lane.parked
                rests = lane.table in resting
                if trouble is not None and not rests:
                    waiting[lane.table] = trouble.last.error
                    states.append((_STATES[trouble.last.said], trouble.last.error))
                if lane.trouble is None and held is None and fault is None and not rests:
                    flowing = True
                time_ = lane.oldest
                if time_ is not None:
                    oldest[lane.table] = time_
        state, error = self._state(crew, states, flowing=flowing)
        lanes = {table for courier in couriers for table in courier.lanes}
        if WHOLE in resting or (lanes and lanes <= resting.keys()):
            state, error = "paused", None
        attempts, retries, busy = self._counts
        return SinkStats(
            state,
            error,
            waiting,
            oldest,
            int(attempts) + sum(c.calls.attempts for c in couriers),
            int(retries) + sum(c.calls.retries for c in couriers),
            busy + sum(c.calls.busy_seconds for c in couriers),
        )

    def _state(
        self, crew: _Crew | None, states: list[tuple[str, str | None]], *, flowing: bool
    ) -> tuple[str, str | None]:
        if flowing and crew is not None and crew.connection.open:
            return "delivering", None
        if states:
            return states[0]
        if crew is None or not crew.connection.open:
            return "connecting", None
        return "delivering", None

    def _ask(self, job: Job | None) -> None:
        with self._lock:
            self._job = job
            crew = self._crew
            if self._ended and job is not None:
                self._ended = False
                self.loop = self._make_loop()
                self.loop.start()
        if crew is not None:
            crew.tell(leaving=True)

    def _make_loop(self) -> Loop:
        def done() -> None:
            with self._lock:  # a loop that was revived meanwhile is another one
                self._ended = self._ended or loop is self.loop

        loop = Loop(f"sink-{self.name}", self._step, failed=self._failed, done=done)
        return loop

    # The rest runs in the worker's thread.

    def _step(self) -> bool:
        crew, job = self._crew, self._job
        if crew is not None and crew.job is job:
            return crew.couriers[0].step() or self._finish(crew)
        if crew is not None and not self._dismiss(crew):
            return True  # one still delivers; whoever waits for our end has a deadline
        with self._lock:
            if self._job is None:
                self._ended = True
                return False
            job = self._job
            # With the head of now: the sink before this one may have delivered up to there.
            job.sink.assignment = Assignment(
                self.name, self._encoder.journal_id, job.tables, self._journal.head
            )
            crew = _Crew(self.name, job, self._journal, self._encoder)
            crew.tell(draining=self._stopping)
            self._crew = crew
        for loop in (*crew.loops, crew.ahead.loop):
            loop.start()
        if self._journal.replays.next_of(self.name) is not None:
            self.replay()
        return True

    def _finish(self, crew: _Crew) -> bool:
        """The first courier has nothing more to do; return whether to go on."""
        if not self._stopping:
            return True  # something else was configured
        while not all(loop.join(_LOOK_SECONDS) for loop in crew.loops):
            pass
        while not self._dismiss(crew):
            pass  # it encodes ahead; whoever waits for our end has a deadline
        with self._lock:
            self._ended = True
        return False

    def _dismiss(self, crew: _Crew) -> bool:
        """Close what a crew has; False while one of it still delivers."""
        crew.tell(leaving=True)
        crew.ahead.stop()
        loops = (*crew.loops, crew.ahead.loop, crew.replay_loop)
        if not all(loop.join(_LOOK_SECONDS) for loop in loops):
            return False
        crew.couriers[0].close()
        crew.connection.close()
        for place, counted in enumerate(("attempts", "retries", "busy_seconds")):
            self._counts[place] += sum(getattr(each.calls, counted) for each in crew.couriers)
        self._crew = None
        return True

    def _failed(self, error: BaseException) -> None:
        crew = self._crew
        if crew is not None:
            crew.couriers[0].failed(error)


_STATES = {
    Said.ACCEPTED: "retrying",
    Said.REFUSED: "retrying",
    Said.ERROR: "retrying",
    Said.AWAY: "retrying",
    Said.FAULT: "failed",
    Said.DISABLED: "disabled",
}
