"""Gaps of a table that is read whole: what it misses is told from what was there by a baseline."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from services.process import wait_until
from services.rig import COLUMNS, TABLE, Database, Rig
from structlog.testing import capture_logs

from bridge.reading import Patience, ReadingOptions, WholeTimes
from bridge.reading.baseline import baseline_path
from kinetica_emulator import Emulator

QUICK = ReadingOptions(
    patience=Patience(late=0.5), whole=WholeTimes(every=1.0, idle=1.0, renew=1.0, confirm=0.3)
)
SELDOM = ReadingOptions(patience=Patience(late=0.5))
KEYLESS = {"id": ["long"], "name": ["string"]}


def rig_of(folder: Path, cluster: Emulator, reading: ReadingOptions = QUICK, **table: Any) -> Rig:
    return Rig(folder, [cluster.url], reading=reading, **table)


def read_ids(rig: Rig) -> list[int]:
    return sorted(event["record"]["id"] for event in rig.events("read"))


def by(rig: Rig) -> list[Any]:
    return [event["by"] for event in rig.events("gap") if "by" in event]


def test_rows_that_were_there_before_never_come(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """What was missed comes, once, and is known at the next gap."""
    database.create()
    database.insert_ids(range(1000))
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_known(1000)
        database.insert_ids(range(1000, 1010))
        rig.wait_ids(range(1000, 1010))
    database.insert_ids(range(1010, 1020))
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_ids(range(1000, 1020))
        rig.wait_gaps_closed()
    database.insert_ids([1020])
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_ids(range(1000, 1021))
        rig.wait_gaps_closed()

    assert read_ids(rig) == list(range(1010, 1021))
    assert by(rig) == ["read", "read"]


def test_deleted_while_heard_and_inserted_again_unheard(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """An equal row comes again: the delete says that it may be another one."""
    database.create()
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_known(0)
        database.insert_ids(range(5))
        rig.wait_ids(range(5))
        database.delete("id = 3")
        wait_until(lambda: rig.events("delete"), "the delete")
        rig.wait_known(4)
    database.insert_ids([3])
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_ids([0, 1, 2, 3, 3, 4])
        rig.wait_gaps_closed()
    assert read_ids(rig) == [3]


def test_without_a_renewal_all_that_was_known_before_a_delete_comes_again(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Any of these rows may be the one that was deleted, and inserted again unheard."""
    database.create()
    database.insert_ids(range(3))
    with rig_of(tmp_path, cluster, SELDOM) as rig:
        rig.wait_known(3)
        database.delete("id = 1")
        wait_until(lambda: rig.events("delete"), "the delete")
        database.insert_ids([7])
        rig.wait_ids([7])
    database.insert_ids([1])
    with rig_of(tmp_path, cluster, SELDOM) as rig:
        rig.wait_gaps_closed()
        wait_until(lambda: len(rig.ids()) >= 4, "the rows in doubt")
    assert read_ids(rig) == [0, 1, 2]


def test_deletes_are_counted_where_nobody_wants_to_hear_of_them(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """They are no events, and put what is known in doubt all the same."""
    database.create()
    with rig_of(tmp_path, cluster, SELDOM, events=["insert"]) as rig:
        rig.wait_known(0)
        database.insert_ids([1, 2])
        rig.wait_ids([1, 2])
        database.delete("id = 2")
        wait_until(lambda: rig.snapshot().tables[TABLE].hidden_deletes == 1, "the count")
    database.insert_ids([2])
    with rig_of(tmp_path, cluster, SELDOM, events=["insert"]) as rig:
        rig.wait_gaps_closed()
        rig.wait_ids([1, 1, 2, 2])
    assert rig.events("delete") == []


def test_a_known_key_with_other_values_comes(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """An update that nobody heard shows in the values."""
    database.create()
    database.insert_ids(range(10))
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_known(10)
    database.update("id = 4", name="other")
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_ids([4])
        rig.wait_gaps_closed()
    assert rig.rows() == [{"id": 4, "name": "other"}]


def test_where_a_column_was_dropped_the_key_alone_decides(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Rows that were known are not another's for want of a column."""
    database.create(columns={**COLUMNS, "more": ["int"]})
    database.insert({"id": n, "name": f"n{n}", "more": n} for n in range(10))
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_known(10)
    database.alter("delete_column", "more")
    database.insert_ids([10])
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_ids([10])
        rig.wait_gaps_closed()


def test_a_column_that_was_added_makes_no_row_another(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Known rows are compared by the columns that they were known by."""
    database.create()
    database.insert_ids(range(10))
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_known(10)
    database.alter("add_column", "more", column_type="int", column_properties="nullable")
    database.update("id = 4", name="other")
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_ids([4])
        rig.wait_gaps_closed()


@pytest.mark.parametrize("down", [True, False], ids=["down", "up"])
def test_of_a_table_made_again_all_rows_come(
    cluster: Emulator, database: Database, tmp_path: Path, *, down: bool
) -> None:
    """Alike in layout and rows, and yet another table."""
    database.create()
    database.insert_ids(range(10))
    rig = rig_of(tmp_path, cluster).start()
    rig.wait_known(10)
    if down:
        rig.stop()
    cluster.recreate(TABLE)
    database.insert_ids(range(10))
    if down:
        rig.start()
    rig.wait_ids(range(10))
    rig.wait_gaps_closed()
    assert len(rig.events("drop")) == 1
    rig.stop()


def test_a_row_lost_at_the_publisher_is_unaccounted_and_comes(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """A count of rows that does not agree has the baseline renewed, and that finds it."""
    database.create()
    database.insert_ids(range(10))
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_known(10)
        cluster.skip_notifications(1)
        database.insert_ids([10])
        rig.wait_ids([10])
        rig.wait_gaps_closed()
    opened, closed = rig.events("gap")
    assert (opened["reason"], closed["rows"]) == ("unaccounted", 1)


def test_a_key_deleted_and_inserted_unheard_with_other_values_is_unaccounted(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """As many rows as are known, and the key is known; but no update was counted."""
    database.create()
    database.insert_ids(range(10))
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_known(10)
        database.delete("id = 5")
        assert cluster.wait_published()
        cluster.skip_notifications(1)
        database.insert([{"id": 5, "name": "other"}])
        rig.wait_ids([5])
        rig.wait_gaps_closed()
    opened, closed = rig.events("gap")
    assert (opened["reason"], closed["rows"]) == ("unaccounted", 1)
    assert rig.rows() == [{"id": 5, "name": "other"}]


def test_what_the_journal_forgot_before_it_was_taken_in_is_no_loss(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Rows that were delivered, and pruned before the next look, are not called unaccounted."""
    wide = {"id": ["long", "primary_key"], "name": ["string"]}
    database.create(columns=wide)
    looks = ReadingOptions(
        patience=Patience(late=0.5), whole=WholeTimes(every=6.0, idle=6.0, renew=0.1)
    )
    rig = rig_of(tmp_path, cluster, looks)
    rig.journal["max_size"] = "1MiB"
    rig.upkeep_pause = 0.2
    with rig:
        rig.wait_known(0)
        for first in range(0, 3000, 300):
            database.insert({"id": n, "name": "n" * 2000} for n in range(first, first + 300))
            rig.wait_ids(range(first + 300))
        rig.wait_known(3000)
    assert sorted(rig.ids()) == list(range(3000))
    assert [event["reason"] for event in rig.events("gap")] == []


def test_what_is_late_is_not_unaccounted(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Notifications a second late make no gap, however often the table is looked at."""
    database.create()
    patient = ReadingOptions(whole=WholeTimes(every=0.3, idle=0.3, renew=0.3))
    with rig_of(tmp_path, cluster, patient) as rig:
        rig.wait_known(0)
        cluster.delay_notifications(1.0)
        for n in range(12):
            database.insert_ids([n])
            if n % 4 == 3:
                database.delete(f"id = {n}")
            wait_until(lambda n=n: len(rig.ids()) >= n - 2, "some rows")
        rig.wait_ids(range(12))
        cluster.heal()
    assert rig.events("gap") == []


def test_a_larger_table_has_an_open_gap_and_one_warning(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """It names the setting, and nothing is delivered."""
    database.create()
    database.insert_ids(range(50))
    table = {"catch_up": {"whole_table": 40}}
    with rig_of(tmp_path, cluster, **table) as rig:
        rig.wait_live()
    database.insert_ids([50])
    with capture_logs() as logs, rig_of(tmp_path, cluster, **table) as rig:
        wait_until(lambda: "whole_table: 40" in why_open(rig), "why it is open")
        wait_until(lambda: read_again(logs), "another try")
    warned = [entry for entry in logs if entry["event"] == "table_too_large"]
    assert len([e for e in logs if e["event"] == "read_proves_nothing"]) == 1
    assert [entry["setting"] for entry in warned] == ["catch_up: {whole_table: 40}"]
    assert rig.rows() == []


def read_again(logs: Sequence[Mapping[str, Any]]) -> bool:
    tries = [entry for entry in logs if entry["event"] == "table_read" and entry["unproven"]]
    return len(tries) > 2  # the first may be of the span that goes on


def why_open(rig: Rig) -> str:
    return " ".join(gap.why_open for gap in rig.snapshot().tables[TABLE].gaps.open)


def test_without_a_key_equal_rows_are_counted(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Two more of a row that was there three times come as two rows."""
    database.create(columns=KEYLESS)
    database.insert_ids([1, 1, 1, 2])
    table = {"catch_up": {"whole_table": 1000}}
    with rig_of(tmp_path, cluster, **table) as rig:
        rig.wait_known(4)
        database.insert_ids([2])
        rig.wait_ids([2])
    database.insert_ids([1, 1, 3])
    with rig_of(tmp_path, cluster, **table) as rig:
        rig.wait_ids([1, 1, 2, 3])
        rig.wait_gaps_closed()
    with rig_of(tmp_path, cluster, **table) as rig:
        rig.wait_gaps_closed()
    assert sorted(rig.ids()) == [1, 1, 2, 3]


def test_of_a_table_that_was_not_there_all_rows_come(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """It was watched before it was made."""
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_state("waiting_for_table")
        database.create()
        database.insert_ids(range(20))
        rig.wait_ids(range(20))
        rig.wait_gaps_closed()


def test_a_journal_without_a_baseline_is_what_was_received(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """After an upgrade a gap is closed as before: what the journal has is left out."""
    database.create()
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_live()
        database.insert_ids(range(10))
        rig.wait_ids(range(10))
    forget(tmp_path)
    database.insert_ids(range(10, 15))
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_ids(range(15))
        rig.wait_gaps_closed()
    assert read_ids(rig) == list(range(10, 15))


def test_a_damaged_baseline_is_taken_anew(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """It says so, and what the journal has is left out all the same."""
    database.create()
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_live()
        database.insert_ids(range(10))
        rig.wait_ids(range(10))
        rig.wait_known(10)
    path = baseline_path(tmp_path / "journal" / "baselines", TABLE)
    path.write_bytes(b"no database" * 1000)
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_known(10)
        rig.wait_gaps_closed()
    assert sorted(rig.ids()) == list(range(10))


def test_a_baseline_damaged_in_its_midst_is_taken_anew(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """What a read meets of it is not met again at every try: the gap is closed."""
    database.create()
    with rig_of(tmp_path, cluster) as rig:
        rig.wait_live()
        database.insert_ids(range(5000))
        rig.wait_ids(range(5000))
        rig.wait_known(5000)
    path = baseline_path(tmp_path / "journal" / "baselines", TABLE)
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = file.execute("PRAGMA page_size").fetchone()
        (root,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'row'").fetchone()
    with path.open("r+b") as stored:
        stored.seek((root - 1) * page)
        stored.write(b"\xa5" * page)
    database.insert_ids([5000])
    with capture_logs() as logs, rig_of(tmp_path, cluster) as rig:
        rig.wait_gaps_closed()
        rig.wait_ids(range(5001))
    assert "baseline_damaged" in [line["event"] for line in logs]


def forget(folder: Path) -> None:
    for path in (folder / "journal" / "baselines").iterdir():
        path.unlink()
