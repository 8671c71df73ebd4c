"""The vendor's monitor client and ours, side by side: the same program, one import apart.

Both listen to one emulated cluster while the vendor's client changes the table; what the
program is told must be the same, value by value, in the order of each kind.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpudb
import pytest
from services.python_program import PatientProgram

from kinetica_emulator import Emulator

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

import every_type

PROGRAM = Path(__file__).with_name("monitor_program.py")
HUNG = 75
PATIENCE = 30.0
KINDS = ("INSERT_RAW", "INSERT_DECODED", "UPDATED", "DELETED")

# Beside the types of the other tests: every width of text, and the ends of every range.
WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
EXTREMES: dict[str, list[Any]] = {
    "i": [-(2**31), 2**31 - 1, 0],
    "i8": [-128, 127, -1],
    "i16": [-(2**15), 2**15 - 1, -1],
    "big": [-(2**63), 2**63 - 1, 0],
    "stamp": [-30610224000000, 29379542399999, 0],
    "f": [1.401298464324817e-45, -3.4028234663852886e38, math.inf],
    "d": [5e-324, -1.7976931348623157e308, -math.inf],
    "s": ["", "\x00\x7f\u0080\uffff", "\U0001f600" * 50],
    "raw": [b"", bytes(range(256)), b"\x00" * 10_000],
    "price": ["-99999999.99", "0.00", "0.01"],
    "unsigned": ["0", str(2**64 - 1), "1"],
}


class Listener(PatientProgram):
    """The program in a process of its own, and what it was told."""

    def __init__(self, module: str, emulator: Emulator, mode: str) -> None:
        self.module = module
        self.told: dict[str, list[str]] = {}
        place = emulator.url, str(emulator.monitor_port)
        arguments = [str(PROGRAM), module, *place, "watched", mode]
        super().__init__(*arguments, stderr=subprocess.DEVNULL, patience=PATIENCE)

    def until(self, kind: str, count: int = 1, *, having: str = "") -> list[str]:
        """Read until `count` of one kind, with `having` in them, were told; return all of it."""
        while sum(having in each for each in self.told.get(kind, [])) < count:
            line = self.line()
            if not line:
                raise EOFError(self.process.wait())
            told, value = json.loads(line)
            self.told.setdefault(told, []).append(json.dumps(value))
        return self.told[kind]

    def starts(self) -> bool:
        """Wait until it listens; False if its constructor hung."""
        try:
            self.until("STARTED")
        except EOFError as ended:
            if ended.args == (HUNG,):
                return False
            raise
        return True

    def finish(self) -> None:
        self.go_on()
        self.until("STOPPED")


def start(module: str, emulator: Emulator, mode: str) -> Listener:
    """Start the program; again if the vendor's constructor hung, as it does now and then."""
    for _ in range(5):
        listener = Listener(module, emulator, mode)
        if listener.starts():
            return listener
        listener.end()
    pytest.fail(f"{module} hung five times in a row")


def columns() -> list[list[str]]:
    widths = [[f"c_{width}", "string", f"char{width}", "nullable"] for width in WIDTHS]
    return [*every_type.columns(), *widths]


def row(n: int) -> list[Any]:
    values = dict(zip(every_type.COLUMNS, every_type.given(n), strict=True))
    if n < 3:
        values |= {name: extremes[n] for name, extremes in EXTREMES.items()}
    texts = [None if (n + width) % 5 == 0 else "é"[: n % 2] * (width // 2) for width in WIDTHS]
    return [*values.values(), *texts]


@pytest.fixture
def table(db: gpudb.GPUdb) -> gpudb.GPUdbTable:
    return gpudb.GPUdbTable(columns(), name="watched", db=db)


@pytest.fixture
def mode() -> str:
    """What becomes of a record that does not decode."""
    return "SKIP"


@pytest.fixture
def both(emulator: Emulator, table: gpudb.GPUdbTable, mode: str) -> Iterator[list[Listener]]:
    """The vendor's client and ours, both listening for certain."""
    listeners: list[Listener] = []
    try:
        listeners.extend(start(module, emulator, mode) for module in ("gpudb", "bridge.monitor"))
        with emulator.database.lock:
            topics = [monitor.topic_id for monitor in emulator.database.monitors.all()]
        assert len(topics) == 6
        assert all(emulator.wait_for_subscriber(topic) for topic in topics)
        yield listeners
    finally:
        for listener in listeners:
            listener.end()


def test_both_clients_are_told_the_same(
    emulator: Emulator, db: gpudb.GPUdb, table: gpudb.GPUdbTable, both: list[Listener]
) -> None:
    """Rows of every type and null, one and many a message, counts, upserts, and the drop."""
    expected = dict.fromkeys(KINDS, 0)

    def insert(ids: range, batch: int) -> None:
        for at in range(ids.start, ids.stop, batch):
            table.insert_records([row(n) for n in ids[at - ids.start : at - ids.start + batch]])
        expected["INSERT_RAW"] += len(ids)
        expected["INSERT_DECODED"] += len(ids)

    insert(range(50), 1)
    table.update_records(["i8 is not null", "id = 7"], [{"i": "5"}, {"s": "'again'"}])
    insert(range(50, 2050), 400)
    table.delete_records(["id < 10"])
    table.update_records(["id >= 2000"], [{"d": "1.5"}])
    insert(range(3000, 3010), 10)
    table.insert_records(
        [row(n) for n in (20, 21, 4000)], options={"update_on_existing_pk": "true"}
    )
    table.delete_records(["id = 20", "id = 4000"])
    table.delete_records(["true"])
    expected["INSERT_RAW"] += 1
    expected["INSERT_DECODED"] += 1
    expected["UPDATED"] += 3
    expected["DELETED"] += 3
    vendor, ours = both
    for kind, count in expected.items():
        assert len(vendor.until(kind, count)) == count
        assert len(ours.until(kind, count)) == count

    db.clear_table("watched")
    dropped = [listener.until("TABLE_DROPPED")[0] for listener in both]
    ours.finish()

    for kind in KINDS:
        assert ours.told[kind] == vendor.told[kind]
    assert ours.told["UPDATED"][-1] == "2"
    assert all("watched" in message for message in dropped)
    assert ours.told["TABLE_DROPPED"] == ['"watched"']
    assert "TABLE_ALTERED" not in {*ours.told, *vendor.told}
    assert "ERROR" not in vendor.told
    # Between the last look at the table and the drop something may have happened unheard.
    (error,) = ours.told["ERROR"]
    assert "may have been missed: monitor_lost" in error


def test_an_alteration_is_told_by_ours_and_what_came_before_it_by_both(
    db: gpudb.GPUdb, table: gpudb.GPUdbTable, both: list[Listener]
) -> None:
    """The server drops the monitors of an altered table in silence; ours makes them again."""
    vendor, ours = both
    table.insert_records([row(n) for n in range(3)])
    table.update_records(["id = 1"], [{"i": "5"}])
    for listener in both:
        listener.until("INSERT_DECODED", 3)
        listener.until("UPDATED")

    db.alter_table("watched", "add_column", "extra", {"column_type": "int"})
    assert ours.until("TABLE_ALTERED") == ['"watched"']
    ours.until("ERROR", having="missed: altered")
    altered = gpudb.GPUdbTable(None, name="watched", db=db)
    altered.insert_records([[*row(3), 7]])
    ours.until("INSERT_DECODED", 4)
    ours.finish()

    assert json.loads(ours.told["INSERT_DECODED"][3])[-1] == ["extra", 7]
    assert ours.told["TABLE_ALTERED"] == ['"watched"']
    for kind in KINDS:
        before = vendor.told.get(kind, [])
        assert ours.told.get(kind, [])[: len(before)] == before


@pytest.mark.parametrize("mode", ["ABORT"])
def test_a_record_that_does_not_decode_is_the_last_of_both(
    emulator: Emulator, table: gpudb.GPUdbTable, both: list[Listener]
) -> None:
    """Under ABORT: told raw by both, as an error by ours; nothing that was inserted after it."""
    vendor, ours = both
    with emulator.database.lock:
        topics = [m.topic_id for m in emulator.database.monitors.all() if m.event == "insert"]
    table.insert_records([row(0)])
    for listener in both:
        listener.until("INSERT_DECODED")

    for topic in topics:
        emulator.publish(topic, [b"\xff"])
    for listener in both:
        assert listener.until("INSERT_RAW", 2)[1] == '{"bytes": "ff"}'
    ours.until("ERROR", having="does not decode")
    table.insert_records([row(1)])
    ours.finish()
    # Of the vendor's threads the one for inserts has ended, the others go on.
    table.delete_records(["id = 1"])
    vendor.until("DELETED")

    for kind in ("INSERT_RAW", "INSERT_DECODED"):
        assert ours.told[kind] == vendor.told[kind]
    assert len(ours.told["INSERT_DECODED"]) == 1
    assert "DELETED" not in ours.told


def test_both_clients_clear_what_they_made(emulator: Emulator, both: list[Listener]) -> None:
    """After stop_monitor of both the cluster has no table monitor."""
    for listener in both:
        listener.finish()

    with emulator.database.lock:
        assert emulator.database.monitors.all() == []
