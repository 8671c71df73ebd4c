"""Batches in transactions: the events, and how far each table was delivered, or neither.

What a transaction came to may be unknown when a broker or we are killed in the middle of its
commit. A new producer under the same id settles it, and the topic of cursors says how.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from confluent_kafka import KafkaError, Message, Producer

from bridge.foreign import Cleaner
from bridge.lines import Slice
from bridge.sinks.base import Batch, NotConnected, Reject, Retry
from bridge.sinks.kafka_cursor_topic import CursorTopic
from bridge.sinks.kafka_cursors import TOPIC, runs_of
from bridge.sinks.kafka_errors import FENCED, Fenced, as_retry, broken, is_refusal, translate
from bridge.sinks.kafka_log import Trouble
from bridge.sinks.kafka_outcome import Outcome, Reports
from bridge.sinks.kafka_sending import Once, Sending
from bridge.sinks.kafka_settings import KafkaSettings

INIT_TIMEOUT = 20.0  # seconds for a coordinator to be found, and to end what was begun
COMMIT_TIMEOUT = 30.0  # seconds
MOST_UNDONE = 8  # times that a batch is sent again because something else of it was undone

# What librdkafka says of messages that are given up together with others.
_UNDONE = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})


class Transactions(Sending):
    """Sends each batch, or what it has to be cut into, as a transaction.

    Args:
        connect: makes a producer with the transactional id.
        cursors: what was delivered.
        answers: tells whether the cluster answers.
        settings, topic_of, trouble, clean, once: as for `Sending`.
    """

    def __init__(
        self,
        connect: Callable[[], Producer],
        cursors: CursorTopic,
        answers: Callable[[Producer], bool],
        settings: KafkaSettings,
        topic_of: Callable[[Slice], str],
        trouble: Trouble,
        clean: Cleaner,
        once: Once,
    ) -> None:
        super().__init__(connect(), settings, topic_of, trouble, clean, once)
        self._connect = connect
        self._cursors = cursors
        self._answers = answers
        self._batch = Batch(())
        self._sent: dict[str, list[tuple[int, int]]] = {}
        self._under_way = False

    def open(self) -> None:
        """End what another one under this id had begun, and learn what was delivered.

        Raises:
            NotConnected: it cannot be done now.
        """
        self._call("transactions cannot begin", self.producer.init_transactions, INIT_TIMEOUT)
        self._cursors.read()
        self._begin()
        self._commit([self._cursors.claim()])

    def missing(self, batch: Batch, slices: Sequence[Slice]) -> list[Slice]:
        """Begin a batch; return what of it was not delivered."""
        self._batch, self._sent = batch, runs_of(slices)
        found: list[Slice] = []
        for each in slices:
            replayed = batch.standing(each.table) is None
            found += [each] if replayed else self._cursors.of(each.table).missing(each)
        return found

    def deliver(
        self, slices: Sequence[Slice], outcome: Outcome, present: frozenset[int] = frozenset()
    ) -> None:
        """Send events, and the cursors with them; what fails is left out, and all else sent again.

        Raises:
            NotConnected: what became of the transaction is known once there is a new producer.
        """
        slices = outcome.left_of(slices, self._topic_of)
        if not slices:
            return
        closed = len(outcome.closed)
        self._begin()
        failed = self.send(slices, outcome, present)
        outcome.lost = None
        if not failed and len(outcome.closed) == closed:
            taken = outcome.left_of(slices, self._topic_of)
            self._commit(self._records(taken) if taken else [])
            return
        refused = {o: error for o, error in failed.items() if is_refusal(error)}
        lost = {o: error for o, error in failed.items() if not is_refusal(error)}
        undone = {o for o, error in lost.items() if error.code() in _UNDONE}
        if len(lost) > len(undone):
            self._close_lost(slices, {o: lost[o] for o in lost.keys() - undone}, outcome)
        self._undo()
        if len(outcome.closed) > closed:
            self.deliver(slices, outcome, present)
        elif refused:
            self._again(slices, refused, outcome, present)
        else:
            self._once_more(slices, lost, outcome, present)

    def abandon(self) -> None:
        """Give up what is under way, if that can be done at once."""
        # Else the next one under this id ends it.
        with suppress(NotConnected), broken("given up"):
            self.producer.purge()
            if self._under_way:
                self.producer.abort_transaction(1.0)
        self._under_way = False

    def _is_doomed(self, reports: Reports) -> bool:
        # After one failure librdkafka holds back what it has not sent, until its time is up.
        return bool(reports)

    def _one_refused(
        self,
        slices: Sequence[Slice],
        offset: int,
        found: Retry | Reject,
        outcome: Outcome,
        present: frozenset[int],
    ) -> None:
        if isinstance(found, Reject):
            outcome.rejected[offset] = found
        else:
            outcome.held[offset] = found
        if not (isinstance(found, Reject) and found.certain):
            outcome.hold_back(slices, offset, found)
        self.deliver(slices, outcome, present)

    def _once_more(
        self,
        slices: Sequence[Slice],
        lost: dict[int, KafkaError],
        outcome: Outcome,
        present: frozenset[int],
    ) -> None:
        """Send again what was undone with something else.

        Where one request of several fails, the others are given up with it.
        """
        outcome.undone += 1
        if outcome.undone > MOST_UNDONE:
            raise NotConnected(self._said(slices, lost))
        self.deliver(slices, outcome, present)

    def _close_lost(
        self, slices: Sequence[Slice], lost: dict[int, KafkaError], outcome: Outcome
    ) -> None:
        """Let topics that do not answer wait where the cluster does.

        Raises:
            NotConnected: it does not.
        """
        said = self._said(slices, lost)
        if any(error.code() in FENCED for error in lost.values()):
            raise Fenced(said)
        if not self._answers(self.producer):
            raise NotConnected(said)
        for each in slices:
            if any(offset in lost for offset in range(each.offset, each.end)):
                outcome.closed[self._topic_of(each)] = Retry(said)

    def _said(self, slices: Sequence[Slice], lost: dict[int, KafkaError]) -> str:
        first = min(lost)
        topic = next(self._topic_of(s) for s in slices if s.offset <= first < s.end)
        return str(translate(lost[first], topic, self._trouble.cause, self._clean))

    def _records(self, taken: Sequence[Slice]) -> list[tuple[bytes, bytes]]:
        """Return the records that say what was delivered once these are."""
        cursors = self._cursors
        self._next = {}
        for table, runs in runs_of(taken).items():
            standing = self._batch.standing(table)
            if standing is not None:
                self._next[table] = cursors.of(table).after(standing, self._sent[table], runs)
        return list(cursors.records(self._next))

    def _begin(self) -> None:
        self._next = {}
        self._call("no transaction can begin", self.producer.begin_transaction)
        self._under_way = True

    def _commit(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        failed: list[KafkaError] = []

        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error)

        produce = self.producer.produce
        for key, value in records:
            self._call("no cursor can be written", produce, TOPIC, value, key, -1, report)
        try:
            self._call(
                "the transaction could not be committed",
                self.producer.commit_transaction,
                COMMIT_TIMEOUT,
            )
        except Fenced:
            raise
        except NotConnected as error:
            if failed:
                raise NotConnected(str(as_retry(translate(failed[0], TOPIC)))) from error
            raise
        self._under_way = False
        self._cursors.delivered |= self._next

    def _undo(self) -> None:
        """Undo the transaction, and go on with a new producer.

        The broker counts what it refused otherwise than librdkafka, which would send all that
        follows in vain, or never.
        """
        self.abandon()
        self.producer = self._connect()
        self._call("a transaction cannot be undone", self.producer.init_transactions, INIT_TIMEOUT)

    def _call(self, what: str, call: Callable[..., None], *arguments: object) -> None:
        """Call the producer.

        Raises:
            Fenced, NotConnected: it failed.
        """
        with broken(what, self._trouble.cause, self._clean):
            call(*arguments)
