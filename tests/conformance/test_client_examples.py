"""Programs written as the vendor's two examples are, one import apart: they print the same."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import gpudb
import pytest
from services.python_program import PatientProgram

from kinetica_emulator import Emulator

HUNG = 75
PATIENCE = 30.0
MODULES = ("gpudb", "bridge.monitor")
# A line of the client's logger: when, and how important it is; who wrote it; what it says.
LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?P<line>[A-Z]+ +\{(?P<by>on_\w+):\d+\} .*)")


class Program(PatientProgram):
    """A program that runs; all it prints, to stdout and stderr, line by line."""

    def __init__(self, name: str, module: str, emulator: Emulator) -> None:
        path = Path(__file__).with_name(name)
        arguments = [module, emulator.url, str(emulator.monitor_port), "watched"]
        super().__init__(str(path), *arguments, stderr=subprocess.STDOUT, patience=PATIENCE)
        self.printed: list[str] = []

    def until(self, text: str, count: int = 1) -> bool:
        """Read until `count` lines end with a text; False if the program ended first."""
        while sum(line.endswith(text) for line in self.printed) < count:
            line = self.line()
            if not line:
                return False
            self.printed.append(line.rstrip("\n"))
        return True

    def starts(self) -> bool:
        """Wait until it monitors; False if the vendor's constructor hung."""
        if self.until("monitoring"):
            return True
        assert self.process.wait() == HUNG, self.printed
        return False

    def finish(self) -> None:
        self.go_on()
        assert self.until("ended"), self.printed

    def callbacks(self) -> dict[str, list[str]]:
        """Return what its callbacks logged, each for itself: the vendor's have three threads."""
        found = defaultdict(list)
        for line in self.printed:
            if logged := LOGGED.fullmatch(line):
                found[logged["by"]].append(logged["line"])
        return found

    def queued(self) -> dict[str, list[str]]:
        """Return what came through its queue, each kind for itself."""
        found = defaultdict(list)
        for line in self.printed:
            kind, separator, _ = line.partition(": ")
            if separator and not LOGGED.fullmatch(line) and not line[:1].isdigit():
                found[kind].append(line)
        return found


def start(name: str, module: str, emulator: Emulator) -> Program:
    """Start a program; again if the vendor's constructor hung, as it does now and then."""
    for _ in range(5):
        program = Program(name, module, emulator)
        if program.starts():
            return program
        program.end()
    pytest.fail(f"{module} hung five times in a row")


@pytest.fixture
def table(db: gpudb.GPUdb) -> gpudb.GPUdbTable:
    columns = [["city", "string", "char16"], ["degrees", "double"], ["at", "string", "datetime"]]
    return gpudb.GPUdbTable(columns, name="watched", db=db)


@pytest.fixture
def both(
    request: pytest.FixtureRequest, emulator: Emulator, table: gpudb.GPUdbTable
) -> Iterator[list[Program]]:
    """A program on the vendor's client and on ours, both listening for certain."""
    programs: list[Program] = []
    try:
        programs.extend(start(request.param, module, emulator) for module in MODULES)
        with emulator.database.lock:
            topics = [monitor.topic_id for monitor in emulator.database.monitors.all()]
        assert len(topics) == 6
        assert all(emulator.wait_for_subscriber(topic) for topic in topics)
        yield programs
    finally:
        for program in programs:
            program.end()


def change(table: gpudb.GPUdbTable) -> None:
    """Report the weather, correct it, and forget some of it."""
    for batch in range(3):
        when = f"2026-11-2{batch} 08:42:00.123"
        rows = [["Oslo", 4.5 + batch, when], ["São Paulo", 27.25, when], ["Perth", -0.5, when]]
        table.insert_records(rows)
    table.update_records(["city = 'Oslo'"], [{"degrees": "5"}])
    table.delete_records(["city = 'Perth'"])


@pytest.mark.parametrize("both", ["example_logging.py"], indirect=True)
def test_the_logging_example_moved_over_prints_what_it_printed(
    table: gpudb.GPUdbTable, both: list[Program]
) -> None:
    """No logging was set up, a level was asked for: the lines of all callbacks are on stderr."""
    change(table)
    for program in both:
        assert program.until("deleted: 3")
        assert program.until("updated: 3")
        program.until("}", 9)
        program.finish()

    vendor, ours = (program.callbacks() for program in both)
    assert ours == vendor
    assert len(ours["on_insert_decoded"]) == len(ours["on_insert_raw"]) == 9
    assert ours["on_update"][0].startswith("INFO ")


@pytest.mark.parametrize("both", ["example_queue.py"], indirect=True)
def test_the_queued_example_moved_over_prints_what_it_printed(
    table: gpudb.GPUdbTable, both: list[Program]
) -> None:
    """What comes through the queue, and what is logged beside it."""
    change(table)
    for program in both:
        # Once logged, and once taken out of the queue.
        assert program.until("deleted: 3", 2)
        assert program.until("updated: 3", 2)
        assert program.until("}", 18)
        program.finish()

    vendor, ours = both
    assert ours.queued() == vendor.queued()
    assert len(ours.queued()["inserted (decoded)"]) == 9
    assert ours.callbacks() == vendor.callbacks()
    assert len(ours.callbacks()["on_insert_decoded"]) == 9
