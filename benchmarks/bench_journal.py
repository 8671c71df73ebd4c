"""How fast is the journal, every commit with its fsync, while a reader follows?

Loads are named "records a block x blocks a commit". Each run writes a journal of
its own in the folder for temporary files (or the one given) and deletes it; a thread reads every
entry as it comes, as a sink's worker does. Beside it stands what the disk itself does: the same
bytes appended to a plain file with an fsync after each commit.

    python -m benchmarks.bench_journal [--runs N] [--seconds S] [--folder PATH]
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from bridge.events import Block, Column, Entry, Schema
from bridge.journal import Journal

RECORD = b"\x02" + bytes(range(99))
SCHEMA = Schema("1", (Column("id", "long", "long"), Column("text", "string", "string")), ("id",))


@dataclass(frozen=True, slots=True)
class Load:
    """One way in which records arrive."""

    name: str
    blocks: int
    records: int
    tables: int = 1

    def commit(self) -> list[Entry]:
        """Return what one commit stores."""
        payload, times = RECORD * self.records, ((self.records, 1),)
        return [
            Block(
                f"ki.bench{n % self.tables}",
                "http://k:9191",
                "insert",
                SCHEMA,
                payload,
                self.records,
                times,
            )
            for n in range(self.blocks)
        ]

    @property
    def events(self) -> int:
        """Events in one commit."""
        return self.blocks * self.records


LOADS = (
    Load("1 x 1, one table", 1, 1),
    Load("1 x 1000, one table", 1000, 1),
    Load("1 x 1000, ten tables in turn", 1000, 1, tables=10),
    Load("1000 x 1", 1, 1000),
    Load("1000 x 16", 16, 1000),
    Load("10000 x 8, four tables", 8, 10000, tables=4),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave, per second, and the median commit."""

    megabytes: float
    cpu: float
    entries: float
    events: float
    commit: float
    read_lag: int
    plain_file: float


def run(load: Load, folder: Path, seconds: float) -> Result:
    """Append for some seconds, a reader following."""
    entries = load.commit()
    commits: list[float] = []
    with tempfile.TemporaryDirectory(dir=folder) as place, Journal(Path(place) / "j") as journal:
        journal.register("bench", [f"ki.bench{n}" for n in range(load.tables)])
        done = threading.Event()
        position = [0]

        def follow() -> None:
            with journal.reader() as reader:
                while not done.is_set():
                    if journal.wait(position[0], 0.1):
                        position[0] = reader.read(position[0]).next

        follower = threading.Thread(target=follow)
        follower.start()
        start = now = time.perf_counter()
        cpu = time.thread_time()
        while now - start < seconds:
            journal.append(entries)
            before, now = now, time.perf_counter()
            commits.append(now - before)
        cpu = time.thread_time() - cpu
        took, lag = now - start, journal.head - position[0]
        done.set()
        follower.join()
    payload = len(commits) * load.events * len(RECORD)
    return Result(
        payload / took / 1e6,
        cpu / len(commits),
        len(commits) * load.blocks / took,
        len(commits) * load.events / took,
        statistics.median(commits),
        lag,
        _plain_file(load, folder, seconds / 4),
    )


def _plain_file(load: Load, folder: Path, seconds: float) -> float:
    payload = RECORD * load.events
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        written, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
            written += len(payload)
        return written / (time.perf_counter() - start) / 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every load and print the medians."""
    parser = argparse.ArgumentParser(description="How fast is the journal?")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {len(RECORD)} bytes a record, medians of "
        f"{options.runs} runs of {options.seconds:g} s"
    )
    print(
        f"{'records x blocks':30}{'MB/s':>8}{'CPU us/commit':>15}{'entries/s':>12}{'events/s':>12}"
        f"{'commit ms':>11}{'reader behind':>15}{'plain file MB/s':>17}"
    )
    results: dict[str, list[Result]] = {load.name: [] for load in LOADS}
    for _ in range(options.runs):
        for load in LOADS:
            results[load.name].append(run(load, options.folder, options.seconds))
    for name, runs in results.items():
        columns = {
            field: statistics.median(getattr(result, field) for result in runs)
            for field in Result.__slots__
        }
        print(
            f"{name:30}{columns['megabytes']:8.1f}{columns['cpu'] * 1e6:15.0f}"
            f"{columns['entries']:12,.0f}{columns['events']:12,.0f}{columns['commit'] * 1e3:11.2f}"
            f"{columns['read_lag']:15,.0f}{columns['plain_file']:17.1f}"
        )


if __name__ == "__main__":
    main()
