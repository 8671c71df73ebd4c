"""What do 1,000 idle tables cost: threads, memory, CPU time?

The service with default settings and a file sink, once with one table and once with all.

    python -m benchmarks.bench_idle [--scale F] [--tree PATH]
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import Options, Row
from benchmarks.processes import MeasuredBridge, UsageMeter
from benchmarks.stage import Stage

_TABLES = 1000
_SECONDS = 60
# What follows the start is over by then: a table is looked at, once a minute, until two minutes
# without a write were counted. Of one table that is nothing.
_SETTLE_SECONDS, _SETTLE_ONE = 200, 10


@dataclass(frozen=True, slots=True)
class Idle:
    """One run: threads, MiB that are resident, per cent of a core."""

    threads: int
    memory: float
    load: float


def rows(options: Options) -> list[Row]:
    tables = options.scaled(_TABLES)
    with Stage(options) as on:
        names = [f"ki_home.idle_{number:04d}" for number in range(tables)]
        on.publisher.tell("tables", names=names)
        one, again, many = (_idle(on, some) for some in (names[:1], names[:1], names))
    name = f"{tables:,} idle tables"
    noise = f"{again.load - one.load:+.2f}"
    return [
        Row(f"{name}: threads", "", "as one", f"{many.threads} (one: {one.threads})"),
        Row(f"{name}: RSS, MiB", "", "under 150", f"{many.memory:.0f} (one: {one.memory:.0f})"),
        Row(
            f"{name}: % of a core",
            "",
            "under 2",
            f"{many.load:.2f} (one: {one.load:.2f})",
            noise=noise,
        ),
    ]


def _idle(on: Stage, names: list[str]) -> Idle:
    seconds = on.options.scaled(_SECONDS)
    with tempfile.TemporaryDirectory(dir=on.folder) as own:
        sink = {"type": "file", "path": str(Path(own, "{table}.jsonl"))}
        folder = Path(own)
        with MeasuredBridge(folder, on.publisher, names, {"out": sink}, on.options.tree) as bridge:
            time.sleep(on.options.scaled(_SETTLE_SECONDS if len(names) > 1 else _SETTLE_ONE))
            meter = UsageMeter(bridge.pid)
            time.sleep(seconds)
            load = meter.usage().cpu_seconds / seconds * 100
            return Idle(meter.threads(), meter.resident() / 2**20, load)


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
