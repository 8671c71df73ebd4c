"""Where records arrive: when the last one is there, and afterwards, what is.

Waiting costs little, as it happens beside what is measured. What arrived is looked at
afterwards: every id in order, and one record in many whole.
"""

from __future__ import annotations

import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks import orders
from tests.services.kafka import KafkaBroker

# Nothing new for so long means that the rest is lost.
PATIENCE_SECONDS = 15.0
_READ_BYTES = 2**22
_TAIL_BYTES = 2**14
# The record's `id` is a number, the event's a text.
_ID = re.compile(rb'\{"id":(\d+),"sent":')
_LOOK_AT_ONE_IN = 997


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What was found at a destination.

    Attributes:
        records: different ones.
        doubled: how many came more than once.
        in_order: whether ids never went back.
        wrong: how many of those looked at have other values than were sent.
        gaps: how often the bridge said that something may be missing.
        value_bytes: bytes of an average line or message.
    """

    records: int
    doubled: int
    in_order: bool
    wrong: int
    gaps: int
    value_bytes: float


class Destination(ABC):
    """One place of arrival, for one run."""

    interval: float  # seconds between two looks
    numbers = _ID  # what finds the ids
    whole = True  # whether what came is JSON, whose values can be looked at

    @abstractmethod
    def position(self) -> int:
        """Return something that grows with all that comes."""

    @abstractmethod
    def last(self) -> int:
        """Return the highest id near the end, -1 for none."""

    @abstractmethod
    def pieces(self) -> Iterator[bytes]:
        """Return all that came, in pieces of whole lines."""

    @abstractmethod
    def close(self) -> None:
        """Remove what there is."""

    def wait(self, last: int) -> int:
        """Wait until the record of that id is there, or until no more come.

        Returns:
            When the last one came, nanoseconds of the monotonic clock.
        """
        seen, came = -1, time.monotonic_ns()
        while True:
            position, now = self.position(), time.monotonic_ns()
            if position > seen:
                seen, came = position, now
                if self.last() >= last:
                    return came
            elif now - came > PATIENCE_SECONDS * 1e9:
                return came
            time.sleep(self.interval)

    def arrivals(self, first: int = 0) -> Arrivals:
        """Look at all that arrived, ids beginning with `first`."""
        seen, count, doubled, in_order, wrong, gaps, size = bytearray(), 0, 0, True, 0, 0, 0
        expected = first
        for piece in self.pieces():
            ids = list(map(int, self.numbers.findall(piece)))
            gaps += piece.count(b'"type":"gap"')
            size += len(piece)
            wrong += _wrong(piece, count) if self.whole else 0
            count += len(ids)
            in_order = in_order and ids == sorted(ids) and (not ids or ids[0] >= expected)
            if not ids:
                continue
            expected = ids[-1] + 1
            highest = max(ids) - first
            if highest >= len(seen):
                seen.extend(bytes(highest + 1 - len(seen)))
            for number in ids:
                seen[number - first] += seen[number - first] < 2
        records = len(seen) - seen.count(0)
        doubled = count - records
        return Arrivals(records, doubled, in_order, wrong, gaps, size / max(count, 1))


def _wrong(piece: bytes, number: int) -> int:
    """Count the records with wrong values among those looked at."""
    lines = piece.splitlines()[-number % _LOOK_AT_ONE_IN :: _LOOK_AT_ONE_IN]
    return sum(not orders.is_right(record_of(line)) for line in lines if _ID.search(line))


def record_of(line: bytes) -> dict[str, Any]:
    """Return the record of a line: inside the bridge's events, the vendor's line itself."""
    event = orjson.loads(line)
    event = event.get("payload", event)
    record: dict[str, Any] = next(
        (event[member] for member in ("record", "data", "after") if member in event), event
    )
    return record


class FileDestination(Destination):
    """A file of lines."""

    interval = 0.002

    def __init__(self, path: Path, *, made: bool = True) -> None:
        self.path = path
        if made:
            path.touch()

    def position(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def last(self) -> int:
        with self.path.open("rb") as lines:
            start = lines.seek(max(self.position() - _TAIL_BYTES, 0))
            tail = lines.read().rpartition(b"\n")[0]
        ids = self.numbers.findall(tail.partition(b"\n")[2] if start else tail)
        return max(map(int, ids), default=-1)

    def pieces(self) -> Iterator[bytes]:
        with self.path.open("rb") as lines:
            while chunk := lines.read(_READ_BYTES):
                yield chunk + lines.readline()

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


class CsvFile(FileDestination):
    """A file of rows as CSV, the id in the first column."""

    numbers = re.compile(rb"^(\d+),", re.MULTILINE)
    whole = False


class KafkaDestination(Destination):
    """A topic of its own with one partition; its end is how many messages there are."""

    interval = 0.01

    def __init__(self, broker: KafkaBroker) -> None:
        self._servers = broker.bootstrap_servers
        self.topic = f"bench-{uuid.uuid4()}"
        broker.create_topic(self.topic)
        self._partition = TopicPartition(self.topic, 0)
        self._consumer = Consumer({"bootstrap.servers": self._servers, "group.id": self.topic})

    def position(self) -> int:
        return int(self._consumer.get_watermark_offsets(self._partition, timeout=30)[1])

    def last(self) -> int:
        # Each message is a record, but for few that are gaps; reading them would cost the broker.
        return self.position() - 1

    def pieces(self) -> Iterator[bytes]:
        consumer = Consumer({"bootstrap.servers": self._servers, "group.id": f"{self.topic}-all"})
        consumer.assign([TopicPartition(self.topic, 0, OFFSET_BEGINNING)])
        left = self.position()
        while left:
            messages = consumer.consume(min(left, 1000), timeout=PATIENCE_SECONDS)
            if not messages:
                break
            left -= len(messages)
            yield b"\n".join(self.text(_value(message)) for message in messages)
        consumer.close()

    def text(self, value: bytes) -> bytes:
        """Return a message's value as text with its id."""
        return value

    def close(self) -> None:
        self._consumer.close()


class BareKafka(KafkaDestination):
    """A topic of records in Avro, the id in the first column.

    Args:
        broker: where it is.
        before: bytes before each record: a schema's number, say.
    """

    whole = False

    def __init__(self, broker: KafkaBroker, before: int = 0) -> None:
        super().__init__(broker)
        self._before = before

    def text(self, value: bytes) -> bytes:
        first = _first(value[self._before :])
        bits = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(first))
        return b'{"id":%d,"sent":' % (bits >> 1)


def _first(value: bytes) -> bytes:
    """Return the bytes of the first column, a long."""
    end = next((place for place, byte in enumerate(value) if byte < 0x80), 0)
    return value[: end + 1]


def _value(message: Any) -> bytes:
    if message.error():
        raise RuntimeError(str(message.error()))
    value: bytes = message.value() or b""
    return value
