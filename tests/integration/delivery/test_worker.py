"""A sink's worker on a real journal: retries, poison events, cursors, drains."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from services.delivery import (
    OTHER,
    TABLE,
    Engine,
    Gate,
    ScriptedSink,
    block,
    number,
    output,
    settings,
)
from services.process import wait_until

from bridge.delivery.encoding import Encoder, Piece
from bridge.delivery.worker import Worker
from bridge.errors import Reject, Retry
from bridge.events import Undecodable
from bridge.formats.base import Output
from bridge.journal import Journal, Stored
from bridge.lines import Lines
from bridge.sinks import Batch, NotConnected


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose worker the test starts."""
    with Engine(tmp_path / "j") as engine:
        yield engine


def answered(poison: set[int]) -> Callable[[Batch], None]:
    """Fail every batch that holds one of these numbers, as a receiver that chokes on them."""

    def judge(batch: Batch) -> None:
        if any(number(event) in poison for event in batch):
            raise Retry("HTTP 500", answered=True)

    return judge


def test_events_arrive_in_order_and_the_cursor_follows(rig: Engine) -> None:
    """All of it in batches of the size that is set."""
    rig.start()
    for n in range(10):
        rig.insert(*range(n * 5, n * 5 + 5))
    rig.wait_settled()

    assert rig.sink.numbers() == list(range(50))
    assert max(map(len, rig.sink.calls)) <= 16
    assert rig.journal.lanes("s")[TABLE].cursor == 50


def test_a_batch_that_fails_goes_out_again_the_same(rig: Engine) -> None:
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
    rig: Engine, poison: set[int]
) -> None:
    """Whether it is refused or breaks the receiver, the others arrive in order."""
    rig.sink.judge = answered(poison)
    rig.insert(*range(30))
    rig.start()
    rig.wait_settled()

    assert rig.sink.numbers() == [n for n in range(30) if n not in poison]
    assert rig.letters().keys() == poison
    assert all("HTTP 500" in letter.reason for letter in rig.letters().values())
    account = rig.account()
    assert (account.delivered, account.dead_lettered) == (30 - len(poison), len(poison))


def test_a_batch_that_is_rejected_whole_is_searched_for_the_cause(rig: Engine) -> None:
    """A receiver that answers 400 to a batch costs only the event that is to blame."""

    def judge(batch: Batch) -> None:
        if any(event.offset == 5 for event in batch):
            raise Reject("HTTP 400: bad")

    rig.sink.judge = judge
    rig.insert(*range(16))
    rig.start()
    rig.wait_settled()

    assert rig.sink.numbers() == [n for n in range(16) if n != 5]
    assert rig.letters().keys() == {5}
    assert "HTTP 400: bad" in rig.letters()[5].reason


def test_only_what_failed_is_sent_again(rig: Engine) -> None:
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

    assert rig.sink.calls[0] == list(range(12))
    assert max(Counter(o for call in rig.sink.calls[1:] for o in call).values()) <= 2
    assert {o for call in rig.sink.calls[1:] for o in call} == {3, 4, 9}
    assert sorted(rig.sink.numbers()) == [n for n in range(12) if n != 3]
    assert rig.letters().keys() == {3}


def test_a_destination_that_refuses_everything_is_not_a_poison_event(rig: Engine) -> None:
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
    assert rig.journal.lanes("s")[TABLE].cursor == 0

    broken.clear()
    rig.wait_settled()
    assert rig.sink.numbers() == list(range(40))
    assert rig.letters() == {}


def test_a_lost_connection_is_opened_anew(rig: Engine) -> None:
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


def test_what_does_not_decode_goes_to_the_dead_letters_in_its_place(rig: Engine) -> None:
    """With its bytes; the events around it arrive."""
    rig.insert(1)
    rig.journal.append([Undecodable(TABLE, "http://k:9191", 0, b"\xff", "byte 0: cut short")])
    rig.insert(2)
    rig.start()
    rig.wait_settled()

    assert rig.sink.numbers() == [1, 2]
    assert {o: each.reason for o, each in rig.letters().items()} == {1: "byte 0: cut short"}
    assert rig.journal.accounts()[0].dead_lettered == 1


def test_stopping_delivers_what_is_there(rig: Engine) -> None:
    """All that is in the journal, and then the thread ends."""
    rig.insert(*range(50))
    rig.start()
    assert rig.worker is not None
    rig.worker.stop()

    assert rig.worker.join(10)
    assert rig.sink.numbers() == list(range(50))


def test_stopping_does_not_wait_for_a_destination_that_is_away(rig: Engine) -> None:
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


def test_stopping_after_a_reload_waits_for_every_call_and_delivers_the_rest(
    tmp_path: Path,
) -> None:
    """With several at once: the worker has not ended while one of the old sink's still runs."""
    gate = Gate()
    with Engine(tmp_path / "j", (TABLE, OTHER)) as rig:

        def judge(batch: Batch) -> None:
            if OTHER in batch.tables:  # the second line's
                gate.pass_()

        rig.sink.judge = judge
        rig.sink.max_in_flight = 2
        rig.insert(1, table=OTHER)
        rig.start()
        gate.reached.wait(10)
        fresh = ScriptedSink()
        rig.worker.configure(fresh, settings(), rig.tables, rig.output)
        rig.insert(2, table=OTHER)
        rig.worker.stop()
        assert not rig.worker.join(1)

        gate.open()
        assert rig.worker.join(10)
        assert fresh.numbers(OTHER) == [2]
        assert rig.account(OTHER).pending == 0


class Dawdling(Encoder):
    """An encoder that keeps whoever encodes ahead waiting."""

    def __init__(self, journal_id: str) -> None:
        super().__init__(journal_id)
        self.asked, self.go_on = threading.Event(), threading.Event()

    def lines(self, stored: Stored, piece: Piece, output: Output) -> Lines:
        if threading.current_thread().name.endswith("-ahead"):
            self.asked.set()
            self.go_on.wait(30)
        return super().lines(stored, piece, output)


def test_a_new_sink_is_told_of_a_head_behind_all_that_the_old_one_had(rig: Engine) -> None:
    """Else a sink that keeps cursors would take them for those of a younger journal."""
    gate = Gate()
    rig.sink.judge = lambda _: gate.pass_()
    rig.insert(0)
    rig.start()
    gate.reached.wait(10)
    fresh = ScriptedSink()
    rig.worker.configure(fresh, settings(), rig.tables, rig.output)
    rig.insert(*range(1, 10))
    gate.open()
    rig.wait_settled()

    assert fresh.assignment.head == 10


def test_a_worker_ends_once_its_sink_is_closed_whatever_is_encoded_ahead(tmp_path: Path) -> None:
    """Else a file would stay open, and locked for the sink that comes next."""
    with Journal(tmp_path / "j") as journal:
        journal.register("s", [TABLE])
        for n in range(10):
            journal.append([block(range(n * 10, n * 10 + 10))])
        encoder, sink = Dawdling(journal.id), ScriptedSink()
        worker = Worker("s", journal, encoder)
        worker.configure(sink, settings(), [TABLE], output())
        worker.start()
        assert encoder.asked.wait(30)
        worker.stop()

        assert not worker.join(0.5)
        encoder.go_on.set()
        assert worker.join(30)
        assert sink.closed == sink.opened == 1
