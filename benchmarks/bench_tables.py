"""What do many tables cost, and how long do they take to recover from a failover?

A ring of two emulated clusters runs here, the service in a process of its own with default
settings. Once every table is live the primary is killed; the time until every table is live on
the other cluster is one run's figure. Between the two, an idle service is watched for a while.

    python -m benchmarks.bench_tables [--tables N [N ...]] [--runs K]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import harness
from bridge.wire.client import Access, Http
from kinetica_emulator.ring import Ring
from tests.services.process import BridgeProcess, wait_until

_IDLE_SECONDS = 10.0
_PATIENCE = 120.0
_SQL = {"offset": 0, "limit": 1, "encoding": "json", "request_schema_str": "", "data": []}
TITLES = ("tables", "threads", "memory MiB", "idle CPU %", "all live again after s")


@dataclass(frozen=True, slots=True)
class Run:
    """One run: threads, MiB of memory, share of a core while idle, seconds to recover."""

    threads: int
    memory: float
    idle: float
    recovered: float


def run(tables: int, folder: Path) -> Run:
    """Start, idle, kill the primary, wait."""
    names = [f"ki_home.t{n:04d}" for n in range(tables)]
    with Ring(2) as ring:
        database = Http(ring.urls[0], Access(), timeout=30.0)
        for name in names:
            statement = f"CREATE TABLE {name} (id LONG NOT NULL, PRIMARY KEY (id))"
            database.call("/execute/sql", {**_SQL, "statement": statement}, changes=True)
        database.close()
        config = {
            "kinetica": {"urls": ring.urls},
            "tables": [{"name": name} for name in names],
            "sinks": {"out": {"type": "file", "path": str(folder / "{table}.jsonl")}},
        }
        with BridgeProcess(folder, config) as bridge:
            wait_until(lambda: _live(bridge) == tables, "every table is live", _PATIENCE)
            threads = len(list(Path(f"/proc/{bridge.pid}/task").iterdir()))
            before = _cpu(bridge)
            time.sleep(_IDLE_SECONDS)
            idle = (_cpu(bridge) - before) / _IDLE_SECONDS
            ring[0].stop()
            killed = time.monotonic()
            wait_until(lambda: bridge.metric("failovers_total") >= 1, "the failover", _PATIENCE)
            wait_until(lambda: _live(bridge) == tables, "every table is live", _PATIENCE)
            recovered = time.monotonic() - killed
            memory = bridge.metrics()["process_resident_memory_bytes", ()] / 2**20
            return Run(threads, memory, idle, recovered)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_tables")
    parser.add_argument("--tables", type=int, nargs="+", default=[1, 200])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    rows = []
    for tables in options.tables:
        runs = []
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(run(tables, Path(folder)))
        rows.append(
            (
                f"{tables}",
                f"{harness.median(runs, lambda r: r.threads):.0f}",
                f"{harness.median(runs, lambda r: r.memory):.0f}",
                f"{harness.median(runs, lambda r: r.idle) * 100:.1f}",
                f"{harness.median(runs, lambda r: r.recovered):.2f}",
            )
        )
    print(harness.machine())
    print(harness.table(TITLES, rows))


def _live(bridge: BridgeProcess) -> int:
    tables = bridge.readyz().get("tables", {}).values()
    return sum(table["state"] in ("live", "catching_up") for table in tables)


def _cpu(bridge: BridgeProcess) -> float:
    return bridge.metrics()["process_cpu_seconds_total", ()]


if __name__ == "__main__":
    main()
