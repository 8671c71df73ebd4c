"""A whole program around the client: how long it lives, and where the library's log goes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import gpudb
import pytest
from services.python_program import PythonProgram

from kinetica_emulator import Emulator

PATIENCE = 60.0

PROGRAM = """
import logging, sys
from bridge.monitor import GPUdbTableMonitor as Monitor
{before}
Type = Monitor.Callback.Type
callbacks = [
    Monitor.Callback(Type.INSERT_DECODED, lambda record: print(record, flush=True)),
    Monitor.Callback(Type.TABLE_DROPPED, lambda name: print("dropped", name, flush=True)),
]
monitor = Monitor.Client(sys.argv[1], "orders", callbacks)
{made}
monitor.start_monitor()
print("live", flush=True)
{after}
"""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def table(emulator: Emulator) -> gpudb.GPUdbTable:
    return gpudb.GPUdbTable([["id", "int"]], name="orders", db=gpudb.GPUdb(host=emulator.url))


class Program(PythonProgram):
    """A program around the client."""

    def __init__(self, url: str, *, before: str = "", made: str = "", after: str = "") -> None:
        text = PROGRAM.format(before=before, made=made, after=after)
        super().__init__("-c", text, url, stderr=subprocess.PIPE)

    def rest(self) -> tuple[str, str]:
        """Wait for its end; return what else it wrote to stdout, and all it wrote to stderr."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, err
        return out, err


def test_a_program_that_is_done_goes_on_while_it_monitors(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Its main thread has ended; callbacks are called until the drop, with which it exits."""
    with Program(emulator.url) as program:
        assert program.line() == "live"
        table.insert_records([[1], [2]])
        assert program.line() == "{'id': 1}"
        assert program.line() == "{'id': 2}"

        table.db.clear_table("orders")

        out, err = program.rest()
    assert out == "dropped orders\n"
    # Without any logging set up Python itself shows warnings, as it does for any library.
    assert "table_dropped" in err
    assert "table_state table=ki_home.orders state=live" not in err


def test_the_library_logs_where_the_program_says(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Through `logging`, under its own name and level; nothing of it on stdout."""
    before = "logging.basicConfig(level='INFO', format='%(name)s|%(levelname)s|%(message)s')"
    after = "monitor._logger.info('mine'); monitor.stop_monitor()"
    with Program(emulator.url, before=before, after=after) as program:
        out, err = program.rest()
    assert out == "live\n"
    assert "bridge.monitor|INFO|table_state table=ki_home.orders state=live" in err
    assert "bridge.monitor.client|INFO|mine" in err

    made = "monitor.logging_level = logging.ERROR"
    with Program(emulator.url, before=before, made=made, after=after) as program:
        assert program.rest() == ("live\n", "")


def test_who_asks_for_a_level_and_set_up_no_logging_sees_lines(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """On stderr, as with the vendor's client, until a handler takes them; each of them once."""
    made = "monitor._logger.info('unasked'); monitor.logging_level = logging.DEBUG"
    after = """
monitor._logger.info('on stderr')
logging.basicConfig(format='%(name)s|%(message)s')
monitor._logger.info('handled')
monitor.stop_monitor()
"""
    with Program(emulator.url, made=made, after=after) as program:
        out, err = program.rest()

    assert out == "live\n"
    assert "unasked" not in err
    assert re.search(
        r"^20\d\d-[\d-]+ [\d:]+ INFO     \{<module>:\d+\} on stderr$", err, re.MULTILINE
    )
    assert re.search(
        r"INFO     \{signal:\d+\} table_state table=ki_home.orders state=live$", err, re.MULTILINE
    )
    assert [line for line in err.splitlines() if "handled" in line] == [
        "bridge.monitor.client|handled"
    ]


def test_a_program_with_structlog_of_its_own_gets_the_lines_there(
    emulator: Emulator, table: gpudb.GPUdbTable
) -> None:
    """Where structlog is configured the library changes nothing of it."""
    before = (
        "import structlog; structlog.configure(processors=[structlog.processors.JSONRenderer()], "
        "logger_factory=structlog.PrintLoggerFactory(sys.stderr))"
    )
    with Program(emulator.url, before=before, after="monitor.stop_monitor()") as program:
        out, err = program.rest()

    assert out == "live\n"
    assert '"event": "table_state"' in err
