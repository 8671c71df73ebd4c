"""What `make soak` holds the service to."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks is no installed package

from services.process import Metrics

from benchmarks.soak.arrivals import Arrived, Files
from benchmarks.soak.figures import Growth, Look, growths, look

LANE = (("sink", "hook"), ("table", "t"))


def scrape(received: float, **parts: float) -> Metrics:
    names = {
        "received": received,
        "delivered": 0.0,
        "dead_lettered": 0.0,
        "discarded": 0.0,
        **parts,
    }
    pending = names.pop("pending", 0.0)
    found = {
        (f"kinetica_bridge_sink_{name}_events_total", LANE): value for name, value in names.items()
    }
    return found | {
        ("kinetica_bridge_sink_pending_events", LANE): pending,
        ("kinetica_bridge_journal_bytes", ()): 2.0**20,
    }


def row(number: int, kind: str = "insert") -> dict[str, Any]:
    return {"type": kind, "table": "t", "record": {"id": number}}


def write(path: Path, *numbers: int) -> None:
    with path.open("ab") as file:
        file.writelines(orjson.dumps(row(number)) + b"\n" for number in numbers)


def grown(name: str, *values: float) -> Growth:
    looks = [Look({name: value}, {}, ()) for value in values]
    (found,) = growths(looks)
    return found


def test_an_account_that_does_not_add_up_is_told() -> None:
    """Received is delivered, dead-lettered and pending; nothing is discarded."""
    well = look(os.getpid(), scrape(9.0, delivered=5.0, dead_lettered=1.0, pending=3.0))
    lost = look(os.getpid(), scrape(9.0, delivered=5.0, pending=3.0))
    discarded = look(os.getpid(), scrape(9.0, delivered=5.0, discarded=4.0))

    assert not well.wrong
    assert well.pending == {"hook": 3.0}
    assert well.figures["journal, MiB"] == 1.0
    assert well.figures["descriptors"] > 0
    assert lost.wrong
    assert discarded.wrong


@pytest.mark.parametrize(
    ("values", "flat"),
    [
        ([1, 50, 90, 90, 100, 100, 100, 100], True),
        ([1, 50, 90, 90, 100, 100, 100, 108], True),
        ([1, 50, 90, 90, 100, 104, 108, 112], False),
        ([9, 9, 9, 9, 100, 50, 20, 10], True),
    ],
)
def test_growth_is_looked_for_in_the_second_half(values: list[float], flat: bool) -> None:
    """What is once taken is no growth, nor is a little."""
    assert grown("memory, MiB", *values).is_flat is flat


def test_of_the_journal_no_growth_is_told() -> None:
    """It keeps what was delivered, up to its size."""
    assert grown("journal, MiB", *range(1, 81)).is_flat


def test_what_has_not_come_is_known_by_its_number() -> None:
    """Whatever the order, and however often the rest came."""
    arrived = Arrived()

    arrived.take([row(0), row(3), row(1, "read"), row(3, "read"), {"type": "delete"}])

    assert arrived.whole("t") == 2
    assert arrived.lacking({"t": 5}) == {("t", 2), ("t", 4)}
    assert arrived.events == 5
    assert arrived.again == 1
    arrived.take([row(2)])
    assert arrived.whole("t") == 4


def test_files_are_followed_over_several_closings_at_once(tmp_path: Path) -> None:
    """A file under its final name is read to its end and goes; a torn line waits."""
    files, live = Files(tmp_path), tmp_path / "t.jsonl"
    write(live, 0, 1)
    files.follow(["t"])
    write(live, 2)
    for first, numbers in ((9, [3, 4]), (10, [5])):
        live.rename(tmp_path / f"t.{first}.jsonl")
        write(live, *numbers)
    with live.open("ab") as file:
        file.write(orjson.dumps(row(6))[:9])

    files.follow(["t", "u"])

    assert files.arrived.lacking({"t": 6}) == set()
    assert files.arrived.again == 0
    assert sorted(tmp_path.iterdir()) == [live]
    with live.open("ab") as file:
        file.write(orjson.dumps(row(6))[9:] + b"\n")
    files.follow(["t"])
    assert files.arrived.lacking({"t": 7}) == set()
    files.close()
