"""Lanes of one sink on the real engine: a table in trouble harms no other."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from services.delivery import OTHER, TABLE, Engine, Gate, ScriptedSink, block, number, settings
from services.process import wait_until

from bridge.delivery.worker import Worker
from bridge.errors import Disabled, Reject, Retry
from bridge.events import Drop, Undecodable
from bridge.journal import Journal, Page
from bridge.sinks import Batch


def test_a_table_that_is_refused_waits_alone_and_the_other_flows(tmp_path: Path) -> None:
    """A cursor for each; the sink delivers, and names the table with its error."""
    with Engine(tmp_path / "j", (TABLE, OTHER)) as rig:
        away = threading.Event()
        away.set()

        def judge(batch: Batch) -> None:
            if away.is_set() and TABLE in batch.tables:
                batch.fail(TABLE, Retry("the path is a folder"))

        rig.sink.judge = judge
        rig.start()
        for n in range(30):
            rig.insert(n)
            rig.insert(n, table=OTHER)
        rig.wait_settled(OTHER)
        wait_until(lambda: rig.worker.stats().waiting, "it waits")
        stats = rig.worker.stats()
        lanes = rig.journal.lanes("s")

        assert rig.sink.numbers(OTHER) == list(range(30))
        assert rig.sink.numbers() == []
        assert (stats.state, stats.waiting) == ("delivering", {TABLE: "the path is a folder"})
        assert stats.oldest[TABLE] > 0
        assert (lanes[TABLE].cursor, lanes[OTHER].cursor) == (0, 60)

        away.clear()
        rig.wait_settled()
        assert rig.sink.numbers() == list(range(30))
        assert rig.worker.stats().waiting == {}


def test_a_batch_that_is_refused_is_parted_by_table_first(tmp_path: Path) -> None:
    """Then halved within the table; the tables that are fine are sent as they are."""
    with Engine(tmp_path / "j", (TABLE, OTHER)) as rig:

        def judge(batch: Batch) -> None:
            if any(e.table == TABLE and number(e) == 3 for e in batch):
                raise Reject("HTTP 422")

        rig.sink.judge = judge
        rig.insert(*range(6))
        rig.insert(*range(4), table=OTHER)
        rig.start()
        rig.wait_settled()

        assert rig.sink.calls[:4] == [[*range(10)], [*range(6)], [6, 7, 8, 9], [0, 1, 2]] or (
            rig.sink.calls[:3] == [[*range(10)], [*range(6)], [0, 1, 2]]
            and [6, 7, 8, 9] in rig.sink.calls
        )
        assert rig.letters().keys() == {3}
        assert sorted(rig.sink.numbers()) == [0, 1, 2, 4, 5]


def test_a_sink_that_is_disabled_waits_until_a_reload(tmp_path: Path) -> None:
    """Nothing is sent in between, and nothing set aside."""
    with Engine(tmp_path / "j") as rig:

        def judge(_: Batch) -> None:
            raise Disabled("HTTP 410: gone", answer="410 gone")

        rig.sink.judge = judge
        rig.insert(1, 2)
        rig.start()
        wait_until(lambda: rig.worker.stats().state == "disabled", "it is disabled")
        calls = len(rig.sink.calls)
        rig.insert(3)
        fresh = ScriptedSink()
        assert rig.worker.stats().error == "HTTP 410: gone"
        assert len(rig.sink.calls) == calls

        rig.worker.configure(fresh, settings(), rig.tables, rig.output)
        rig.wait_settled()
        assert fresh.numbers() == [1, 2, 3]
        assert (rig.sink.closed, rig.letters()) == (1, {})


def test_a_poison_event_before_bytes_that_do_not_decode_holds_up_nothing(tmp_path: Path) -> None:
    """What no sink can get is no witness, and is passed over when looking ahead."""
    with Engine(tmp_path / "j") as rig:

        def judge(batch: Batch) -> None:
            if any(number(e) == 1 for e in batch):
                raise Reject("HTTP 400")

        rig.sink.judge = judge
        rig.insert(1)
        rig.journal.append([Undecodable(TABLE, "c", 5, b"\xff", "cut short")] * 50)
        rig.start()
        wait_until(lambda: rig.worker.stats().waiting, "it waits for a witness")
        assert rig.letters() == {}

        rig.insert(2)
        rig.wait_settled()
        assert rig.sink.numbers() == [2]
        assert rig.letters().keys() == set(range(51))
        assert rig.account().dead_lettered == 51


def test_two_reloads_with_a_hung_sink_leave_one_worker_and_the_order(tmp_path: Path) -> None:
    """The name owns the worker for the whole of `deliver`; the last configuration holds."""
    with Engine(tmp_path / "j") as rig:
        gate = Gate()
        rig.sink.judge = lambda _: gate.pass_()
        second, third = ScriptedSink(), ScriptedSink()
        rig.insert(*range(5))
        rig.start()
        assert gate.reached.wait(10)
        rig.insert(*range(5, 10))
        rig.worker.configure(second, settings(), rig.tables, rig.output)
        rig.worker.configure(third, settings(), rig.tables, rig.output)
        rig.insert(10)
        assert (second.opened, third.opened) == (0, 0)

        gate.open()
        rig.wait_settled()
        assert rig.sink.numbers() == list(range(5))
        assert (second.opened, rig.sink.closed) == (0, 1)
        assert third.numbers() == list(range(5, 11))


def test_a_table_registered_while_deliver_hangs_is_never_passed_by(tmp_path: Path) -> None:
    """Its events count from the moment of its registration, however late the worker hears."""
    with Engine(tmp_path / "j") as rig:
        gate = Gate()
        rig.sink.judge = lambda _: gate.pass_()
        rig.insert(1)
        rig.start()
        assert gate.reached.wait(10)
        both = (TABLE, OTHER)
        rig.journal.register("s", both)
        rig.insert(7, table=OTHER)
        rig.worker.configure(rig.sink, settings(), both, rig.output)
        gate.open()
        rig.tables = both
        rig.wait_settled()

        assert rig.sink.numbers(OTHER) == [7]


def test_a_retired_worker_ends_and_is_revived_by_a_configuration(tmp_path: Path) -> None:
    """It ends once the try is over; under its name it delivers again where it stood."""
    with Engine(tmp_path / "j") as rig:
        rig.insert(1)
        rig.start()
        rig.wait_settled()
        rig.worker.retire()
        assert rig.worker.join(10)
        rig.insert(2)
        assert (rig.sink.closed, rig.worker.loop.dead) == (1, False)

        rig.worker.configure(rig.sink, settings(), rig.tables, rig.output)
        rig.wait_settled()
        assert rig.sink.numbers() == [1, 2]


def test_stopping_with_a_hanging_destination_is_noticed_in_time(tmp_path: Path) -> None:
    """`join` says so instead of waiting, and the thread does not hold up the process."""
    with Engine(tmp_path / "j") as rig:
        gate = Gate()
        rig.sink.judge = lambda _: gate.pass_()
        rig.insert(1)
        rig.start()
        assert gate.reached.wait(10)
        rig.worker.stop()

        assert rig.worker.join(0.2) is False
        assert any(t.name == "sink-s" and t.daemon for t in threading.enumerate())
        gate.open()


def test_several_calls_at_once_never_have_events_of_one_table(tmp_path: Path) -> None:
    """`max_in_flight` of them, each table in order."""
    tables = tuple(f"ki_home.t{n}" for n in range(6))
    with Engine(tmp_path / "j", tables) as rig:
        inside: dict[str, int] = defaultdict(int)
        most, lock = [0], threading.Lock()
        together = threading.Barrier(3)
        met = threading.Event()

        def judge(batch: Batch) -> None:
            with lock:
                for table in batch.tables:
                    inside[table] += 1
                    assert inside[table] == 1
                most[0] = max(most[0], sum(inside.values()))
            if not met.is_set():
                together.wait(10)
                met.set()
            with lock:
                for table in batch.tables:
                    inside[table] -= 1

        rig.sink.judge = judge
        rig.sink.max_in_flight = 3
        for n in range(20):
            for table in tables:
                rig.insert(n, table=table)
        rig.start()
        rig.wait_settled()

        assert met.is_set()
        assert len([each for each in rig.worker.loops if "ahead" not in each.name]) == 3
        for table in tables:
            assert rig.sink.numbers(table) == list(range(20))


def test_what_a_sink_knows_to_be_too_large_goes_at_once_a_hundred_in_a_row(tmp_path: Path) -> None:
    """Then the table waits, and a person sets the next ones aside."""
    with Engine(tmp_path / "j") as rig:

        def judge(batch: Batch) -> None:
            for event in batch:
                if number(event) < 130:
                    batch.fail(event, Reject("too large", certain=True))

        rig.sink.judge = judge
        rig.insert(*range(135))
        rig.start()
        wait_until(lambda: rig.worker.stats().waiting, "the table waits")
        assert rig.account().dead_lettered == 100
        assert rig.worker.stats().waiting == {TABLE: "too large"}

        assert rig.worker.skip(TABLE) == 1
        rig.wait_settled()
        assert rig.letters()[100].reason == "set aside by hand"
        assert rig.sink.numbers() == [130, 131, 132, 133, 134]
        assert rig.worker.skip(TABLE) == 0


def test_alter_drop_and_counts_take_their_place_among_rows(tmp_path: Path) -> None:
    """Entries of every kind of one table stay in order."""
    with Engine(tmp_path / "j") as rig:
        rig.journal.append([block([1, 2]), Drop(TABLE, "c", 9), block([3])])
        rig.start()
        rig.wait_settled()

        assert [event.type for event in rig.sink.delivered] == [
            "insert",
            "insert",
            "drop",
            "insert",
        ]
        assert [event.offset for event in rig.sink.delivered] == [0, 1, 2, 3]


def test_a_lane_far_behind_does_not_delay_the_others(tmp_path: Path) -> None:
    """After a restart it catches up by itself, beside those that stand at the head."""
    with Engine(tmp_path / "j", (TABLE, OTHER)) as rig:

        def judge(batch: Batch) -> None:
            if TABLE in batch.tables:
                batch.fail(TABLE, Retry("busy", after=3600))

        rig.sink.judge = judge
        rig.start(max_events=50_000)
        rig.insert(*range(10))
        for begin in range(0, 300_000, 50_000):
            rig.insert(*range(begin, begin + 50_000), table=OTHER)
        rig.wait_settled(OTHER)
        rig.worker.retire()
        assert rig.worker.join(10)

        fresh, gate = ScriptedSink(), Gate()

        def slow(batch: Batch) -> None:
            if batch.tables == {TABLE}:
                assert batch[0].offset < 10
            if batch.tables == {OTHER}:
                gate.open()

        fresh.judge = slow
        rig.insert(1, table=OTHER)
        rig.worker.configure(fresh, settings(), rig.tables, rig.output)
        rig.wait_settled()
        assert fresh.numbers() == list(range(10))
        assert fresh.numbers(OTHER) == [1]


@pytest.mark.parametrize("max_wait", [0.05])
def test_a_batch_waits_for_more_as_long_as_it_may(tmp_path: Path, max_wait: float) -> None:
    """And no longer: events that come one by one go out together."""
    with Engine(tmp_path / "j") as rig:
        rig.start(max_wait=max_wait, max_events=3)
        for n in range(7):
            rig.insert(n)
        rig.wait_settled()

        assert rig.sink.numbers() == list(range(7))
        assert max(map(len, rig.sink.calls)) <= 3
        assert len(rig.sink.calls) < 7


def test_a_worker_without_tables_or_events_shows_no_trouble(tmp_path: Path) -> None:
    """It connects, and delivers as soon as there is something."""
    with Engine(tmp_path / "j", ()) as rig:
        rig.start()
        wait_until(lambda: rig.worker.stats().state == "delivering", "it is connected")
        assert isinstance(rig.worker, Worker)


class SeenOnce:
    """A journal whose newest commit is seen by one reader a moment before the other sees it."""

    def __init__(self, real: Journal) -> None:
        self._real = real
        self._readers = 0
        self.blind = 3  # reads of the second reader, which lanes are tried alone with

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def reader(self) -> Any:
        self._readers += 1
        return self._real.reader() if self._readers % 2 else _Late(self, self._real.reader())


class _Late:
    def __init__(self, journal: SeenOnce, real: Any) -> None:
        self._journal = journal
        self._real = real

    def read(self, start: int, **options: Any) -> Any:
        if self._journal.blind > 0:
            self._journal.blind -= 1
            return Page([], start, [])
        return self._real.read(start, **options)

    def close(self) -> None:
        self._real.close()


def test_a_cursor_moves_over_nothing_that_was_not_read(tmp_path: Path) -> None:
    """What was refused and cannot be read again at once is no hole: it is tried later."""
    with Engine(tmp_path / "j", journal=SeenOnce) as rig:

        def judge(batch: Batch) -> None:
            if any(number(event) == 3 for event in batch):
                raise Reject("HTTP 422")

        rig.sink.judge = judge
        rig.insert(*range(8))
        rig.start()
        rig.wait_settled()

        assert rig.account().discarded == 0
        assert sorted(rig.sink.numbers()) == [0, 1, 2, 4, 5, 6, 7]
        assert rig.letters().keys() == {3}
