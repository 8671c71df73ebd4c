"""Where events arrive, and which rows did: files, a receiver with moods, a topic of Kafka."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import orjson
from confluent_kafka import Consumer

from tests.services.kafka import KafkaBroker
from tests.services.webhook import Answer, Request, WebhookReceiver

# One row in so many of a table is refused for good.
POISON_EVERY = 20_000
_TOPIC_BYTES = 64 * 2**20


def is_poison(number: int) -> bool:
    """Say whether the receiver takes a row never."""
    return number % POISON_EVERY == POISON_EVERY - 1


class Arrived:
    """The rows that came, by table. One thread takes in, any may ask.

    Attributes:
        events: how many came, of all kinds.
        again: how many rows came that had come before.
    """

    def __init__(self) -> None:
        self.events = 0
        self.again = 0
        self._came: dict[str, bytearray] = defaultdict(bytearray)
        self._whole: dict[str, int] = defaultdict(int)

    def take(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            self.events += 1
            if event["type"] in ("insert", "read"):
                self._take(event["table"], event["record"]["id"])

    def whole(self, table: str) -> int:
        """Return the number below which every row of a table came."""
        hole = self._came[table].find(0, self._whole[table])
        self._whole[table] = len(self._came[table]) if hole < 0 else hole
        return self._whole[table]

    def lacking(self, upto: Mapping[str, int]) -> set[tuple[str, int]]:
        """Return the rows below these numbers that have not come."""
        return {
            (table, number)
            for table, end in upto.items()
            for number in range(self.whole(table), end)
            if number >= len(self._came[table]) or not self._came[table][number]
        }

    def _take(self, table: str, number: int) -> None:
        came = self._came[table]
        if number >= len(came):
            came.extend(bytes(number + 1 - len(came)))
        self.again += came[number]
        came[number] = 1


class Files:
    """The folder of the file sink: each file is read as it grows, and deleted once it is closed."""

    def __init__(self, folder: Path) -> None:
        self.arrived = Arrived()
        self._folder = folder
        self._open: dict[str, IO[bytes]] = {}
        self._rest: dict[str, bytes] = {}

    def follow(self, tables: Iterable[str]) -> None:
        """Take in what was written since the last time."""
        for table in tables:
            live = self._folder / f"{table}.jsonl"
            while table in self._open or self._begin(table, live):
                # Asked first: nothing is written to a file once it is closed.
                closed = not live.exists() or live.stat().st_ino != _inode(self._open[table])
                self._read(table)
                if not closed:
                    break
                self._delete(table)

    def close(self) -> None:
        for file in self._open.values():
            file.close()

    def _begin(self, table: str, live: Path) -> bool:
        """Open the oldest file there is of a table."""
        for path in (*self._finals(table), live):
            if path.exists():
                self._open[table] = path.open("rb")
                return True
        return False

    def _delete(self, table: str) -> None:
        with self._open.pop(table) as file:
            for path in self._finals(table):
                if path.stat().st_ino == _inode(file):
                    path.unlink()

    def _finals(self, table: str) -> list[Path]:
        found = self._folder.glob(f"{table}.*.jsonl")
        return sorted(found, key=lambda path: int(path.name.split(".")[-2]))

    def _read(self, table: str) -> None:
        whole, _, self._rest[table] = (
            self._rest.get(table, b"") + self._open[table].read()
        ).rpartition(b"\n")
        self.arrived.take(map(orjson.loads, whole.splitlines()))


def _inode(file: IO[bytes]) -> int:
    return Path(f"/proc/self/fd/{file.fileno()}").stat().st_ino


class Receiver(WebhookReceiver):
    """Takes everything but poison, and in a mood nothing at all. Keeps numbers, no bodies."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = Arrived()
        self._lock = threading.Lock()
        self._well = threading.Event()
        self._well.set()
        self._status = 0

    def refuse(self, status: int) -> None:
        """Answer with this status from now on."""
        self._status = status

    def hang(self) -> None:
        """Answer nobody from now on."""
        self._well.clear()

    def recover(self) -> None:
        """Be well again; who waits for an answer gets 503."""
        self._status = 0
        self._well.set()

    def receive(self, request: Request) -> Answer:
        if not self._well.is_set():
            self._well.wait()
            return Answer(503)
        if self._status:
            return Answer(self._status, body=b"in a mood")
        events = request.events
        if any("record" in event and is_poison(event["record"]["id"]) for event in events):
            return Answer(400, body=b"poison")
        with self._lock:
            self.arrived.take(events)
        return Answer()

    def stop(self) -> None:
        self._well.set()
        super().stop()


class Topics:
    """A topic for each table, read as it grows. A context manager."""

    def __init__(self, broker: KafkaBroker, tables: Sequence[str]) -> None:
        self.arrived = Arrived()
        size = {"retention.bytes": str(_TOPIC_BYTES), "segment.bytes": str(_TOPIC_BYTES // 4)}
        for table in tables:
            broker.create_topic(table, config=size)
        self._consumer = Consumer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "group.id": "soak",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        self._consumer.subscribe(list(tables))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="topics")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            messages = self._consumer.consume(5000, timeout=0.5)
            # What is no message says that the broker is away; it comes back.
            self.arrived.take(orjson.loads(m.value()) for m in messages if m.error() is None)
