"""Debezium's envelope is written as promised, with and without its schema."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from services.formats import CLUSTER, ID, SCHEMA, SINGLES, TABLE, TIME, block, write

import bridge
from bridge.events import Column, ReadCause, Schema
from bridge.formats.debezium import DebeziumFormat
from bridge.formats.debezium_schema import envelope_schema
from bridge.formats.json import JsonFormat
from bridge.formats.shape import Shape, Stage

PLAIN, WITH_SCHEMAS = DebeziumFormat("eu-1"), DebeziumFormat("eu-1", schemas=True)


def test_a_row_has_the_members_of_an_envelope_and_no_image_of_before() -> None:
    """To the last member of its source."""
    envelope = json.loads(write(PLAIN, block()).event(1).value)
    moments = {"ts_ms": TIME // 1000, "ts_us": TIME + 1, "ts_ns": (TIME + 1) * 1000}
    assert list(envelope) == [
        *("before", "after", "source", "op", "ts_ms", "ts_us", "ts_ns", "transaction")
    ]
    assert envelope == {
        "before": None,
        "after": {"order_id": 2, "note": "hi"},
        "source": {
            "version": bridge.__version__,
            "connector": "kinetica",
            "name": "eu-1",
            **moments,
            "snapshot": "false",
            "db": "kinetica",
            "schema": "ki_home",
            "table": "orders",
            "cluster": CLUSTER,
            "sequence": '["00000000000000001235"]',
            "offset": 1235,
            "event_id": f"{ID}-1235",
        },
        "op": "c",
        **moments,
        "transaction": None,
    }


def test_a_read_is_what_its_cause_says() -> None:
    """A snapshot is one, a closed gap an incremental one; rows of updates are updates."""
    expected: dict[ReadCause, tuple[str, str]] = {
        "snapshot": ("r", "true"),
        "gap": ("r", "incremental"),
        "update": ("u", "false"),
    }
    for cause, pair in expected.items():
        envelope = json.loads(write(PLAIN, block(cause)).event(0).value)
        assert (envelope["op"], envelope["source"]["snapshot"]) == pair
        assert envelope["before"] is None
        assert envelope["after"] == {"order_id": 1, "note": None}


def test_what_is_no_row_is_a_notification_in_json() -> None:
    """With and without schemas."""
    for form in (PLAIN, WITH_SCHEMAS):
        for entry in SINGLES.values():
            lines = form.single(ID, 5, entry)
            assert lines.notification
            assert lines.event(0) == JsonFormat().single(ID, 5, entry).event(0)


def test_a_schema_describes_the_payload() -> None:
    """Member by member, in structures too; a struct names what the payload has."""

    def describes(schema: dict[str, Any], value: Any) -> None:
        if value is None:
            assert schema["optional"]
        elif schema["type"] == "struct":
            assert {field["field"] for field in schema["fields"]} == set(value)
            for field in schema["fields"]:
                describes(field, value[field["field"]])
        elif schema["type"] == "string":
            assert isinstance(value, str)
        else:
            assert (schema["type"], type(value)) == ("int64", int)

    for index in range(2):
        whole = json.loads(write(WITH_SCHEMAS, block()).event(index).value)
        bare = json.loads(write(PLAIN, block()).event(index).value)
        assert list(whole) == ["schema", "payload"]
        assert whole["payload"] == bare
        describes(whole["schema"], whole["payload"])
        assert whole["schema"]["name"] == "eu-1.ki_home.orders.Envelope"


def test_each_type_of_column_has_the_schema_of_how_it_is_written() -> None:
    """Text where text is written; numbers by their width; JSON stays text."""
    zoned, decimal = "io.debezium.time.ZonedTimestamp", "org.apache.kafka.connect.data.Decimal"
    wanted = {
        ("int", "boolean"): ("boolean", None),
        ("int", "int8"): ("int8", None),
        ("int", "int16"): ("int16", None),
        ("int", "int"): ("int32", None),
        ("long", "long"): ("int64", None),
        ("long", "timestamp"): ("string", zoned),
        ("float", "float"): ("float", None),
        ("double", "double"): ("double", None),
        ("string", "date"): ("string", None),
        ("string", "datetime"): ("string", None),
        ("string", "decimal(10,2)"): ("string", None),
        ("string", "ulong"): ("bytes", decimal),
        ("string", "uuid"): ("string", "io.debezium.data.Uuid"),
        ("string", "json"): ("string", "io.debezium.data.Json"),
        ("string", "array(int,3)"): ("string", None),
        ("bytes", "vector(2)"): ("array", "io.debezium.data.FloatVector"),
        ("bytes", "bytes"): ("bytes", None),
    }
    columns = [Column(f"c{i}", *types, nullable=i % 2 == 0) for i, types in enumerate(wanted)]
    for place, (column, expected) in enumerate(zip(columns, wanted.values(), strict=True)):
        one = Schema(str(place), (column,))
        described = json.loads(envelope_schema("d", TABLE, one, Shape()))
        (found,) = described["fields"][1]["fields"]
        assert (found["type"], found.get("name"), found["optional"]) == (*expected, column.nullable)


def test_a_key_carries_its_schema_too() -> None:
    """With schemas; it is the bare object without, and there is none where rows have none."""
    key = json.loads(write(WITH_SCHEMAS, block()).event(1).key or b"")
    field = {"type": "int64", "optional": False, "field": "order_id"}
    assert key == {
        "schema": {
            "type": "struct",
            "fields": [field],
            "optional": False,
            "name": "eu-1.ki_home.orders.Key",
        },
        "payload": {"order_id": 2},
    }
    assert write(PLAIN, block()).event(1).key == b'{"order_id":2}'
    keyless = block(schema=Schema("8", SCHEMA.columns))
    assert write(WITH_SCHEMAS, keyless).event(0).key is None
    assert write(WITH_SCHEMAS, block(), keyed=False).event(0).key is None


def test_a_masked_column_is_text_whatever_it_was() -> None:
    """The schema says so, in the key too."""
    shape = Shape(stages=(Stage(rename=(("order_id", "id"),), mask=(("order_id", "hash"),)),))
    event = write(WITH_SCHEMAS, block(), shape).event(0)
    for whole, path in ((event.value, 1), (event.key, None)):
        read = json.loads(whole or b"")
        described = read["schema"] if path is None else read["schema"]["fields"][path]
        row = read["payload"] if path is None else read["payload"]["after"]
        assert {"type": "string", "optional": False, "field": "id"} in described["fields"]
        assert isinstance(row["id"], str)


def test_without_json_in_connect_a_json_column_is_text_with_schemas() -> None:
    """And a value without them."""
    schema = Schema("9", (Column("j", "string", "json"),))
    rows = replace(block(schema=schema), payload=b'\x0e{"a":1}', count=1, times=((1, TIME),))
    assert json.loads(write(PLAIN, rows).event(0).value)["after"] == {"j": {"a": 1}}
    assert json.loads(write(WITH_SCHEMAS, rows).event(0).value)["payload"]["after"] == {
        "j": '{"a":1}'
    }
