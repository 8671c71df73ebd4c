"""How much memory does a backlog take while it grows and drains, and how fast does it drain?

The file's folder is no folder while the backlog grows in the journal; then it is made one, and
the backlog drains; then as many rows come as in a tenth of it, live. A second sink, Kafka with
no broker, is down all the time. No more is published than some MiB ahead of the journal: how much
of a burst is lost is another question.

    python -m benchmarks.bench_backlog [--gib N] [--tree PATH]
"""

from __future__ import annotations

import time
from contextlib import closing

from benchmarks import harness
from benchmarks.destinations import Arrivals, FileDestination
from benchmarks.frames import encode
from benchmarks.harness import Options, Row
from benchmarks.processes import MeasuredBridge, UsageMeter
from benchmarks.stage import Stage
from tests.services.process import free_port, wait_until

_PAD = 450  # makes records of about 512 bytes
_PER_MESSAGE = 1000
# Records published at once, about 10 MiB, while those before may still be on their way.
_CHUNK = 20_000
_LOOK_SECONDS = 0.03
_PATIENCE_SECONDS = 60.0


def rows(options: Options) -> list[Row]:
    records = int(options.gib * 2**30) // len(encode(10**6, time.time_ns() // 1000, _PAD))
    with Stage(options) as on:
        return _Backlog(on, max(records, 10 * _PER_MESSAGE)).measure()


class _Backlog:
    """One bridge, through growth, drain, and a while of live rows."""

    def __init__(self, on: Stage, records: int) -> None:
        self._on = on
        self._records = records
        self._live = records // 10
        self._own = on.folder / "backlog"
        self._own.mkdir()
        self._place = self._own / "out"
        self._arrived = FileDestination(self._place / "rows.jsonl", made=False)

    def measure(self) -> list[Row]:
        table = self._on.table()
        self._place.touch()  # a file where the sink wants a folder
        with self._bridge(table) as bridge, closing(self._arrived):
            meter = UsageMeter(bridge.pid)
            captured = self._records / self._publish(bridge, table, 0, self._records)
            growing = meter.usage()
            meter.begin()
            drained = self._drain()
            draining = meter.usage()
            live = self._go_on(bridge, table)
            arrivals = self._arrived.arrivals()
        print(
            f"{self._records:,} records captured at {captured:,.0f}/s, "
            f"drained at {drained:,.0f}/s; {self._live:,} live at {live:,.0f}/s\n"
            f"CPU s per million: {growing.cpu_seconds * 1e6 / self._records:.2f} growing, "
            f"{draining.cpu_seconds * 1e6 / self._records:.2f} draining",
            flush=True,
        )
        grown, shrunk = (usage.peak_bytes / 2**20 for usage in (growing, draining))
        name = f"backlog of {self._on.options.gib:g} GiB"
        return [
            Row(
                f"{name}: peak RSS, MiB",
                "",
                "under 300",
                f"{grown:.0f} growing, {shrunk:.0f} draining{self._faults(arrivals)}",
            ),
            Row(
                f"{name}: drain rate to live rate",
                "",
                "1",
                f"{drained:,.0f} (live {live:,.0f})",
                f"{drained / live:.2f}",
            ),
        ]

    def _bridge(self, table: str) -> MeasuredBridge:
        on, path = self._on, self._arrived.path
        sinks = {
            "measured": {"type": "file", "path": str(path)},
            "absent": {"type": "kafka", "bootstrap_servers": f"127.0.0.1:{free_port()}"},
        }
        journal = {"max_size": f"{int(on.options.gib * 2) + 4}GiB"}
        tree = on.options.tree
        return MeasuredBridge(self._own, on.publisher, [table], sinks, tree, journal)

    def _publish(self, bridge: MeasuredBridge, table: str, first: int, records: int) -> float:
        """Publish at the journal's pace; return the seconds until all is in it."""
        how = {"table": table, "per_message": _PER_MESSAGE, "pad": _PAD}
        begun = time.monotonic()
        for sent in range(0, records, _CHUNK):
            some = min(_CHUNK, records - sent)
            self._on.publisher.tell("publish", first=first + sent, records=some, **how)
            self._await_journal(bridge, first + sent)
        self._await_journal(bridge, first + records)
        return time.monotonic() - begun

    def _await_journal(self, bridge: MeasuredBridge, records: int) -> None:
        """Wait until so many are stored."""
        seen, at = -1.0, time.monotonic()
        while seen < records:
            stored = bridge.metric("sink_received_events_total", sink="measured")
            if stored > seen:
                seen, at = stored, time.monotonic()
            elif time.monotonic() - at > _PATIENCE_SECONDS:
                raise TimeoutError(f"{seen:,.0f} of {records:,} stored; {bridge.account()}")
            else:
                time.sleep(_LOOK_SECONDS)

    def _drain(self) -> float:
        """Let the sink go on; return records a second from the first line to the last."""
        self._place.unlink()
        self._place.mkdir()
        wait_until(lambda: self._arrived.position() > 0, "the sink goes on", 120)
        begun = time.monotonic_ns()
        came = self._arrived.wait(self._records - 1)
        return self._records / (came - begun) * 1e9

    def _go_on(self, bridge: MeasuredBridge, table: str) -> float:
        """Publish some more; return records a second from the publication to the last line."""
        begun = time.monotonic_ns()
        self._publish(bridge, table, self._records, self._live)
        came = self._arrived.wait(self._records + self._live - 1)
        return self._live / (came - begun) * 1e9

    def _faults(self, arrivals: Arrivals) -> str:
        lost = self._records + self._live - arrivals.records
        found = {
            "lost": lost,
            "doubled": arrivals.doubled,
            "wrong": arrivals.wrong,
            "gaps": arrivals.gaps,
            "out of order": int(not arrivals.in_order),
        }
        return "".join(f"; {number:,} {what}" for what, number in found.items() if number)


if __name__ == "__main__":
    harness.show(harness.options(__doc__), rows, __doc__.splitlines()[0])
