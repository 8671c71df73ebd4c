"""Rows in Kafka as Avro, read by Confluent's deserializer; what stands in the way is said."""

from __future__ import annotations

import json
import random
import sys
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import gpudb
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from services.kafka import KafkaBroker
from services.process import BridgeProcess, EmulatorProcess, run_command, wait_until
from services.registry import SchemaRegistryServer

sys.path.insert(0, str(Path(__file__).parent))

import every_type

# What a reader of Avro gets where it is not what a reader of JSON gets.
AS_AVRO = {
    "stamp": datetime.fromisoformat,
    "day": date.fromisoformat,
    "clock": time.fromisoformat,
    "when": datetime.fromisoformat,
    "price": Decimal,
    "unsigned": Decimal,
    "uuid": UUID,
}


def expected(n: int) -> dict[str, Any]:
    row = every_type.expected(n)
    if row["i"] is not None:
        row |= {name: read(row[name]) for name, read in AS_AVRO.items()}
        row |= {"doc": every_type.COLUMNS["doc"].given(n), "list": f"[1,{n}]"}
        row |= {"raw": n.to_bytes(4, "big")}
    return row


def test_rows_arrive_as_avro_before_and_after_a_column_is_added(
    db: gpudb.GPUdb,
    kinetica: EmulatorProcess,
    kafka_broker: KafkaBroker,
    own_schema_registry: SchemaRegistryServer,
    tmp_path: Path,
) -> None:
    """With a registry that is away at first: the table waits, visibly, and nothing is lost."""
    every = gpudb.GPUdbTable(every_type.columns(), name="ki_home.every", db=db)
    prefix = f"avro-{random.randrange(10**9)}."
    topic = f"{prefix}ki_home.every"
    config = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": "ki_home.every"}],
        "sinks": {
            "rows": {
                "type": "kafka",
                "bootstrap_servers": kafka_broker.bootstrap_servers,
                "topic": prefix + "{table}",
                "format": "avro",
                "schema_registry": {
                    "url": own_schema_registry.url,
                    "username": "me",
                    "password": "hunter2 & more",
                },
            }
        },
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        every.insert_records([every_type.given(n) for n in range(100)])
        wait_until(
            lambda: "ki_home.every" in bridge.readyz()["sinks"]["rows"]["waiting"], "it waits"
        )
        sink = bridge.readyz()["sinks"]["rows"]
        assert sink["state"] == "retrying"
        assert sink["waiting"]["ki_home.every"].startswith("no answer from schema registry http")
        checked = run_command("check", "-c", str(bridge.config_file))
        assert checked.returncode == 3
        assert "FAILED  sink rows, table ki_home.every: no answer from schema reg" in checked.stdout

        own_schema_registry.start()
        new = run_command("check", "-c", str(bridge.config_file)).stdout
        wait_until(
            lambda: bridge.metric("sink_delivered_events_total", sink="rows") >= 100, "all arrive"
        )
        known = run_command("check", "-c", str(bridge.config_file))
        db.alter_table("ki_home.every", "add_column", "added", {"column_type": "int"})
        wait_until(
            lambda: bridge.metric("sink_delivered_events_total", sink="rows") > 100, "it is noticed"
        )
        bridge.wait_live()
        gpudb.GPUdbTable(None, name="ki_home.every", db=db).insert_records(
            [[*every_type.given(100), 7]]
        )
        wait_until(lambda: len(kafka_broker.read(topic)) > 100, "so does that")
        bridge.check_accounts()
        assert bridge.metric("sink_dead_lettered_events_total", sink="rows") == 0
        assert bridge.terminate() == 0
        log = bridge.log_file.read_text()

    assert f"{topic}-value has its schema, id " in known.stdout
    assert (f"{topic}-value is not there yet" in new) or (f"{topic}-value has its schema" in new)
    assert "hunter2" not in log + checked.stdout + checked.stderr
    assert "Traceback" not in log
    with SchemaRegistryClient({"url": own_schema_registry.url}) as client:
        deserialize = AvroDeserializer(client)
        context = SerializationContext(topic, MessageField.VALUE)
        messages = kafka_broker.read(topic)
        rows = [deserialize(message.value(), context) for message in messages]
    assert rows == [expected(n) for n in range(100)] + [expected(100) | {"added": 7}]
    assert [json.loads(message.key()) for message in messages[:2]] == [{"id": 0}, {"id": 1}]
    others = kafka_broker.read(f"{topic}.notifications")
    assert "alter" in [json.loads(message.value())["type"] for message in others]
