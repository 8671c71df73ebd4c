"""Table monitors: what they publish, how they live, how they end."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fastavro
import pytest

from kinetica_emulator import Emulator

COLUMNS = {"id": ["int", "primary_key"], "s": ["string", "char8", "nullable"]}
SCHEMA = {
    "type": "record",
    "name": "type_name",
    "fields": [{"name": "id", "type": "int"}, {"name": "s", "type": ["string", "null"]}],
}


def frame(**values: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(SCHEMA), values)
    return stream.getvalue()


def insert(client: Any, table: str, frames: list[bytes], **options: str) -> dict[str, Any]:
    return client(
        "/insert/records",
        binary=True,
        table_name=table,
        list=frames,
        list_encoding="binary",
        options=options,
    )


@pytest.fixture
def topics(client: Any, subscriber: Any) -> dict[str, str]:
    """A table `t` with a monitor of each event, subscribed to."""
    client.create_table("t", COLUMNS)
    made = {event: client.monitor("t", event) for event in ("insert", "update", "delete")}
    subscriber.subscribe(*made.values())
    return made


def test_an_insert_publishes_its_records_as_they_came(
    client: Any, subscriber: Any, topics: dict[str, str]
) -> None:
    """One message for one request, a frame for each record, byte for byte."""
    frames = [frame(id=1, s="one"), frame(id=2, s=None)]

    insert(client, "t", frames)

    assert subscriber.receive() == (topics["insert"], frames)


def test_json_records_are_published_in_binary(
    client: Any, subscriber: Any, topics: dict[str, str]
) -> None:
    """What was inserted as JSON or by SQL is published as Avro like any other."""
    client.insert("t", {"id": 1, "s": "one"})
    client.sql("INSERT INTO t VALUES (2, NULL), (3, 'x')")

    assert subscriber.receive() == (topics["insert"], [frame(id=1, s="one")])
    assert subscriber.receive() == (topics["insert"], [frame(id=2, s=None), frame(id=3, s="x")])


def test_updates_and_deletes_publish_one_count(
    client: Any, subscriber: Any, topics: dict[str, str]
) -> None:
    """The count of the whole request, as a record of its own schema; nothing for none."""
    insert(client, "t", [frame(id=n, s="x") for n in range(200)])
    subscriber.receive()

    client(
        "/update/records",
        table_name="t",
        expressions=["id = 1", "id = 1000", "id > 100"],
        new_values_maps=[{"s": "y"}, {"s": "z"}, {"s": None}],
    )
    client("/delete/records", table_name="t", expressions=["id = 5000"])
    client("/delete/records", table_name="t", options={"delete_all_records": "true"})

    shown = client.monitors()
    schemas = dict(
        zip(
            shown["events"],
            (info["type_schema"] for info in shown["additional_info"]),
            strict=True,
        )
    )
    for event, count in (("update", 100), ("delete", 200)):
        topic, frames = subscriber.receive()
        assert topic == topics[event]
        assert len(frames) == 1
        schema = fastavro.parse_schema(json.loads(schemas[event]))
        assert fastavro.schemaless_reader(io.BytesIO(frames[0]), schema, None) == {"count": count}


def test_an_upsert_is_an_insert_or_an_update(
    client: Any, subscriber: Any, topics: dict[str, str]
) -> None:
    """New keys are published as records, existing ones counted as updates."""
    insert(client, "t", [frame(id=1, s="a")])
    subscriber.receive()
    rows = [frame(id=1, s="b"), frame(id=2, s="c"), frame(id=3, s="d"), frame(id=2, s="e")]

    reply = insert(client, "t", rows, update_on_existing_pk="true")

    assert (reply["count_inserted"], reply["count_updated"]) == (2, 2)
    assert subscriber.receive() == (topics["insert"], [rows[1], rows[2]])
    assert subscriber.receive() == (topics["update"], [b"\x04"])
    assert [row["s"] for row in client.rows("t")] == ["b", "e", "d"]


def test_notifications_leave_in_the_order_of_the_rows(
    emulator: Emulator, client: Any, connect: Any, subscriber: Any, topics: dict[str, str]
) -> None:
    """However many clients insert at once, what is published is what a read returns."""
    threads, rounds = 4, 25
    clients = [connect(emulator) for _ in range(threads)]

    def work(number: int) -> None:
        for round_ in range(rounds):
            key = 2 * (round_ * threads + number)
            insert(clients[number], "t", [frame(id=key, s=None), frame(id=key + 1, s="x")])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))

    received = [subscriber.receive() for _ in range(threads * rounds)]
    read = client("/get/records", binary=True, table_name="t", limit=-9999, encoding="binary")
    assert [each for _, frames in received for each in frames] == read["records_binary"]
    assert len(read["records_binary"]) == 2 * threads * rounds


def test_a_refused_insert_publishes_nothing(
    client: Any, subscriber: Any, topics: dict[str, str], refused: Any
) -> None:
    """One bad record refuses the batch, unless the batch may be partial."""
    rows = [frame(id=1, s="fits"), frame(id=2, s="far too long"), b"\xff\xff"]

    with pytest.raises(refused, match="Record"):
        insert(client, "t", rows)
    assert client.rows("t") == []
    reply = insert(client, "t", [*rows, frame(id=3, s="z")], return_individual_errors="true")

    assert reply["count_inserted"] == 2
    assert reply["info"]["bad_record_indices"] == "1,2"
    assert "too long" in reply["info"]["error_1"]
    assert subscriber.receive() == (topics["insert"], [rows[0], frame(id=3, s="z")])


def test_a_filter_is_evaluated_on_the_inserted_rows(client: Any, subscriber: Any) -> None:
    """Each monitor gets the records its expression is true for, also among upserts."""
    client.create_table("t", COLUMNS)
    every = client.monitor("t", monitor_id="ki_home.every")
    some = client.monitor("t", monitor_id="ki_home.some", expression="id > 2 and s like 'a%'")
    subscriber.subscribe(every, some)
    insert(client, "t", [frame(id=9, s="a")])
    subscriber.receive()
    subscriber.receive()
    rows = [frame(id=n, s=s) for n, s in ((1, "a"), (9, "b"), (3, "a"), (4, None), (5, "ab"))]

    insert(client, "t", rows, ignore_existing_pk="true")

    assert subscriber.receive() == ("ki_home.every", [rows[0], *rows[2:]])
    assert subscriber.receive() == ("ki_home.some", [rows[2], rows[4]])


def test_ids_are_those_asked_for_or_random(client: Any, refused: Any) -> None:
    """A given id is the topic, an existing one is refused, others are unlike each other."""
    client.create_table("t", COLUMNS)

    assert client.monitor("t", monitor_id="mine") == "mine"
    with pytest.raises(refused, match="already exists"):
        client.monitor("t", monitor_id="mine")
    first, second = client.monitor("t"), client.monitor("t")
    assert first != second
    assert first.startswith("ki_home.")
    assert client.monitors()["monitor_ids"] == ["mine", first, second]


def test_monitors_are_shown_where_clients_look(client: Any, refused: Any) -> None:
    """By id with all they were made with, and at their table."""
    client.create_table("t", COLUMNS)
    client.monitor("t", "insert", monitor_id="i", expression="id > 5", increasing_column="id")
    client.monitor("t", "delete", monitor_id="d")

    shown = client("/show/tablemonitors", monitor_ids=["i"])
    assert shown["table_names"] == ["ki_home.t"]
    assert shown["events"] == ["insert"]
    assert shown["filter_expressions"] == ["id > 5"]
    assert shown["increasing_columns"] == ["id"]
    info = client("/show/table", table_name="t")["additional_info"][0]
    assert json.loads(info["table_monitor"]) == {"insert": "i", "delete": "d"}

    client("/clear/tablemonitor", topic_id="i")
    with pytest.raises(refused, match="does not exist"):
        client("/clear/tablemonitor", topic_id="i")
    with pytest.raises(refused, match="does not exist"):
        client("/show/tablemonitors", monitor_ids=["i"])
    assert client.monitors()["monitor_ids"] == ["d"]


@pytest.mark.parametrize(
    "options",
    [
        {"event": "all"},
        {"event": "insert", "expression": "no_such_column > 1"},
        {"event": "insert", "expression": "id >"},
        {"event": "insert", "expression": "id > 1)"},
        {"event": "delete", "expression": "id > 1"},
        {"event": "insert", "increasing_column": "nowhere"},
        {"event": "insert", "destination": "http://example.com"},
        {"event": "insert", "refresh_method": "periodic"},
        {"event": "insert", "max_consecutive_failures": "many"},
    ],
)
def test_a_monitor_that_cannot_work_is_refused(
    client: Any, refused: Any, options: dict[str, str]
) -> None:
    """Its creation fails, rather than its notifications later."""
    client.create_table("t", COLUMNS)

    with pytest.raises(refused):
        client("/create/tablemonitor", table_name="t", options=options)
    assert client.monitors()["monitor_ids"] == []


def test_a_suspended_monitor_is_silent(
    client: Any, subscriber: Any, topics: dict[str, str]
) -> None:
    """It publishes nothing until it is resumed, and its status says so."""
    topic = topics["insert"]

    def switch(value: str) -> list[str]:
        client("/alter/tablemonitor", topic_id=topic, monitor_updates_map={"notifications": value})
        return client("/show/tablemonitors", monitor_ids=[topic])["statuses"]

    suspended = switch("suspend")
    insert(client, "t", [frame(id=1, s=None)])
    resumed = switch("resume")
    insert(client, "t", [frame(id=2, s=None)])

    assert (suspended, resumed) == (["suspended"], ["running"])
    assert subscriber.receive() == (topic, [frame(id=2, s=None)])


@pytest.mark.parametrize(
    ("change", "survives"),
    [
        ("ALTER TABLE t ADD x INT", False),
        ("ALTER TABLE t ADD x INT AFTER id", False),
        ("ALTER TABLE t DROP COLUMN s", False),
        ("ALTER TABLE t RENAME COLUMN s TO z", False),
        ("ALTER TABLE t RENAME TO u", False),
        ("DROP TABLE t", False),
        ("DROP SCHEMA ki_home CASCADE", False),
        ("ALTER TABLE t SET TTL 5", True),
        ("TRUNCATE TABLE t", True),
    ],
)
def test_a_change_of_the_layout_drops_monitors_silently(
    client: Any, topics: dict[str, str], change: str, survives: bool
) -> None:
    """Altered and dropped tables lose their monitors; other tables keep theirs."""
    client("/create/schema", schema_name="other")
    client.create_table("other.t", COLUMNS)
    client.monitor("other.t", monitor_id="bystander")

    client.sql(change)

    kept = [*topics.values()] if survives else []
    assert client.monitors()["monitor_ids"] == [*kept, "bystander"]


def test_anything_can_be_published_on_purpose(
    emulator: Emulator, client: Any, subscriber: Any, topics: dict[str, str]
) -> None:
    """Garbage, an empty message and strange topics reach whoever subscribed."""
    subscriber.subscribe("other")

    emulator.publish(topics["insert"], [b"\xff\x00", b""])
    emulator.publish(topics["insert"], [])
    emulator.publish(b"other\xff", [b"x" * 100_000])

    assert subscriber.receive() == (topics["insert"], [b"\xff\x00", b""])
    assert subscriber.receive() == (topics["insert"], [])
    assert subscriber._socket.recv_multipart() == [b"other\xff", b"x" * 100_000]
