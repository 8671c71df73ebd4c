"""A sink that a test scripts, and the real engine around it: journal, encoder, worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from services.process import wait_until

from bridge.delivery.encoding import Encoder
from bridge.delivery.worker import Worker
from bridge.events import Block, Column, Event, Schema
from bridge.formats.base import Format, Output
from bridge.formats.json import JsonFormat
from bridge.formats.shape import Shape
from bridge.journal import Account, DeadLetter, Journal, JournalReader
from bridge.sinks import Batch, Batching, Retrying, Sink, SinkSettings

CLUSTER = "http://k:9191"
TABLE = "ki_home.t"
OTHER = "ki_home.u"
SCHEMA = Schema("7", (Column("n", "long", "long"), Column("k", "long", "long")), ("k",))
TIME = 1_795_509_720_123_456


def zigzag(number: int) -> bytes:
    """Write an Avro long."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def block(numbers: Sequence[int], table: str = TABLE, keys: int = 3) -> Block:
    """Return rows with these numbers; the key is the number modulo `keys`."""
    payload = b"".join(zigzag(n) + zigzag(n % keys) for n in numbers)
    count = len(numbers)
    return Block(table, CLUSTER, "insert", SCHEMA, payload, count, ((count, TIME),))


def number(event: Event) -> int:
    """Return the number of a row that `block` made."""
    return int(json.loads(event.value)["record"]["n"])


def output(
    shapes: Mapping[str, Shape] | None = None, *, keyed: bool = True, form: Format | None = None
) -> Output:
    """Return the form that a sink wants, JSON with keys if nothing is said."""
    return Output(form or JsonFormat(), dict(shapes or {}), keyed)


WANTED = output()


class ScriptedSettings(SinkSettings):
    """Settings of the sink below."""

    type: Literal["scripted"] = "scripted"


class ScriptedSink(Sink):
    """Delivers into a list, unless `judge` raises or marks events.

    Attributes:
        delivered: what it took, in order.
        calls: the offsets of each batch.
    """

    Settings: ClassVar[type[SinkSettings]] = ScriptedSettings

    def __init__(self, settings: SinkSettings | None = None) -> None:
        self.settings = settings
        self.delivered: list[Event] = []
        self.calls: list[list[int]] = []
        self.opened = 0
        self.closed = 0
        self.opening: Callable[[], None] = lambda: None
        self.judge: Callable[[Batch], None] = lambda _: None

    def open(self) -> None:
        self.opening()
        self.opened += 1

    def close(self) -> None:
        self.closed += 1

    def deliver(self, batch: Batch) -> None:
        self.calls.append([event.offset for event in batch])
        self.judge(batch)
        failed, tables = batch.failed_events, batch.failed_tables
        self.delivered += [e for e in batch if e.offset not in failed and e.table not in tables]

    def numbers(self, table: str = TABLE) -> list[int]:
        """Return the numbers of the rows that were taken, of one table."""
        return [number(event) for event in self.delivered if event.table == table]


def settings(**changes: Any) -> SinkSettings:
    """Return settings with short waits; `max_attempts` and those of a batch may be given."""
    attempts = changes.pop("max_attempts", 3)
    first, longest = changes.pop("initial_backoff", 0.001), changes.pop("max_backoff", 0.01)
    batch = {"max_events": 16, "max_bytes": 2**20, "max_wait": 0.0} | changes
    return ScriptedSettings.model_construct(
        type="scripted",
        batch=Batching.model_construct(**batch),
        retry=Retrying.model_construct(
            initial_backoff=first, max_backoff=longest, max_attempts=attempts
        ),
    )


class Engine:
    """A journal, a sink named `s`, and the worker between them.

    Args:
        folder: of the journal.
        tables: routed to the sink.
        journal: seen by the worker in place of the real one, given that.
        output: the form that the sink wants.
    """

    def __init__(
        self,
        folder: Path,
        tables: Sequence[str] = (TABLE,),
        *,
        journal: Callable[[Journal], Any] = lambda real: real,
        output: Output = WANTED,
    ) -> None:
        self.folder = folder
        self.tables = tables
        self.journal = Journal(folder)
        self.journal.open()
        self.journal.register("s", tables)
        self.sink = ScriptedSink()
        self.output = output
        self.encoder = Encoder(self.journal.id)
        self.worker = Worker("s", journal(self.journal), self.encoder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.worker.stop()
        ended = self.worker.join(10)
        self.journal.close()
        assert ended or kind is not None, "the worker did not end"

    def start(self, sink: Sink | None = None, **changes: Any) -> None:
        """Configure the worker with the sink and start it."""
        self.worker.configure(sink or self.sink, settings(**changes), self.tables, self.output)
        self.worker.start()

    def insert(self, *numbers: int, table: str = TABLE, keys: int = 3) -> None:
        """Append rows with these numbers."""
        self.journal.append([block(numbers, table, keys)])

    def account(self, table: str = TABLE) -> Account:
        """Return the counts of a lane, which always add up."""
        (found,) = [a for a in self.journal.accounts() if a.table == table]
        parts = found.delivered + found.dead_lettered + found.discarded + found.pending
        assert found.received == parts
        return found

    def wait_settled(self, *tables: str, timeout: float = 30.0) -> None:
        """Wait until nothing is pending."""
        for table in tables or self.tables:
            wait_until(
                lambda table=table: self.account(table).pending == 0,
                f"nothing of {table} is pending",
                timeout,
            )

    def letters(self) -> dict[int, DeadLetter]:
        """Return the dead letters by offset."""
        with JournalReader(self.folder) as reader:
            return {letter.offset: letter for letter in reader.dead_letters(entries=True)}


class Gate:
    """Holds up whoever passes, until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.reached = threading.Event()

    def pass_(self) -> None:
        """Wait until it is open."""
        self.reached.set()
        self._open.wait(60)

    def open(self) -> None:
        """Let everybody through."""
        self._open.set()
