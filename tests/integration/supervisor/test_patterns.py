"""Tables that a pattern means are picked up, and none of their rows is missed."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from services.disk_fault import CompilerMissing, DiskFault
from services.process import BridgeProcess, wait_until
from services.rig import FAST, Database, Rig

from bridge.admin.health import readiness
from kinetica_emulator import Emulator

A, B, C = "ki_home.a", "ki_home.b", "ki_home.c"


def make_rig(cluster: Emulator, folder: Path, *tables: dict[str, Any]) -> Rig:
    rig = Rig(folder, [cluster.url])
    rig.tables = list(tables)
    return rig


def wait_watched(rig: Rig, *names: str) -> None:
    wait_until(lambda: set(rig.snapshot().tables) == set(names), f"{names} are watched")
    for name in names:
        rig.wait_live(name)


def test_what_is_there_is_watched_and_what_comes_later_comes_whole(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Rows from before the first look are nobody's business; those of a new table all come."""
    database.create(A)
    database.insert_ids(range(10), A)
    database.create("ki_home.tmp_1")
    database.call("/create/schema", schema_name="other", options={})
    database.create("other.t")
    entry = {"name": "ki_home.*", "except": ["tmp_*"]}
    with make_rig(cluster, tmp_path, entry) as rig:
        wait_watched(rig, A)
        database.insert_ids([10], A)
        rig.wait_ids([10], A)

        database.create(B)
        database.insert_ids(range(100), B)
        wait_watched(rig, A, B)
        database.insert_ids(range(100, 110), B)
        rig.wait_ids(range(110), B)

        wait_until(lambda: len(rig.events("gap", table=B)) == 2, "its gap is told, and closed")
        assert rig.events("gap", table=A) == []
        assert [(e["reason"], e["closed"]) for e in rig.events("gap", table=B)] == [
            ("start", False),
            ("start", True),
        ]
        assert {e["type"] for e in rig.events(table=B)} >= {"read", "insert"}
        assert readiness(rig.snapshot())["patterns"] == {"ki_home.*": 2}


def test_each_table_goes_by_its_own_entry_else_by_the_first_that_matches(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Values, keys and sinks are those of the entry."""
    for name in (A, B, "ki_home.orders"):
        database.create(name)
    rig = make_rig(
        cluster,
        tmp_path,
        {"name": "ki_home.*", "except": ["ki_home.b"], "sinks": ["out"]},
        {"name": "ki_home.?", "sinks": ["two"]},
        {"name": "ki_home.orders", "sinks": ["out", "two"]},
    )
    rig.sinks["two"] = {"type": "file", "path": str(tmp_path / "two" / "{table}.jsonl")}
    with rig:
        wait_watched(rig, A, B, "ki_home.orders")
        for name in (A, B, "ki_home.orders"):
            database.insert_ids([1], name)
        wait_until(lambda: len(list((tmp_path / "two").glob("*"))) == 2, "two tables went there")
        rig.wait_ids([1], A)
        rig.wait_ids([1], "ki_home.orders")
        written = {path.name for path in (tmp_path / "two").iterdir()}
        assert written == {f"{B}.jsonl", "ki_home.orders.jsonl"}
        assert not (tmp_path / f"{B}.jsonl").exists()


def test_what_was_found_outlives_a_restart(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Missed rows of a found table come; a table made meanwhile is new, and comes whole."""
    database.create(A)
    rig = make_rig(cluster, tmp_path, {"name": "ki_home.*", "catch_up": {"column": "id"}})
    with rig:
        wait_watched(rig, A)
        database.insert_ids([1], A)
        rig.wait_ids([1], A)
        rig.stop()

        database.insert_ids([2], A)
        database.create(B)
        database.insert_ids(range(20), B)
        rig.start()

        rig.wait_ids([1, 2], A)
        rig.wait_ids(range(20), B)
        rig.wait_gaps_closed()


def test_a_table_that_vanishes_is_waited_for_until_a_restart(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """When it comes back it is new."""
    for name in (A, B):
        database.create(name)
    rig = make_rig(cluster, tmp_path, {"name": "ki_home.*"})
    with rig:
        wait_watched(rig, A, B)
        database.drop(B)
        rig.wait_state("waiting_for_table", table=B)
        wait_until(lambda: rig.events("drop", table=B), "the drop is delivered")
        rig.stop()

        rig.start()
        wait_watched(rig, A)

        database.create(B)
        database.insert_ids([1, 2], B)
        wait_watched(rig, A, B)
        rig.wait_ids([1, 2], B)


def test_the_drop_of_a_table_that_vanished_is_still_delivered_after_a_restart(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Nothing that waits in a lane is discarded because the table is gone."""
    database.create(A)
    folder = tmp_path / "nowhere"
    rig = make_rig(cluster, tmp_path, {"name": "ki_home.*"})
    rig.sinks["late"] = {"type": "file", "path": str(folder / "{table}.jsonl")}
    folder.write_text("in the way")
    with rig:
        wait_watched(rig, A)
        database.insert_ids([1], A)
        rig.wait_ids([1], A)
        database.drop(A)
        wait_until(lambda: rig.events("drop", table=A), "the drop is delivered to one sink")
        rig.stop()

        folder.unlink()
        rig.start()

        path = folder / f"{A}.jsonl"
        wait_until(lambda: path.exists() and '"drop"' in path.read_text(), "and to the other")
        assert '"insert"' in path.read_text()


@pytest.mark.parametrize("listed", [False, True])
def test_a_pattern_that_a_reload_adds_makes_no_table_new(
    cluster: Emulator, database: Database, tmp_path: Path, listed: bool
) -> None:
    """Whether or not its schema was listed before; the tables watched go on undisturbed."""
    for name in (A, B):
        database.create(name)
        database.insert_ids(range(5), name)
    entry = {"name": "ki_home.a*"} if listed else {"name": A}
    with make_rig(cluster, tmp_path, entry) as rig:
        wait_watched(rig, A)
        rig.tables = [entry, {"name": "ki_home.*"}]
        rig.reload()
        wait_watched(rig, A, B)
        database.insert_ids([5], B)

        rig.wait_ids([5], B)
        assert rig.events("gap") == []
        rig.tables = [entry]
        rig.reload()
        wait_watched(rig, A)


def test_many_tables_of_a_pattern_are_taken_over_together(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """One change for all that a look has found."""
    names = [f"ki_home.t{n:03}" for n in range(50)]
    for name in names:
        database.create(name)
    with make_rig(cluster, tmp_path, {"name": "ki_home.t*"}) as rig:
        wait_watched(rig, *names)
        for name in names:
            database.insert_ids([7], name)
        for name in names:
            rig.wait_ids([7], name)


def test_a_table_made_while_the_bridge_was_down_comes_whole(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """It was not there when it was last looked for, so all of its rows are new."""
    rig = make_rig(cluster, tmp_path, {"name": A})
    with rig:
        rig.wait_state("waiting_for_table", table=A)
    database.create(A)
    database.insert_ids(range(10), A)
    with rig:
        rig.wait_ids(range(10), A)
        rig.wait_gaps_closed()
    assert [event["closed"] for event in rig.events("gap", table=A)] == [False, True]


@contextmanager
def looking(rig: Rig) -> Iterator[list[str]]:
    """Yield what was wrong with any snapshot that called itself ready."""
    wrong: list[str] = []
    over = threading.Event()

    assert rig.supervisor is not None
    snapshot_of = rig.supervisor.snapshot

    def look() -> None:
        while not over.is_set():
            snapshot = snapshot_of()
            if snapshot is not None and snapshot.ready:
                states = {str(table.state) for table in snapshot.tables.values()}
                if "connecting" in states or None in snapshot.patterns.values():
                    wrong.append(f"{states} {snapshot.patterns}")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()


def test_the_service_is_not_ready_before_the_tables_of_its_patterns_were_tried(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """At the start, and after reloads to another pattern of a schema that was seen, and beside."""
    for number in range(30):
        database.create(f"ki_home.a{number}")
        database.create(f"ki_home.b{number}")
    rig = make_rig(cluster, tmp_path, {"name": "ki_home.b*"})
    with rig, looking(rig) as wrong:
        for tables in (["a*"], ["b*"], ["b*", "a*"]):
            wait_until(lambda: rig.snapshot().ready, "it is ready")
            rig.tables = [{"name": f"ki_home.{name}"} for name in tables]
            rig.reload()
        wait_until(lambda: rig.snapshot().ready, "it is ready")
        assert len(rig.snapshot().tables) == 60
    assert wrong == []


def test_what_was_found_while_the_disk_failed_is_taken_over_once_it_does_not(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """It was found once only: nothing else would bring it up again."""
    try:
        disk = DiskFault(tmp_path)
    except CompilerMissing as error:
        pytest.skip(str(error))
    config = {
        "kinetica": {"urls": [cluster.url], **FAST},
        "tables": [{"name": "ki_home.*"}],
        "sinks": {"out": {"type": "file", "path": str(tmp_path / "{table}.jsonl")}},
    }
    database.create(A)
    with BridgeProcess(tmp_path, config, disk.env) as bridge:
        bridge.wait_live()
        disk.begin("eio-write", "state.db", errno.ENOSPC)
        database.create(B)

        def logged() -> bool:
            return any(line["event"] == "tables_not_taken_over" for line in bridge.log())

        wait_until(logged, "it cannot be taken over")
        assert bridge.get_json("/readyz")[0] == 503
        disk.end("eio-write")
        wait_until(lambda: B in bridge.readyz()["tables"], "it is")
        bridge.wait_live()
