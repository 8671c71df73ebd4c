"""Gaps are closed from the table, and snapshots are delivered, each row once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from services.process import wait_until
from services.rig import COLUMNS, TABLE, Database, Rig

from bridge.reading import PageLimits, Patience, ReadingOptions
from kinetica_emulator import Emulator

SMALL = ReadingOptions(PageLimits(rows=100), Patience(late=0.5))
KEYLESS = {"id": ["long"], "name": ["string"]}


@pytest.mark.parametrize("columns", [COLUMNS, KEYLESS], ids=["with a key", "without"])
def test_a_growing_column_bounds_what_is_read(
    cluster: Emulator, database: Database, tmp_path: Path, columns: dict[str, Any]
) -> None:
    """Rows that were there before the first monitor are not read, those of the gap are."""
    database.create(columns=columns)
    database.insert_ids(range(100))
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
        database.insert_ids(range(100, 110))
        rig.wait_ids(range(100, 110))
    database.insert_ids(range(110, 120))

    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_gaps_closed()
        database.insert_ids(range(120, 130))
        rig.wait_ids(range(100, 130))

    opened, closed = rig.events("gap")
    assert (opened["reason"], closed["rows"]) == ("start", 10)
    assert [event["record"]["id"] for event in rig.events("read")] == list(range(110, 120))


def test_rows_with_the_same_value_of_the_column_are_neither_lost_nor_doubled(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Of five rows that share the highest value, two are seen live and three missed."""
    database.create(columns=KEYLESS)
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
        database.insert([{"id": 7, "name": "a"}, {"id": 7, "name": "b"}])
        rig.wait_ids([7, 7])
    database.insert({"id": 7, "name": name} for name in "cde")

    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_gaps_closed()
        rig.wait_ids([7] * 5)

    assert sorted(row["name"] for row in rig.rows()) == list("abcde")


def test_the_filter_holds_for_what_is_read(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Live or read, rows that do not meet the table's filter do not arrive."""
    database.create()
    table: dict[str, Any] = {"filter": "id >= 50", "catch_up": {"column": "id"}}
    with Rig(tmp_path, [cluster.url], **table) as rig:
        rig.wait_live()
        database.insert_ids(range(40, 60))
        rig.wait_ids(range(50, 60))
    database.insert_ids([*range(10), *range(60, 70)])

    with Rig(tmp_path, [cluster.url], **table) as rig:
        rig.wait_gaps_closed()
        rig.wait_ids(range(50, 70))


def test_a_table_made_anew_is_read_whole_though_its_column_starts_over(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Dropped and made again between two probes: its values lie below what was seen before."""
    database.create()
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
        database.insert_ids(range(1000, 1010))
        rig.wait_ids(range(1000, 1010))
        wait_until(lambda: rig.height() == 1009, "the column's height is known")

        database.drop()
        database.create()
        database.insert_ids(range(5))
        rig.wait_ids([*range(1000, 1010), *range(5)])
        rig.wait_gaps_closed()


def test_without_a_key_or_a_column_a_gap_stays_open_and_says_so(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Nothing can be read back, so there is one event, and the gauge stays at one."""
    database.create(columns=KEYLESS)
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        wait_until(lambda: rig.events("gap"), "the gap event")
        assert rig.snapshot().tables[TABLE].counts.gaps_open == 1

    (gap,) = rig.events("gap")
    assert gap["closed"] is False
    assert "rows" not in gap


def test_a_gap_that_waits_for_a_column_that_is_not_there_names_it(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The primary key is no way out where a column was asked for."""
    database.create()
    with Rig(tmp_path, [cluster.url], catch_up={"column": "nope"}) as rig:
        rig.wait_live()
    with Rig(tmp_path, [cluster.url], catch_up={"column": "nope"}) as rig:
        rig.wait_live()
        wait_until(lambda: rig.events("gap"), "the gap event")

        (open_gap,) = rig.snapshot().gaps
        assert open_gap.why_open == "the table has no column nope to read it by"


def test_with_catch_up_off_a_gap_stays_open_and_nothing_is_read(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Though the table has a primary key; what arrives is delivered as ever."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
    database.insert_ids(range(3))
    with Rig(tmp_path, [cluster.url], catch_up=False) as rig:
        rig.wait_live()
        wait_until(lambda: rig.events("gap"), "the gap event")
        database.insert_ids(range(3, 6))
        rig.wait_ids(range(3, 6))
        (open_gap,) = rig.snapshot().gaps
        assert open_gap.why_open == "catch_up is off"

    assert [gap["closed"] for gap in rig.events("gap")] == [False]
    assert rig.events("read") == []


@pytest.mark.parametrize("columns", [COLUMNS, KEYLESS], ids=["with a key", "without"])
def test_a_snapshot_delivers_what_was_there_first(
    cluster: Emulator,
    database: Database,
    tmp_path: Path,
    columns: dict[str, Any],
) -> None:
    """Over many pages, with rows inserted meanwhile: each once, the old ones as read."""
    database.create(columns=columns)
    database.insert_ids(range(2000))
    with Rig(tmp_path, [cluster.url], reading=SMALL, snapshot="initial") as rig:
        wait_until(lambda: len(database.monitors()) == 3, "the monitors")
        for start in range(2000, 2400, 20):
            database.insert_ids(range(start, start + 20))
        rig.wait_ids(range(2400))
        rig.wait_live()

    with Rig(tmp_path, [cluster.url], reading=SMALL, snapshot="initial") as rig:
        rig.wait_live()
        database.insert_ids([2400])
        rig.wait_ids(range(2401))
        wait_until(lambda: rig.events("gap"), "the gap is over")
    assert rig.events("gap")[0]["reason"] == "start"


def test_a_snapshot_that_was_interrupted_goes_on(
    cluster: Emulator,
    database: Database,
    tmp_path: Path,
) -> None:
    """Stopped in the middle of it: what was delivered is not delivered again."""
    database.create()
    database.insert_ids(range(20_000))
    with Rig(tmp_path, [cluster.url], reading=SMALL, snapshot="initial") as rig:
        wait_until(lambda: len(rig.ids()) >= 100, "some of the snapshot")
    first = len(rig.ids())

    with Rig(tmp_path, [cluster.url], reading=SMALL, snapshot="initial") as rig:
        rig.wait_ids(range(20_000))
        rig.wait_live()
    assert 100 <= first < 20_000


def test_rows_that_are_deleted_while_the_table_is_read_shift_no_others(
    cluster: Emulator,
    database: Database,
    tmp_path: Path,
) -> None:
    """Pages go by key: what is left of the table arrives whole."""
    database.create()
    database.insert_ids(range(2000))
    with Rig(tmp_path, [cluster.url], reading=SMALL, snapshot="initial") as rig:
        for start in range(0, 2000, 200):
            database.delete(f"id >= {start} and id < {start + 20}")
        rig.wait_live()
        left = {n for n in range(2000) if n % 200 >= 20}
        wait_until(lambda: left <= set(rig.ids()), "what is left")
        assert len(rig.ids()) == len(set(rig.ids()))


def test_a_gap_that_could_not_be_closed_is_closed_after_a_restart(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """While the table cannot be read the gap stays open, over a restart of the bridge too."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        cluster.fail(500, ["/get/records"])
        cluster.forget_monitors()
        database.insert_ids(range(5))
        wait_until(lambda: rig.events("gap"), "the gap")
        wait_until(lambda: "failed" in (rig.snapshot().tables[TABLE].reason or ""), "the cause")
    cluster.heal()

    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_gaps_closed()
        rig.wait_ids(range(5))
    ids = {gap["gap"]: gap["closed"] for gap in rig.events("gap")}
    assert len(ids) == 2
    assert all(ids.values())
