"""What the random plans found once, each as the shortest story that shows it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from chaos.oracle import read_events
from services.preload import CompilerMissing
from services.process import BridgeProcess, wait_until
from services.rig import COLUMNS, FAST, TABLE, Database, Rig
from services.wall_clock import WallClock

from kinetica_emulator import Emulator, Ring


def test_what_a_table_lost_before_it_was_dropped_is_said(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Rows came while nobody heard and went with the table: they lie in a gap before the drop."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
    database.insert_ids(range(5))
    database.drop()

    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_state("waiting_for_table")
        wait_until(lambda: rig.events("drop"), "the drop")
        database.create()
        rig.wait_live()
        rig.wait_gaps_closed()

    gap, drop = (rig.events(kind)[0] for kind in ("gap", "drop"))
    assert (gap["reason"], gap["closed"]) == ("start", False)
    assert gap["offset"] < drop["offset"]


@pytest.mark.parametrize("event", ["insert", "update", "delete"])
def test_one_monitor_that_is_gone_is_one_gap(
    cluster: Emulator, database: Database, tmp_path: Path, event: str
) -> None:
    """The two that are left are not taken over while they are being cleared."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        for times in range(1, 6):
            database.clear(next(m for m in database.monitors() if f"_{event}_" in m))
            wait_until(lambda n=times: len(rig.events("gap")) >= 2 * n, "the gap is closed")
            rig.wait_live()
        database.insert_ids(range(5))
        rig.wait_ids(range(5))

        assert len(database.monitors()) == 3
    assert len(rig.events("gap")) == 10


def test_rows_that_come_before_a_new_layout_is_known_are_not_mistaken(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The table is altered while its monitors are being made; the layouts look alike as bytes."""
    database.create(columns={**COLUMNS, "at": ["long"]})
    cluster.hang(["/create/tablemonitor"])
    with Rig(tmp_path, [cluster.url]) as rig:
        wait_until(cluster.subscriptions, "the topics are subscribed")
        database.alter("change_column", "at", column_type="long", column_properties="timestamp")
        cluster.hang(["/show/table"])  # and the monitors are made
        wait_until(lambda: len(database.monitors()) == 3, "the monitors")
        database.insert([{"id": 1, "name": "a", "at": 1_700_000_000_000}])
        assert cluster.wait_published()
        cluster.heal()
        rig.wait_live()
        rig.wait_gaps_closed()
        rig.wait_ids([1])

    assert rig.rows()[0]["at"] == "2023-11-14T22:13:20.000Z"


def test_a_table_dropped_while_it_is_read_closes_its_gap_once(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The read of a table that is gone ends without a word; the new one's gap is its own."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        cluster.hang(["/get/records"])
        database.clear(database.monitors()[0])
        wait_until(lambda: rig.events("gap"), "the gap")
        database.drop()
        wait_until(lambda: rig.events("drop"), "the drop")
        cluster.heal()
        database.create()
        database.insert_ids(range(5))
        rig.wait_live()
        rig.wait_gaps_closed()
        rig.wait_ids(range(5))

    stages: dict[str, list[bool]] = {}
    for gap in rig.events("gap"):
        stages.setdefault(gap["gap"], []).append(gap["closed"])
    assert list(stages.values()) == [[False, True]] * len(stages)


def test_a_suspended_monitor_is_replaced(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Its id is taken by one that says nothing any more: that one is cleared first."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        for monitor in database.monitors():
            database.call(
                "/alter/tablemonitor",
                topic_id=monitor,
                monitor_updates_map={"notifications": "suspend"},
            )
        database.insert_ids(range(5))
        rig.wait_gaps_closed()
        rig.wait_ids(range(5))
        rig.wait_live()
        database.insert_ids([5])
        rig.wait_ids(range(6))


@pytest.mark.parametrize("told_first", ["by its catalogue", "by its tables"])
def test_a_table_made_again_is_known_though_the_catalogue_is_refused_for_a_while(
    cluster: Emulator, database: Database, tmp_path: Path, told_first: str
) -> None:
    """What the catalogue calls it is not what the table calls itself: both are remembered."""

    def refuse(refused: bool) -> None:
        cluster.refuse("draining", ["/execute/sql"]) if refused else cluster.heal()

    database.create()
    refuse(told_first == "by its tables")
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
        database.insert_ids(range(5, 10))
        rig.wait_ids(range(5, 10))
    refuse(told_first == "by its catalogue")
    cluster.recreate(TABLE)
    database.insert_ids(range(5))
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
        rig.wait_ids(range(10))

    assert len(rig.events("drop")) == 1


def clocked(cluster: Emulator, folder: Path) -> tuple[WallClock, dict[str, Any]]:
    """A clock that can be set back, and what a service under it is configured with."""
    try:
        clock = WallClock(folder)
    except CompilerMissing as error:
        pytest.skip(str(error))
    return clock, {
        "kinetica": {"urls": [cluster.url], **FAST},
        "tables": [{"name": TABLE, "catch_up": {"column": "id"}}],
        "sinks": {"out": {"type": "file", "path": str(folder / "{table}.jsonl")}},
    }


def test_a_service_whose_clock_is_set_back_goes_on(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The alteration is told, and what was inserted around it comes, once."""
    clock, config = clocked(cluster, tmp_path)
    database.create()
    with BridgeProcess(tmp_path, config, clock.env) as bridge:
        bridge.wait_live()
        database.insert_ids(range(5))
        clock.step(-600)
        database.alter("add_column", "extra", column_type="int", column_properties="nullable")
        database.insert_ids(range(5, 10))

        def came() -> list[str]:
            told = read_events(tmp_path / f"{TABLE}.jsonl")
            ids = [event["record"]["id"] for event in told if "record" in event]
            kinds = [event["type"] for event in told if "record" not in event]
            return kinds if sorted(ids) == list(range(10)) and kinds.count("gap") == 2 else []

        assert wait_until(came, "ten rows, and a gap that is closed").count("alter") == 1


def test_rows_of_a_table_that_was_absent_before_the_clock_was_set_back_come_once(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """When its monitors are lost: what was received of it is not older than the table."""
    clock, config = clocked(cluster, tmp_path)

    def came() -> list[dict[str, Any]]:
        path = tmp_path / f"{TABLE}.jsonl"
        return read_events(path) if path.exists() else []

    def ids() -> list[int]:
        return sorted(event["record"]["id"] for event in came() if "record" in event)

    with BridgeProcess(tmp_path, config, clock.env) as bridge:

        def waits() -> bool:
            tables = bridge.readyz().get("tables", {})
            return bool(tables) and tables[TABLE]["state"] == "waiting_for_table"

        wait_until(waits, "the table is seen not to be there")
        clock.step(-600)
        database.create()
        bridge.wait_live()
        database.insert_ids(range(10))
        wait_until(lambda: ids() == list(range(10)), "ten rows")
        cluster.forget_monitors()
        database.insert_ids(range(10, 13))

        def closed() -> bool:
            return any(e.get("reason") == "monitor_lost" and e["closed"] for e in came())

        wait_until(closed, "the gap is closed")
        assert ids() == list(range(13))


def test_a_table_made_again_on_the_second_cluster_before_it_is_used_is_a_drop(
    tmp_path: Path,
) -> None:
    """What the second cluster said of its table while the first was used still counts."""
    with Ring(2) as ring, contextlib.closing(Database(ring[0])) as database:
        database.create()
        assert ring.wait_replicated(10)
        with Rig(tmp_path, ring.urls, catch_up={"column": "id"}) as rig:
            rig.wait_live()
            database.insert_ids(range(5, 10))
            rig.wait_ids(range(5, 10))
            wait_until(lambda: len(rig.snapshot().tables[TABLE].identities) == 2, "both identities")
            ring[0].stop()
            with contextlib.closing(Database(ring[1])) as second:
                ring[1].recreate(TABLE)
                second.insert_ids(range(5))
            rig.wait_cluster(ring[1].url)
            rig.wait_ids(range(10))

    assert len(rig.events("drop")) == 1
