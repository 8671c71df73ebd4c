"""How many records a second get from the publisher to a file, to Kafka; and who loses any?

The bridge and the vendor's client do the same work on the same machine, by turns: N records,
1,000 a message and one a message, published at full speed by a process of its own. Measured
from the first publication to the last record at the destination. The line `bridge again`
measures the bridge a second time: by how much it differs from 1 is noise.

    python -m benchmarks.bench_end_to_end [--records N] [--runs K] [--folder PATH] [--no-kafka]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.destinations import Arrivals, Destination, FileDestination, KafkaDestination
from benchmarks.processes import (
    Measured,
    MeasuredBridge,
    PublisherProcess,
    Usage,
    UsageMeter,
    VendorProcess,
)
from tests.services.kafka import KafkaBroker, KafkaMissing, jars

PER_MESSAGE = (1000, 1)
# How often the vendor's program hands its lines to the system.
_FLUSH_SECONDS = "0.01"

TITLES = (
    "who",
    "records/s",
    "to vendor",
    "published/s",
    "lost",
    "doubled",
    "in order",
    "CPU s/million",
    "peak MiB",
    "bytes each",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        sent: records published.
        seconds: from the first publication to the last record at the destination.
        publishing: seconds until the publisher had handed all to ZeroMQ.
        account: what the measured process says of records that are missing.
    """

    sent: int
    seconds: float
    publishing: float
    arrivals: Arrivals
    usage: Usage
    account: str

    @property
    def rate(self) -> float:
        """Records a second that arrived."""
        return self.arrivals.records / self.seconds

    @property
    def lost(self) -> int:
        """Records that never arrived."""
        return self.sent - self.arrivals.records


class Bench:
    """Runs one contender at a time against one publisher."""

    def __init__(self, publisher: PublisherProcess, folder: Path, records: int) -> None:
        self._publisher = publisher
        self._folder = folder
        self._records = records

    def run(
        self,
        destination: Destination,
        start: Callable[[Path, str], Measured],
        per_message: int,
    ) -> Run:
        """Start a process that listens to a new table, publish, and wait for all to arrive."""
        name = f"ki_home.run_{uuid.uuid4().hex}"
        self._publisher.tell("table", name=name)
        self._publisher.tell("prepare", records=self._records)
        with tempfile.TemporaryDirectory(dir=self._folder) as own, closing(destination):
            with start(Path(own), name) as process:
                meter = UsageMeter(process.pid)
                # The answer comes once all is handed over; a faster receiver is done by then
                # and its time is seen a little late, never early.
                burst = self._publisher.tell("burst", table=name, per_message=per_message)
                came = destination.wait(self._records)
                usage = meter.usage()
                account = "" if destination.count() >= self._records else process.account()
            arrivals = destination.arrivals()
        begun = burst["begun"]
        return Run(
            self._records,
            (came - begun) / 1e9,
            (burst["handed_over"] - begun) / 1e9,
            arrivals,
            usage,
            account,
        )

    def to_file(self, per_message: int) -> Mapping[str, Callable[[], Run]]:
        def bridge() -> Run:
            arrived = self._file()
            sink = {"type": "file", "path": str(arrived.path)}
            return self.run(arrived, self._bridge(sink), per_message)

        def vendor() -> Run:
            arrived = self._file()
            return self.run(
                arrived, self._vendor("file", str(arrived.path), _FLUSH_SECONDS), per_message
            )

        return {"bridge": bridge, "bridge again": bridge, "vendor": vendor}

    def to_kafka(self, per_message: int, broker: KafkaBroker) -> Mapping[str, Callable[[], Run]]:
        servers = broker.bootstrap_servers

        def bridge() -> Run:
            arrived = KafkaDestination(broker)
            sink = {"type": "kafka", "bootstrap_servers": servers, "topic": arrived.topic}
            return self.run(arrived, self._bridge(sink), per_message)

        def vendor() -> Run:
            arrived = KafkaDestination(broker)
            return self.run(arrived, self._vendor("kafka", servers, arrived.topic), per_message)

        return {"bridge": bridge, "bridge again": bridge, "vendor": vendor}

    def _file(self) -> FileDestination:
        return FileDestination(self._folder / f"{uuid.uuid4().hex}.jsonl")

    def _bridge(self, sink: Mapping[str, Any]) -> Callable[[Path, str], Measured]:
        return lambda own, table: MeasuredBridge(own, self._publisher, table, sink)

    def _vendor(self, *destination: str) -> Callable[[Path, str], Measured]:
        return lambda _, table: VendorProcess(self._publisher, table, *destination)


def report(results: Mapping[str, Sequence[Run]]) -> str:
    """Lay out the medians; what was lost or doubled is summed over all runs."""
    vendor = results["vendor"]

    def row(name: str, runs: Sequence[Run]) -> list[str]:
        sent = sum(run.sent for run in runs)
        lost = sum(run.lost for run in runs)
        gaps = sum(run.arrivals.gaps for run in runs)
        said = f" in {gaps} gaps" if gaps else ""
        usage = statistics.median(run.usage.cpu_seconds * 1e6 / run.sent for run in runs)
        return [
            name,
            f"{harness.median(runs, lambda run: run.rate):,.0f}",
            f"{harness.ratio(runs, vendor, lambda run: run.rate):.2f}",
            f"{harness.median(runs, lambda run: run.sent / run.publishing):,.0f}",
            f"{lost:,}{said}" + (f" ({lost / sent:.1%})" if lost else ""),
            f"{sum(run.arrivals.doubled for run in runs):,}",
            "yes" if all(run.arrivals.in_order for run in runs) else "NO",
            f"{usage:.1f}",
            f"{harness.median(runs, lambda run: run.usage.peak_bytes / 2**20):.0f}",
            f"{harness.median(runs, lambda run: run.arrivals.value_bytes):.0f}",
        ]

    missing = [
        f"{name}: {run.lost:,} of {run.sent:,} lost in one run; {run.account}"
        for name, runs in results.items()
        for run in runs
        if run.lost
    ]
    lines = harness.table(TITLES, [row(name, runs) for name, runs in results.items()])
    return "\n".join((lines, *missing))


def _broker(stack: ExitStack, wanted: bool) -> KafkaBroker | None:
    if not wanted:
        return None
    try:
        jars()
    except KafkaMissing as missing:
        print(f"\nKafka is left out: {missing}")
        return None
    return stack.enter_context(KafkaBroker())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How many records a second, end to end?")
    parser.add_argument("--records", type=int, default=300_000, help="records of one run")
    parser.add_argument("--runs", type=int, default=3, help="runs of each contender")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--no-kafka", action="store_true", help="files only")
    options = parser.parse_args(arguments)

    print(harness.machine("pyzmq", "gpudb", "confluent-kafka", "fastavro", "orjson"))
    print(f"journal and files in {harness.disk(options.folder)}")
    print(f"{options.records:,} records a run, medians of {options.runs} runs", flush=True)
    with (
        ExitStack() as stack,
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        PublisherProcess() as publisher,
    ):
        bench = Bench(publisher, Path(folder), options.records)
        fields = [
            (f"to a file, {per_message:,} a message", bench.to_file(per_message))
            for per_message in PER_MESSAGE
        ]
        broker = _broker(stack, not options.no_kafka)
        if broker is not None:
            fields += [
                (f"to Kafka, {per_message:,} a message", bench.to_kafka(per_message, broker))
                for per_message in PER_MESSAGE
            ]
        for title, contenders in fields:
            results = harness.alternate(contenders, options.runs)
            print(f"\n{title}\n{report(results)}", flush=True)


if __name__ == "__main__":
    main()
