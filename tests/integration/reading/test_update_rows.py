"""The rows that updates touched come as they are now, once each time that their column moved."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from services.process import wait_until
from services.rig import Database, Rig
from structlog.testing import capture_logs

from bridge.reading import Patience, ReadingOptions, UpdateTimes
from kinetica_emulator import Emulator

MOVED: dict[str, list[str]] = {
    "id": ["long", "primary_key"],
    "name": ["string", "char32"],
    "moved": ["long", "timestamp", "init_with_now", "update_with_now"],
}
VERSIONED: dict[str, list[str]] = {
    "id": ["long", "primary_key"],
    "name": ["string", "char32"],
    "version": ["long", "nullable"],
}
BY_TIME = {"update_rows": {"column": "moved"}}
BY_VERSION = {"update_rows": {"column": "version"}}
QUICK = ReadingOptions(
    patience=Patience(settle=0.2, late=0.5), updates=UpdateTimes(poll=0.05, every=0.2)
)


def rig_of(folder: Path, cluster: Emulator, reading: ReadingOptions = QUICK, **table: Any) -> Rig:
    return Rig(folder, [cluster.url], reading=reading, **table)


def insert(cluster: Emulator, database: Database, ids: Iterable[int]) -> None:
    """Insert rows as of the cluster's now."""
    now = round(cluster.traits.now() * 1000)
    database.insert({"id": n, "name": f"n{n}", "moved": now} for n in ids)


def updated(rig: Rig) -> list[tuple[int, str]]:
    """Return what came by updates: id and name."""
    rows = [event["record"] for event in rig.events("read") if event["cause"] == "update"]
    return [(row["id"], row["name"]) for row in rows]


def wait_updated(rig: Rig, *rows: tuple[int, str]) -> None:
    wait_until(lambda: len(updated(rig)) >= len(rows), f"{len(rows)} rows of updates")
    assert sorted(updated(rig)) == sorted(rows)


def wait_followed(rig: Rig) -> None:
    """Wait until it is known where the column stands."""
    wait_until(lambda: rig.table().update_level, "the column's height")


@pytest.mark.parametrize("catch_up", [None, "off"], ids=["with catch-up", "without"])
def test_a_row_that_was_updated_comes_as_it_is(
    cluster: Emulator, database: Database, tmp_path: Path, catch_up: str | None
) -> None:
    """Rows that were there before, and rows just inserted, do not come."""
    database.create(columns=MOVED)
    insert(cluster, database, range(100))
    more = {} if catch_up is None else {"catch_up": catch_up}
    with rig_of(tmp_path, cluster, **BY_TIME, **more) as rig:
        wait_followed(rig)
        insert(cluster, database, range(100, 110))
        rig.wait_ids(range(100, 110))
        database.update("id = 7", name="a")
        wait_updated(rig, (7, "a"))
        insert(cluster, database, range(110, 120))
        database.update("id = 7 or id = 105", name="b")
        wait_updated(rig, (7, "a"), (7, "b"), (105, "b"))
        rig.wait_live()
    (first, *_) = rig.events("read")
    assert list(first)[-2:] == ["record", "cause"]


def test_the_height_outlives_a_restart(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """What was updated while the bridge was down comes, and nothing for a second time."""
    database.create(columns=MOVED)
    insert(cluster, database, range(10))
    with rig_of(tmp_path, cluster, catch_up="off", **BY_TIME) as rig:
        wait_followed(rig)
        database.update("id = 1", name="a")
        wait_updated(rig, (1, "a"))
    database.update("id = 2", name="b")
    with rig_of(tmp_path, cluster, catch_up="off", **BY_TIME) as rig:
        wait_updated(rig, (1, "a"), (2, "b"))
        database.update("id = 3", name="c")
        wait_updated(rig, (1, "a"), (2, "b"), (3, "c"))


def test_what_a_gap_missed_comes_once(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """By the read that closes the gap, which is waited for."""
    database.create(columns=MOVED)
    insert(cluster, database, range(10))
    with rig_of(tmp_path, cluster, **BY_TIME) as rig:
        wait_followed(rig)
        database.update("id = 1", name="a")
        wait_updated(rig, (1, "a"))
        rig.wait_known(10)
    database.update("id = 2", name="b")
    with rig_of(tmp_path, cluster, **BY_TIME) as rig:
        rig.wait_gaps_closed()
        database.update("id = 3", name="c")
        wait_until(lambda: (3, "c") in updated(rig), "the row of the update")
    names = [(row["id"], row["name"]) for row in rig.rows()]
    assert sorted(names) == [(1, "a"), (2, "b"), (3, "c")]


def test_rows_of_one_value_are_told_apart(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """An update that sets the value that others have already."""
    database.create(columns=VERSIONED)
    database.insert({"id": n, "name": f"n{n}", "version": 5} for n in range(10))
    with rig_of(tmp_path, cluster, **BY_VERSION) as rig:
        wait_followed(rig)
        database.update("id = 3", name="a", version="5")
        wait_updated(rig, (3, "a"))
        database.update("id = 4", name="b", version="6")
        database.update("id = 5", name="c", version="5")
        wait_updated(rig, (3, "a"), (4, "b"), (5, "c"))


def test_a_row_from_the_future_hides_no_other(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """What stands above the cluster's now is no height."""
    database.create(columns=MOVED)
    insert(cluster, database, [2])
    database.insert([{"id": 1, "name": "x", "moved": 4102444800000}])
    with rig_of(tmp_path, cluster, **BY_TIME) as rig:
        wait_followed(rig)
        database.update("id = 2", name="a")
        wait_updated(rig, (2, "a"))
        database.insert([{"id": 3, "name": "z", "moved": 4102444800000}])
        rig.wait_ids([2, 3])
        database.update("id = 2", name="b")
        wait_updated(rig, (2, "a"), (2, "b"))


@pytest.mark.parametrize("offset", [-3600.0, 3600.0], ids=["behind", "ahead"])
def test_the_clusters_clock_need_not_be_ours(
    cluster: Emulator, database: Database, tmp_path: Path, offset: float
) -> None:
    """An hour behind, or ahead."""
    cluster.traits.clock_offset = offset
    database.create(columns=MOVED)
    insert(cluster, database, range(10))
    with rig_of(tmp_path, cluster, **BY_TIME) as rig:
        wait_followed(rig)
        database.update("id = 3", name="a")
        wait_updated(rig, (3, "a"))


def test_a_column_that_stands_still_is_said_once(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Updates are counted, and no row moves; it says how many have null there."""
    database.create(columns=VERSIONED)
    database.insert({"id": n, "name": f"n{n}", "version": None} for n in range(10))
    with capture_logs() as logs, rig_of(tmp_path, cluster, **BY_VERSION) as rig:
        wait_followed(rig)

        def said() -> list[str]:
            return [
                str(entry["cause"])
                for entry in logs
                if entry["event"] == "update_rows_column_stands"
            ]

        for n in range(40):
            database.update("id = 3", name=f"a{n}")
            wait_until(lambda n=n: len(rig.events("update")) > n, "the count")
            if n >= 5 and said():
                break
        wait_until(said, "why no rows come")
        (cause,) = said()
    assert "10 rows have null" in cause
    assert updated(rig) == []


def test_of_a_table_made_again_the_height_starts_over(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Its values lie below those of the one before."""
    database.create(columns=VERSIONED)
    database.insert({"id": n, "name": f"n{n}", "version": 1000} for n in range(3))
    with rig_of(tmp_path, cluster, **BY_VERSION) as rig:
        wait_followed(rig)
        database.drop()
        database.create(columns=VERSIONED)
        database.insert({"id": n, "name": f"n{n}", "version": 1} for n in range(3))
        rig.wait_ids(range(3))
        rig.wait_gaps_closed()
        database.update("id = 1", name="a", version="2")
        wait_updated(rig, (1, "a"))


def test_where_reads_can_keep_nothing_the_table_is_heard_all_the_same(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """What a read keeps on disk is the reader's affair; the watch waits for no disk."""
    database.create(columns=MOVED)
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "reading").write_text("where a folder should be")
    with capture_logs() as logs, rig_of(tmp_path, cluster, catch_up="off", **BY_TIME) as rig:
        rig.wait_live()
        database.insert([{"id": 1, "name": "n1", "moved": 1}])
        rig.wait_ids([1])
        database.update("id = 1", name="other")
        wait_until(lambda: "update_rows_failed" in [line["event"] for line in logs], "it is said")
        assert rig.state() == "live"
        assert rig.supervisor is not None
        assert sum(loop.faults for loop in rig.supervisor.loops()) == 0


def test_a_table_taken_away_while_its_updates_are_read_leaves_nothing_behind(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The read that goes on lets go of what was remembered of its rows."""
    database.create(columns=MOVED)
    insert(cluster, database, range(3))
    with rig_of(tmp_path, cluster, catch_up="off", **BY_TIME) as rig, capture_logs() as logs:
        wait_followed(rig)
        database.update("id = 1", name="a")
        wait_updated(rig, (1, "a"))
        kept = tmp_path / "journal" / "reading"
        assert list(kept.glob("*-updates.db"))
        cluster.hang(["/get/records"])
        database.update("id = 2", name="b")
        assert rig.supervisor is not None
        (followed,) = rig.supervisor.readers._updates._followed.values()
        wait_until(lambda: followed.busy, "a read of it is under way")
        rig.tables.append({"name": "ki_home.other"})
        del rig.tables[0]
        rig.reload()
        cluster.heal()
        wait_until(lambda: not list(kept.glob("*-updates.db")), "its index is gone")
    assert "update_rows_failed" not in [line["event"] for line in logs]
