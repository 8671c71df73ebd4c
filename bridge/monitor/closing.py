"""The reading of tables, in threads of its own: snapshots, and gaps to be closed.

A read can take hours and must hold up no monitor, so it does not run with the watch's
workers. One read serves all open gaps of its table, and a snapshot closes them too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from bridge.codec import compile_schema
from bridge.errors import BridgeError, DecodeError
from bridge.events import ReadCause
from bridge.loop import Loop
from bridge.monitor.arrivals import Arrival, Damaged
from bridge.monitor.audit import Auditor
from bridge.monitor.catch_up import Range, highest_rows, read_missed
from bridge.monitor.identity import comparable
from bridge.monitor.intake import Intake
from bridge.monitor.intake_queue import Stopping
from bridge.monitor.levels import Start
from bridge.monitor.moment import Moment
from bridge.monitor.progress import Progress
from bridge.monitor.seen import History
from bridge.monitor.states import Signal, State
from bridge.monitor.table import Route, TableMonitor
from bridge.monitor.workers import Workers
from bridge.wire.calls import Cluster

log = structlog.get_logger()

_READERS = 4
# Between two audits of a table.
AUDIT_SECONDS = 60.0
_RETRY_SECONDS = 5.0


class Closer:
    """Reads tables to deliver what was, or may have been, missed.

    Owns its threads; `stop` ends them at the next page.

    Args:
        intake: takes the rows read, and knows when what arrived is stored.
        history: what was received before.
        done: called when a read has ended.
    """

    def __init__(self, intake: Intake, history: History, done: Callable[[], None]) -> None:
        self._intake = intake
        self._history = history
        self._done = done
        self._workers = Workers("reader", _READERS)
        self._busy: set[TableMonitor] = set()
        self._retry_at: dict[TableMonitor, float] = {}
        self._auditor = Auditor(history, intake.barrier)
        self._audit_at: dict[TableMonitor, float] = {}

    @property
    def loops(self) -> list[Loop]:
        """The threads."""
        return self._workers.loops

    def stop(self, timeout: float) -> None:
        """End the threads."""
        self._workers.stop(timeout)

    def look_after(self, table: TableMonitor, cluster: Cluster) -> None:
        """Start what a table that is heard needs: a read, if it can be done, or an audit."""
        if table in self._busy:
            return
        now = time.monotonic()
        snapshot = table.snapshot_due
        if snapshot or (table.gaps.unclosed and table.reading_order is not None):
            if now >= self._retry_at.get(table, 0.0):
                self._busy.add(table)
                table.signal(Signal.SNAPSHOT if snapshot else Signal.CATCH_UP)
                self._workers.submit(lambda: self._read(table, cluster))
        elif now >= self._audit_at.get(table, 0.0):
            self._busy.add(table)
            self._audit_at[table] = now + AUDIT_SECONDS
            self._workers.submit(lambda: self._audit(table, cluster))

    def first_level(self, table: TableMonitor, cluster: Cluster) -> None:
        """Note how high a growing column stands when its table is first listened to.

        Raises:
            WireError: the table could not be read.
        """
        levels, schema = table.levels, table.schema
        if levels is None or schema is None or levels.known:
            return
        if not levels.usable:
            log.error("catch_up_column_unusable", table=table.name, column=levels.column)
            return
        asked_at = Moment.now()
        frames = highest_rows(cluster, table.name, table.options.filter, levels.column)
        joined = (codec := compile_schema(schema)).join(frames)
        levels.first(codec, joined.payload, joined.count, asked_at)

    # The rest runs in a reader.

    def _read(self, table: TableMonitor, cluster: Cluster) -> None:
        gaps, snapshot, born = table.gaps.unclosed, table.snapshot_due, table.born_at
        try:
            rows = self._read_range(table, cluster, snapshot=snapshot)
            _require_same(table, born)
        except Stopping:
            return
        except Exception as error:
            self._retry_at[table] = time.monotonic() + _RETRY_SECONDS
            ours = not isinstance(error, BridgeError)  # then the log needs the place, too
            log.warning("reading_failed", table=table.name, cause=str(error), exc_info=ours)
            self._end(table, f"reading the table failed: {error}")
        else:
            if snapshot:
                table.finish_snapshot()
            table.gaps.close([gap.gap for gap in gaps], "read", rows, cluster.url)
            self._end(table, None)

    def _audit(self, table: TableMonitor, cluster: Cluster) -> None:
        try:
            finding = self._auditor.audit(table, cluster)
        except Stopping:
            return
        except Exception as error:
            ours = not isinstance(error, BridgeError)
            log.warning("audit_failed", table=table.name, cause=str(error), exc_info=ours)
            finding = None
        self._busy.discard(table)
        # A gap that began meanwhile explains what was found, and will be read.
        gaps = table.gaps
        if finding is not None and not gaps.going_on and not gaps.unclosed:
            table.counts.unaccounted = finding.rows
            table.counts.audits += 1
            if finding.rows:
                log.error("rows_unaccounted", table=table.name, rows=finding.rows)
                since, until = round(finding.since * 1e6), time.time_ns() // 1000
                evidence = f"{finding.rows} rows more in the table than were received"
                gaps.declare("unaccounted", since, until, cluster.url, evidence)
                self._done()

    def _end(self, table: TableMonitor, reason: str | None) -> None:
        table.progress = None
        self._busy.discard(table)
        if table.state in (State.CATCHING_UP, State.SNAPSHOTTING):
            table.signal(Signal.WHOLE, reason)
        self._done()

    def _read_range(self, table: TableMonitor, cluster: Cluster, *, snapshot: bool) -> int:
        schema, options, born = table.schema, table.options, table.born_at
        if schema is None:
            raise BridgeError(f"{table.name} is gone")
        start, since = self._start(table, snapshot=snapshot)
        route = Route(table, "read", cluster.url, compile_schema(schema), schema)
        cause: ReadCause = "snapshot" if snapshot else "gap"
        table.progress = progress = Progress()

        def deliver(frames: list[bytes]) -> None:
            _require_same(table, born)
            self._intake.deliver(_received(route, frames, cause))

        wanted = Range(table.name, schema, options.filter, table.reading_order, start, since)
        started = time.monotonic()
        rows = read_missed(cluster, wanted, self._history, self._intake.barrier, deliver, progress)
        log.info(
            "table_read",
            table=table.name,
            looked_at=progress.done,
            delivered=rows,
            seconds=round(time.monotonic() - started, 3),
        )
        return rows

    def _start(self, table: TableMonitor, *, snapshot: bool) -> tuple[Start | None, float]:
        """Return where to read from, None for the whole table, and since when to remember."""
        order = table.reading_order
        starts = [gap.start for gap in table.gaps.unclosed]
        known = [start for start in starts if start is not None and start.value is not None]
        if snapshot or order is None or not known or len(known) < len(starts):
            return None, table.born_at
        start = min(known, key=lambda start: comparable(order, start.value))
        return start, max(table.born_at, min(start.since for start in known))


def _received(
    route: Route, frames: list[bytes], cause: ReadCause
) -> list[Arrival[Route] | Damaged[Route]]:
    """Return rows that were read as one block, and after it what does not fit the layout."""
    now = time.time_ns() // 1000
    joined = route.codec.join(frames)
    received: list[Arrival[Route] | Damaged[Route]] = []
    if joined.count:
        received.append(Arrival(route, joined.payload, joined.count, now, cause))
    for bad in joined.bad:
        error = DecodeError(0, bad.offset, bad.reason)
        received.append(Damaged(route, frames[bad.index], error, now))
    return received


def _require_same(table: TableMonitor, born: float) -> None:
    if table.born_at != born:
        raise BridgeError(f"{table.name} was dropped while it was read")
