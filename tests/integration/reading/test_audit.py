"""Rows that nobody reported are found, said, and read where that is possible."""

from __future__ import annotations

from pathlib import Path

from services.process import wait_until
from services.rig import COLUMNS, TABLE, Database, Rig

from bridge.reading import AuditTimes, Patience, ReadingOptions, WholeTimes
from kinetica_emulator import Emulator

OFTEN = ReadingOptions(
    patience=Patience(late=0.5),
    audits=AuditTimes(every=0.3, confirm=0.3),
    whole=WholeTimes(every=0.3, idle=0.3, confirm=0.3),
)


def lose(cluster: Emulator, database: Database, ids: range) -> None:
    cluster.lose_notifications()
    database.insert_ids(ids)
    assert cluster.wait_published()
    cluster.heal()


def test_rows_missing_between_two_values_are_found_and_read(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The publisher lost them without a word; rows on both sides of them had arrived."""
    database.create()
    database.insert_ids(range(50))
    with Rig(tmp_path, [cluster.url], reading=OFTEN, catch_up={"column": "id"}) as rig:
        rig.wait_live()
        database.insert_ids(range(50, 60))
        rig.wait_ids(range(50, 60))
        lose(cluster, database, range(60, 67))
        database.insert_ids(range(67, 70))
        wait_until(lambda: rig.events("gap"), "the gap")
        rig.wait_ids(range(50, 70))
        rig.wait_gaps_closed()

    opened, closed = rig.events("gap")
    assert opened["reason"] == "unaccounted"
    assert closed["rows"] == 7


def test_without_a_growing_column_the_size_of_the_table_tells(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Inserts and deletes that were reported explain themselves; lost inserts do not."""
    database.create()
    with Rig(tmp_path, [cluster.url], reading=OFTEN) as rig:
        rig.wait_live()
        database.insert_ids(range(10))
        database.delete("id < 3")
        rig.wait_ids(range(10))
        rig.wait_audits(1)
        assert rig.events("gap") == []

        lose(cluster, database, range(10, 15))
        wait_until(lambda: rig.events("gap"), "the gap")
        rig.wait_ids(range(15))
        rig.wait_gaps_closed()

    assert {gap["reason"] for gap in rig.events("gap")} == {"unaccounted"}


def test_a_keyless_table_says_how_many_rows_it_misses(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """They cannot be read back, so the number stays on the metric and the gap open."""
    database.create(columns={"id": ["long"], "name": COLUMNS["name"]})
    with Rig(tmp_path, [cluster.url], reading=OFTEN) as rig:
        rig.wait_live()
        rig.wait_audits(2)
        lose(cluster, database, range(4))
        wait_until(lambda: rig.events("gap"), "the gap")

        counts = rig.snapshot().tables[TABLE].counts
        assert counts.gaps["unaccounted"] == 1
        assert counts.gaps_open == 1
