"""How soon is the stream whole again after a minute without the bridge, and what does it read?

100 tables of 10,000,000 rows in all are written at 2,000 rows a second. The bridge, with a file
sink, is ended while it listens, first by SIGTERM, then by SIGKILL, and started again a minute
later. Whole is when every row written before that start is in the file and no gap is open.

    python -m benchmarks.bench_catch_up [--rows N] [--tables N] [--rate N] [--live S] [--down S]
    python -m benchmarks.bench_catch_up --tables 20 --rows 1000000 --whole-table

`--keyed` gives the tables a primary key; `--whole-table` too, and leaves `catch_up` at its default,
so that a table that grows beyond 100,000 rows keeps its gap.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from benchmarks import harness
from benchmarks.processes import ClusterProgram, MeasuredBridge, UsageMeter

# After so long a start is given up.
_PATIENCE_SECONDS = 600.0
# Rows may come a moment after their gap was closed; those that come later were not proven.
_GRACE_SECONDS = 10.0
_LOOK_SECONDS = 0.2


class Cluster(ClusterProgram):
    """`growing_tables.py`."""

    def __init__(self) -> None:
        super().__init__("growing_tables.py")


@dataclass(slots=True)
class Follower:
    """Reads the file of events as it grows.

    Attributes:
        path: of the file.
        first: the number, in each table, of the first row that is to come.
        rows: the numbers that came, by table.
        kinds: how many rows came as what.
        offsets: of all events.
        twice: how many rows came under another id, too.
        again: how many events came once more under the same id.
        older: how many rows came that were there before any was written.
        open: gaps that were said and not closed since, and their tables.
        closed: how many gaps were closed, by table.
        by: how they were closed.
    """

    path: Path
    first: int
    rows: dict[str, set[int]] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    offsets: set[int] = field(default_factory=set)
    twice: int = 0
    again: int = 0
    older: int = 0
    open: dict[str, str] = field(default_factory=dict)
    closed: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)
    _place: int = 0

    def follow(self) -> None:
        """Take in what has come since the last time."""
        if not self.path.exists():
            return
        with self.path.open("rb") as lines:
            lines.seek(self._place)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self._place += len(line)
                self._take(orjson.loads(line))

    def missing(self, upto: dict[str, int]) -> int:
        """Count the rows below these numbers that have not come."""
        nothing: set[int] = set()
        return sum(
            len(set(range(self.first, end)) - self.rows.get(table, nothing))
            for table, end in upto.items()
        )

    def _take(self, event: dict[str, Any]) -> None:
        if event["offset"] in self.offsets:
            self.again += 1
            return
        self.offsets.add(event["offset"])
        table, kind = event["table"], event["type"]
        self.kinds[kind] += 1
        if kind == "gap" and event["closed"]:
            self.open.pop(event["gap"], None)
            self.closed[table] += 1
            self.by[event["by"]] += 1
        elif kind == "gap":
            self.open[event["gap"]] = table
        elif kind in ("insert", "read"):
            number = event["record"]["id"]
            came = self.rows.setdefault(table, set())
            self.twice += number in came
            self.older += number < self.first
            came.add(number)


@dataclass(frozen=True, slots=True)
class Outage:
    """What followed one start.

    Attributes:
        ended: how the bridge was ended before.
        unheard: rows written from that end to the start.
        gaps_after: seconds from the start until no gap was open.
        whole_after: seconds until all rows written before the start were in the file, too.
        looked_at: rows of the table that the reads looked at.
        delivered: rows that came as `read`.
        twice: rows that came under a second id.
        missing: rows that had not come when no gap was open, and did not come soon after.
        peak: MiB.
        cpu: seconds of the bridge from its start until all was whole.
        cluster_cpu: seconds of the database meanwhile, its writer included.
        by: how gaps were closed.
    """

    ended: str
    unheard: int
    gaps_after: float
    whole_after: float
    looked_at: int
    delivered: int
    twice: int
    missing: int
    peak: float
    cpu: float
    cluster_cpu: float
    by: str

    @property
    def cells(self) -> list[str]:
        return [
            self.ended,
            f"{self.unheard:,}",
            f"{self.gaps_after:.1f}",
            f"{self.whole_after:.1f}",
            f"{self.looked_at:,}",
            f"{self.delivered:,}",
            f"{self.twice:,}",
            f"{self.missing:,}",
            f"{self.peak:.0f}",
            f"{self.cpu:.1f}",
            f"{self.cluster_cpu:.1f}",
            self.by,
        ]


_TITLES = (
    "ended by",
    "rows unheard",
    "no gap after, s",
    "whole after, s",
    "rows looked at",
    "rows read",
    "twice",
    "missing",
    "peak MiB",
    "CPU s",
    "database CPU s",
    "closed by",
)


class Trial:
    """A cluster, a bridge, and the file it writes."""

    def __init__(self, cluster: Cluster, folder: Path, chosen: argparse.Namespace) -> None:
        self._cluster = cluster
        self._down, self._live = chosen.down, chosen.live
        self._names = [f"ki_home.grows_{number:03d}" for number in range(chosen.tables)]
        rows = chosen.rows // chosen.tables
        begun = time.monotonic()
        keyed = chosen.keyed or chosen.whole_table
        cluster.tell("fill", names=self._names, rows=rows, keyed=keyed)
        _say(f"{len(self._names)} tables of {rows:,} rows in {time.monotonic() - begun:.0f} s")
        how = {} if chosen.whole_table else {"catch_up": {"column": "id"}}
        out = folder / "events.jsonl"
        self._file = Follower(out, rows)
        self.bridge = MeasuredBridge(
            folder,
            cluster,
            [{"name": name, **how} for name in self._names],
            {"out": {"type": "file", "path": str(out)}},
            chosen.tree,
        )

    def listen(self, per_second: float) -> None:
        """Write from now on, and wait until the stream is known to be whole."""
        begun = time.monotonic()
        if not _waited(self._nothing_open, _PATIENCE_SECONDS):
            raise TimeoutError(f"not without a gap: {self.bridge.readyz()}")
        _say(f"listens without a gap after {time.monotonic() - begun:.0f} s")
        self._file.older = 0
        self._cluster.tell("write", per_second=per_second)

    def outage(self, ended: str, end: Callable[[], object]) -> Outage:
        """Let the bridge listen for a while, end it, and start it again."""
        time.sleep(self._live)
        stopped = self._cluster.tell("written")
        end()
        _say(f"ended by {ended}")
        time.sleep(self._down)
        self._file.follow()
        file = self._file
        closed, by, twice, reads = (
            file.closed.copy(),
            file.by.copy(),
            file.twice,
            file.kinds["read"],
        )
        logged = len(self.bridge.log())
        before = self._cluster.tell("written")
        cluster = UsageMeter(self._cluster.pid)
        begun = time.monotonic()
        self.bridge.start()
        meter = UsageMeter(self.bridge.pid)

        def closed_all() -> bool:
            self._follow()
            return all(file.closed[name] > closed[name] for name in self._names) and (
                self._nothing_open()
            )

        in_time = _waited(closed_all, _PATIENCE_SECONDS)
        gaps_after = time.monotonic() - begun if in_time else float("inf")
        upto = before["next"]
        came = _waited(lambda: not self._lacking(upto), _GRACE_SECONDS)
        whole_after = time.monotonic() - begun if came else float("inf")
        usage = meter.usage()
        looked_at = sum(
            line["looked_at"]
            for line in self.bridge.log()[logged:]
            if line.get("event") == "table_read"
        )
        return Outage(
            ended,
            before["rows"] - stopped["rows"],
            gaps_after,
            whole_after,
            looked_at,
            file.kinds["read"] - reads,
            file.twice - twice,
            file.missing(upto),
            usage.peak_bytes / 2**20,
            usage.cpu_seconds,
            cluster.usage().cpu_seconds,
            ", ".join(f"{way} {n}" for way, n in sorted((file.by - by).items())),
        )

    def end(self) -> str:
        """Write no more; return what is to be said of all that came."""
        written, file = self._cluster.tell("rest"), self._file
        _waited(lambda: not self._lacking(written["next"]), _GRACE_SECONDS)
        return (
            f"{written['rows']:,} rows written, {file.missing(written['next']):,} of them missing, "
            f"{file.twice:,} twice, {file.older:,} came that were there before, {file.again:,} "
            f"events again under their id; the writer was at most {written['behind']:.1f} s late"
        )

    def _nothing_open(self) -> bool:
        self._follow()
        return not self._file.open and self.bridge.readyz().get("status") == "ok"

    def _follow(self) -> None:
        self.bridge.check_alive()
        self._file.follow()

    def _lacking(self, upto: dict[str, int]) -> int:
        self._follow()
        return self._file.missing(upto)


def _waited(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition to hold; say whether it does. Looking costs what is measured little."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000, help="in all tables at the start")
    parser.add_argument("--tables", type=int, default=100)
    parser.add_argument("--rate", type=float, default=2000, help="rows written a second")
    parser.add_argument("--live", type=float, default=75, help="seconds heard before each end")
    parser.add_argument("--down", type=float, default=60, help="seconds without the bridge")
    parser.add_argument("--keyed", action="store_true", help="with a primary key")
    parser.add_argument("--whole-table", action="store_true", help="by key alone: no catch_up")
    parser.add_argument("--tree", type=Path, default=harness.ROOT, help="whose bridge is measured")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    chosen = parser.parse_args()
    print(harness.machine(tree=chosen.tree), flush=True)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder, Cluster() as cluster:
        trial = Trial(cluster, Path(folder), chosen)
        with trial.bridge as bridge:
            trial.listen(chosen.rate)
            found = []
            for ended, end in (("SIGTERM", bridge.terminate), ("SIGKILL", bridge.kill)):
                found.append(trial.outage(ended, end))
                _say(str(found[-1]))
            print(harness.table(_TITLES, [outage.cells for outage in found]))
            print(trial.end())


if __name__ == "__main__":
    main()
