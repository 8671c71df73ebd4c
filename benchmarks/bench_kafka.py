"""How many records a second get to Kafka, and how much does that cost beside a bare loop?

1,000 a message. The bridge with headers and times, and without, where `produce_batch` can be
used; the vendor's client with the shortest callback; and a bare loop that sends the very
messages that the bridge put into its topic, all by turns with one broker.

    python -m benchmarks.bench_kafka [--runs K] [--scale F] [--tree PATH]
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import harness, stage
from benchmarks.destinations import KafkaDestination
from benchmarks.harness import Options, Row
from benchmarks.processes import Program, Refused, Usage
from benchmarks.stage import Measured, Run, Stage
from tests.services.kafka import KafkaBroker
from tests.services.server import ServiceMissing

_RECORDS = 500_000
_PER_MESSAGE = 1000
_WITHOUT = {"headers": False, "timestamp": "none"}


def rows(options: Options) -> list[Row]:
    found: list[Row] = []
    try:
        with KafkaBroker() as broker, Stage(options) as on:
            for settings, loop in (({}, "produce"), (_WITHOUT, "produce_batch")):
                name = "to Kafka without headers" if settings else "to Kafka with headers"
                print(f"\n{name}, 1,000 a message", flush=True)
                try:
                    results = _Field(on, broker, settings, loop).measure()
                except Refused as refused:
                    print(refused, flush=True)
                    found.append(Row(name, "", "1; 2", "not in this tree"))
                    continue
                stage.report(results)
                found += _rows(name, loop, results)
    except ServiceMissing as missing:
        found.append(Row("to Kafka", "", "", f"left out: {missing}"))
    return found


class _Field:
    """Bridge, vendor's client and bare loop with one form of message."""

    def __init__(
        self, on: Stage, broker: KafkaBroker, settings: Mapping[str, Any], loop: str
    ) -> None:
        self._on = on
        self._broker = broker
        self._settings = settings
        self._loop = loop
        self._records = on.options.scaled(_RECORDS)
        self._filled = ""

    def measure(self) -> dict[str, list[Run]]:
        contenders = {
            "bridge": lambda: self._run(True),
            "bridge again": lambda: self._run(True),
            "vendor": lambda: self._run(False),
            f"bare {self._loop}": self._bare,
        }
        return harness.alternate(contenders, self._on.options.runs)

    def _run(self, bridge: bool) -> Run:
        arrived = KafkaDestination(self._broker)
        servers = self._broker.bootstrap_servers

        def start(own: Path, table: str) -> Measured:
            if not bridge:
                return self._on.vendor(table, "kafka", servers, arrived.topic)
            sink = {"type": "kafka", "bootstrap_servers": servers, "topic": arrived.topic}
            return self._on.bridge(own, table, sink | dict(self._settings))

        run = self._on.run(arrived, start, records=self._records, per_message=_PER_MESSAGE)
        if bridge:
            self._filled = arrived.topic
        return run

    def _bare(self) -> Run:
        """Send what the bridge sent last; each first round begins with the bridge."""
        arrived = KafkaDestination(self._broker)
        place = (self._broker.bootstrap_servers, self._filled, arrived.topic, self._loop)
        with closing(arrived):
            with Program("bare_producer.py", *place) as program:
                program.read()
                program.write("go")
                told = program.read()
            seconds = (told["came"] - told["begun"]) / 1e9
            usage = Usage(told["cpu_seconds"], float("nan"))
            return Run(self._records, seconds, seconds, arrived.arrivals(), usage)


def _rows(name: str, loop: str, results: dict[str, list[Run]]) -> list[Row]:
    bridge, again, vendor = (results[who] for who in ("bridge", "bridge again", "vendor"))
    bare = results[f"bare {loop}"]
    faults = stage.faults([*bridge, *again])
    headers = loop == "produce"
    more = harness.difference(bridge, bare, lambda run: run.cpu)
    again_more = harness.difference(again, bare, lambda run: run.cpu)
    rate = f"{stage.rate(bridge):,.0f}"
    return [
        Row(
            f"{name}: CPU s per million more than a bare {loop}() loop",
            "8.3 in all" if headers else "",
            "1",
            f"{more:.2f} ({stage.cpu(bridge):.2f}; loop {stage.cpu(bare):.2f}){faults}",
            stage.cpu_ratio(bridge, bare),
            f"{again_more - more:+.2f}",
        ),
        Row(
            f"{name}: records/s to the bare loop's",
            "",
            "0.85" if headers else "",
            f"{rate} (loop {stage.rate(bare):,.0f}){faults}",
            stage.rates_ratio(bridge, bare),
            stage.rates_ratio(again, bridge),
        ),
        Row(
            f"{name}: records/s to the vendor's",
            "0.65" if headers else "",
            "1.3" if headers else "2",
            f"{rate} (vendor {stage.rate(vendor):,.0f}){faults}",
            stage.rates_ratio(bridge, vendor),
            stage.rates_ratio(again, bridge),
        ),
    ]


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
