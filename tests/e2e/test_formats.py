"""Every format from a running service to a real broker and receiver, read by its own consumers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gpudb
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings import http, kafka
from confluent_kafka import Message
from e2e.every_type import columns, expected, given
from services.debezium import read_envelopes
from services.kafka import KafkaBroker
from services.outside import Service, lines_of, until
from services.process import EmulatorProcess
from services.webhook import WebhookReceiver

from bridge.codec import compile_schema
from bridge.events import Column, Schema
from bridge.types import declared_type

TABLE = "ki_home.every"
ROWS = range(1, 9)  # the seventh is null in all that may be
FORMATS = ("cloudevents", "cloudevents-binary", "debezium", "raw")


def from_kafka(message: Message) -> BaseCloudEvent:
    headers = {name: bytes(text) for name, text in message.headers() or []}
    return kafka.from_kafka_event(kafka.KafkaMessage(headers, message.key(), message.value()))


def test_each_format_is_read_by_its_consumers(
    kinetica: EmulatorProcess,
    db: gpudb.GPUdb,
    kafka_broker: KafkaBroker,
    webhook_receiver: WebhookReceiver,
    debezium: Path,
    tmp_path: Path,
) -> None:
    """Rows of every type, a count and a drop; what has no form goes to the notifications."""
    table = gpudb.GPUdbTable(columns(), name=TABLE, db=db)
    topics = {name: f"{tmp_path.name}.{name}" for name in FORMATS}
    for topic in topics.values():
        kafka_broker.create_topic(topic)
        kafka_broker.create_topic(f"{topic}.notifications")
    sinks: dict[str, dict[str, Any]] = {
        name: {
            "type": "kafka",
            "bootstrap_servers": kafka_broker.bootstrap_servers,
            "topic": topic,
            "format": name,
            "schemas": name == "debezium",
        }
        for name, topic in topics.items()
    }
    sinks["json"] = {"type": "file", "path": str(tmp_path / "all.jsonl")}
    sinks["hook"] = {"type": "webhook", "url": webhook_receiver.url, "format": "cloudevents-binary"}

    config = {"kinetica": {"urls": [kinetica.url]}, "tables": [{"name": TABLE}], "sinks": sinks}
    with Service(tmp_path, config) as service:
        service.wait_tables(TABLE)
        table.insert_records([given(n) for n in ROWS])
        table.delete_records(["id = 1"])
        until(
            lambda: all(service.counted("delivered", sink=name) >= 9 for name in sinks),
            "the rows and the count in every sink",
            service.said,
        )
        db.clear_table(TABLE)
        until(
            lambda: all(
                any(event["type"] == "drop" for event in lines_of(tmp_path / "all.jsonl"))
                and service.counted("delivered", sink=name) >= 10
                for name in sinks
            ),
            "the drop in every sink",
            service.said,
        )

    events = [each for each in lines_of(tmp_path / "all.jsonl") if each["type"] != "gap"]
    rows, others = events[: len(ROWS)], events[len(ROWS) :]
    assert [each["record"] for each in rows] == [expected(n) for n in ROWS]
    assert [each["type"] for each in others] == ["delete", "drop"]

    structured, binary, wrapped, raw = (kafka_broker.read(topics[name]) for name in FORMATS)
    posted = [
        http.from_http_event(http.HTTPMessage(dict(each.headers), each.body))
        for each in webhook_receiver.requests
        if each.method == "POST"
    ]
    for read in (list(map(from_kafka, structured)), list(map(from_kafka, binary)), posted):
        cloud = [each for each in read if each.get_type() != "com.kinetica.bridge.gap"]
        assert [each.get_id() for each in cloud] == [each["id"] for each in events]
        assert [each.get_type().rpartition(".")[2] for each in cloud] == [
            each["type"] for each in events
        ]
        assert [each.get_data() for each in cloud] == [
            *(each["record"] for each in rows),
            {"count": 1},
            None,
        ]
        assert {each.get_source() for each in cloud} == {f"/kinetica/default/{TABLE}"}
        assert [json.loads(each.get_subject() or "") for each in cloud[:2]] == [
            {"id": 1},
            {"id": 2},
        ]

    envelopes = read_envelopes(debezium, [(each.key(), each.value() or b"") for each in wrapped])
    assert [each["key"] for each in envelopes] == [{"id": n} for n in ROWS]
    assert [each["row"]["__source_event_id"] for each in envelopes] == [each["id"] for each in rows]

    schema = Schema(
        "7",
        tuple(
            Column(name, spec[0], declared_type(spec[0], spec[1:]), "nullable" in spec)
            for name, *spec in columns()
        ),
    )
    codec = compile_schema(schema)
    ids = [codec.decode(each.value() or b"", 1)[0]["id"] for each in raw]
    assert ids == list(ROWS)

    for name in ("debezium", "raw"):
        told = [
            json.loads(each.value() or b"")
            for each in kafka_broker.read(f"{topics[name]}.notifications")
        ]
        assert [each for each in told if each["type"] != "gap"] == others
