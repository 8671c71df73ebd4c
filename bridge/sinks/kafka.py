"""Events to Kafka, each a message with the table's key, confirmed by all replicas in sync.

A batch is produced in order, and `deliver` waits until the producer's queue is empty. Only
failures are reported, time-outs and purges among them, so an empty queue says that all the others
are confirmed. The producer is idempotent, so librdkafka's own retries neither double nor reorder;
when one is given up, a new producer takes over, and the failed events go out again together with
those behind them of the same key.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from bridge.errors import excerpt
from bridge.foreign import Cleaner
from bridge.lines import Slice
from bridge.sinks.base import Batch, Carries, NotConnected, Reject, Retry, Sink, SinkSettings
from bridge.sinks.kafka_errors import (
    as_retry,
    is_of_topic,
    is_refusal,
    late_among,
    translate,
)
from bridge.sinks.kafka_log import QuietLog, Trouble
from bridge.sinks.kafka_messages import Feeder
from bridge.sinks.kafka_outcome import Outcome, Reports, halves, with_followers
from bridge.sinks.kafka_settings import KafkaSettings
from bridge.sinks.names import fill, is_of_table

CONNECT_TIMEOUT = 10.0  # seconds for the first answer of a cluster
ALL_DOWN_TIMEOUT = 2.0  # seconds once every address was tried: a name may have several
ANSWER_TIMEOUT = 1.0  # seconds to tell a cluster that is away from a topic in trouble
REPORT_SLACK = 10.0  # seconds over the message time-out until missing reports are given up
LONGEST_TOPIC = 249  # characters, Kafka's limit

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
        self._topics: dict[str, str] = {}
        self._producer: Producer | None = None
        self._trouble = Trouble()
        self._warned: set[str] = set()

    def open(self) -> None:
        """Make a producer and wait for the cluster's answer.

        Raises:
            NotConnected: no broker answers; the message has the cause.
        """
        self.close()
        for weakness in self._settings.weakened():
            self._warn("kafka_promise_weakened", cause=weakness)
        self._producer = self._connect()

    def deliver(self, batch: Batch) -> None:
        """Produce the events and return when it is known of each whether it was taken.

        Raises:
            NotConnected: none was delivered, and the cluster does not answer.
            Retry: the one topic of all tables cannot be written.
        """
        if self._producer is None:
            self._producer = self._connect()
        slices = list(self._with_a_topic(batch))
        outcome = Outcome()
        try:
            self._deliver(self._producer, slices, frozenset(), outcome)
        except NotConnected:
            self.close()
            raise
        if outcome.is_clear:
            self._trouble.cause = ""
            return
        if outcome.lost is not None:
            all_of_it = sum(len(part) for part, _ in outcome.retried) == len(batch)
            cluster_is_away = all_of_it and not self._answers(self._producer)
            self.close()  # what was given up makes this producer unfit; the next call connects
            if cluster_is_away:
                raise outcome.lost
        self._mark(batch, outcome)

    def idle(self) -> None:
        """Serve librdkafka, which else keeps all it has to say."""
        if self._producer is not None:
            self._producer.poll(0)

    def check(self) -> None:
        """Wait for the cluster's answer, with a producer of its own; nothing is produced."""
        trouble = self._trouble
        try:
            self._connect()
        finally:
            self._trouble = trouble

    def close(self) -> None:
        """Let the producer go, with whatever nobody waits for any more."""
        producer, self._producer = self._producer, None
        if producer is not None and len(producer):
            producer.purge()
            producer.flush(1.0)

    def place_of(self, table: str) -> str:
        """Return the topic of a table's events.

        Raises:
            Retry: no topic can have that name.
        """
        topic = self._topics.get(table)
        if topic is None:
            if len(self._topics) > 10_000:  # tables come and go; this only saves work
                self._topics.clear()
            topic = fill(self._settings.topic, table, lambda name: _ILLEGAL.sub("_", name))
            self._topics[table] = topic
        if len(topic) > LONGEST_TOPIC:
            much = f"{len(topic)} characters, and Kafka allows {LONGEST_TOPIC}"
            raise Retry(f"topic {excerpt(topic, 100)}: the name has {much}")
        if topic in {"", ".", ".."}:
            raise Retry(f"Kafka has no topic named {topic!r}")
        return topic

    def _connect(self) -> Producer:
        trouble = self._trouble = Trouble()
        ours = {
            "error_cb": trouble.report,
            # Said to the client, which skips its callbacks: librdkafka itself reports them all.
            "delivery.report.only.error": True,
        }
        configuration: dict[str, Any] = self._settings.configuration() | ours
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
                self.place_of(each.table)
            except Retry as error:
                batch.fail(each.table, error)
            else:
                found.append(each)
        return found

    def _deliver(
        self,
        producer: Producer,
        slices: Sequence[Slice],
        present: frozenset[int],
        outcome: Outcome,
    ) -> None:
        """Send events, those of `present` with the present time.

        A broker that refuses the content of a message refuses its companions in the request
        with it. Where that hits several, they are sent again in halves until the guilty one
        stands alone.
        """
        failed = {} if outcome.is_lost() else self._send(producer, slices, present, outcome)
        if outcome.is_lost():
            again = with_followers(slices, failed) if failed else slices
            outcome.retry(again, outcome.lost)
        elif failed:
            self._again(producer, with_followers(slices, failed), failed, present, outcome)

    def _again(
        self,
        producer: Producer,
        slices: Sequence[Slice],
        refused: dict[int, KafkaError],
        present: frozenset[int],
        outcome: Outcome,
    ) -> None:
        late = late_among(refused, known=outcome.times_refused) - present
        if late:
            outcome.times_refused = True
            self._warn(
                "kafka_time_refused",
                cause=self._clean(refused[min(late)].str()),
                hint="such events are sent with the present time; see message.timestamp.*.max.ms",
            )
            self._deliver(producer, slices, present | late, outcome)
        elif len(refused) == 1:
            ((offset, error),) = refused.items()
            table = next(each.table for each in slices if each.offset <= offset < each.end)
            found = translate(error, self.place_of(table), clean=self._clean)
            if isinstance(found, Reject):
                outcome.rejected[offset] = found
            else:
                outcome.retry(slices, found)
        else:
            self._warn(
                "kafka_request_refused",
                cause=self._clean(next(iter(refused.values())).str()),
                hint="sending in smaller parts; set batch.size in options below the topic's limit",
            )
            for half in halves(slices):
                self._deliver(producer, half, present, outcome)

    def _send(
        self,
        producer: Producer,
        slices: Sequence[Slice],
        present: frozenset[int],
        outcome: Outcome,
    ) -> dict[int, KafkaError]:
        """Produce and wait; return the errors by offset of those that may go out again."""
        reports = Reports()
        settings = self._settings
        feeder = Feeder(
            producer,
            reports.add,
            headers=settings.headers,
            timestamps=settings.timestamp == "event",
        )
        for each in slices:
            topic = self.place_of(each.table)
            if topic in outcome.closed:
                continue
            for offset, error in feeder.feed(topic, each, present):
                found = translate(error, topic, self._trouble.cause, self._clean)
                if isinstance(found, Reject):
                    outcome.rejected[offset] = found
                elif is_of_topic(error):
                    outcome.closed[topic] = as_retry(found)
                    break
                else:  # the producer has failed for good
                    raise found
        self._wait(producer)
        failed = {}
        for topic, offset, error in reports.found(slices, self.place_of):
            if is_of_topic(error):
                outcome.closed[topic] = as_retry(translate(error, topic, clean=self._clean))
            else:
                failed[offset] = error
                if not is_refusal(error) and outcome.lost is None:
                    found = translate(error, topic, self._trouble.cause, self._clean)
                    outcome.lost = as_retry(found)
        return failed

    def _wait(self, producer: Producer) -> None:
        end = time.monotonic() + self._settings.message_timeout() + REPORT_SLACK
        while producer.flush(0.5):
            if time.monotonic() > end:
                producer.purge()
                left = producer.flush(1.0)
                if left:
                    raise NotConnected(f"librdkafka does not let go of {left} messages")

    def _mark(self, batch: Batch, outcome: Outcome) -> None:
        if outcome.closed and not is_of_table(self._settings.topic):
            raise next(iter(outcome.closed.values()))
        for table in batch.tables - batch.failed_tables.keys():
            error = outcome.closed.get(self.place_of(table))
            if error is not None:
                batch.fail(table, error)
        sent = _count(batch.slices)
        failed = _count(part for part, _ in outcome.retried)
        for part, again in outcome.retried:
            batch.fail(part.table if failed[part.table] == sent[part.table] else part, again)
        for each in batch.slices:
            for offset in outcome.rejected.keys() & set(range(each.offset, each.end)):
                at = offset - each.offset
                batch.fail(each.part(at, at + 1), outcome.rejected[offset])

    def _warn(self, event: str, **fields: Any) -> None:
        """Log something once in the life of this sink."""
        key = f"{event} {fields['cause']}" if event == "kafka_promise_weakened" else event
        if key not in self._warned:
            self._warned.add(key)
            _log.warning(event, **fields)


def _count(slices: Iterable[Slice]) -> Counter[str]:
    """Return how many events there are of each table."""
    events: Counter[str] = Counter()
    for each in slices:
        events[each.table] += len(each)
    return events
