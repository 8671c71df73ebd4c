"""Closed means proven, and a snapshot that is done was whole, whatever the table does."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.process import wait_until
from services.rig import FAST, TABLE, Database, Rig

from bridge.reading import PageLimits, Patience, ReadingOptions, WholeTimes
from kinetica_emulator import Emulator

READING_LATE = ReadingOptions(patience=Patience(late=3.0))
READING_SMALL = ReadingOptions(PageLimits(rows=50), Patience(late=0.5))
FEW_VALUES: dict[str, list[str]] = {"kind": ["int", "int8"], "name": ["string", "char8"]}
COMPOSITE: dict[str, list[str]] = {
    "tenant": ["string", "char8", "primary_key"],
    "seq": ["long", "primary_key"],
}
NULLABLE: dict[str, list[str]] = {"id": ["long", "nullable"], "name": ["string", "char32"]}


@contextmanager
def meanwhile(change: Any, pause: float = 0.005) -> Iterator[None]:
    """Call something again and again in a thread of its own."""
    over = threading.Event()

    def run() -> None:
        number = 0
        while not over.wait(pause):
            change(number)
            number += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def rows(rig: Rig) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row.values()) for row in rig.rows())


def wait_snapshot(rig: Rig) -> None:
    """Wait until the snapshot is said to be done, and all of it is in the file."""
    wait_until(lambda: not rig.snapshot().tables[TABLE].snapshot_due, "the snapshot", 60)
    counts = rig.snapshot().tables[TABLE].counts
    wait_until(lambda: len(rig.rows()) >= counts.received["read"], "all that was read")


def wait_rows(rig: Rig, wanted: Counter[tuple[Any, ...]]) -> None:
    wait_until(lambda: rows(rig).total() >= wanted.total(), f"{wanted.total()} rows", 60)
    assert rows(rig) == wanted


def test_a_snapshot_of_equal_rows_gives_each_of_them(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """More than three pages of them: the read does not meet its own rows."""
    database.create(columns=FEW_VALUES)
    database.insert({"kind": 1, "name": "same"} for _ in range(35_000))

    with Rig(tmp_path, [cluster.url], snapshot="initial") as rig:
        wait_rows(rig, Counter({(1, "same"): 35_000}))
        rig.wait_live()


def test_a_snapshot_of_few_values_gives_each_row_while_rows_come_and_go(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """40,000 rows of 12 values; rows of another are inserted and deleted all the time."""
    database.create(columns=FEW_VALUES)
    wanted = Counter({(n % 3, "abcd"[n % 4]): 0 for n in range(12)})
    for n in range(40_000):
        wanted[n % 3, "abcd"[n % 4]] += 1
    database.insert({"kind": n % 3, "name": "abcd"[n % 4]} for n in range(40_000))
    database.insert({"kind": -1, "name": "before"} for _ in range(3_000))
    second = Database(cluster)

    def disturb(number: int) -> None:
        second.insert([{"kind": -2, "name": f"n{number}"}])
        second.delete(f"kind = -1 or (kind = -2 and name <> 'n{number}')")

    with Rig(tmp_path, [cluster.url], snapshot="initial") as rig:
        with meanwhile(disturb):
            wait_snapshot(rig)
        found = {row: n for row, n in rows(rig).items() if row[0] >= 0}
    second.close()

    assert found == wanted


def test_rows_deleted_between_pages_hide_none_of_a_composite_key(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Two tenants of 15,000 rows each, and rows of both are deleted behind the read."""
    database.create(columns=COMPOSITE)
    database.insert({"tenant": f"t{n % 2}", "seq": n} for n in range(30_000))
    second = Database(cluster)
    gone: set[int] = set()

    def cut(number: int) -> None:
        low = number * 40
        second.delete(f"seq >= {low} and seq < {low + 20}")
        gone.update(range(low, low + 20))

    with Rig(tmp_path, [cluster.url], snapshot="initial") as rig:
        with meanwhile(cut):
            wait_snapshot(rig)
        seen = Counter(row["seq"] for row in rig.rows())
    second.close()

    assert set(range(30_000)) - gone - set(seen) == set()
    assert set(seen.values()) == {1}


def test_a_column_that_has_nulls_leaves_the_gap_open_and_says_so(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """A row without a value stands nowhere in the column's order; the others come."""
    database.create(columns=NULLABLE)
    database.insert_ids([0])
    table: dict[str, Any] = {"catch_up": {"column": "id"}}
    with Rig(tmp_path, [cluster.url], **table) as rig:
        rig.wait_live()
        database.insert_ids(range(1, 5))
        rig.wait_ids(range(1, 5))
    database.insert([{"id": None, "name": "missed"}, {"id": 5, "name": "n5"}])

    with Rig(tmp_path, [cluster.url], **table) as rig:
        wait_until(lambda: any("nulls" in gap.why_open for gap in rig.snapshot().gaps), "why")
        rig.wait_state("live")
        rig.wait_ids(range(1, 6))
        assert [gap["closed"] for gap in rig.events("gap")] == [False]


def test_rows_below_one_far_above_are_not_lost(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """One row of 10^15 among small ones: a read begins at the least of the last minute."""
    database.create()
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
        database.insert_ids([1, 2, 3, 10**15, 4, 5, 6])
        rig.wait_ids([1, 2, 3, 10**15, 4, 5, 6])
    database.insert_ids(range(7, 12))

    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_ids([*range(1, 12), 10**15])
        assert all(gap["rows"] == 5 for gap in rig.events("gap") if gap["closed"])


def test_without_the_right_to_read_rows_are_captured_all_the_same(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The table is live; a gap stays open, and says that reading is refused."""
    database.create()
    cluster.forbid("table_read", TABLE)
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
        database.insert_ids(range(3))
        rig.wait_ids(range(3))
        cluster.forget_monitors()
        wait_until(lambda: rig.events("gap"), "the gap")
        wait_until(lambda: "failed" in rig.snapshot().gaps[0].why_open, "why it is open")
        database.insert_ids(range(3, 6))
        rig.wait_ids(range(6))
        assert [gap["closed"] for gap in rig.events("gap")] == [False]

        cluster.heal()
        rig.wait_gaps_closed(60)
        rig.wait_ids(range(6))


def test_notifications_seconds_late_bring_no_row_twice(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The table is read while two seconds of them are under way."""
    database.create()
    database.insert_ids(range(200))
    late = Rig(tmp_path, [cluster.url], {**FAST}, READING_LATE, snapshot="initial")
    cluster.delay_notifications(2.0)
    with late as rig:
        wait_until(lambda: len(database.monitors()) == 3, "the monitors")
        with meanwhile(lambda n: database.insert_ids([200 + n]), pause=0.05):
            wait_snapshot(rig)
        cluster.heal()
        last = max(rig.ids())
        wait_until(lambda: len(rig.ids()) >= last, "what is under way")

        assert max(Counter(rig.ids()).values()) == 1


def test_rows_that_nothing_orders_are_claimed_only_when_nothing_moved(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Blobs of one kind by offset, with writes meanwhile: no claim until the table is still."""
    database.create(columns={"kind": ["int", "int8"], "data": ["bytes"]})
    database.insert({"kind": 1, "data": f"blob{n}"} for n in range(500))
    second = Database(cluster)
    with Rig(tmp_path, [cluster.url], {**FAST}, READING_SMALL, snapshot="initial") as rig:

        def write(number: int) -> None:
            second.insert([{"kind": 1, "data": f"more{number}"}])

        with meanwhile(write, pause=0.02):
            wait_until(
                lambda: "moved" in (rig.snapshot().tables[TABLE].reason or ""), "what is not proven"
            )
        wait_snapshot(rig)
        there = second.call("/show/table", table_name=TABLE, options={"get_sizes": "true"})
        seen = Counter(row["data"] for row in rig.rows())
        assert len(seen) == there["full_sizes"][0]
        assert set(seen.values()) == {1}
    second.close()


def test_a_table_made_again_while_the_bridge_was_down_comes_whole(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """A nightly reload, with the ids that were there before: a drop, and all of its rows."""
    database.create()
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
        database.insert_ids(range(1, 6))
        rig.wait_ids(range(1, 6))
    cluster.recreate(TABLE)
    database.insert_ids(range(1, 11))

    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_ids([*range(1, 6), *range(1, 11)])
        rig.wait_gaps_closed()

    kinds = [event["type"] for event in rig.events() if event["type"] != "gap"]
    assert kinds == ["insert"] * 5 + ["drop"] + ["read"] * 10


def test_rows_stored_and_never_published_come_with_default_settings(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Though the table has nothing but its key, and only the looks are nearer to each other."""
    database.create()
    whole = WholeTimes(every=0.5, idle=0.5, confirm=0.3)
    often = ReadingOptions(patience=Patience(late=0.5), whole=whole)
    with Rig(tmp_path, [cluster.url], {**FAST}, often) as rig:
        rig.wait_live()
        database.insert_ids(range(5))
        rig.wait_ids(range(5))
        rig.wait_audits(1)
        cluster.skip_notifications()
        database.insert_ids(range(5, 8))
        cluster.heal()
        rig.wait_ids(range(8))
        rig.wait_gaps_closed()

    assert {gap["reason"] for gap in rig.events("gap")} == {"unaccounted"}


def test_a_gap_is_read_on_request_whatever_was_given_up(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Rows without a value were in the way; once they are gone a further read proves all."""
    database.create(columns=NULLABLE)
    database.insert_ids([0])
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
    database.insert([{"id": None, "name": "missed"}, {"id": 1, "name": "n1"}])

    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        wait_until(lambda: any("nulls" in gap.why_open for gap in rig.snapshot().gaps), "why")
        database.delete("id is null")
        assert rig.supervisor is not None
        readers, table = rig.supervisor.readers, rig.snapshot().tables[TABLE]
        assert readers.close_now(table, rig.snapshot().gaps[0].gap).result(30.0) == 0
        rig.wait_gaps_closed()
        rig.wait_ids([1])
