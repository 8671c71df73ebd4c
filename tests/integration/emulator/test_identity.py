"""A table's identity and its writes: access data, and the catalogue in SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kinetica_emulator import Emulator, Ring

OBJECTS = "SELECT oid, write_count, alter_count FROM ki_catalog.ki_objects"
ACCESS = {"get_access_data": "true"}


@pytest.fixture
def table(client: Any) -> str:
    client.create_table("t", {"id": ["int", "primary_key"], "n": ["int"]})
    return "ki_home.t"


def access(client: Any, table: str) -> dict[str, str]:
    shown = client("/show/table", table_name=table, options=ACCESS)
    return dict(shown["additional_info"][0])


def counts(client: Any, table: str) -> tuple[int, int, int]:
    info = access(client, table)
    return int(info["read_count"]), int(info["write_count"]), int(info["alter_count"])


def test_a_new_table_was_made_and_nothing_else(client: Any, table: str) -> None:
    """Its time of creation is told in UTC, what never happened has no time and counts zero."""
    info = access(client, table)

    assert len(info["created_time"]) == len("2026-01-02 03:04:05.678")
    assert info["created_by"] == "anonymous"
    assert info["last_read_time"] == info["last_write_time"] == info["last_alter_time"] == ""
    assert counts(client, table) == (0, 0, 0)
    assert "created_time" not in client("/show/table", table_name=table)["additional_info"][0]


def test_every_way_to_write_is_counted(client: Any, table: str) -> None:
    """Inserts, updates and deletes of both APIs count, as do those no monitor watches."""
    changes: list[Callable[[], Any]] = [
        lambda: client.insert(table, {"id": 1, "n": 1}, {"id": 2, "n": 2}),
        lambda: client.insert(table, {"id": 1, "n": 3}, update_on_existing_pk="true"),
        lambda: client.sql("INSERT INTO t VALUES (3, 3)"),
        lambda: client.sql("UPDATE t SET n = 4 WHERE id = 3"),
        lambda: client.sql("DELETE FROM t WHERE id = 3"),
        lambda: client(
            "/update/records",
            table_name=table,
            expressions=["id = 1"],
            new_values_maps=[{"n": "5"}],
            record_encoding="json",
        ),
        lambda: client("/delete/records", table_name=table, expressions=["id = 1"]),
        lambda: client.sql("TRUNCATE TABLE t"),
    ]
    for number, change in enumerate(changes, 1):
        change()
        assert counts(client, table)[1] == number

    client("/delete/records", table_name=table, expressions=["id = 77"])
    assert counts(client, table)[1] == len(changes)
    assert access(client, table)["last_write_time"] >= access(client, table)["created_time"]


def test_reads_and_alterations_are_counted_too(client: Any, table: str) -> None:
    """A read is a read of rows, not of the description; an index is an alteration."""
    client.rows(table)
    client.select("SELECT count(*) FROM t")
    client("/alter/table", table_name=table, action="create_index", value="n")
    client("/alter/table", table_name=table, action="add_column", value="x")

    assert counts(client, table) == (2, 0, 2)


def test_a_table_made_again_alike_is_another(client: Any, table: str, emulator: Emulator) -> None:
    """Type id and name stay, time of creation and oid do not; a table altered keeps both."""
    client.monitor(table)
    client.insert(table, {"id": 1, "n": 1})
    before, ((oid, *_),) = access(client, table), client.select(OBJECTS)
    type_id = client("/show/table", table_name=table)["type_ids"]

    emulator.recreate(table)

    after, ((other_oid, writes, _),) = access(client, table), client.select(OBJECTS)
    assert after["created_time"] > before["created_time"]
    assert (other_oid > oid, writes) == (True, 0)
    assert client("/show/table", table_name=table)["type_ids"] == type_id
    assert client.rows(table) == []
    assert client.monitors()["monitor_ids"] == []

    client("/alter/table", table_name=table, action="add_column", value="x")
    client("/alter/table", table_name=table, action="rename_table", value="u")
    assert access(client, "u")["created_time"] == after["created_time"]
    assert client.select(OBJECTS) == [(other_oid, 0, 2)]


def test_the_catalogue_answers_conditions(client: Any, table: str) -> None:
    """Rows can be picked, and say the same as the access data; times are timestamps."""
    client.create_table("u", {"id": ["int"]})
    client.insert("u", {"id": 1})

    found = client.select(
        "SELECT schema_name, object_name, obj_kind, type_id, write_count, last_alter_time "
        "FROM ki_catalog.ki_objects WHERE schema_name = 'ki_home' AND object_name IN ('u', 'v')"
    )
    reply = client.sql("SELECT creation_time FROM ki_catalog.ki_objects")

    type_id = client("/show/table", table_name="u")["type_ids"][0]
    assert found == [("ki_home", "u", "R", type_id, 1, None)]
    assert '"column_datatypes": ["timestamp"]' in reply["json_encoded_response"]
    assert "ki_catalog.ki_objects" not in client("/show/table", table_name="")["table_names"]


def test_an_older_server_refuses_or_ignores_what_it_does_not_know(
    client: Any, refused: Any, table: str, emulator: Emulator
) -> None:
    """The option is an unknown parameter, or without effect; the catalogue does not exist."""
    emulator.traits.access_data = "refused"
    with pytest.raises(refused, match="'get_access_data' is not a valid parameter"):
        access(client, table)
    emulator.traits.access_data = "ignored"
    assert "created_time" not in access(client, table)
    emulator.traits.ki_objects = False
    with pytest.raises(refused, match="ki_objects"):
        client.select(OBJECTS)

    emulator.heal()
    assert emulator.traits.access_data == "ignored"


def test_counts_are_a_clusters_own(connect: Any) -> None:
    """A write replicated is one of the other cluster too; a read is not."""
    with Ring(2) as ring:
        first, second = connect(ring[0]), connect(ring[1])
        first.create_table("t", {"id": ["int"]})
        first.insert("t", {"id": 1})
        first.rows("t")
        assert ring.wait_replicated()

        assert counts(first, "t") == (1, 1, 0)
        assert counts(second, "t") == (0, 1, 0)


def test_the_servers_clock_can_be_another(client: Any, emulator: Emulator) -> None:
    """Times that it stamps, computes and sends follow its own wall clock."""
    emulator.traits.clock_offset = -7 * 365 * 86_400.0
    client.create_table("t", {"id": ["int"], "at": ["string", "datetime", "init_with_now"]})
    client.insert("t", {"id": 1, "at": ""})
    year = client.rows("t")[0]["at"][:4]

    assert access(client, "t")["created_time"][:4] == year
    assert access(client, "t")["last_write_time"][:4] == year
    assert client.select("SELECT NOW()")[0][0][:4] == year
    assert f" {year} " in client.post("/has/table", table_name="t").headers["Date"]
    emulator.traits.clock_offset = 0.0
    client.insert("t", {"id": 2, "at": ""})
    assert int(client.rows("t")[1]["at"][:4]) >= int(year) + 6


def test_every_update_stamps_what_is_updated_with_now(client: Any, emulator: Emulator) -> None:
    """By expression, by upsert and by SQL: the column moves with the row that was touched."""
    stamp = ["string", "datetime", "update_with_now"]
    client.create_table("t", {"id": ["int", "primary_key"], "n": ["int"], "at": stamp})
    old = "2001-01-01 00:00:00.000"
    client.insert("t", *({"id": n, "n": 0, "at": old} for n in range(4)))

    client(
        "/update/records",
        table_name="t",
        expressions=["id = 1"],
        new_values_maps=[{"n": "1"}],
        record_encoding="json",
    )
    client.insert("t", {"id": 2, "n": 1, "at": old}, update_on_existing_pk="true")
    client.sql("UPDATE t SET n = 1 WHERE id = 3")

    assert [(row["n"], row["at"] > old) for row in client.rows("t")] == [
        (0, False),
        (1, True),
        (1, True),
        (1, True),
    ]
