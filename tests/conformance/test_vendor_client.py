"""The vendor's own client is the oracle: what it does with a cluster, it does with the emulator."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpudb
import pytest
from gpudb import GPUdbColumnProperty as Property

from kinetica_emulator import Emulator, Ring
from kinetica_emulator.endpoints import ENDPOINTS

PROGRAM = Path(__file__).with_name("vendor_monitor_program.py")
PATIENCE = 90.0

# Every column type of 7.2 with two values, one of them an extreme.
EVERY_TYPE: dict[str, tuple[list[str], list[Any]]] = {
    "i": (["int"], [-(2**31), 2**31 - 1]),
    "i8": (["int", Property.INT8], [-128, 127]),
    "i16": (["int", Property.INT16], [-32768, 32767]),
    "bool": (["int", Property.BOOLEAN], [1, 0]),
    "l": (["long"], [-(2**63), 2**63 - 1]),
    "stamp": (["long", Property.TIMESTAMP], [-30610224000000, 29379542399999]),
    "f": (["float"], [struct.unpack("<f", b"\x01\x00\x00\x00")[0], -0.5]),
    "d": (["double"], [1e308, -5e-324]),
    "s": (["string"], ["", "Zürich 東京 \U0001f600"]),
    "search": (["string", Property.TEXT_SEARCH], ["some text", "more of it"]),
    **{
        f"c{size}": (["string", f"char{size}"], ["x" * size, ""])
        for size in (1, 2, 4, 8, 16, 32, 64, 128, 256)
    },
    "date": (["string", Property.DATE], ["1000-01-01", "2900-12-31"]),
    "time": (["string", Property.TIME], ["00:00:00.000", "23:59:59.999"]),
    "datetime": (
        ["string", Property.DATETIME],
        ["1000-01-01 00:00:00.000", "2024-02-29 12:30:00.500"],
    ),
    "dec": (["string", Property.DECIMAL], ["12.5000", "-0.0001"]),
    "dec2": (["string", "decimal(10,2)"], ["12.50", "-99999999.99"]),
    "dec27": (["string", "decimal(27,18)"], ["123456789.123456789012345678", "0"]),
    "ulong": (["string", Property.ULONG], ["0", "18446744073709551615"]),
    "ip": (["string", Property.IPV4], ["0.0.0.0", "255.255.255.255"]),
    "uuid": (
        ["string", Property.UUID],
        ["00000000-0000-0000-0000-000000000000", "f47ac10b-58cc-4372-a567-0e02b2c3d479"],
    ),
    "json": (["string", Property.JSON], ['{"a": [1, null]}', "[]"]),
    "ints": (["string", "array(int)"], ["[1,2,3]", "[]"]),
    "texts": (["string", "array(string,5)"], ['["a","b"]', "[]"]),
    "wkt": (["string", Property.WKT], ["POINT (1 2)", "LINESTRING (0 0, 1 1)"]),
    "wkb": (["bytes", Property.WKT], [bytes(range(21)), b""]),
    "v": (["bytes", "vector(3)"], [struct.pack("<3f", 1, 2, 3), bytes(12)]),
    "raw": (["bytes"], [bytes(range(256)), b""]),
}


def columns_of_every_type(*, nullable: bool) -> list[list[str]]:
    mark = [Property.NULLABLE] if nullable else []
    return [[name, *spec, *mark] for name, (spec, _) in EVERY_TYPE.items()]


def rows_of_every_type() -> list[list[Any]]:
    return [[values[index] for _, values in EVERY_TYPE.values()] for index in (0, 1)]


def records(table: gpudb.GPUdbTable, **options: Any) -> list[dict[str, Any]]:
    return [dict(record) for record in table.get_records(**options)]


def test_every_endpoint_has_the_schemas_of_the_vendors_client(db: gpudb.GPUdb) -> None:
    """Requests and replies have the fields, in order, that the vendor's client encodes."""

    def fields(schema: Any) -> list[tuple[str, Any]]:
        return [(field["name"], field["type"]) for field in schema["fields"]]

    for path, endpoint in ENDPOINTS.items():
        theirs = db.gpudb_schemas[path]

        assert fields(endpoint.request) == fields(json.loads(theirs["REQ_SCHEMA_STR"])), path
        assert fields(endpoint.reply) == fields(json.loads(theirs["RSP_SCHEMA_STR"])), path
        assert endpoint.reply_name == json.loads(theirs["RSP_SCHEMA_STR"])["name"]


@pytest.mark.parametrize("encoding", ["BINARY", "JSON"])
def test_connecting_needs_no_warning(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, encoding: str
) -> None:
    """Version, addresses and status are those of a cluster the client was made for."""
    with caplog.at_level(logging.DEBUG):
        db = gpudb.GPUdb(host=emulator.url, encoding=encoding)

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert db.get_url() == emulator.url
    assert db.server_version is not None


def test_a_ring_is_recognised_and_failed_over(caplog: pytest.LogCaptureFixture) -> None:
    """The client learns of the other cluster from the first, and goes there when that dies."""
    options = gpudb.GPUdb.Options()
    options.failback_options = gpudb.gpudb.FailbackOptions(polling_interval=0.1)
    with Ring(2) as ring, contextlib.ExitStack() as stack:
        with caplog.at_level(logging.DEBUG):
            db = gpudb.GPUdb(host=ring.urls[0], options=options)
        # Once it has left the first cluster, a thread of it asks for that one until it is closed.
        stack.enter_context(db)
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
        table = gpudb.GPUdbTable([["id", "int"]], name="t", db=db)
        table.insert_records([[1]])
        assert ring.wait_replicated()

        ring[0].stop()
        table.insert_records([[2]])

        assert db.get_url() == ring.urls[1]
        assert [record["id"] for record in records(table)] == [1, 2]


def test_wrong_credentials_are_refused() -> None:
    """With user and password set, the right pair connects and any other does not."""
    with Emulator(username="admin", password="secret") as emulator:
        assert gpudb.GPUdb(host=emulator.url, username="admin", password="secret") is not None
        for user, password in (("admin", "wrong"), ("other", "secret"), ("", "")):
            with pytest.raises(gpudb.GPUdbUnauthorizedAccessException):
                gpudb.GPUdb(host=emulator.url, username=user, password=password)


@pytest.mark.parametrize("nullable", [False, True])
def test_every_column_type_reads_back_equal(db: gpudb.GPUdb, nullable: bool) -> None:
    """A table of every type, with and without nullability, gives back what went in."""
    names = list(EVERY_TYPE)
    rows = rows_of_every_type()
    if nullable:
        rows.append([None] * len(names))
    table = gpudb.GPUdbTable(columns_of_every_type(nullable=nullable), name="every", db=db)

    table.insert_records(rows)

    assert records(table) == [dict(zip(names, row, strict=True)) for row in rows]
    assert table.size() == len(rows)
    by_column = table.get_records_by_column(names)
    assert {name: list(values) for name, values in by_column.items()} == {
        name: [row[index] for row in rows] for index, name in enumerate(names)
    }


def test_floats_that_are_no_numbers_survive(db: gpudb.GPUdb) -> None:
    """NaN and both infinities come back, as double and as float."""
    table = gpudb.GPUdbTable([["d", "double"], ["f", "float"]], name="floats", db=db)

    table.insert_records([[math.nan, math.nan], [math.inf, -math.inf], [-math.inf, math.inf]])

    read = [list(record.values()) for record in table.get_records()]
    assert all(map(math.isnan, read[0]))
    assert read[1:] == [[math.inf, -math.inf], [-math.inf, math.inf]]


def test_an_existing_table_is_recognised_with_its_type(db: gpudb.GPUdb) -> None:
    """Opening a table by name, with its type given, finds the server's type equal."""
    columns = columns_of_every_type(nullable=True)
    made = gpudb.GPUdbTable(columns, name="known", db=db)

    opened = gpudb.GPUdbTable(columns, name="known", db=db)
    found = gpudb.GPUdbTable(None, name="known", db=db)

    assert opened.get_table_type() == made.get_table_type() == found.get_table_type()


def test_json_and_binary_are_two_faces_of_one_table(emulator: Emulator) -> None:
    """Rows inserted in either encoding read equal in either encoding."""
    faces = {
        encoding: gpudb.GPUdb(host=emulator.url, encoding=encoding)
        for encoding in ("BINARY", "JSON")
    }
    # Binary columns and wide characters have no common form in the vendor's two encodings.
    columns = [
        spec for spec in columns_of_every_type(nullable=True) if spec[0] not in ("wkb", "v", "raw")
    ]
    names = [spec[0] for spec in columns]
    rows = [
        {name: EVERY_TYPE[name][1][index] for name in names} | {"s": f"text {index}"}
        for index in (0, 1)
    ]
    for encoding, db in faces.items():
        table = gpudb.GPUdbTable(columns, name=f"from_{encoding}", db=db)
        if encoding == "JSON":
            reply = db.insert_records(
                f"from_{encoding}", [json.dumps(row) for row in rows], list_encoding="json"
            )
            assert reply["status_info"]["status"] == "OK", reply
        else:
            table.insert_records([list(row.values()) for row in rows])

    for source in faces:
        read_binary = records(gpudb.GPUdbTable(None, name=f"from_{source}", db=faces["BINARY"]))
        reply = faces["JSON"].get_records(f"from_{source}", 0, 10, "json")
        read_json = [json.loads(text) for text in reply["records_json"]]

        assert read_binary == rows
        assert read_json == rows


def test_keys_are_upserted_ignored_or_refused(db: gpudb.GPUdb) -> None:
    """Each of the three ways to treat an existing key does what it says."""
    table = gpudb.GPUdbTable(
        [["a", "int", "primary_key"], ["b", "string", "char4", "primary_key"], ["n", "int"]],
        name="keyed",
        db=db,
    )
    table.insert_records([[1, "x", 10], [2, "x", 20]])

    with pytest.raises(gpudb.GPUdbException, match="exists already"):
        table.insert_records([[3, "x", 30], [1, "x", 11]])
    assert table.size() == 2

    table.insert_records([[3, "x", 30], [1, "x", 11]], options={"ignore_existing_pk": "true"})
    assert [record["n"] for record in records(table)] == [10, 20, 30]

    reply = db.insert_records(
        "keyed",
        [
            json.dumps({"a": 1, "b": "x", "n": 12}),
            json.dumps({"a": 4, "b": "x", "n": 40}),
        ],
        list_encoding="json",
        options={"update_on_existing_pk": "true"},
    )
    assert (reply["count_inserted"], reply["count_updated"]) == (1, 1)
    assert [record["n"] for record in records(table)] == [12, 20, 30, 40]


def test_updates_and_deletes_count_the_rows_they_touch(db: gpudb.GPUdb) -> None:
    """Expressions are computed on the rows, numbers as numbers also where they are text."""
    table = gpudb.GPUdbTable(
        [["id", "int"], ["amount", "string", "decimal(10,2)"], ["at", "string", "datetime"]],
        name="money",
        db=db,
    )
    table.insert_records([[n, f"{n}.50", f"2026-01-01 0{n}:00:00.000"] for n in range(1, 10)])

    updated = table.update_records(
        ["amount > 7 and id < 9", "id = 100"], [{"amount": "1000"}, {"amount": "1"}]
    )
    assert updated["counts_updated"] == [2, 0]
    assert records(table, options={"expression": "amount >= 100"}) == [
        {"id": n, "amount": "1000", "at": f"2026-01-01 0{n}:00:00.000"} for n in (7, 8)
    ]

    deleted = table.delete_records(["at >= '2026-01-01 08:00:00'", "id in (1, 2)"])
    assert deleted["counts_deleted"] == [2, 2]
    assert table.size() == 5


def test_reads_are_filtered_sorted_and_paged(db: gpudb.GPUdb) -> None:
    """Expression, order, offset and limit work together, and say whether more is left."""
    table = gpudb.GPUdbTable([["id", "int"], ["s", "string", "char8"]], name="paged", db=db)
    table.insert_records([[n, f"s{n % 3}"] for n in range(100)])

    def page(offset: int, limit: int) -> Any:
        return db.get_records_and_decode(
            "paged",
            offset,
            limit,
            options={"expression": "s = 's1'", "sort_by": "id", "sort_order": "descending"},
        )

    first, last = page(0, 30), page(30, 30)

    assert [record["id"] for record in first.records] == list(range(97, 7, -3))
    assert (first.total_number_of_records, first.has_more_records) == (33, True)
    assert [record["id"] for record in last.records] == [7, 4, 1]
    assert last.has_more_records is False


def test_columns_are_added_changed_renamed_and_deleted(db: gpudb.GPUdb) -> None:
    """The vendor's client notices each new type by itself and reads the converted rows."""
    table = gpudb.GPUdbTable(
        [["id", "int", "primary_key"], ["n", "int"], ["s", "string", "char8"]], name="alt", db=db
    )
    table.insert_records([[1, 10, "a"], [2, 20, "b"]])

    def alter(action: str, column: str, **options: str) -> None:
        reply = db.alter_table("alt", action, column, options)
        assert reply["status_info"]["status"] == "OK", reply["status_info"]["message"]

    alter("add_column", "x", column_type="string", column_properties="decimal(8,2),nullable")
    alter("add_column", "y", column_type="long", column_default_value="7")
    alter("change_column", "n", column_type="string", column_properties="char16")
    alter("change_column", "s", rename_column="t")
    table = gpudb.GPUdbTable(None, name="alt", db=db)
    assert records(table) == [
        {"id": 1, "n": "10", "t": "a", "x": None, "y": 7},
        {"id": 2, "n": "20", "t": "b", "x": None, "y": 7},
    ]

    alter("delete_column", "t")
    narrower = gpudb.GPUdbTable(None, name="alt", db=db)
    assert list(dict(narrower.get_records()[0])) == ["id", "n", "x", "y"]

    for action, column in (("delete_column", "id"), ("delete_column", "nowhere")):
        assert db.alter_table("alt", action, column, {})["status_info"]["status"] == "ERROR"


def test_sql_goes_the_same_way_as_the_native_calls(db: gpudb.GPUdb) -> None:
    """Statements make, fill, change, read and drop tables, with the types they declare."""

    def run(statement: str) -> int:
        reply = db.execute_sql(statement)
        assert reply["status_info"]["status"] == "OK", reply["status_info"]["message"]
        return int(reply["count_affected"])

    run("CREATE SCHEMA shop")
    run(
        "CREATE TABLE shop.orders (id INTEGER NOT NULL, amount DECIMAL(10, 2), "
        "note VARCHAR(20, DICT), tags INTEGER[3], PRIMARY KEY (id))"
    )
    assert run("INSERT INTO shop.orders (id, amount) VALUES (1, '2.50'), (2, 10)") == 2
    assert (
        run("INSERT INTO shop.orders SELECT id + 10, amount, 'copied', '[1]' FROM shop.orders") == 2
    )
    assert run("UPDATE shop.orders SET amount = amount * 2, note = 'it''s' WHERE id = 12") == 1
    assert run("DELETE FROM shop.orders WHERE orders.id = 2") == 1

    found = db.execute_sql_and_decode(
        "SELECT o.id, amount, note, COUNT(*) OVER () AS n FROM shop.orders o ORDER BY o.id"
    ).records
    assert {name: list(values) for name, values in found.items()} == {
        "id": [1, 11, 12],
        "amount": ["2.50", "2.50", "20"],
        "note": [None, "copied", "it's"],
        "n": [3, 3, 3],
    }
    assert db.show_table("shop.orders")["properties"][0]["tags"] == ["array(int,3)", "nullable"]
    run("DROP SCHEMA shop CASCADE")
    assert db.has_table("shop.orders")["table_exists"] is False


def test_dropping_and_clearing_leave_nothing(db: gpudb.GPUdb) -> None:
    """A dropped table is gone; made again alike it has the same type id and no rows."""
    columns = [["id", "int"], ["s", "string", "char8"]]
    gpudb.GPUdbTable(columns, name="gone", db=db).insert_records([[1, "a"]])
    before = db.show_table("gone")["type_ids"]

    assert db.clear_table("gone")["status_info"]["status"] == "OK"
    assert db.has_table("gone")["table_exists"] is False
    assert db.clear_table("gone")["status_info"]["status"] == "ERROR"

    again = gpudb.GPUdbTable(columns, name="gone", db=db)
    assert db.show_table("gone")["type_ids"] == before
    assert again.size() == 0


class MonitorProgram:
    """The vendor's monitor client in a process of its own, its callbacks as values.

    A thread reads its lines into a queue, and ends with the process.
    """

    def __init__(self, emulator: Emulator, table: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), emulator.url, str(emulator.monitor_port), table],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def next(self) -> tuple[str, Any]:
        line = self._lines.get(timeout=PATIENCE)
        if not line:
            raise EOFError(self._process.wait())
        kind, value = json.loads(line)
        return kind, value

    def until(self, kind: str, count: int = 1) -> list[Any]:
        found = []
        while len(found) < count:
            told, value = self.next()
            assert told != "ERROR", value
            if told == kind:
                found.append(value)
        return found

    def finish(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.until("STOPPED")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def test_the_client_reads_what_a_table_is_and_how_often_it_was_written(db: gpudb.GPUdb) -> None:
    """Access data through `show_table`, the same through the catalogue in SQL."""
    table = gpudb.GPUdbTable([["id", "int"]], name="t", db=db)
    table.insert_records([[1], [2]])
    table.insert_records([[3]])
    table.delete_records(["id = 3"])

    shown = db.show_table("t", options={"get_access_data": "true"})
    info = shown["additional_info"][0]
    found = db.execute_sql_and_decode(
        "SELECT object_name, type_id, write_count, creation_time FROM ki_catalog.ki_objects",
        encoding="binary",
    )["records"]

    assert (info["write_count"], info["alter_count"], info["last_alter_time"]) == ("3", "0", "")
    assert info["created_time"] <= info["last_write_time"]
    assert found["object_name"] == ["t"]
    assert found["type_id"] == shown["type_ids"]
    assert found["write_count"] == [3]
    assert found["creation_time"][0] > 0


def test_the_client_asks_and_grants_permissions(emulator: Emulator) -> None:
    """What was granted is permitted, anything else is refused with a reason."""
    emulator.add_user("reader", "secret")
    admin = gpudb.GPUdb(host=emulator.url)
    reader = gpudb.GPUdb(host=emulator.url, username="reader", password="secret")
    gpudb.GPUdbTable([["id", "int"]], name="t", db=admin).insert_records([[1]])

    def may_read() -> bool:
        return bool(reader.has_permission("", "t", "table", "read")["has_permission"])

    assert not may_read()
    refused = reader.get_records("t", encoding="json")
    assert refused["status_info"]["status"] == "ERROR"
    assert "table_read" in refused["status_info"]["message"]
    granted = admin.grant_permission("reader", "ki_home.t", "table", "read")
    assert granted["status_info"]["status"] == "OK"
    assert may_read()
    assert len(reader.get_records("t", encoding="json")["records_json"]) == 1
    admin.revoke_permission("reader", "ki_home.t", "table", "read")
    assert not may_read()


def test_the_client_reads_by_keyset_over_two_columns(db: gpudb.GPUdb) -> None:
    """A condition over both and an order by both give every row once, ties included."""
    key = [Property.PRIMARY_KEY]
    table = gpudb.GPUdbTable([["a", "string", "char4", *key], ["b", "long", *key]], name="t", db=db)
    rows = [[f"k{n % 3}", n] for n in range(20)]
    table.insert_records(rows)

    seen: list[tuple[str, int]] = []
    while True:
        condition = ""
        if seen:
            a, b = seen[-1]
            condition = f"(a > '{a}') or (a = '{a}' and b > {b})"
        page = table.get_records_by_column(
            ["a", "b"], 0, 7, options={"expression": condition, "order_by": "a asc, b asc"}
        )
        if not page:
            break
        seen += zip(page["a"], page["b"], strict=True)

    assert seen == sorted((a, b) for a, b in rows)


def test_the_client_goes_on_where_the_topic_is_not_its_choice(
    emulator: Emulator, db: gpudb.GPUdb
) -> None:
    """It takes the topic it is given, whatever schema that is in."""
    emulator.traits.topics, emulator.traits.topic_schema = "other", "elsewhere"
    gpudb.GPUdbTable([["id", "int"]], name="t", db=db)

    topic = db.create_table_monitor("t", {"event": "insert", "monitor_id": "mine"})["topic_id"]

    assert topic.startswith("elsewhere.")
    cleared = db.clear_table_monitor(topic)
    assert cleared["status_info"]["status"] == "OK"


@pytest.fixture
def watched(
    emulator: Emulator, db: gpudb.GPUdb
) -> Iterator[tuple[gpudb.GPUdbTable, MonitorProgram]]:
    """A table of every type, and the vendor's monitor client listening to it."""
    table = gpudb.GPUdbTable(columns_of_every_type(nullable=True), name="watched", db=db)
    program = MonitorProgram(emulator, "watched")
    try:
        program.until("STARTED")
        with emulator.database.lock:
            topics = [monitor.topic_id for monitor in emulator.database.monitors.all()]
        assert len(topics) == 3
        assert all(emulator.wait_for_subscriber(topic) for topic in topics)
        yield table, program
    finally:
        program.end()


def test_the_vendors_monitor_hears_of_everything(
    emulator: Emulator, db: gpudb.GPUdb, watched: tuple[gpudb.GPUdbTable, MonitorProgram]
) -> None:
    """Inserted rows, numbers of updated and deleted ones, and in the end the drop."""
    table, program = watched
    rows = [*rows_of_every_type(), [None] * len(EVERY_TYPE)]

    table.insert_records(rows)
    decoded = program.until("INSERT_DECODED", 3)
    table.update_records(["i is not null"], [{"i8": "5"}])
    updated = program.until("UPDATED")
    table.delete_records(["i8 = 5", "i is null"])
    deleted = program.until("DELETED")
    db.clear_table("watched")
    dropped = program.until("TABLE_DROPPED")

    expected = [
        {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in zip(EVERY_TYPE, row, strict=True)
        }
        for row in rows
    ]
    assert decoded == expected
    assert updated == [2]
    assert deleted == [3]
    assert len(dropped) == 1
    assert "watched" in dropped[0]


def test_the_vendors_monitor_clears_what_it_made(
    emulator: Emulator, watched: tuple[gpudb.GPUdbTable, MonitorProgram]
) -> None:
    """Stopping the vendor's client clears its three monitors."""
    _, program = watched

    program.finish()

    with emulator.database.lock:
        assert emulator.database.monitors.all() == []
