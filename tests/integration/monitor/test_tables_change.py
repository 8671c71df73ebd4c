"""Tables that are altered, dropped, made again, or whose monitors vanish."""

from __future__ import annotations

from pathlib import Path

import pytest
from services.process import wait_until
from services.rig import COLUMNS, TABLE, Database, Rig

from bridge.monitor import jobs
from kinetica_emulator import Emulator


def column_names(layout: list[dict[str, object]]) -> list[object]:
    return [column["name"] for column in layout]


def test_rows_before_and_after_an_added_column_decode_with_their_own_layout(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The alter event stands between them and carries both layouts; nothing is lost."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.insert_ids(range(10))

        database.alter("add_column", "extra", column_type="int", column_properties="int8,nullable")
        database.insert({"id": n, "name": "x", "extra": 7} for n in range(10, 20))
        wait_until(lambda: rig.events("alter"), "the alter event")
        rig.wait_live()
        database.insert({"id": n, "name": "x", "extra": 8} for n in range(20, 30))
        rig.wait_gaps_closed()
        rig.wait_ids(range(30))

    (alter,) = rig.events("alter")
    assert column_names(alter["old"]) == ["id", "name"]
    assert alter["new"][2] == {"name": "extra", "type": "int8", "nullable": True}
    for event in rig.events("insert", "read"):
        has_column = event["offset"] > alter["offset"]
        assert ("extra" in event["record"]) == has_column
    assert {gap["reason"] for gap in rig.events("gap")} == {"altered"}


def test_a_type_changed_to_one_of_the_same_size_is_not_mistaken(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """A long that becomes a timestamp fits the old layout byte by byte; it is told all the same."""
    database.create(columns={**COLUMNS, "at": ["long"]})
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.insert([{"id": 1, "name": "a", "at": 1_700_000_000_000}])
        rig.wait_ids([1])

        database.alter("change_column", "at", column_type="long", column_properties="timestamp")
        wait_until(lambda: rig.events("alter"), "the alter event")
        rig.wait_live()
        database.insert([{"id": 2, "name": "b", "at": 1_700_000_000_000}])
        rig.wait_ids([1, 2])

    first, second = rig.rows()
    assert first["at"] == 1_700_000_000_000
    assert second["at"] == "2023-11-14T22:13:20.000Z"


def test_a_dropped_table_is_waited_for_and_may_come_back_with_another_type(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """One drop event; what the new table has when it is found is read."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.insert_ids(range(5))
        rig.wait_ids(range(5))

        database.drop()
        rig.wait_state("waiting_for_table")
        database.create(columns={"id": ["int", "primary_key"], "city": ["string"]})
        database.insert({"id": n, "city": "Lima"} for n in range(100, 110))
        rig.wait_live()
        rig.wait_gaps_closed()
        rig.wait_ids([*range(5), *range(100, 110)])

    assert len(rig.events("drop")) == 1
    assert rig.events("alter") == []


def test_a_table_that_is_waited_for_is_so_again_once_its_cluster_is_back(
    cluster: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the probe that finds it absent, not with the next try to make monitors for it."""
    monkeypatch.setattr(jobs, "_ABSENT_SECONDS", 3600.0)
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_state("waiting_for_table")
        cluster.fail(503)
        rig.wait_state("connecting")
        cluster.heal()
        rig.wait_state("waiting_for_table")
        assert rig.table().reason == f"{TABLE} does not exist on {cluster.url}"


def test_on_drop_stop_ends_the_table(cluster: Emulator, database: Database, tmp_path: Path) -> None:
    """The state is dropped, and a table of that name that comes later is left alone."""
    database.create()
    with Rig(tmp_path, [cluster.url], on_drop="stop") as rig:
        rig.wait_live()
        database.drop()
        rig.wait_state("dropped")

        database.create()
        database.insert_ids(range(3))
        wait_until(lambda: rig.events("drop"), "the drop event")

        assert rig.state() == "dropped"
        assert rig.ids() == []
        assert database.monitors() == []


def test_a_table_dropped_and_made_again_between_two_probes_is_noticed(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Its layout is the same, its monitors are gone: the rows of the new one arrive."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.insert_ids(range(5))
        rig.wait_ids(range(5))

        database.drop()
        database.create()
        database.insert_ids(range(50, 60))
        rig.wait_gaps_closed()
        rig.wait_ids([*range(5), *range(50, 60)])


def test_monitors_cleared_on_the_server_are_made_again(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """What was inserted meanwhile comes from the table, and the gap is closed."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.insert_ids(range(5))
        cluster.forget_monitors()
        database.insert_ids(range(5, 15))
        wait_until(lambda: rig.events("gap"), "a gap")
        rig.wait_live()
        database.insert_ids(range(15, 20))
        rig.wait_gaps_closed()
        rig.wait_ids(range(20))

    opened, closed = rig.events("gap")
    assert (opened["reason"], opened["closed"]) == ("monitor_lost", False)
    assert (closed["gap"], closed["closed"], closed["rows"]) == (opened["gap"], True, 10)
    assert opened["since"] < opened["until"]


@pytest.mark.parametrize("event", ["insert", "update", "delete"])
def test_one_cleared_monitor_of_three_is_one_gap(
    cluster: Emulator, database: Database, tmp_path: Path, event: str
) -> None:
    """All three are made again once; what is being cleared is not taken up in between."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        before = set(database.monitors())
        database.clear(next(monitor for monitor in before if f"_{event}_" in monitor))
        wait_until(lambda: rig.events("gap"), "a gap")
        rig.wait_gaps_closed()
        database.insert_ids(range(5))
        rig.wait_ids(range(5))
        assert len(database.monitors()) == 3

    assert len(rig.events("gap")) == 2


@pytest.mark.parametrize("policy", ["dead_letter", "skip", "abort"])
def test_one_bad_record_costs_only_itself(
    cluster: Emulator, database: Database, tmp_path: Path, policy: str
) -> None:
    """Its neighbours in the notification arrive; its bytes are kept, dropped, or end the table."""
    database.create()
    with Rig(tmp_path, [cluster.url], on_decode_failure=policy) as rig:
        rig.wait_live()
        topic = next(m for m in database.monitors() if "_insert_" in m)
        cluster.publish(topic, [b"\x02\x02a", b"\xff", b"\x04\x02b"])
        wait_until(lambda: len(rig.ids()) == 2, "both good records")

        assert rig.rows() == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
        wait_until(lambda: rig.snapshot().accounts[0].pending == 0, "all is settled")
        (account,) = rig.snapshot().accounts
        assert rig.snapshot().tables[TABLE].counts.decode_errors == 1
        assert account.dead_lettered == (1 if policy == "dead_letter" else 0)
        if policy == "abort":
            rig.wait_state("failed")
            wait_until(lambda: database.monitors() == [], "its monitors are cleared")
        else:
            assert rig.state() == "live"


def test_a_quiet_table_is_idle_until_something_happens(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Idle says that a probe found all well; the next row makes it live."""
    database.create()
    with Rig(tmp_path, [cluster.url], inactivity_timeout="500ms") as rig:
        rig.wait_state("idle")
        assert "nothing happened" in (rig.snapshot().tables[TABLE].reason or "")
        database.insert_ids(range(3))
        rig.wait_live()
        rig.wait_ids(range(3))
        rig.wait_state("idle")


def test_a_table_stays_idle_from_probe_to_probe(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """A probe that finds nothing new is no event."""
    database.create()
    with Rig(tmp_path, [cluster.url], inactivity_timeout="500ms") as rig:
        rig.wait_state("idle")
        table = rig.snapshot().tables[TABLE]
        since = table.changed_at
        for _ in range(3):
            probed = table.counts.last_probe
            wait_until(lambda probed=probed: table.counts.last_probe != probed, "another probe")

        assert (rig.state(), table.changed_at) == ("idle", since)


def test_updates_and_deletes_arrive_as_counts_in_order(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """How many rows each touched, after the rows it touched."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.insert_ids(range(10))
        rig.wait_ids(range(10))
        database.call(
            "/update/records",
            table_name=TABLE,
            expressions=["id < 4"],
            new_values_maps=[{"name": "new"}],
            records_to_insert=[],
            records_to_insert_str=[],
            record_encoding="json",
        )
        wait_until(lambda: rig.events("update"), "the update")
        database.delete("id >= 4")
        wait_until(lambda: rig.events("delete"), "the delete")

    counts = [(event["type"], event["count"]) for event in rig.events("update", "delete")]
    assert counts == [("update", 4), ("delete", 6)]


def test_tables_whose_topics_share_a_prefix_do_not_mix(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """SUBSCRIBE matches prefixes: a longer topic's message is counted, and belongs to nobody."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        topic = next(m for m in database.monitors() if "_insert_" in m)
        cluster.publish(topic + "_v2", [b"\x02\x02a"])
        database.insert_ids([5])
        rig.wait_ids([5])

        assert rig.snapshot().unknown_messages == 1
