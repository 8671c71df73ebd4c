"""A sink's worker on a real journal: retries, poison events, cursors, drains."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from services.process import wait_until

from bridge.delivery.rendering import Renderer
from bridge.delivery.worker import Worker
from bridge.errors import Reject, Retry
from bridge.events import Column, Count, Rows, Schema, Undecodable
from bridge.journal import Journal, JournalReader
from bridge.sinks import Batch, Batching, Event, NotConnected, Retrying, Sink, SinkSettings

TABLE = "ki_home.t"
SCHEMA = Schema("7", (Column("n", "int", "int"),), ("n",))


class ScriptedSettings(SinkSettings):
    """Settings of the sink below."""

    type: Literal["scripted"] = "scripted"


class ScriptedSink(Sink):
    """Delivers into a list, unless `judge` raises or marks events."""

    Settings: ClassVar[type[SinkSettings]] = ScriptedSettings

    def __init__(self, settings: SinkSettings) -> None:
        self.settings = settings
        self.delivered: list[Event] = []
        self.calls: list[list[int]] = []
        self.opened = 0
        self.judge: Callable[[Batch], None] = lambda _: None

    def open(self) -> None:
        self.opened += 1

    def deliver(self, batch: Batch) -> None:
        self.calls.append([event.offset for event in batch])
        self.judge(batch)
        self.delivered += [event for event in batch if event.offset not in batch.failures]

    def numbers(self) -> list[int]:
        return [json.loads(event.value)["record"]["n"] for event in self.delivered]


class Rig:
    """A journal, a sink, and the worker between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder)
        self.journal.open()
        self.journal.register("s", [TABLE])  # a new sink begins at the head
        self.sink = ScriptedSink(ScriptedSettings())
        self.worker: Worker | None = None

    def start(self, **batch: Any) -> None:
        settings = ScriptedSettings.model_construct(
            type="scripted",
            batch=Batching.model_construct(
                **{"max_events": 16, "max_bytes": 2**20, "max_wait": 0.0, **batch}
            ),
            retry=Retrying.model_construct(initial_backoff=0.001, max_backoff=0.01, max_attempts=3),
        )
        renderer = Renderer(self.journal.id, {})
        self.worker = Worker("s", self.sink, settings, [TABLE], self.journal, renderer)
        self.worker.start()

    def insert(self, *numbers: int) -> None:
        frames = [bytes([2 * n]) for n in numbers]
        self.journal.append([Rows(TABLE, "http://k:9191", 0, "insert", SCHEMA, frames)])

    def wait_settled(self) -> None:
        wait_until(lambda: self.journal.accounts()[0].pending == 0, "nothing is pending")

    def reasons(self) -> dict[int, str]:
        with JournalReader(self.folder) as reader:
            return {letter.offset: letter.reason for letter in reader.dead_letters()}

    def close(self) -> None:
        if self.worker is not None:
            self.worker.stop()
            assert self.worker.join(10)
        self.journal.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A rig whose worker the test starts."""
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def answered(poison: set[int]) -> Callable[[Batch], None]:
    """Fail every batch that holds one of these numbers, as a receiver that chokes on them."""

    def judge(batch: Batch) -> None:
        if any(json.loads(event.value)["record"]["n"] in poison for event in batch):
            raise Retry("HTTP 500", answered=True)

    return judge


def test_events_arrive_in_order_and_the_cursor_follows(rig: Rig) -> None:
    """All of it in batches of the size that is set."""
    rig.start()
    for n in range(10):
        rig.insert(*range(n * 5, n * 5 + 5))
    rig.wait_settled()

    assert rig.sink.numbers() == list(range(50))
    assert max(map(len, rig.sink.calls)) <= 16
    assert rig.journal.cursor("s") == 50


def test_a_batch_that_fails_goes_out_again_the_same(rig: Rig) -> None:
    """It is frozen across its retries, and nothing overtakes it."""
    failures = iter([Retry("away"), RuntimeError("a bug of the sink's"), Retry("away")])

    def judge(batch: Batch) -> None:
        error = next(failures, None)
        if error is not None:
            raise error

    rig.sink.judge = judge
    rig.insert(*range(20))
    rig.start()
    rig.wait_settled()

    first = list(range(16))
    assert rig.sink.calls == [first, first, first, first, [16, 17, 18, 19]]
    assert rig.sink.numbers() == list(range(20))


@pytest.mark.parametrize("poison", [{0}, {7}, {15}, {3, 4}, {2, 19}])
def test_a_poison_event_is_isolated_and_set_aside_with_its_reason(
    rig: Rig, poison: set[int]
) -> None:
    """Whether it is refused or breaks the receiver, the others arrive in order."""
    rig.sink.judge = answered(poison)
    rig.insert(*range(30))
    rig.start()
    rig.wait_settled()

    assert rig.sink.numbers() == [n for n in range(30) if n not in poison]
    assert rig.reasons().keys() == poison
    assert all("HTTP 500" in reason for reason in rig.reasons().values())
    account = rig.journal.accounts()[0]
    assert (account.delivered, account.dead_lettered) == (30 - len(poison), len(poison))


def test_a_batch_that_is_rejected_whole_is_searched_for_the_cause(rig: Rig) -> None:
    """A receiver that answers 400 to a batch costs only the event that is to blame."""

    def judge(batch: Batch) -> None:
        if any(event.offset == 5 for event in batch):
            raise Reject("HTTP 400: bad")

    rig.sink.judge = judge
    rig.insert(*range(16))
    rig.start()
    rig.wait_settled()

    assert rig.sink.numbers() == [n for n in range(16) if n != 5]
    assert rig.reasons() == {5: "HTTP 400: bad"}


def test_only_what_failed_is_sent_again(rig: Rig) -> None:
    """Marked events are retried or set aside, the others count as delivered."""
    once = threading.Event()

    def judge(batch: Batch) -> None:
        for event in batch:
            if event.offset == 3:
                batch.fail(event, Reject("too large"))
            elif event.offset in (4, 9) and not once.is_set():
                batch.fail(event, Retry("busy"))
        once.set()

    rig.sink.judge = judge
    rig.insert(*range(12))
    rig.start()
    rig.wait_settled()

    assert rig.sink.calls == [list(range(12)), [4, 9]]
    assert sorted(rig.sink.numbers()) == [n for n in range(12) if n != 3]
    assert rig.reasons() == {3: "too large"}


def test_a_destination_that_refuses_everything_is_not_a_poison_event(rig: Rig) -> None:
    """However often it fails, nothing is set aside; once it is back, all of it arrives."""
    broken = threading.Event()
    broken.set()

    def judge(batch: Batch) -> None:
        if broken.is_set():
            raise Retry("HTTP 500", answered=True)

    rig.sink.judge = judge
    rig.insert(*range(40))
    rig.start()
    wait_until(lambda: len(rig.sink.calls) > 60, "many tries")
    stats = rig.worker.stats() if rig.worker else None
    assert stats is not None
    assert (stats.state, stats.error) == ("retrying", "HTTP 500")
    assert rig.journal.cursor("s") == 0

    broken.clear()
    rig.wait_settled()
    assert rig.sink.numbers() == list(range(40))
    assert rig.reasons() == {}


def test_a_lost_connection_is_opened_anew(rig: Rig) -> None:
    """NotConnected leads through close and open before the batch goes out again."""
    failures = iter([NotConnected("gone")])

    def judge(batch: Batch) -> None:
        error = next(failures, None)
        if error is not None:
            raise error

    rig.sink.judge = judge
    rig.insert(1, 2)
    rig.start()
    rig.wait_settled()

    assert rig.sink.opened == 2
    assert rig.sink.numbers() == [1, 2]


def test_what_does_not_decode_goes_to_the_dead_letters_in_its_place(rig: Rig) -> None:
    """With its bytes; the events around it arrive."""
    rig.insert(1)
    rig.journal.append([Undecodable(TABLE, "http://k:9191", 0, b"\xff", "byte 0: cut short")])
    rig.insert(2)
    rig.start()
    rig.wait_settled()

    assert rig.sink.numbers() == [1, 2]
    assert rig.reasons() == {1: "byte 0: cut short"}
    assert rig.journal.accounts()[0].dead_lettered == 1


def test_other_tables_events_are_passed_over(rig: Rig) -> None:
    """The cursor follows the head, so that they can be pruned."""
    rig.start()
    rig.journal.append([Count("ki_home.other", "http://k:9191", 0, "update", 3)])
    wait_until(lambda: rig.journal.cursor("s") == 1, "the cursor has passed it")

    assert rig.sink.calls == []


def test_the_cursor_is_on_the_disk_soon_after_the_last_event(rig: Rig) -> None:
    """Many batches in a row share a transaction; without more of them it is written by itself."""
    rig.start(max_events=1)
    rig.insert(*range(60))
    rig.wait_settled()

    with JournalReader(rig.folder) as reader:
        wait_until(lambda: reader.cursors() == [("s", 60)], "it is written")


def test_stopping_delivers_what_is_there(rig: Rig) -> None:
    """All that is in the journal, and then the thread ends."""
    rig.insert(*range(50))
    rig.start()
    assert rig.worker is not None
    rig.worker.stop()

    assert rig.worker.join(10)
    assert rig.sink.numbers() == list(range(50))


def test_stopping_does_not_wait_for_a_destination_that_is_away(rig: Rig) -> None:
    """The events stay in the journal, and a new worker goes on where it stood."""
    rig.insert(*range(5))
    away = threading.Event()
    away.set()

    def judge(batch: Batch) -> None:
        if away.is_set():
            raise Retry("away", after=3600)

    rig.sink.judge = judge
    rig.start()
    wait_until(lambda: rig.sink.calls, "a try")
    assert rig.worker is not None
    rig.worker.stop()
    assert rig.worker.join(10)
    assert rig.sink.delivered == []

    away.clear()
    rig.start()
    rig.wait_settled()
    assert rig.sink.numbers() == list(range(5))
