"""How long does a row take from the publisher to the file, at a steady pace?

The publisher stamps each row as it sends it, one a message; here the file is read as it grows,
and a line's age when it is seen is its latency. Looking every half millisecond adds up to that
much. The bridge's lines have been through its journal, synced; whether a line is in the file is
asked, not whether the file is synced yet. The vendor's client flushes every line.

    python -m benchmarks.bench_latency [--rate R] [--seconds S] [--runs K] [--folder PATH]
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks import harness
from benchmarks.destinations import PATIENCE_SECONDS, FileDestination
from benchmarks.processes import (
    Measured,
    MeasuredBridge,
    PublisherProcess,
    UsageMeter,
    VendorProcess,
)

_LOOK_SECONDS = 0.0005
# The first rows are part of the stream and left out of the figures: caches fill.
_WARM_UP_SHARE = 0.1

TITLES = ("who", "p50 ms", "p99 ms", "worst ms", "lost", "CPU %")


@dataclass(frozen=True, slots=True)
class Run:
    """One run: latencies in seconds, in ascending order, and the share of one core used.

    `account` is what the measured process says of rows that are missing.
    """

    sent: int
    latencies: Sequence[float]
    arrived: int
    load: float
    account: str

    def quantile(self, share: float) -> float:
        """Return the latency that this share of the rows did not exceed."""
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


class Follower(threading.Thread):
    """Reads a growing file and notes each record's age; ends when all came, or none for long."""

    def __init__(self, arrived: FileDestination, records: int) -> None:
        super().__init__(name="follower")
        self._arrived = arrived
        self._records = records
        self.ages: list[float] = []

    def run(self) -> None:
        last = time.monotonic()
        while len(self.ages) < self._records and time.monotonic() - last < PATIENCE_SECONDS:
            for line in self._arrived.new_lines():
                now = time.time_ns() // 1000
                event = orjson.loads(line)
                record = event.get("record", event)
                if "sent" in record:
                    self.ages.append((now - record["sent"]) / 1e6)
                last = time.monotonic()
            time.sleep(_LOOK_SECONDS)


def measure(
    publisher: PublisherProcess,
    folder: Path,
    start: Callable[[Path, str, Path], Measured],
    rate: int,
    records: int,
) -> Run:
    """Run one contender while rows come at a steady pace."""
    table = f"ki_home.run_{uuid.uuid4().hex}"
    publisher.tell("table", name=table)
    arrived = FileDestination(folder / f"{uuid.uuid4().hex}.jsonl")
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        closing(arrived),
        start(Path(own), table, arrived.path) as process,
    ):
        follower = Follower(arrived, records)
        follower.start()
        meter = UsageMeter(process.pid)
        publisher.tell("steady", table=table, records=records, per_second=rate)
        cpu = meter.usage().cpu_seconds
        follower.join()
        account = "" if len(follower.ages) >= records else process.account()
    ages = follower.ages
    if not ages:
        raise RuntimeError("nothing arrived")
    kept = sorted(ages[int(len(ages) * _WARM_UP_SHARE) :])
    return Run(records, kept, len(ages), cpu * rate / records, account)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How long does a row take?")
    parser.add_argument("--rate", type=int, default=1000, help="rows a second")
    parser.add_argument("--seconds", type=int, default=8, help="length of one run")
    parser.add_argument("--runs", type=int, default=3, help="runs of each contender")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args(arguments)
    records = options.rate * options.seconds

    print(harness.machine("pyzmq", "gpudb"))
    print(f"journal and files in {harness.disk(options.folder)}")
    print(f"{options.rate:,} rows/s for {options.seconds} s, medians of {options.runs} runs")
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        PublisherProcess() as publisher,
    ):

        def bridge() -> Run:
            return measure(
                publisher,
                Path(folder),
                lambda own, table, path: MeasuredBridge(
                    own, publisher, table, {"type": "file", "path": str(path)}
                ),
                options.rate,
                records,
            )

        def vendor() -> Run:
            return measure(
                publisher,
                Path(folder),
                lambda _, table, path: VendorProcess(publisher, table, "file", str(path), "0"),
                options.rate,
                records,
            )

        contenders = {"bridge": bridge, "bridge again": bridge, "vendor": vendor}
        results = harness.alternate(contenders, options.runs)
    print(f"\npublisher to file\n{report(results)}", flush=True)


def report(results: dict[str, list[Run]]) -> str:
    """Lay out the medians over the runs; losses are summed."""

    def milliseconds(runs: list[Run], share: float) -> str:
        return f"{harness.median(runs, lambda run: run.quantile(share)) * 1e3:.1f}"

    missing = [
        f"{name}: {run.sent - run.arrived:,} lost in one run; {run.account}"
        for name, runs in results.items()
        for run in runs
        if run.account
    ]
    lines = harness.table(
        TITLES,
        [
            [
                name,
                *(milliseconds(runs, share) for share in (0.5, 0.99, 1.0)),
                f"{sum(run.sent - run.arrived for run in runs):,}",
                f"{harness.median(runs, lambda run: run.load) * 100:.0f}",
            ]
            for name, runs in results.items()
        ],
    )
    return "\n".join((lines, *missing))


if __name__ == "__main__":
    main()
