"""Events to Kafka, each a message with the table's key, confirmed by all replicas in sync.

A batch is produced in order and `deliver` waits for a report on each message. The producer is
idempotent, so librdkafka's own retries neither double nor reorder; when one is given up, a new
producer takes over, and the failed events go out again together with those behind them of the
same key.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bridge.events import Event
from bridge.sinks.base import Batch, NotConnected, Reject, Retry, Sink, SinkSettings
from bridge.sinks.kafka_errors import is_refusal, translate
from bridge.sinks.kafka_settings import KafkaSettings

CONNECT_TIMEOUT = 10.0  # seconds for the first answer of a cluster
ALL_DOWN_TIMEOUT = 2.0  # seconds once every address was tried: a name may have several
REPORT_SLACK = 10.0  # seconds over the message time-out until missing reports are given up
LONGEST_TOPIC = 249  # characters, Kafka's limit

_ILLEGAL = re.compile(r"[^a-zA-Z0-9._-]")

_log = structlog.get_logger(__name__)


class KafkaSink(Sink):
    """Produces each event as one message.

    Retried: everything but what follows. Rejected: what a broker will never take, above all a
    message over its size limit, or one without a key for a compacted topic.
    """

    Settings: ClassVar[type[SinkSettings]] = KafkaSettings

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topics: dict[str, str] = {}
        self._producer: Producer | None = None
        self._trouble = _Trouble()
        self._warned_of_size = False

    def open(self) -> None:
        """Make a producer and wait for the cluster's answer.

        Raises:
            NotConnected: no broker answers; the message has the cause.
        """
        self.close()
        for weakness in self._settings.weakened():
            _log.warning("kafka_promise_weakened", cause=weakness)
        self._producer = self._connect()

    def deliver(self, batch: Batch) -> None:
        """Produce the events and return when there is a report on each.

        Raises:
            NotConnected: none was delivered, and a new producer is needed.
            Retry: none was delivered.
        """
        if self._producer is None:
            self._producer = self._connect()
        failures: dict[int, Retry | Reject] = {}
        self._deliver(self._producer, batch, failures)
        if not failures:
            self._trouble.cause = ""
            return
        retried = [error for error in failures.values() if isinstance(error, Retry)]
        lost = next((error for error in retried if isinstance(error, NotConnected)), None)
        if lost is not None:
            self.close()  # what was given up makes this producer unfit; the next call connects
        if len(retried) == len(batch):
            raise lost or retried[0]
        for event in batch:
            if event.offset in failures:
                batch.fail(event, failures[event.offset])

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

    def topic_of(self, table: str) -> str:
        """Return the topic of a table's events; one that would be too long ends in a hash."""
        topic = self._topics.get(table)
        if topic is None:
            if len(self._topics) > 10_000:  # tables come and go; this only saves work
                self._topics.clear()
            topic = self._settings.topic.replace("{table}", _ILLEGAL.sub("_", table))
            if len(topic) > LONGEST_TOPIC or topic in {".", ".."}:
                digest = hashlib.sha256(table.encode()).hexdigest()[:16]
                topic = f"{topic[: LONGEST_TOPIC - 17]}_{digest}"
            self._topics[table] = topic
        return topic

    def _connect(self) -> Producer:
        trouble = self._trouble = _Trouble()
        configuration: dict[str, Any] = dict(self._settings.configuration())
        producer = Producer(configuration | {"error_cb": trouble.report}, logger=_LibrdkafkaLog())
        end = time.monotonic() + CONNECT_TIMEOUT
        while True:
            producer.poll(0)
            try:
                producer.cluster_id(0.1)
            except KafkaException as error:
                down = trouble.all_down_since
                if time.monotonic() > min(end, end if down is None else down + ALL_DOWN_TIMEOUT):
                    cause = trouble.cause or error.args[0].str()
                    servers = self._settings.bootstrap_servers
                    raise NotConnected(f"no answer from {servers}: {cause}") from error
            else:
                return producer

    def _deliver(
        self, producer: Producer, events: Sequence[Event], failures: dict[int, Retry | Reject]
    ) -> KafkaError | None:
        """Send the events; return the error after which nothing may follow, None if all is well.

        A broker that refuses the content of a message refuses its companions in the request
        with it. Where that hits several, they are sent again in halves until the guilty one
        stands alone.
        """
        failed = self._send(producer, events, failures)
        stopping = next((error for error in failed.values() if not is_refusal(error)), None)
        if stopping is not None:
            self._retry(_with_followers(events, failed), failed, stopping, failures)
            return stopping
        if len(failed) == 1:
            ((offset, error),) = failed.items()
            table = next(event.table for event in events if event.offset == offset)
            failures[offset] = translate(error, self.topic_of(table))
        elif failed:
            self._warn_of_refusal(next(iter(failed.values())))
            again = _with_followers(events, failed)
            first, second = again[: len(again) // 2], again[len(again) // 2 :]
            stopping = self._deliver(producer, first, failures)
            if stopping is None:
                return self._deliver(producer, second, failures)
            self._retry(second, {}, stopping, failures)
        return stopping

    def _send(
        self, producer: Producer, events: Sequence[Event], failures: dict[int, Retry | Reject]
    ) -> dict[int, KafkaError]:
        """Produce and wait; return the errors by offset, all but those that are final at once."""
        reports = _Reports()
        failed: dict[int, KafkaError] = {}
        closed: dict[str, KafkaError] = {}  # topics that take nothing more in this round
        produced = 0
        for event in events:
            topic = self._topics.get(event.table) or self.topic_of(event.table)
            if closed and topic in closed:
                failed[event.offset] = closed[topic]
                continue
            try:
                _produce(producer, topic, event, reports.add)
                produced += 1
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if is_refusal(error):
                    failures[event.offset] = translate(error, topic)
                else:
                    failed[event.offset] = closed[topic] = error
        self._wait(producer)
        failed.update(reports.by_offset(events))
        if reports.count < produced:
            missing = produced - reports.count
            raise NotConnected(f"librdkafka owes a report on {missing} of {produced} messages")
        return failed

    def _wait(self, producer: Producer) -> None:
        end = time.monotonic() + self._settings.message_timeout() + REPORT_SLACK
        while producer.flush(0.5):
            if time.monotonic() > end:
                producer.purge()
                producer.flush(1.0)
                return

    def _retry(
        self,
        events: Sequence[Event],
        failed: dict[int, KafkaError],
        stopping: KafkaError,
        failures: dict[int, Retry | Reject],
    ) -> None:
        for event in events:
            if event.offset not in failures:
                error = failed.get(event.offset, stopping)
                found = translate(error, self.topic_of(event.table), self._trouble.cause)
                # A refused one was not looked at alone: it gets its chance with the others.
                retry = found if isinstance(found, Retry) else Retry(str(found), answered=True)
                failures[event.offset] = retry

    def _warn_of_refusal(self, error: KafkaError) -> None:
        if not self._warned_of_size:
            self._warned_of_size = True
            _log.warning(
                "kafka_request_refused",
                cause=error.str(),
                hint="sending in smaller parts; set batch.size in options below the topic's limit",
            )


def _produce(
    producer: Producer,
    topic: str,
    event: Event,
    report: Callable[[KafkaError | None, Message], None],
) -> None:
    headers: list[tuple[str, str | bytes | None]] = [
        ("id", event.id),
        ("type", event.type),
        ("table", event.table),
        ("offset", str(event.offset)),
    ]
    while True:
        try:
            # By position, as names cost a fifth: … any partition, report, partitioner, ms, …
            producer.produce(
                topic, event.value, event.key, -1, report, None, event.time // 1000, headers
            )
        except BufferError:
            if not len(producer):  # it will never fit
                raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)) from None
            producer.poll(0.1)
        else:
            return


@dataclass(slots=True)
class _Trouble:
    """What librdkafka last said of its connections; time-outs say nothing of the cause."""

    cause: str = ""
    all_down_since: float | None = None

    def report(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            if self.all_down_since is None:
                self.all_down_since = time.monotonic()
        else:
            self.cause = error.str()


@dataclass(slots=True)
class _Reports:
    """The delivery reports of one round."""

    count: int = 0
    failed: list[tuple[KafkaError, bytes | None]] = field(default_factory=list)

    def add(self, error: KafkaError | None, message: Message) -> None:
        self.count += 1
        if error is not None:
            self.failed.append((error, message.value()))

    def by_offset(self, events: Sequence[Event]) -> dict[int, KafkaError]:
        """Find the failed events by their values, each of which has an id of its own in it."""
        if not self.failed:
            return {}
        errors = {value: error for error, value in self.failed}
        return {event.offset: errors[event.value] for event in events if event.value in errors}


class _LibrdkafkaLog:
    """Takes librdkafka's log lines: what it calls errors heals or is raised by us."""

    def log(self, level: int, _format: str, facility: str, client: str, text: str) -> None:
        write = _log.warning if level >= 40 else _log.debug
        write("librdkafka", facility=facility, client=client, detail=text)


def _with_followers(events: Sequence[Event], failed: dict[int, KafkaError]) -> list[Event]:
    """Return the failed events and, after each, the later ones of the same table and key."""
    lanes: set[tuple[str, bytes]] = set()
    found = []
    for event in events:
        lane = (event.table, event.key) if event.key is not None else None
        if event.offset in failed or lane in lanes:
            found.append(event)
            if lane is not None:
                lanes.add(lane)
    return found
