"""A sink has its moments between deliveries."""

from __future__ import annotations

import threading
from itertools import count
from pathlib import Path

from services.delivery import Engine, ScriptedSink
from services.process import wait_until

from bridge.errors import Retry
from bridge.sinks import Batch, NotConnected


class Idling(ScriptedSink):
    """Counts the calls of `idle`, and looks whether a `deliver` runs."""

    def __init__(self) -> None:
        super().__init__()
        self.idled = 0
        self.inside = 0
        self.overlapped = False
        self.error: BaseException | None = None

    def idle(self) -> None:
        self.idled += 1
        self.overlapped = self.overlapped or self.inside > 0
        if self.error is not None:
            raise self.error

    def deliver(self, batch: Batch) -> None:
        self.inside += 1
        try:
            super().deliver(batch)
        finally:
            self.inside -= 1


def test_a_sink_without_events_is_called_now_and_then(tmp_path: Path) -> None:
    """By one of those who deliver, however many they are."""
    sink = Idling()
    sink.max_in_flight = 3
    with Engine(tmp_path / "j", tuple(f"ki_home.t{n}" for n in range(3))) as rig:
        rig.start(sink)
        wait_until(lambda: sink.idled >= 2, "it is called twice")
        assert not sink.overlapped


def test_a_sink_is_called_during_a_backoff(tmp_path: Path) -> None:
    """However long that is."""
    sink = Idling()

    def judge(_: Batch) -> None:
        raise Retry("away", after=3600)

    sink.judge = judge
    with Engine(tmp_path / "j") as rig:
        rig.insert(1)
        rig.start(sink)
        wait_until(lambda: sink.calls and sink.idled >= 2, "it is called twice")
        assert len(sink.calls) == 1


def test_a_sink_is_called_though_events_never_cease(tmp_path: Path) -> None:
    """One batch after the other, without a second between them."""
    sink, numbers = Idling(), count(1)
    with Engine(tmp_path / "j") as rig:
        sink.judge = lambda _: rig.insert(next(numbers)) if sink.idled < 2 else None
        rig.insert(0)
        rig.start(sink)
        wait_until(lambda: sink.idled >= 2, "it is called twice")
        rig.wait_settled()
        assert not sink.overlapped


def test_it_is_never_called_while_another_delivers(tmp_path: Path) -> None:
    """Nor twice at once; what hangs in one table's call holds it up."""
    sink, hangs = Idling(), threading.Event()
    sink.max_in_flight = 2
    tables = ("ki_home.a", "ki_home.b")
    sink.judge = lambda batch: None if batch.tables != {tables[0]} else _wait(hangs)
    with Engine(tmp_path / "j", tables) as rig:
        rig.insert(1, table=tables[0])
        rig.start(sink)
        wait_until(lambda: sink.inside, "it hangs")
        idled = sink.idled
        for n in range(300):
            rig.insert(n, table=tables[1])
        rig.wait_settled(tables[1])
        assert sink.idled == idled
        hangs.set()
        wait_until(lambda: sink.idled > idled, "it is called again")
        assert not sink.overlapped


def _wait(event: threading.Event) -> None:
    event.wait(60)


def test_a_defect_of_idle_is_shown_until_it_is_over(tmp_path: Path) -> None:
    """As `failed`; and events go out meanwhile."""
    sink = Idling()
    sink.error = ZeroDivisionError("a bug")
    with Engine(tmp_path / "j") as rig:
        rig.start(sink)
        wait_until(lambda: rig.worker.stats().state == "failed", "it shows")
        assert rig.worker.stats().error == "ZeroDivisionError: a bug"
        rig.insert(1)
        rig.wait_settled()
        sink.error = None
        wait_until(lambda: rig.worker.stats().state == "delivering", "it is well")
        assert (sink.numbers(), rig.worker.loop.faults) == ([1], 0)


def test_a_connection_that_idle_finds_lost_is_opened_anew(tmp_path: Path) -> None:
    """Before there is anything to send."""
    sink = Idling()
    sink.error = NotConnected("gone")
    with Engine(tmp_path / "j") as rig:
        rig.start(sink)
        wait_until(lambda: sink.idled == 1, "it is called")
        sink.error = None
        wait_until(lambda: sink.opened == 2, "it is opened again")
        wait_until(lambda: rig.worker.stats().state == "delivering", "it is well")
        assert sink.closed == 1
