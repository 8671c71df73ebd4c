"""What do 1,000 single rows a second cost on their way to a file, and how long do they take?

The publisher stamps each row as it sends it; here the file is read as it grows, and a line's age
when it is seen is its latency. Looking every half millisecond adds up to that much. The lines have
been through the journal, synced; whether the file is synced yet is not asked.

    python -m benchmarks.bench_trickle [--runs K] [--scale F] [--tree PATH]
"""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import harness, stage
from benchmarks.destinations import FileDestination, record_of
from benchmarks.harness import Options, Row
from benchmarks.stage import Measured, Run, Stage

_ROWS_A_SECOND = 1000
_SECONDS = 20
_LOOK_SECONDS = 0.0005
# The first rows are part of the stream and left out of the figures: caches fill.
_WARM_UP_SHARE = 0.1


class Follower(threading.Thread):
    """Reads a growing file and notes each record's age when its line is whole, in seconds."""

    def __init__(self, path: Path) -> None:
        super().__init__(name="follower", daemon=True)
        self._path = path
        self._done = threading.Event()
        self.ages: list[float] = []

    def __enter__(self) -> list[float]:
        self.start()
        return self.ages

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        torn = b""
        with self._path.open("rb", buffering=0) as lines:
            while not self._done.wait(_LOOK_SECONDS):
                *whole, torn = (torn + lines.read()).split(b"\n")
                now = time.time()
                records = map(record_of, whole)
                self.ages += [now - record["sent"] / 1e6 for record in records if "sent" in record]


@dataclass(frozen=True, slots=True)
class Trickle:
    """One run, and the ages of its rows in ascending order."""

    run: Run
    ages: list[float] = field(repr=False)

    @property
    def load(self) -> float:
        """Per cent of a core."""
        return self.run.usage.cpu_seconds / self.run.seconds * 100

    def milliseconds(self, share: float) -> float:
        """Return the latency that this share of the rows did not exceed."""
        return self.ages[min(int(len(self.ages) * share), len(self.ages) - 1)] * 1000


def rows(options: Options) -> list[Row]:
    with Stage(options) as on:
        results = harness.alternate(
            {"bridge": lambda: _trickle(on), "again": lambda: _trickle(on)}, options.runs
        )
    bridge, again = results["bridge"], results["again"]
    stage.report({name: [each.run for each in runs] for name, runs in results.items()})
    faults = stage.faults([each.run for each in (*bridge, *again)])
    load, p50, p99 = (
        statistics.median(values)
        for values in (
            [each.load for each in bridge],
            [each.milliseconds(0.5) for each in bridge],
            [each.milliseconds(0.99) for each in bridge],
        )
    )
    return [
        Row(
            "1,000 single rows/s to a file: % of a core",
            "64",
            "12",
            f"{load:.1f}{faults}",
            noise=f"{harness.ratio(again, bridge, lambda each: each.load):.2f}",
        ),
        Row(
            "1,000 single rows/s to a file: p99 ms",
            "2.1",
            "under 10",
            f"{p99:.1f} (p50 {p50:.1f}){faults}",
            noise=f"{harness.ratio(again, bridge, lambda each: each.milliseconds(0.99)):.2f}",
        ),
    ]


def _trickle(on: Stage) -> Trickle:
    arrived: FileDestination = on.file()

    def start(own: Path, table: str) -> Measured:
        return on.bridge(own, table, {"type": "file", "path": str(arrived.path)})

    records = on.options.scaled(_SECONDS) * _ROWS_A_SECOND
    with Follower(arrived.path) as ages:
        run = on.run(arrived, start, records=records, per_message=1, per_second=_ROWS_A_SECOND)
    return Trickle(run, sorted(ages[int(len(ages) * _WARM_UP_SHARE) :]))


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
