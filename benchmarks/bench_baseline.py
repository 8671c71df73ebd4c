"""How long, and in how much memory, is a baseline taken of 1,000,000 rows, and held against a read?

The rows are made here, page by page, and that time is taken off: what is left is digests and the
file, as seconds of one core. The second read closes a gap: one row in a thousand is new.

    python -m benchmarks.bench_baseline [--rows 1000000]
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from benchmarks.bench_received import SCHEMA, frame, resident
from bridge.events import Entry
from bridge.monitor.intake import Intake
from bridge.monitor.moment import Moment
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import TableOptions, Whole
from bridge.reading import PageLimits, Patience
from bridge.reading.task import Task, Tools
from bridge.reading.whole import WholeTables
from bridge.wire.calls import Cluster, Query, RowsPage

NAME = "ki_home.orders"


class Table:
    """A cluster that has one table, with ids from 0 on; every thousandth may be missing."""

    url = "http://cluster"

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.whole = False
        self.making = 0.0

    def read_rows(self, query: Query, _: int, limit: int) -> RowsPage:
        start = time.process_time()
        found = re.search(r"id (>=?) (\d+)", query.expression or "")
        first = int(found[2]) + (found[1] == ">") if found else 0
        frames: list[bytes] = []
        while len(frames) < limit and first < self.rows:
            if self.whole or first % 1000:
                frames.append(frame(first))
            first += 1
        self.making += time.process_time() - start
        return RowsPage(SCHEMA.type_id, frames, self.rows, first < self.rows)


class Journal:
    """A journal that has nothing of the table but what is delivered here."""

    journal = "of the benchmark"
    position = 0
    delivered = 0

    def stream(self, *_: object) -> Journal:
        return self

    def more(self) -> Iterator[tuple[int, Entry | None]]:
        return iter(())

    def close(self) -> None:
        pass

    def barrier(self) -> bool:
        return True

    def deliver(self, received: list[Any]) -> None:
        self.delivered += sum(item.records for item in received)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    count = parser.parse_args().rows
    there, journal = Table(count), Journal()
    options = TableOptions(NAME, catch_up=Whole(count))
    table = TableMonitor(options, lambda _: None, hold=0.0, closable=True)
    table.adopt_schema(SCHEMA, there.url)

    def pause(seconds: float) -> None:
        time.sleep(min(seconds, 0.01))
        table.prove_good(Moment.now())

    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(
            cast(Intake, journal),
            cast(Any, journal),
            Path(folder),
            pause,
            Patience(settle=0.0, late=0.0),
            PageLimits(),
        )
        whole = WholeTables(Path(folder) / "baselines", journal)

        def task() -> Task:
            gaps = table.gaps.unclosed
            return Task(table, cast(Cluster, there), SCHEMA, gaps, "gap", tools)

        start = time.process_time()
        whole.look(task())
        table.prove_good(Moment.now())
        whole.look(task())
        taken = time.process_time() - start - there.making
        (file,) = (Path(folder) / "baselines").glob("*.db")
        print(f"taken: {taken:.1f} s, {file.stat().st_size / 2**20:.0f} MiB on disk")
        print("resident: {} MiB now, {} MiB at most".format(*resident()))
        there.whole, there.making = True, 0.0
        table.gaps.declare("disconnected", 1, 2, there.url, "by the benchmark")
        start = time.process_time()
        outcome = whole.close(task())
        closed = time.process_time() - start - there.making
        print(f"closed: {closed:.1f} s, {outcome.rows:,} new of {count:,}, {outcome.unproven}")
        print("resident: {} MiB now, {} MiB at most".format(*resident()))


if __name__ == "__main__":
    main()
