"""The topic of cursors: made if it is missing, read back, written in transactions."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from bridge.sinks.base import Assignment, NotConnected, Retry
from bridge.sinks.kafka_cursors import TOPIC, Delivered, key_of
from bridge.sinks.kafka_log import QuietLog

_log = structlog.get_logger(__name__)

READ_TIMEOUT = 20.0  # seconds to read what is new; transactions of others may be in the way
ANSWER_TIMEOUT = 10.0  # seconds for a question to the cluster


class CursorTopic:
    """What the topic says of one sink. What was read once is not read again.

    Args:
        connection: librdkafka's settings, as far as they concern connections.
        assignment: whose records are looked for.
        place_of: gives a table's topic; what another one has says nothing of this one.
        log: takes librdkafka's lines.
        clock: monotonic.

    Attributes:
        delivered: by table.
        writer: tells this process' records from those of others.
        last_writer: who wrote the last record of this sink; None where there is none.
        last_seen: when one that we did not write was first read, by the clock.
    """

    def __init__(
        self,
        connection: Mapping[str, str],
        assignment: Assignment,
        place_of: Callable[[str], str],
        log: QuietLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection: dict[str, str | int | float | bool] = dict(connection)
        self._assignment = assignment
        self._place_of = place_of
        self._log = log
        self._clock = clock
        self._positions: dict[int, int] = {}
        self._checked = False
        self.delivered: dict[str, Delivered] = {}
        self.writer = uuid.uuid4().hex
        self.last_writer: str | None = None
        self.last_seen = 0.0

    def of(self, table: str) -> Delivered:
        """Return what was delivered of a table."""
        return self.delivered.get(table) or Delivered()

    def read(self) -> None:
        """Read what was committed since the last time.

        Raises:
            NotConnected: it could not be read to its end.
        """
        admin = AdminClient(self._connection, logger=self._log)
        ends = self._ends(admin)
        settings = self._connection | {
            "group.id": TOPIC,
            "enable.auto.commit": "false",
            "enable.auto.offset.store": "false",
            "enable.partition.eof": "true",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": "50",
        }
        with closing(Consumer(settings, logger=self._log)) as consumer:
            self._read_up_to(consumer, ends)
        self._forget_beyond_the_journal()

    def records(self, delivered: Mapping[str, Delivered]) -> Iterable[tuple[bytes, bytes]]:
        """Return keys and values of the records that say what tables have."""
        sink = self._assignment
        for table, each in delivered.items():
            ours = {"topic": self._place_of(table), "writer": self.writer}
            value = json.dumps(each.to_json() | ours, separators=(",", ":"))
            yield key_of(sink.journal_id, sink.sink, table), value.encode()

    def claim(self) -> tuple[bytes, bytes]:
        """Return key and value of the record by which this process says that it delivers."""
        sink = self._assignment
        value = {"writer": self.writer, "time": int(time.time())}
        return key_of(sink.journal_id, sink.sink, None), json.dumps(value).encode()

    def _ends(self, admin: AdminClient) -> dict[int, int]:
        """Return the end of each partition, uncommitted records included."""
        try:
            partitions = admin.list_topics(TOPIC, timeout=ANSWER_TIMEOUT).topics[TOPIC].partitions
            latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            asked = {TopicPartition(TOPIC, each): latest for each in partitions}
            level = IsolationLevel.READ_UNCOMMITTED
            offsets = admin.list_offsets(
                asked, isolation_level=level, request_timeout=ANSWER_TIMEOUT
            )
            return {each.partition: of.result().offset for each, of in offsets.items()}
        except KafkaException as error:
            raise NotConnected(f"topic {TOPIC} cannot be read: {error.args[0].str()}") from error

    def _read_up_to(self, consumer: Consumer, ends: Mapping[int, int]) -> None:
        for partition, end in ends.items():
            if end < self._positions.get(partition, 0):  # the topic was made again
                del self._positions[partition]
        left = {
            partition: end
            for partition, end in ends.items()
            if end > self._positions.get(partition, 0)
        }
        if not left:
            return
        consumer.assign(
            [
                TopicPartition(TOPIC, each, self._positions.get(each, OFFSET_BEGINNING))
                for each in left
            ]
        )
        deadline = self._clock() + READ_TIMEOUT
        said = "transactions of others that do not end are in the way"
        while left:
            for message in consumer.consume(500, timeout=0.05):
                error = message.error()
                if error is None:
                    self._take(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    partition, position = message.partition() or 0, message.offset() or 0
                    self._positions[partition] = position
                    if position >= left.get(partition, 0):
                        left.pop(partition, None)
                else:
                    said = error.str()
            if left and self._clock() > deadline:
                raise NotConnected(f"topic {TOPIC} cannot be read to its end: {said}")

    def _forget_beyond_the_journal(self) -> None:
        """Take back what was delivered of offsets that the journal has not given, and will give.

        A journal that was restored from a copy gives them to other events.
        """
        head = self._assignment.head
        if head is None or self._checked:
            return
        self._checked = True
        before = {table: each.before(head) for table, each in self.delivered.items()}
        beyond = [table for table, each in self.delivered.items() if each != before[table]]
        if beyond:
            _log.warning(
                "kafka_ahead_of_journal",
                sink=self._assignment.sink,
                tables=sorted(beyond),
                head=head,
            )
            self.delivered = before

    def _take(self, message: Message) -> None:
        """Take a record in; what is not ours, or not legible, is passed over."""
        with suppress(ValueError, KeyError, TypeError, Retry):
            key, value = json.loads(message.key() or b""), json.loads(message.value() or b"")
            sink = self._assignment
            if (key["journal"], key["sink"]) != (sink.journal_id, sink.sink):
                return
            writer = value["writer"]
            if writer != self.writer:
                self.last_seen = self._clock()
            if "table" in key:
                table = key["table"]
                there = value.get("topic") in {None, self._place_of(table)}
                self.delivered[table] = Delivered.of_json(value) if there else Delivered()
            self.last_writer = writer
