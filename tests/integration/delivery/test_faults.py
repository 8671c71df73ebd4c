"""Whatever goes wrong, the worker lives on, says so, and goes on where it stood."""

from __future__ import annotations

import asyncio
import errno
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from services.delivery import TABLE, Engine, ScriptedSink, number, settings
from services.process import wait_until

from bridge.errors import JournalError, Reject, Retry
from bridge.journal import Journal
from bridge.sinks import Batch, NotConnected


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What is logged meanwhile."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        SystemExit(3),
        KeyboardInterrupt(),
        MemoryError(),
        GeneratorExit(),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EMFILE, "Too many open files"),
        RuntimeError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_plug_in_raises_is_shown_and_tried_again(
    tmp_path: Path, error: BaseException, logged: list[Any]
) -> None:
    """`failed`, with the error; logged once with its traceback; the same batch until it goes."""
    with Engine(tmp_path / "j") as rig:
        broken = threading.Event()
        broken.set()

        def judge(_: Batch) -> None:
            if broken.is_set():
                raise error

        rig.sink.judge = judge
        rig.insert(1, 2)
        rig.start()
        wait_until(lambda: len(rig.sink.calls) > 5, "many tries")
        stats = rig.worker.stats()
        assert stats.state == "failed"
        assert type(error).__name__ in (stats.error or "")
        assert not rig.worker.loop.dead

        broken.clear()
        rig.wait_settled()
        assert rig.sink.numbers() == [1, 2]
        assert {tuple(call) for call in rig.sink.calls} == {(0, 1)}
        wait_until(lambda: rig.worker.stats().state == "delivering", "it is well")
        assert [e["event"] for e in logged if "exc_info" in e] == ["sink_failed"]


class Failing:
    """A journal that fails where it is told to."""

    def __init__(self, real: Journal) -> None:
        self._real = real
        self.errors: dict[str, BaseException | None] = {}
        self.calls: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            error = self.errors.get(name)
            if error is not None:
                raise error
            made = found(*arguments, **options)
            return _Reader(self, made) if name == "reader" else made

        return call


class _Reader:
    def __init__(self, journal: Failing, real: Any) -> None:
        self._journal = journal
        self._real = real

    def read(self, *arguments: Any, **options: Any) -> Any:
        self._journal.calls["read"] = self._journal.calls.get("read", 0) + 1
        error = self._journal.errors.get("read")
        if error is not None:
            raise error
        return self._real.read(*arguments, **options)

    def close(self) -> None:
        self._real.close()


@pytest.mark.parametrize("call", ["settle", "read", "lanes", "reader", "wait"])
@pytest.mark.parametrize(
    "error",
    [JournalError("busy"), OSError(errno.EIO, "Input/output error"), ZeroDivisionError("a bug")],
    ids=lambda error: type(error).__name__,
)
def test_a_journal_that_fails_for_a_while_loses_nothing(
    tmp_path: Path, call: str, error: BaseException
) -> None:
    """The state says so; afterwards it goes on from the cursor."""
    with Engine(tmp_path / "j", journal=Failing) as rig:
        journal: Any = rig.worker._journal
        journal.errors[call] = error
        rig.start()
        if call != "wait":
            rig.insert(1, 2, 3)
        wait_until(lambda: journal.calls.get(call, 0) > 1, "it failed twice")
        wait_until(lambda: rig.worker.stats().state == "failed", "it shows")
        assert str(error.args[-1]) in (rig.worker.stats().error or "")
        assert not rig.worker.loop.dead

        journal.errors.clear()
        rig.insert(4)
        rig.wait_settled()
        assert set(rig.sink.numbers()) >= ({1, 2, 3, 4} if call != "wait" else {4})
        if isinstance(error, JournalError | OSError) and call == "settle":
            assert rig.sink.numbers() == [1, 2, 3, 4]  # delivered once, written down late
        wait_until(lambda: rig.worker.stats().state == "delivering", "it is well")
        assert rig.letters() == {}


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a bug"), SystemExit()])
def test_an_encoder_that_fails_on_a_table_holds_up_that_table_alone(
    tmp_path: Path, error: BaseException
) -> None:
    """The others flow; nothing of the table is set aside."""
    other = "ki_home.u"
    with Engine(tmp_path / "j", (TABLE, other)) as rig:
        lines = rig.encoder.lines
        broken = threading.Event()
        broken.set()

        def fail(stored: Any, piece: Any, output: Any) -> Any:
            if broken.is_set() and stored.entry.table == TABLE:
                raise error
            return lines(stored, piece, output)

        rig.encoder.lines = fail  # type: ignore[method-assign]
        for n in range(5):
            rig.insert(n)
            rig.insert(n, table=other)
        rig.start()
        if not isinstance(error, SystemExit):
            rig.wait_settled(other)
            wait_until(lambda: TABLE in rig.worker.stats().waiting, "it waits")
            assert rig.worker.stats().state == "delivering"
        broken.clear()
        rig.wait_settled()
        assert rig.sink.numbers() == rig.sink.numbers(other) == list(range(5))


def test_a_destination_that_refuses_everything_poisons_nothing(tmp_path: Path) -> None:
    """400 to all: the table waits with backoff, the answer in the error; then all arrives."""
    with Engine(tmp_path / "j") as rig:
        broken = threading.Event()
        broken.set()

        def judge(_: Batch) -> None:
            if broken.is_set():
                raise Reject("HTTP 400: no", answer="400 no")

        rig.sink.judge = judge
        rig.insert(*range(500))
        rig.start()
        wait_until(lambda: len(rig.sink.calls) > 100, "many tries")
        stats = rig.worker.stats()
        assert (stats.state, stats.error) == ("retrying", "HTTP 400: no")
        assert stats.waiting == {TABLE: "HTTP 400: no"}
        assert rig.account().dead_lettered == 0

        broken.clear()
        rig.wait_settled()
        assert sorted(rig.sink.numbers()) == list(range(500))
        assert rig.letters() == {}


def _error(kind: str) -> Exception:
    return Reject("HTTP 400") if kind == "400" else Retry("HTTP 500", answered=True)


@pytest.mark.parametrize("seed", range(50))
def test_a_destination_that_fails_for_a_while_poisons_nothing(tmp_path: Path, seed: int) -> None:
    """500 or 400 to everything for a random while, then well: all good events arrive."""
    chance = random.Random(seed)
    kind = chance.choice(["400", "500"])
    failing = chance.randint(1, 60)
    with Engine(tmp_path / "j") as rig:

        def judge(_: Batch) -> None:
            if len(rig.sink.calls) <= failing:
                raise _error(kind)

        rig.sink.judge = judge
        rig.start(max_attempts=chance.randint(1, 4))
        for n in range(16):
            rig.insert(n)
        rig.wait_settled()

        assert sorted(rig.sink.numbers()) == list(range(16))
        assert rig.letters() == {}


def test_ten_thousand_rejections_are_a_handful_of_log_lines(
    tmp_path: Path, logged: list[Any]
) -> None:
    """A line now and then, with how many there were."""
    with Engine(tmp_path / "j") as rig:

        def judge(batch: Batch) -> None:
            rig.sink.calls.clear()
            for each in batch.slices:
                for index in range(0, len(each), 2):
                    batch.fail(each.part(index, index + 1), Reject("too large", certain=True))

        rig.sink.deliver = judge  # type: ignore[method-assign]
        for begin in range(0, 20_000, 5_000):
            rig.insert(*range(begin, begin + 5_000))
        rig.start(max_events=5_000)
        rig.wait_settled(timeout=120)

        assert rig.account().dead_lettered == 10_000
        assert len([e for e in logged if e["event"] == "event_set_aside"]) < 20


def test_a_sink_that_cannot_connect_pins_nothing(tmp_path: Path) -> None:
    """With nothing to send its lanes begin at the head, and the error shows all the same."""
    with Engine(tmp_path / "j") as rig:

        def refuse() -> None:
            raise NotConnected("nobody there")

        rig.sink.opening = refuse
        rig.start()
        wait_until(lambda: rig.worker.stats().error == "nobody there", "it shows")
        rig.insert(1, table="ki_home.other")
        assert rig.worker.stats().state == "retrying"
        assert rig.journal.lanes("s")[TABLE].start == rig.journal.head

        rig.sink.opening = lambda: None
        rig.insert(2)
        rig.wait_settled()
        assert rig.sink.numbers() == [2]


def test_a_reload_replaces_a_sink_that_fails(tmp_path: Path) -> None:
    """Held batch, backoff and all; nothing is lost or doubled."""
    with Engine(tmp_path / "j") as rig:

        def judge(_: Batch) -> None:
            raise Retry("away", after=3600)

        rig.sink.judge = judge
        rig.insert(1, 2)
        rig.start()
        wait_until(lambda: rig.sink.calls, "a try")
        fresh = ScriptedSink()
        rig.worker.configure(fresh, settings(), rig.tables, rig.output)
        rig.wait_settled()

        assert fresh.numbers() == [1, 2]
        assert rig.sink.closed == 1


@pytest.mark.parametrize(("size", "lanes"), [(3, 1), (200, 1), (3, 1000), (2**20, 100)])
def test_memory_is_bounded_while_a_destination_is_away(
    tmp_path: Path, size: int, lanes: int
) -> None:
    """Millions of rows of three bytes wait, or a thousand tables, and the process hardly grows."""
    script = Path(__file__).with_name("away.py")
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(size), str(lanes)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    grown = int(run.stdout.split()[-1])
    assert grown < 100 * 2**20


def test_skipping_sets_the_first_event_of_a_refused_table_aside(tmp_path: Path) -> None:
    """With the answer; the next one is tried then."""
    with Engine(tmp_path / "j") as rig:

        def judge(batch: Batch) -> None:
            if any(number(e) == 1 for e in batch):
                raise Reject("HTTP 422", answer="422 no")

        rig.sink.judge = judge
        rig.insert(1)
        rig.start()
        wait_until(lambda: rig.worker.stats().waiting, "it waits")
        assert rig.worker.skip("ki_home.unknown") == 0
        assert rig.worker.skip(TABLE) == 1
        rig.wait_settled()

        (letter,) = rig.letters().values()
        assert (letter.offset, letter.answer, letter.reason) == (0, "422 no", "set aside by hand")
        assert letter.attempts > 1


Judge = Callable[[Batch], None]
