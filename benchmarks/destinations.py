"""Where records arrive: how many are there already, and, in the end, which.

Counting must cost little, as it runs beside what is measured; what arrived is looked at
afterwards: all of it, in order, once.
"""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, TopicPartition

from tests.services.kafka import KafkaBroker

# Nothing new for so long means that the rest is lost.
PATIENCE_SECONDS = 15.0
_READ_BYTES = 2**22


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What was found at a destination.

    Attributes:
        records: different ones.
        doubled: how many came more than once.
        in_order: whether ids never went back.
        gaps: how often the bridge said that something may be missing.
        value_bytes: bytes of an average line or message.
    """

    records: int
    doubled: int
    in_order: bool
    gaps: int
    value_bytes: float


class Destination(ABC):
    """One place of arrival, for one run."""

    interval: float  # seconds between two looks

    @abstractmethod
    def count(self) -> int:
        """Return how many lines or messages are there."""

    @abstractmethod
    def values(self) -> Iterable[bytes]:
        """Return them all."""

    @abstractmethod
    def close(self) -> None:
        """Remove what there is."""

    def wait(self, records: int) -> int:
        """Wait until so many are there, or until no more come.

        Returns:
            When the last one came, nanoseconds of the monotonic clock.
        """
        seen, came = 0, time.monotonic_ns()
        while seen < records:
            count, now = self.count(), time.monotonic_ns()
            if count > seen:
                seen, came = count, now
            elif now - came > PATIENCE_SECONDS * 1e9:
                break
            else:
                time.sleep(self.interval)
        return came

    def arrivals(self) -> Arrivals:
        """Look at all that arrived."""
        seen: set[int] = set()
        before, count, size, in_order, gaps = -1, 0, 0, True, 0
        for value in self.values():
            event = orjson.loads(value)
            if event.get("type") == "gap":
                gaps += 1
                continue
            number = _record_of(event)["id"]
            in_order = in_order and number >= before
            before = number
            seen.add(number)
            count += 1
            size += len(value)
        return Arrivals(len(seen), count - len(seen), in_order, gaps, size / max(count, 1))


class FileDestination(Destination):
    """A file of lines."""

    interval = 0.005

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._file = path.open("rb", buffering=0)
        self._lines = 0

    def count(self) -> int:
        while chunk := self._file.read(_READ_BYTES):
            self._lines += chunk.count(b"\n")
        return self._lines

    def new_lines(self) -> Iterator[bytes]:
        """Yield the lines that came since the last call, without a torn last one."""
        while chunk := self._file.read(_READ_BYTES):
            whole, newline, torn = chunk.rpartition(b"\n")
            self._file.seek(-len(torn), 1)
            if not newline:
                return
            yield from whole.split(b"\n")

    def values(self) -> Iterable[bytes]:
        with self.path.open("rb") as lines:
            yield from lines

    def close(self) -> None:
        self._file.close()
        self.path.unlink()


class KafkaDestination(Destination):
    """A topic of its own with one partition, whose end is how many messages there are."""

    interval = 0.02

    def __init__(self, broker: KafkaBroker) -> None:
        self._broker = broker
        self.topic = f"bench-{uuid.uuid4()}"
        broker.create_topic(self.topic)
        self._consumer = Consumer(
            {"bootstrap.servers": broker.bootstrap_servers, "group.id": self.topic}
        )
        self._partition = TopicPartition(self.topic, 0)

    def count(self) -> int:
        return int(self._consumer.get_watermark_offsets(self._partition, timeout=30)[1])

    def values(self) -> Iterable[bytes]:
        for message in self._broker.read(self.topic):
            yield message.value() or b""

    def close(self) -> None:
        self._consumer.close()


def _record_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a line: inside the bridge's events, the vendor's line itself."""
    record: dict[str, Any] = event.get("record", event)
    return record
