"""Events to Kafka, each a message with the table's key, confirmed by all replicas in sync.

A batch is produced in order, and `deliver` waits until the producer's queue is empty. Only
failures are reported, time-outs and purges among them, so an empty queue says that all the others
are confirmed. The producer is idempotent, so librdkafka's own retries neither double nor reorder;
when one is given up, a new producer takes over, and the failed events go out again together with
those behind them of the same key. With `transactional` a batch is one transaction instead.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, ClassVar

import structlog
from confluent_kafka import KafkaException, Producer

from bridge.errors import excerpt
from bridge.foreign import Cleaner
from bridge.formats.base import Carries
from bridge.lines import Slice
from bridge.sinks.base import Batch, NotConnected, Retry, Sink, SinkSettings
from bridge.sinks.kafka_checks import findings
from bridge.sinks.kafka_cursors import TOPIC
from bridge.sinks.kafka_errors import broken
from bridge.sinks.kafka_fence import Fence
from bridge.sinks.kafka_log import QuietLog, Trouble
from bridge.sinks.kafka_outcome import Outcome
from bridge.sinks.kafka_sending import Once, Sending
from bridge.sinks.kafka_settings import KafkaSettings
from bridge.sinks.kafka_topics import Topics
from bridge.sinks.kafka_transactions import Transactions
from bridge.sinks.names import fill, is_of_table

CONNECT_TIMEOUT = 10.0  # seconds for the first answer of a cluster
ALL_DOWN_TIMEOUT = 2.0  # seconds once every address was tried: a name may have several
ANSWER_TIMEOUT = 1.0  # seconds to tell a cluster that is away from a topic in trouble
LONGEST_TOPIC = 249  # characters, Kafka's limit
NOTIFICATIONS = ".notifications"

_ILLEGAL = re.compile(r"[^a-zA-Z0-9._-]")

_log = structlog.get_logger(__name__)


class KafkaSink(Sink):
    """Produces each event as one message.

    Retried: everything but what follows; a topic that is missing or forbidden, or that cannot be
    because of its name, holds up its tables alone. Rejected: what a broker will never take, above
    all a message over its size limit, or one without a key for a compacted topic.
    """

    Settings: ClassVar[type[SinkSettings]] = KafkaSettings
    carries: ClassVar[frozenset[Carries]] = frozenset(
        {Carries.TEXT, Carries.BINARY, Carries.ATTRIBUTES, Carries.NOTIFICATIONS}
    )
    ordered_by_key: ClassVar[bool] = True

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._clean = Cleaner(settings.secrets())
        self._quiet = QuietLog(self._clean)
        self._topics = Topics(
            settings.connection(), settings.create_topics, self._quiet, self._clean
        )
        self._names: dict[str, str] = {}
        self._sending: Sending | None = None
        self._fence: Fence | None = None
        self._trouble = Trouble()
        self._once = Once()

    def open(self) -> None:
        """Make a producer and wait for the cluster's answer.

        Raises:
            NotConnected: no broker answers, or another bridge writes; the message has the cause.
        """
        self.close()
        for weakness in self._settings.weakened():
            self._once.warn("kafka_promise_weakened", key=weakness, cause=weakness)
        self._sending = self._open()

    def deliver(self, batch: Batch) -> None:
        """Produce the events and return when it is known of each whether it was taken.

        Raises:
            NotConnected: none was delivered, and the cluster does not answer.
            Retry: the one topic of all tables cannot be written.
        """
        sending = self._sending = self._sending or self._open()
        slices = self._with_a_topic(batch)
        outcome = Outcome(closed=self._topics.ensure({self._topic_of(each) for each in slices}))
        if isinstance(sending, Transactions):
            slices = sending.missing(batch, slices)
        try:
            sending.deliver(slices, outcome)
        except NotConnected as error:
            if self._fence is not None:
                self._fence.note(error)
            self.close()
            raise
        if outcome.is_clear:
            self._trouble.cause = ""
            return
        if outcome.lost is not None:
            all_of_it = sum(len(part) for part, _ in outcome.retried) == len(batch)
            cluster_is_away = all_of_it and not self._answers(sending.producer)
            self.close()  # what was given up makes this producer unfit; the next call connects
            if cluster_is_away:
                raise outcome.lost
        self._mark(batch, outcome)

    def idle(self) -> None:
        """Serve librdkafka, which else keeps all it has to say."""
        if self._sending is not None:
            with broken("the producer has failed", clean=self._clean):
                self._sending.producer.poll(0)

    def check(self) -> str | None:
        """Wait for the cluster's answer, and ask about topics; nothing is produced."""
        trouble = self._trouble
        try:
            self._connect()
        finally:
            self._trouble = trouble
        work = self.assignment
        return findings(self._topics, self._settings, work.tables, self.place_of, work.sizes)

    def close(self) -> None:
        """Let the producer go, with whatever nobody waits for any more."""
        sending, self._sending = self._sending, None
        if isinstance(sending, Transactions):
            sending.abandon()
        if sending is not None and len(sending.producer):
            with suppress(NotConnected), broken("given up"):
                sending.producer.purge()
                sending.producer.flush(1.0)

    def place_of(self, table: str) -> str:
        """Return the topic of a table's events.

        Raises:
            Retry: no topic can have that name.
        """
        topic = self._names.get(table)
        if topic is None:
            if len(self._names) > 10_000:  # tables come and go; this only saves work
                self._names.clear()
            topic = fill(self._settings.topic, table, lambda name: _ILLEGAL.sub("_", name))
            self._names[table] = topic
        return _possible(topic)

    def _topic_of(self, part: Slice) -> str:
        topic = self.place_of(part.table)
        return _possible(topic + NOTIFICATIONS) if part.lines.notification else topic

    def _open(self) -> Sending:
        if not self._settings.transactional:
            producer = self._connect()
            return Sending(
                producer, self._settings, self._topic_of, self._trouble, self._clean, self._once
            )
        fence = self._fence
        if fence is None or fence.assignment != self.assignment:
            fence = self._fence = Fence(self._settings, self.assignment, self.place_of, self._quiet)
        self._connect()
        self._topics.ensure_cursors()
        if self._topics.forgets_cursors():
            cause = f"topic {TOPIC} is not compacted: set its cleanup.policy to compact"
            self._once.warn("kafka_promise_weakened", key=TOPIC, cause=cause)
        fence.wait_for_its_turn()
        sending = Transactions(
            lambda: self._connect({"transactional.id": fence.transactional_id}, self._trouble),
            fence.cursors,
            self._answers,
            self._settings,
            self._topic_of,
            self._trouble,
            self._clean,
            self._once,
        )
        try:
            sending.open()
        except NotConnected as error:
            fence.note(error)
            raise
        return sending

    def _connect(
        self, more: dict[str, str] | None = None, trouble: Trouble | None = None
    ) -> Producer:
        trouble = self._trouble = trouble or Trouble()
        ours = {
            "error_cb": trouble.report,
            # Said to the client, which skips its callbacks: librdkafka itself reports them all.
            "delivery.report.only.error": True,
        }
        configuration: dict[str, Any] = self._settings.configuration() | ours | (more or {})
        producer = Producer(configuration, logger=self._quiet)
        end = time.monotonic() + CONNECT_TIMEOUT
        while True:
            producer.poll(0)
            try:
                producer.cluster_id(0.1)
            except KafkaException as error:
                down = trouble.all_down_since
                if time.monotonic() > min(end, end if down is None else down + ALL_DOWN_TIMEOUT):
                    cause = self._clean(trouble.cause or error.args[0].str())
                    servers = self._settings.bootstrap_servers
                    raise NotConnected(f"no answer from {servers}: {cause}") from error
            else:
                return producer

    def _answers(self, producer: Producer) -> bool:
        """Tell whether the cluster answers, so that the topics of some tables are in trouble."""
        if not is_of_table(self._settings.topic):
            return False
        try:
            producer.list_topics(timeout=ANSWER_TIMEOUT)
        except KafkaException:
            return False
        return True

    def _with_a_topic(self, batch: Batch) -> list[Slice]:
        found = []
        for each in batch.slices:
            try:
                self._topic_of(each)
            except Retry as error:
                batch.fail(each if each.lines.notification else each.table, error)
            else:
                found.append(each)
        return found

    def _mark(self, batch: Batch, outcome: Outcome) -> None:
        self._topics.forget(outcome.closed)
        sent = _count(batch.slices)
        closed: list[tuple[Slice, Retry]] = []
        if outcome.closed:
            marked = batch.failed_tables.keys()
            there = [each for each in self._with_a_topic(batch) if each.table not in marked]
            topics = [(each, self._topic_of(each)) for each in there]
            closed = [(each, outcome.closed[t]) for each, t in topics if t in outcome.closed]
            if len(closed) == len(batch.slices) and not is_of_table(self._settings.topic):
                raise closed[0][1]
        outcome.retried += closed
        failed = _count(part for part, _ in outcome.retried)
        for part, again in outcome.retried:
            batch.fail(part.table if failed[part.table] == sent[part.table] else part, again)
        for each in batch.slices:
            among = set(range(each.offset, each.end))
            for offset in (outcome.rejected.keys() | outcome.held.keys()) & among:
                at = offset - each.offset
                error = outcome.rejected.get(offset) or outcome.held[offset]
                batch.fail(each.part(at, at + 1), error)


def _possible(topic: str) -> str:
    """Return a topic's name if there can be one of it.

    Raises:
        Retry: there cannot.
    """
    if len(topic) > LONGEST_TOPIC:
        much = f"{len(topic)} characters, and Kafka allows {LONGEST_TOPIC}"
        raise Retry(f"topic {excerpt(topic, 100)}: the name has {much}")
    if topic in {"", ".", ".."}:
        raise Retry(f"Kafka has no topic named {topic!r}")
    return topic


def _count(slices: Iterable[Slice]) -> Counter[str]:
    """Return how many events there are of each table."""
    events: Counter[str] = Counter()
    for each in slices:
        events[each.table] += len(each)
    return events
