"""One run from the publisher to a destination, and the medians of many.

Every part is a process of its own: the publisher, what is measured, and what looks at the
destination. Each run has a new process, table, journal, and file or topic.
"""

from __future__ import annotations

import statistics
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks import harness
from benchmarks.destinations import Arrivals, Destination, FileDestination
from benchmarks.harness import Options
from benchmarks.processes import (
    ClientProcess,
    MeasuredBridge,
    PublisherProcess,
    Usage,
    UsageMeter,
)

Measured = MeasuredBridge | ClientProcess

_TITLES = (
    "who",
    "records/s",
    "published/s",
    "CPU s/million",
    "peak MiB",
    "lost",
    "doubled",
    "in order",
    "bytes each",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        sent: records published.
        seconds: from the first publication to the last record at the destination.
        publishing: seconds until the publisher had handed all to ZeroMQ.
        arrivals: what came.
        usage: of the measured process, from the first publication on.
        account: what the measured process says of records that are missing.
    """

    sent: int
    seconds: float
    publishing: float
    arrivals: Arrivals
    usage: Usage
    account: str = ""

    @property
    def rate(self) -> float:
        """Records a second that arrived."""
        return self.arrivals.records / self.seconds

    @property
    def cpu(self) -> float:
        """CPU seconds per million records."""
        return self.usage.cpu_seconds * 1e6 / self.sent

    @property
    def lost(self) -> int:
        """Records that never arrived."""
        return self.sent - self.arrivals.records


class Stage:
    """A publisher, a folder, and one contender at a time."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.publisher = PublisherProcess()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = tempfile.TemporaryDirectory(dir=self.options.folder)
            self.folder = Path(stack.enter_context(folder))
            stack.enter_context(self.publisher)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def table(self) -> str:
        """Make a table and return its name."""
        name = f"ki_home.run_{uuid.uuid4().hex}"
        self.publisher.tell("tables", names=[name])
        return name

    def file(self) -> FileDestination:
        """Return a new file."""
        return FileDestination(self.folder / f"{uuid.uuid4().hex}.jsonl")

    def bridge(self, folder: Path, table: str, sink: Mapping[str, Any]) -> MeasuredBridge:
        """Return the service with one table and one sink."""
        sinks = {"measured": sink}
        return MeasuredBridge(folder, self.publisher, [table], sinks, self.options.tree)

    def vendor(self, table: str, *what: object) -> ClientProcess:
        """Return a program on the vendor's client."""
        return ClientProcess("vendor", self.publisher, table, *what)

    def run(
        self,
        destination: Destination,
        start: Callable[[Path, str], Measured],
        *,
        records: int,
        per_message: int,
        per_second: float = 0,
    ) -> Run:
        """Start a process that listens to a new table, publish, and wait for all to arrive.

        Args:
            destination: where they arrive; removed at the end.
            start: gives the process its folder and table.
            records: how many.
            per_message: how many in a notification.
            per_second: notifications a second, 0 for as fast as can be.
        """
        how = {"records": records, "per_message": per_message, "per_second": per_second}
        table = self.table()
        with tempfile.TemporaryDirectory(dir=self.folder) as own, closing(destination):
            with start(Path(own), table) as process:
                meter = UsageMeter(process.pid)
                self.publisher.begin("publish", table=table, **how)
                came = destination.wait(records - 1)
                usage = meter.usage()
                published = self.publisher.read()
                account = "" if destination.last() >= records - 1 else process.account()
            arrivals = destination.arrivals()
        return Run(
            records,
            (came - published["begun"]) / 1e9,
            (published["handed_over"] - published["begun"]) / 1e9,
            arrivals,
            usage,
            account,
        )


def report(results: Mapping[str, Sequence[Run]]) -> None:
    """Print the medians; what was lost or doubled is summed over all runs."""
    rows = [
        [
            name,
            f"{rate(runs):,.0f}",
            f"{harness.median(runs, lambda run: run.sent / run.publishing):,.0f}",
            f"{cpu(runs):.2f}",
            f"{harness.median(runs, lambda run: run.usage.peak_bytes / 2**20):.0f}",
            f"{sum(run.lost for run in runs):,}",
            f"{sum(run.arrivals.doubled for run in runs):,}",
            "yes" if all(run.arrivals.in_order for run in runs) else "NO",
            f"{harness.median(runs, lambda run: run.arrivals.value_bytes):.0f}",
        ]
        for name, runs in results.items()
    ]
    print(harness.table(_TITLES, rows), flush=True)
    for name, runs in results.items():
        for run in runs:
            if run.lost:
                print(f"{name}: {run.lost:,} of {run.sent:,} lost in one run; {run.account}")


def faults(runs: Sequence[Run]) -> str:
    """Say what was lost, doubled, disordered or wrong over all runs; empty where nothing was."""
    found = {
        "lost": sum(run.lost for run in runs),
        "doubled": sum(run.arrivals.doubled for run in runs),
        "wrong": sum(run.arrivals.wrong for run in runs),
        "gaps": sum(run.arrivals.gaps for run in runs),
        "runs out of order": sum(not run.arrivals.in_order for run in runs),
    }
    said = ", ".join(f"{number:,} {what}" for what, number in found.items() if number)
    return f"; {said}" if said else ""


def rate(runs: Sequence[Run]) -> float:
    """Return the median of records a second."""
    return statistics.median(run.rate for run in runs)


def cpu(runs: Sequence[Run]) -> float:
    """Return the median of CPU seconds per million records."""
    return statistics.median(run.cpu for run in runs)


def rates_ratio(runs: Sequence[Run], base: Sequence[Run]) -> str:
    """Write how many times faster than the base."""
    return f"{harness.ratio(runs, base, lambda run: run.rate):.2f}"


def cpu_ratio(runs: Sequence[Run], base: Sequence[Run]) -> str:
    """Write how many times the CPU time of the base."""
    return f"{harness.ratio(runs, base, lambda run: run.cpu):.2f}"
