"""One run after another: killed, named, forked, many times over; what is left of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import gpudb
import pytest
from services.callbacks import Heard
from services.python_program import PythonProgram

from bridge.monitor import Client, NotLive, Options
from kinetica_emulator import Emulator

PATIENCE = 60.0

PROGRAM = """
import sys
from bridge.monitor import Callback, Client, Options
Type = Callback.Type
def tell(kind):
    return lambda value: sys.stdout.write(f"{kind} {value}\\n") and sys.stdout.flush()
callbacks = [
    Callback(Type.INSERT_DECODED, tell("row"), tell("error")),
    Callback(Type.UPDATED, tell("updated")),
    Callback(Type.DELETED, tell("deleted")),
]
client = Client(sys.argv[1], "orders", callbacks, Options(instance=sys.argv[2] or None))
client.start_monitor()
tell("live")(None)
sys.stdin.readline()
"""

FORKING = """
import os, sys
from bridge.monitor import Callback, Client, Options
def tell(who):
    return lambda value: os.write(1, f"{who} {value}\\n".encode())
def make(who):
    kind = Callback.Type.INSERT_DECODED
    return Client(sys.argv[1], "orders", [Callback(kind, tell(who))], Options(instance="forking"))
client = make("parent")
with client:
    child = os.fork()
    if child == 0:
        tell("child is")(f"{client.state} {client.is_monitor_running}")
        client.stop_monitor()
        own = make("child")
        own.options.instance = None
        own.start_monitor()
        tell("child is")(own.state)
        sys.stdin.readline()
        own.stop_monitor()
        sys.exit(7)
    _, status = os.waitpid(child, 0)
    tell("child ended")(os.waitstatus_to_exitcode(status))
    sys.stdin.readline()
"""


class Program(PythonProgram):
    """A program that tells what it does, line by line."""

    def until(self, text: str) -> list[str]:
        """Read lines until one begins with a text; return them all."""
        lines = [self.line()]
        while not lines[-1].startswith(text):
            assert lines[-1], lines
            lines.append(self.line())
        return lines


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def table(emulator: Emulator) -> gpudb.GPUdbTable:
    return gpudb.GPUdbTable([["id", "int"]], name="orders", db=gpudb.GPUdb(host=emulator.url))


def await_monitors(emulator: Emulator, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(monitors(emulator)) != count:
        assert time.monotonic() < deadline, monitors(emulator)
        time.sleep(0.01)


def monitors(emulator: Emulator) -> set[str]:
    with emulator.database.lock:
        return {monitor.topic_id for monitor in emulator.database.monitors.all()}


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_named_client_finds_what_it_left_when_it_was_killed(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Killed again and again: three monitors all the time, the same; what was missed is told."""
    first: set[str] = set()
    for turn in range(5):
        with Program("-c", PROGRAM, emulator.url, "stock alerts") as program:
            lines = program.until("live")
            first = first or monitors(emulator)
            assert monitors(emulator) == first
            assert len(first) == 3
            table.insert_records([[turn]])
            lines += program.until("row")
        table.insert_records([[turn + 100]])  # while nobody listens

        told = [line for line in lines if line.startswith("error")]
        assert len(told) == (1 if turn else 0)
        assert all("an earlier run as 'stock alerts' was not stopped" in line for line in told)
        assert lines[-1] == f"row {{'id': {turn}}}"

    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks(), Options(instance="stock alerts")):
        heard.until("ERROR", having="an earlier run")
        assert monitors(emulator) == first
    assert monitors(emulator) == set()
    # This one was stopped: there is nothing to tell of.
    heard = Heard()
    with Client(emulator.url, "orders", heard.callbacks(), Options(instance="stock alerts")):
        table.insert_records([[0]])
        heard.until("INSERT_DECODED")
    assert heard.all("ERROR") == []


def test_a_named_client_clears_what_it_has_no_use_for_any_more(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Killed, and started for fewer kinds of events after the table was altered."""
    with Program("-c", PROGRAM, emulator.url, "a") as program:
        program.until("live")
        killed = monitors(emulator)
    table.db.alter_table("orders", "add_column", "n", {"column_type": "int"})

    with Client(emulator.url, "orders", Heard().callbacks("DELETED"), Options(instance="a")):
        left = monitors(emulator)

    assert len(left) == 1
    assert not left & killed or left < killed
    assert monitors(emulator) == set()


def test_what_a_killed_client_without_a_name_left_is_cleared_by_the_next_here(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Its process has ended, for certain; one that lives keeps its own."""
    with Program("-c", PROGRAM, emulator.url, "") as living:
        living.until("live")
        kept = monitors(emulator)
        with Program("-c", PROGRAM, emulator.url, "") as killed:
            killed.until("live")
            assert len(monitors(emulator)) == 6

        with Program("-c", PROGRAM, emulator.url, "") as third:
            third.until("live")
            await_monitors(emulator, 6)  # cleared beside the start, which does not wait for it
            assert kept < monitors(emulator)

            table.insert_records([[1]])
            assert living.line() == third.line() == "row {'id': 1}"


def test_two_clients_of_a_program_cannot_have_one_name(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """They would take each other's monitors; for two tables, or one after the other, they can."""
    gpudb.GPUdbTable([["id", "int"]], name="others", db=table.db)
    options = Options(instance="a")
    callbacks = Heard().callbacks("INSERT_RAW")
    second = Client(emulator.url, "orders", callbacks, options)
    with Client(emulator.url, "orders", callbacks, options):
        with pytest.raises(NotLive, match="the instance 'a' is that of another client"):
            second.start_monitor()
        assert second.state == "stopped"
        with Client(emulator.url, "others", callbacks, options):
            assert len(monitors(emulator)) == 2
        assert len(monitors(emulator)) == 1

    with second:
        assert len(monitors(emulator)) == 1
    assert monitors(emulator) == set()


def test_a_forked_child_has_stopped_clients_and_may_have_its_own(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """What it does with its copy is not seen by its parent, which goes on hearing."""
    with Program("-c", FORKING, emulator.url) as program:
        assert program.line() == "child is stopped False"
        program.until("child is live")
        assert len(monitors(emulator)) == 2
        table.insert_records([[1]])
        assert {program.line(), program.line()} == {"parent {'id': 1}", "child {'id': 1}"}

        program.go_on()
        assert program.line() == "child ended 7"
        assert len(monitors(emulator)) == 1
        table.insert_records([[2]])
        assert program.line() == "parent {'id': 2}"

        program.go_on()
        assert program.process.wait(PATIENCE) == 0
    assert monitors(emulator) == set()


def test_many_runs_leave_nothing_behind(emulator: Emulator, table: gpudb.GPUdbTable) -> None:
    """Neither threads nor descriptors, in the process; nor monitors on the cluster."""
    client = Client(emulator.url, "orders", Heard().callbacks())

    def run() -> None:
        client.start_monitor()
        client.stop_monitor()
        assert client.wait(PATIENCE)

    for _ in range(3):
        run()  # what is made once is made
    threads, descriptors = threading.active_count(), open_descriptors()
    for _ in range(20):
        run()

    assert threading.active_count() <= threads
    assert open_descriptors() <= descriptors + 2
    assert monitors(emulator) == set()
