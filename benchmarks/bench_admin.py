"""What does looking at 1,000 tables cost: the status page, /metrics, and the engine meanwhile?

The service with two file sinks. Each page is fetched again and again, and its time is told beside
the CPU time of the service. Then 1,000 single rows a second go into one of the tables, by turns
left alone and looked at: scraped, as often as the Prometheus of our compose file does it and once a
second, with the status page open; a line's age is its latency.

    python -m benchmarks.bench_admin [--runs K] [--scale F] [--tree PATH]
"""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks import harness
from benchmarks.bench_trickle import Follower
from benchmarks.destinations import FileDestination
from benchmarks.harness import Options, Row
from benchmarks.processes import MeasuredBridge, UsageMeter
from benchmarks.stage import Stage

_TABLES = 1000
_FETCHES = 20
_SECONDS = 20
_ROWS_A_SECOND = 1000
_STATUS_EVERY = 3  # as the page asks, seconds
_SCRAPED_EVERY = (5, 1)  # the first as deploy/prometheus.yml has it
# What Prometheus says that it takes.
_ACCEPT = {
    "text": "text/plain;version=0.0.4",
    "OpenMetrics": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page, many times.

    Attributes:
        milliseconds: of each fetch.
        cpu: milliseconds of the service for one of them.
        size: bytes.
    """

    milliseconds: list[float]
    cpu: float
    size: int

    def __str__(self) -> str:
        median = statistics.median(self.milliseconds)
        return f"{median:.0f} ({self.cpu:.0f} CPU, {self.size / 2**20:.1f} MiB)"


@dataclass(frozen=True, slots=True)
class Trickled:
    """A trickle, with somebody looking or nobody.

    Attributes:
        load: per cent of a core.
        ages: latencies of the rows in ascending order, milliseconds.
    """

    load: float
    ages: list[float]

    def __str__(self) -> str:
        return f"{self.load:.1f} %, p50 {self.age(0.5):.1f}, p99 {self.age(0.99):.1f} ms"

    def age(self, share: float) -> float:
        """Return the latency that this share of the rows did not exceed."""
        return self.ages[min(int(len(self.ages) * share), len(self.ages) - 1)]


def rows(options: Options) -> list[Row]:
    tables = options.scaled(_TABLES)
    names = [f"ki_home.looked_at_{number:04d}" for number in range(tables)]
    with Stage(options) as on, tempfile.TemporaryDirectory(dir=on.folder) as own:
        on.publisher.tell("tables", names=names)
        folder = Path(own)
        sinks = {
            sink: {"type": "file", "path": str(folder / sink / "{table}.jsonl")}
            for sink in ("one", "two")
        }
        with MeasuredBridge(folder, on.publisher, names, sinks, options.tree) as bridge:
            pages = {
                "/": _fetch(bridge, "/"),
                "/api/status": _fetch(bridge, "/api/status"),
                **{
                    f"/metrics, {name}": _fetch(bridge, "/metrics", a)
                    for name, a in _ACCEPT.items()
                },
            }
            trickle = _Trickle(on, bridge, iter(names), folder / "one")
            trickle.run(None)  # caches fill
            turns = {
                "alone": lambda: trickle.run(None),
                "alone, again": lambda: trickle.run(None),
                **{
                    f"scraped every {seconds} s": partial(trickle.run, seconds)
                    for seconds in _SCRAPED_EVERY
                },
            }
            found = harness.alternate(turns, options.runs)
    title = f"{tables:,} tables, 2 sinks"
    alone, again, *looked_at = (
        sorted(runs, key=lambda run: run.age(0.99))[len(runs) // 2] for runs in found.values()
    )
    return [
        *(
            Row(
                f"{title}: {page}, ms",
                "",
                "under 300" if "metrics" in page else "under 1,000",
                str(fetched),
            )
            for page, fetched in pages.items()
        ),
        Row(f"{title}: 1,000 single rows/s, nobody looks", "", "", str(alone)),
        Row(f"{title}: the same, again (A/A)", "", "as alone", str(again)),
        *(
            Row(f"{title}: … scraped every {seconds} s, page open", "", "as alone", str(trickled))
            for seconds, trickled in zip(_SCRAPED_EVERY, looked_at, strict=True)
        ),
    ]


def _fetch(bridge: MeasuredBridge, path: str, accept: str = "*/*") -> Fetched:
    _get(bridge.admin + path, accept)
    meter, times, size = UsageMeter(bridge.pid), [], 0
    for _ in range(_FETCHES):
        begun = time.monotonic()
        size = len(_get(bridge.admin + path, accept))
        times.append((time.monotonic() - begun) * 1000)
    return Fetched(times, meter.usage().cpu_seconds / _FETCHES * 1000, size)


def _get(url: str, accept: str = "*/*") -> bytes:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as reply:
        body: bytes = reply.read()
    return body


class _Trickle:
    """Rows that go into one table, another one each time.

    Args:
        on: has the publisher.
        bridge: what is measured.
        tables: their names.
        files: where the sink that is looked at has its files.
    """

    def __init__(
        self, on: Stage, bridge: MeasuredBridge, tables: Iterator[str], files: Path
    ) -> None:
        self._on = on
        self._bridge = bridge
        self._tables = tables
        self._files = files

    def run(self, scraped_every: int | None) -> Trickled:
        table, seconds = next(self._tables), self._on.options.scaled(_SECONDS)
        arrived = FileDestination(self._files / f"{table}.jsonl", made=False)
        arrived.path.parent.mkdir(exist_ok=True)
        arrived.path.touch()
        looking = (
            _looking(self._bridge.admin, scraped_every)
            if scraped_every
            else contextlib.nullcontext()
        )
        records = seconds * _ROWS_A_SECOND
        how = {"records": records, "per_message": 1, "per_second": _ROWS_A_SECOND}
        with looking, Follower(arrived.path) as ages:
            meter, begun = UsageMeter(self._bridge.pid), time.monotonic()
            self._on.publisher.tell("publish", table=table, **how)
            arrived.wait(records - 1)
            load = meter.usage().cpu_seconds / (time.monotonic() - begun) * 100
        return Trickled(load, sorted(age * 1000 for age in ages))


@contextlib.contextmanager
def _looking(admin: str, scraped_every: int) -> Iterator[None]:
    """Look from a process of its own: in this one it would hold up who notes the ages."""
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(
        target=_look, args=(admin, scraped_every, ready), name="looking", daemon=True
    )
    process.start()
    ready.wait()  # its imports are no part of what looking costs
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _look(admin: str, scraped_every: int, ready: Event) -> None:
    ready.set()
    for second in count(1):
        time.sleep(1)
        if second % scraped_every == 0:
            _get(admin + "/metrics", _ACCEPT["OpenMetrics"])
        if second % _STATUS_EVERY == 0:
            _get(admin + "/api/status")


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
