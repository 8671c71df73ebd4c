"""How many records a second get out in each format, beside json?

To a file and to Kafka, 1,000 a message, all by turns; Kafka with headers and times as shipped.
What a format cannot go to is left out. None is to be under half of json, but for debezium whose
events carry their schemas, which is ten times the bytes.

    python -m benchmarks.bench_formats [--runs K] [--scale F] [--tree PATH]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import harness, stage
from benchmarks.destinations import (
    BareKafka,
    CsvFile,
    Destination,
    FileDestination,
    KafkaDestination,
)
from benchmarks.harness import Options, Row
from benchmarks.stage import Measured, Run, Stage
from tests.services.kafka import KafkaBroker
from tests.services.registry_answers import Answer, AnsweringRegistry
from tests.services.server import ServiceMissing

_PER_MESSAGE = 1000
_TO_FILE = 1_000_000
_TO_KAFKA = 500_000
_SCHEMAS = "debezium with schemas"

_Formats = Mapping[str, Mapping[str, Any]]
_FILE: _Formats = {
    "json": {},
    "json again": {},
    "cloudevents": {"format": "cloudevents"},
    "debezium": {"format": "debezium"},
    _SCHEMAS: {"format": "debezium", "schemas": True},
    "csv": {"format": "csv"},
}
_KAFKA: _Formats = {
    "json": {},
    "json again": {},
    "cloudevents": {"format": "cloudevents"},
    "cloudevents-binary": {"format": "cloudevents-binary"},
    "debezium": {"format": "debezium"},
    _SCHEMAS: {"format": "debezium", "schemas": True},
    "raw": {"format": "raw"},
    "avro": {"format": "avro"},
}
# What a registry puts before each record.
_BEFORE = {"raw": 0, "avro": 5}


def rows(options: Options) -> list[Row]:
    with Stage(options) as on:
        print("\neach format to a file", flush=True)
        found = _rows("to a file", _to_file(on))
        try:
            with KafkaBroker() as broker, AnsweringRegistry() as registry:
                print("\neach format to Kafka", flush=True)
                found += _rows("to Kafka", _to_kafka(on, broker, registry))
        except ServiceMissing as missing:
            found.append(Row("formats to Kafka", "", "", f"left out: {missing}"))
    return found


def _to_file(on: Stage) -> dict[str, list[Run]]:
    def run(settings: Mapping[str, Any]) -> Run:
        path = on.file().path
        arrived = CsvFile(path) if settings.get("format") == "csv" else FileDestination(path)
        sink = {"type": "file", "path": str(path), **settings}
        return _run(on, arrived, sink, _TO_FILE)

    contenders = {name: lambda s=settings: run(s) for name, settings in _FILE.items()}
    return _alternate(on, contenders)


def _to_kafka(on: Stage, broker: KafkaBroker, registry: AnsweringRegistry) -> dict[str, list[Run]]:
    # It is asked once for each schema; what it costs is no part of the question.
    registry.answer = Answer(body=b'{"id":1}', headers={"Content-Type": "application/json"})

    def run(settings: Mapping[str, Any]) -> Run:
        before = _BEFORE.get(settings.get("format", ""))
        arrived = KafkaDestination(broker) if before is None else BareKafka(broker, before)
        if settings.get("format") == "avro":
            settings = {**settings, "schema_registry": {"url": registry.url}}
        place = {"bootstrap_servers": broker.bootstrap_servers, "topic": arrived.topic}
        return _run(on, arrived, {"type": "kafka", **place, **settings}, _TO_KAFKA)

    contenders = {name: lambda s=settings: run(s) for name, settings in _KAFKA.items()}
    return _alternate(on, contenders)


def _alternate(on: Stage, contenders: Mapping[str, Any]) -> dict[str, list[Run]]:
    results = harness.alternate(contenders, on.options.runs)
    stage.report(results)
    return results


def _run(on: Stage, arrived: Destination, sink: Mapping[str, Any], records: int) -> Run:
    def start(own: Path, table: str) -> Measured:
        return on.bridge(own, table, sink)

    return on.run(arrived, start, records=on.options.scaled(records), per_message=_PER_MESSAGE)


def _rows(where: str, results: dict[str, list[Run]]) -> list[Row]:
    json, again = results["json"], results["json again"]
    return [
        Row(
            f"{name} {where}: records/s to json's",
            "",
            "" if name == _SCHEMAS else "0.5",
            f"{stage.rate(runs):,.0f} (json {stage.rate(json):,.0f}), "
            f"CPU s per million {stage.cpu(runs):.2f} ({stage.cpu(json):.2f}){stage.faults(runs)}",
            stage.rates_ratio(runs, json),
            stage.rates_ratio(again, json),
        )
        for name, runs in results.items()
        if name not in {"json", "json again"}
    ]


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
