"""The way out of one courier: a try through the connection, and what is shown of how it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.delivery.attempt import Outcome, attempt
from bridge.delivery.connection import Connection, Interrupted
from bridge.delivery.health import Complaint
from bridge.delivery.policy import Answer, Rules, Said, answer_of
from bridge.lines import Slice
from bridge.sinks.base import NotConnected


class Outlet:
    """Delivers for one courier, in its thread.

    Args:
        name: the sink's id.
        connection: shared with other couriers of the sink.
        rules: the numbers of the policy.
        interrupted: whether something else is asked of the courier.
        clock: monotonic.

    Attributes:
        trouble: why nothing goes out, None where it does, or nothing was to.
        attempts: calls to the sink.
        retries: calls of which not all was taken.
        busy_seconds: time spent in the sink.
    """

    def __init__(
        self,
        name: str,
        connection: Connection,
        rules: Rules,
        interrupted: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._interrupted = interrupted
        self._clock = clock
        self._complaint = Complaint(name, clock)
        self._open_due = 0.0
        self._open_failed = 0
        self.trouble: Answer | None = None
        self.attempts = 0
        self.retries = 0
        self.busy_seconds = 0.0

    def deliver(self, slices: Sequence[Slice], *, held: bool = False) -> Outcome | None:
        """Try a batch once.

        Args:
            slices: the batch.
            held: whether it stands for the sink as a whole, which is well once it goes through.

        Returns:
            What came of it; None where something else was asked for meanwhile.
        """
        started = self._clock()
        try:
            with self._connection.use(self._interrupted) as sink:
                if not held:
                    self.well()
                outcome = attempt(sink, slices)
        except Interrupted:
            return None
        except BaseException as error:  # noqa: BLE001 (whatever a sink raises, it is not open)
            return Outcome(_not_open(error), error)
        self.busy_seconds += self._clock() - started
        self.attempts += 1
        if outcome.error is not None or outcome.events or outcome.tables:
            self.retries += 1
        if isinstance(outcome.error, NotConnected):
            self._connection.lose()
        if outcome.answer.said is Said.FAULT and not held:
            self._complaint.begin(outcome.answer.error, outcome.error)
        return outcome

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
        if self.trouble is None or answer.said is not self.trouble.said:
            self.trouble = answer
        self._complaint.begin(answer.error, error if answer.said is Said.FAULT else None)

    def well(self) -> None:
        """Note that things go out."""
        if self.trouble is not None:
            self.trouble = None
            self._complaint.end()


def _not_open(error: BaseException) -> Answer:
    """Read what a sink's `open` raised: whatever it is, the destination is not reached."""
    answer = answer_of(error)
    if answer.said is Said.DISABLED:
        return answer
    return Answer(Said.AWAY, answer.error, answer.answer, answer.after)
