"""Every call to a sink is made here: it is opened, lent for tries, told to idle, and closed.

A connection is shared by all couriers of a sink, so that nothing else is ever called while a
`deliver` runs. Each courier has its own `Calls`, which say how it gets on with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from bridge.delivery.health import Complaint, text_of
from bridge.delivery.policy import ACCEPTED, Answer, Rules, Said, answer_of
from bridge.errors import Reject, Retry
from bridge.lines import Slice
from bridge.loop import Deadline
from bridge.sinks.base import Batch, NotConnected, Sink, Standing

log = structlog.get_logger()

IDLE_SECONDS = 1.0  # between two calls of a sink's `idle`
_LOOK_SECONDS = 0.2


class Interrupted(Exception):
    """Whoever waits is to do something else."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one try came to.

    Attributes:
        answer: to the batch as a whole; acceptance says that `deliver` returned.
        error: what it raised, None if it returned.
        events: by offset, what was marked as not delivered.
        tables: by table, likewise.
        seconds: how long it took.
    """

    answer: Answer = ACCEPTED
    error: BaseException | None = None
    events: Mapping[int, Retry | Reject] = field(default_factory=dict)
    tables: Mapping[str, Retry | Reject] = field(default_factory=dict)
    seconds: float = 0.0


def attempt(
    sink: Sink,
    slices: Sequence[Slice],
    clock: Callable[[], float] = time.monotonic,
    standing: Callable[[str], Standing] | None = None,
) -> Outcome:
    """Hand events to a sink once. Whatever it raises is an outcome, never an exception."""
    batch = Batch(slices, standing)
    started = clock()
    try:
        sink.deliver(batch)
    except BaseException as error:  # noqa: BLE001 (a plug-in's SystemExit must not end us)
        return Outcome(answer_of(error), error, seconds=clock() - started)
    seconds = clock() - started
    return Outcome(events=batch.failed_events, tables=batch.failed_tables, seconds=seconds)


class Connection:
    """Opens and closes a sink, and lets it idle, so that none is done while a `deliver` runs.

    Args:
        name: the sink's id.
        sink: not open.
        clock: monotonic.

    Attributes:
        trouble: what the last call of `idle` came to, None where all is well.
    """

    def __init__(self, name: str, sink: Sink, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._sink = sink
        self._clock = clock
        self._most_users = max(1, sink.max_in_flight)
        self._complaint = Complaint(name, clock)
        self._turn = threading.Condition()  # guards all below
        self._open = False
        self._lost = False  # to be closed before it is opened again
        self._busy = False  # somebody opens it, closes it, or lets it idle
        self._users: list[frozenset[str]] = []  # the tables of each
        self._replayed: frozenset[str] | None = None  # the tables of a replay's call, if one runs
        self._live_waits = 0  # those who wait for the end of a replay's call
        self._idled = 0.0  # when it was opened, or last let idle
        self.trouble: Answer | None = None

    @property
    def open(self) -> bool:
        """Whether it is open."""
        return self._open and not self._lost

    def connect(self, interrupted: Callable[[], bool]) -> None:
        """Open the sink unless it is open.

        Raises:
            Interrupted: as the callable says, while it waited for others.
            BaseException: what the sink's `open` raised; it is not open.
        """
        with self._turn:
            while self._busy or (self._lost and self._users):
                if interrupted():
                    raise Interrupted
                self._turn.wait(_LOOK_SECONDS)
            if self._open and not self._lost:
                return
            self._busy = True
        try:
            if self._lost:
                self._close_quietly()
            self._sink.open()
            self._open, self._lost, self.trouble = True, False, None
        finally:
            self._release()

    @contextmanager
    def use(
        self,
        interrupted: Callable[[], bool],
        tables: frozenset[str] = frozenset(),
        *,
        replaying: bool = False,
    ) -> Iterator[Sink]:
        """Lend the sink, open; raises as `connect`.

        A replay's call never runs beside a live one of the same table, or where that would be
        one more than the sink takes; live ones go first.

        Args:
            interrupted: whether to wait no longer.
            tables: those of which there are events in the call.
            replaying: whether they are delivered again.
        """
        while True:
            self.connect(interrupted)
            with self._turn:
                if not self._open or self._lost or self._busy:
                    continue
                if self._may_enter(tables, replaying=replaying):
                    self._users.append(tables)
                    self._replayed = tables if replaying else self._replayed
                    break
                self._live_waits += not replaying
                try:
                    self._turn.wait(_LOOK_SECONDS)
                finally:
                    self._live_waits -= not replaying
            if interrupted():
                raise Interrupted
        try:
            yield self._sink
        finally:
            with self._turn:
                self._users.remove(tables)
                self._replayed = None if replaying else self._replayed
                self._turn.notify_all()

    def _may_enter(self, tables: frozenset[str], *, replaying: bool) -> bool:
        if not replaying and self._replayed is None:
            return True  # live calls have tables of their own, and are no more than may be
        if len(self._users) >= self._most_users or (replaying and self._live_waits):
            return False
        others = self._users if replaying else [self._replayed or frozenset()]
        return not any(tables & other for other in others)

    def idle(self) -> None:
        """Let the sink do what it needs between batches, about once a second."""
        if not self.open or self._clock() - self._idled < IDLE_SECONDS:
            return
        with self._turn:
            if self._busy or self._users:
                return
            self._busy = True
        try:
            self._sink.idle()
        except BaseException as error:  # noqa: BLE001 (a plug-in's, as with `deliver`)
            self._lost = self._lost or isinstance(error, NotConnected)
            answer = answer_of(error)
            if self.trouble is None or answer.said is not self.trouble.said:
                self.trouble = answer
            self._complaint.begin(answer.error, error if answer.said is Said.FAULT else None)
        else:
            self.trouble = None
            self._complaint.end()
        finally:
            self._release()

    def well(self) -> None:
        """Note that the sink delivers, whatever `idle` came to."""
        self.trouble = None

    def lose(self) -> None:
        """Note that the connection is gone: who wants it next closes it and opens it anew."""
        with self._turn:
            self._lost = True

    def close(self, timeout: float = 0.0) -> bool:
        """Close the sink once nobody uses it; False if somebody still does after `timeout`."""
        deadline = Deadline(timeout)
        with self._turn:
            while self._busy or self._users:
                if deadline.passed:
                    return False
                self._turn.wait(min(_LOOK_SECONDS, deadline.left))
            self._busy = True
        try:
            self._close_quietly()
            self._open = False
        finally:
            self._release()
        return True

    def _release(self) -> None:
        with self._turn:
            self._busy = False
            self._idled = self._clock()
            self._turn.notify_all()

    def _close_quietly(self) -> None:
        try:
            self._sink.close()
        except BaseException as error:  # noqa: BLE001 (closing is a courtesy)
            log.warning("sink_close_failed", sink=self._name, cause=text_of(error))


class Calls:
    """The calls of one courier, in its thread, and what is shown of how they went.

    Args:
        name: the sink's id.
        connection: shared with other couriers of the sink.
        rules: the numbers of the policy.
        interrupted: whether something else is asked of the courier.
        clock: monotonic.
        replaying: whether events are delivered again.

    Attributes:
        attempts: calls of `deliver`.
        retries: those of which not all was taken.
        busy_seconds: time spent in them.
    """

    def __init__(
        self,
        name: str,
        connection: Connection,
        rules: Rules,
        interrupted: Callable[[], bool],
        clock: Callable[[], float],
        *,
        replaying: bool = False,
    ) -> None:
        self._connection = connection
        self._replaying = replaying
        self._rules = rules
        self._interrupted = interrupted
        self._clock = clock
        self._complaint = Complaint(name, clock)
        self._open_due = 0.0
        self._open_failed = 0
        self._held: Answer | None = None
        self.attempts = 0
        self.retries = 0
        self.busy_seconds = 0.0

    @property
    def trouble(self) -> Answer | None:
        """Why nothing goes out, None where it does, or nothing was to."""
        return self._held or self._connection.trouble

    def deliver(
        self,
        slices: Sequence[Slice],
        standing: Callable[[str], Standing] | None = None,
        *,
        held: bool = False,
    ) -> Outcome | None:
        """Try a batch once.

        Args:
            slices: the batch.
            standing: where its tables stand afterwards; None where no cursor moves.
            held: whether it stands for the sink as a whole, which is well once it goes through.

        Returns:
            What came of it; None where something else was asked for meanwhile.
        """
        started = self._clock()
        tables = frozenset(each.table for each in slices)
        if self._replaying:
            standing = None  # its cursors are no cursors of the sink's
        use = self._connection.use(self._interrupted, tables, replaying=self._replaying)
        try:
            with use as sink:
                if not held:
                    self.well()
                outcome = attempt(sink, slices, self._clock, standing)
        except Interrupted:
            return None
        except BaseException as error:  # noqa: BLE001 (whatever a sink raises, it is not open)
            return Outcome(_not_open(error), error, seconds=self._clock() - started)
        self.busy_seconds += outcome.seconds
        self.attempts += 1
        if outcome.error is not None or outcome.events or outcome.tables:
            self.retries += 1
        if outcome.error is None:
            self._connection.well()
        if isinstance(outcome.error, NotConnected):
            self._connection.lose()
        if outcome.answer.said is Said.FAULT and not held:
            self._complaint.begin(outcome.answer.error, outcome.error)
        return outcome

    def idle(self) -> None:
        """Give the sink its moment, if nothing was delivered for a while."""
        self._connection.idle()

    def open_early(self, now: float) -> None:
        """Connect though there is nothing to send, so that trouble shows before there is."""
        if not self._connection.open:
            if now < self._open_due:
                return
            try:
                self._connection.connect(self._interrupted)
            except Interrupted:
                return
            except BaseException as error:  # noqa: BLE001 (as above)
                self._open_failed += 1
                self._open_due = self._clock() + self._rules.pause(self._open_failed)
                self.complain(_not_open(error), error)
                return
        self._open_failed = 0
        self.well()

    def complain(self, answer: Answer, error: BaseException | None) -> None:
        """Note why nothing goes out; the first cause is kept as long as it is of one kind."""
        if self._held is None or answer.said is not self._held.said:
            self._held = answer
        self._complaint.begin(answer.error, error if answer.said is Said.FAULT else None)

    def well(self) -> None:
        """Note that things go out."""
        if self._held is not None:
            self._held = None
            self._complaint.end()

    def forget(self) -> None:
        """Note that what did not go out is no more to go out as it was."""
        self._held = None


def _not_open(error: BaseException) -> Answer:
    """Read what a sink's `open` raised: whatever it is, the destination is not reached."""
    answer = answer_of(error)
    if answer.said is Said.DISABLED:
        return answer
    return Answer(Said.AWAY, answer.error, answer.answer, answer.after)
