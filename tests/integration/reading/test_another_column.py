"""The column that a table is read by is exchanged: what is stored is a value of the one before.

The columns of a table here lie far apart, so that a value of one, taken for one of the other, hides
every row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from services.process import wait_until
from services.rig import TABLE, Database, Rig

from bridge.reading import Patience, ReadingOptions, UpdateTimes
from kinetica_emulator import Emulator

FAR = 10**6
QUICK = ReadingOptions(
    patience=Patience(settle=0.2, late=0.5), updates=UpdateTimes(poll=0.05, every=0.2)
)


def make(database: Database, **columns: list[str]) -> None:
    """Make a table whose ids lie far above its other column."""
    database.create(columns={"id": ["long", "primary_key"], **columns})


def insert(database: Database, ids: range, column: str = "seq", first: int = 0) -> None:
    database.insert({"id": FAR + n, column: first + n} for n in ids)


def rig_of(folder: Path, cluster: Emulator, column: str) -> Rig:
    return Rig(folder, [cluster.url], catch_up={"column": column})


def ids_of(ids: range) -> range:
    return range(FAR + ids.start, FAR + ids.stop)


def reasons(rig: Rig) -> list[str]:
    """Why each gap is open."""
    return [gap.why_open for gap in rig.snapshot().gaps]


@pytest.mark.parametrize(
    ("seq", "first"),
    [(["long"], 0), (["long", "timestamp"], 1_700_000_000_000)],
    ids=["of the same type", "of another type"],
)
def test_what_was_missed_before_is_read_by_the_column_of_then(
    cluster: Emulator, database: Database, tmp_path: Path, seq: list[str], first: int
) -> None:
    """And what is missed from then on by the new one; rows that were there never come."""
    make(database, seq=seq)
    insert(database, range(100), first=first)
    with rig_of(tmp_path, cluster, "id") as rig:
        rig.wait_live()
        insert(database, range(100, 110), first=first)
        rig.wait_ids(ids_of(range(100, 110)))
    insert(database, range(110, 120), first=first)

    with rig_of(tmp_path, cluster, "seq") as rig:
        rig.wait_gaps_closed()
        rig.wait_ids(ids_of(range(100, 120)))
        cluster.forget_monitors()
        insert(database, range(120, 130), first=first)
        rig.wait_ids(ids_of(range(100, 130)))
        rig.wait_gaps_closed()
    insert(database, range(130, 140), first=first)
    with rig_of(tmp_path, cluster, "seq") as rig:
        rig.wait_gaps_closed()
        rig.wait_ids(ids_of(range(100, 140)))

    assert [gap["rows"] for gap in rig.events("gap") if gap["closed"]] == [10, 10, 10]


def test_a_reload_exchanges_the_column_while_a_gap_is_open(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """That gap is read by the column of then, as is what comes while nobody can ask for the new."""
    make(database, seq=["long"])
    insert(database, range(100))
    with rig_of(tmp_path, cluster, "id") as rig:
        rig.wait_live()
        insert(database, range(100, 110))
        rig.wait_ids(ids_of(range(100, 110)))
        cluster.fail(500, ["/get/records"])
        cluster.forget_monitors()
        insert(database, range(110, 120))
        wait_until(lambda: "failed" in (rig.table().reason or ""), "the read that fails")

        rig.tables = [{"name": TABLE, "catch_up": {"column": "seq"}}]
        rig.reload()
        rig.wait_live()
        wait_until(lambda: len(rig.events("gap")) == 2, "the gap of the reload")
        cluster.heal()
        rig.wait_gaps_closed()
        rig.wait_ids(ids_of(range(100, 120)))
        cluster.forget_monitors()
        insert(database, range(120, 130))
        rig.wait_ids(ids_of(range(100, 130)))
        rig.wait_gaps_closed()


def test_a_column_that_was_disproved_is_cured_by_another_one(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Nothing says where what was missed begins, so it is read from the first row."""
    make(database, seq=["long", "nullable"])
    insert(database, range(10))
    with rig_of(tmp_path, cluster, "seq") as rig:
        rig.wait_live()
        insert(database, range(10, 20))
        rig.wait_ids(ids_of(range(10, 20)))
        cluster.forget_monitors()
        database.insert([{"id": FAR - 1, "seq": None}])
        wait_until(lambda: any("has nulls" in why for why in reasons(rig)), "why it is open")
        database.insert([{"id": FAR - 2, "seq": None}])
        wait_until(lambda: rig.table().levels.disproved, "a null that is heard")  # type: ignore[union-attr]
    database.insert([{"id": FAR - 3, "seq": 1}])

    with rig_of(tmp_path, cluster, "id") as rig:
        rig.wait_gaps_closed()
        rig.wait_ids(range(FAR - 3, FAR + 20))
        cluster.forget_monitors()
        insert(database, range(20, 30))
        rig.wait_ids(range(FAR - 3, FAR + 30))
        rig.wait_gaps_closed()


def test_where_the_column_of_before_is_gone_all_is_read(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Nothing can be held against its values any more."""
    make(database, seq=["long"], more=["long"])
    database.insert({"id": n, "seq": FAR + n, "more": n} for n in range(10))
    with rig_of(tmp_path, cluster, "seq") as rig:
        rig.wait_live()
        database.insert({"id": n, "seq": FAR + n, "more": n} for n in range(10, 20))
        rig.wait_ids(range(10, 20))
    database.insert({"id": n, "seq": FAR + n, "more": n} for n in range(20, 30))
    database.alter("delete_column", "seq")

    with rig_of(tmp_path, cluster, "id") as rig:
        rig.wait_gaps_closed()
        assert set(rig.ids()) == set(range(30))


def test_a_column_that_is_dropped_after_it_was_exchanged_keeps_no_gap_open(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """A gap that begins within a minute would be read by it, were it there."""
    make(database, seq=["long"], more=["long"])
    database.insert({"id": n, "seq": FAR + n, "more": n} for n in range(10))
    with rig_of(tmp_path, cluster, "seq") as rig:
        rig.wait_live()
        database.insert({"id": n, "seq": FAR + n, "more": n} for n in range(10, 20))
        rig.wait_ids(range(10, 20))
        rig.tables = [{"name": TABLE, "catch_up": {"column": "id"}}]
        rig.reload()
        rig.wait_live()
        rig.wait_gaps_closed()
        database.alter("delete_column", "seq")
        wait_until(lambda: rig.events("alter"), "it is dropped")
        rig.wait_live()
        cluster.forget_monitors()
        database.insert({"id": n, "more": n} for n in range(20, 30))
        wait_until(lambda: set(rig.ids()) >= set(range(20, 30)), "all rows")
        rig.wait_gaps_closed()


def test_rows_of_updates_are_found_by_another_column_from_then_on(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """And those that moved while nobody listened by the one of before."""

    def updated(rig: Rig) -> list[tuple[int, int]]:
        rows = [event["record"] for event in rig.events("read")]
        return [(row["id"], row["ver"]) for row in rows]

    def rig_by(column: str) -> Rig:
        settings: dict[str, Any] = {"catch_up": "off", "update_rows": {"column": column}}
        return Rig(tmp_path, [cluster.url], reading=QUICK, **settings)

    make(database, big=["long"], ver=["long"])
    database.insert({"id": n, "big": FAR + n, "ver": n} for n in range(10))
    with rig_by("big") as rig:
        wait_until(lambda: rig.table().update_level, "the column's height")
        database.update("id = 1", big=str(FAR + 50), ver="50")
        wait_until(lambda: updated(rig) == [(1, 50)], "the row of the update")
    database.update("id = 2", big=str(FAR + 60), ver="2")

    with rig_by("ver") as rig:
        wait_until(lambda: updated(rig) == [(1, 50), (2, 2)], "what moved meanwhile")
        wait_until(lambda: '"ver"' in rig.table().update_level, "the new column's height")
        database.update("id = 3", ver="61")
        wait_until(lambda: len(updated(rig)) > 2, "a row by the new column")
    assert updated(rig) == [(1, 50), (2, 2), (3, 61)]
