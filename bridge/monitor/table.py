"""One table's monitor: its state, its schema, what it counts, and the span it may have missed.

This is the core that the service and the library share. It does no I/O: the intake calls
`heard`, `faulty` and `overrun`, the watch calls the rest, and what follows for others is
*entries*, posted in the order in which they belong into the journal.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from bridge.codec import Codec, compile_schema
from bridge.events import Alter, Column, Drop, Entry, Gap, GapReason, Schema
from bridge.monitor.arrivals import Loss
from bridge.monitor.catch_up import Progress
from bridge.monitor.counts import Counts
from bridge.monitor.schema_text import schema_from_json, schema_to_json
from bridge.monitor.states import Signal, State, step
from bridge.monitor.tide import Level, Tide

log = structlog.get_logger()

# Gaps that nothing can close are shown as long as the process runs, the latest of them.
_MOST_UNCLOSABLE = 1000

DecodeFailure = Literal["dead_letter", "skip", "abort"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A small fact that must outlive a restart, stored in order with the entries."""

    name: str
    text: str


Post = Callable[[Entry | Mark], None]


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What a table's monitor is told; the configuration's names and meanings.

    Attributes:
        name: the qualified name.
        events: which of insert, update and delete to watch.
        filter: an expression that inserted rows must meet, evaluated by Kinetica.
        inactivity_timeout: seconds of silence after which a well table is called idle.
        on_decode_failure: what becomes of a frame that is no record of the table.
        on_drop: wait for a dropped table to come back, or stop.
        catch_up_column: a column that grows with every insert, by which gaps are closed.
        snapshot: whether the rows that are there already are delivered first.
    """

    name: str
    events: tuple[str, ...] = ("insert", "update", "delete")
    filter: str | None = None
    inactivity_timeout: float = 1200.0
    on_decode_failure: DecodeFailure = "dead_letter"
    on_drop: Literal["wait", "stop"] = "wait"
    catch_up_column: str | None = None
    snapshot: Literal["never", "initial"] = "never"


@dataclass(eq=False, slots=True)
class Route:
    """What a topic means: a kind of event of one table, in one layout, from one cluster.

    `event` is insert, update or delete; of rows that were read, read.
    """

    table: TableMonitor
    event: str
    cluster: str
    codec: Codec
    schema: Schema


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which events may have been missed, not over yet."""

    gap: str
    since: int
    reason: GapReason


class TableMonitor:
    """The monitor of one table. All methods may be called from any thread.

    Args:
        options: what to watch and how.
        post: takes entries of the monitor's own (alter, drop, gap), in order with the rows.
        closable: whether somebody reads the table to close its gaps.
    """

    def __init__(self, options: TableOptions, post: Post, *, closable: bool = False) -> None:
        self.options = options
        self._closable = closable
        self.counts = Counts()
        self._post = post
        self._lock = threading.Lock()  # guards all below
        self._state = State.CONNECTING
        self._reason: str | None = "starting"
        self.changed_at = time.time()
        self._active_at = time.monotonic()
        self.schema: Schema | None = None
        self.span: Span | None = None
        self._overrun = False
        self._stalled = False
        self._discarded = False  # in the span that is open
        self.good_at = 0.0  # when a probe last proved that nothing is missed
        column = options.catch_up_column
        self.tide: Tide | None = Tide(column) if column is not None else None
        self.unclosed: list[Gap] = []
        self.unclosable: deque[Gap] = deque(maxlen=_MOST_UNCLOSABLE)
        self.snapshot_due = options.snapshot == "initial"
        self.born_at = 0.0  # since when it is this table and no namesake that was dropped
        self.progress: Progress | None = None

    @property
    def name(self) -> str:
        """The table's qualified name."""
        return self.options.name

    @property
    def state(self) -> State:
        """What the monitor is doing."""
        return self._state

    @property
    def reason(self) -> str | None:
        """Why it is in its state, where that is not good news."""
        return self._reason

    @property
    def over(self) -> bool:
        """Whether it has stopped for good."""
        return self._state in (State.FAILED, State.DROPPED)

    def __repr__(self) -> str:
        return f"<TableMonitor {self.name} {self._state}>"

    def signal(self, signal: Signal, reason: str | None = None) -> State:
        """Move to the state that follows, and say so where it is another one."""
        with self._lock:
            before, self._state = self._state, step(self._state, signal)
            changed = before is not self._state
            news = changed or (reason is not None and reason != self._reason)
            if changed or reason is not None:
                self._reason = reason
            if changed:
                self.changed_at = time.time()
                self._active_at = time.monotonic()
        if news:
            level = log.warning if reason else log.info
            level("table_state", table=self.name, state=str(self._state), cause=reason)
        return self._state

    @property
    def quiet_for(self) -> float:
        """Seconds since anything arrived, or the state changed."""
        return time.monotonic() - self._active_at

    # What the intake reports.

    def heard(self, event: str, events: int, size: int, time_: int) -> None:
        """Count what arrived; an idle table is live again."""
        counts = self.counts
        counts.received[event] += events
        counts.bytes += size
        counts.last_event = time_ / 1e6
        self._active_at = time.monotonic()
        if self._state is State.IDLE:
            self.signal(Signal.HEARD)

    def note_rows(self, codec: Codec, payload: bytes, count: int) -> None:
        """Take in inserted rows, from which the growing column's height is told."""
        if self.tide is not None:
            with self._lock:
                self.tide.note(codec, payload, count)

    def faulty(self, reason: str) -> None:
        """Count a frame that does not decode; under `abort` it ends the monitor."""
        first = self.counts.decode_errors == 0
        self.counts.decode_errors += 1
        if first or self.counts.decode_errors % 1000 == 0:
            log.error(
                "undecodable_record",
                table=self.name,
                cause=reason,
                policy=self.options.on_decode_failure,
                so_far=self.counts.decode_errors,
            )
        if self.options.on_decode_failure == "abort":
            self.signal(Signal.ABORT, f"a record did not decode: {reason}")

    def overrun(self, loss: Loss[Route], reason: GapReason) -> None:
        """Count what was discarded, as there was no room.

        The span lasts at least until `end_overrun`, whatever a probe says of the connection.
        """
        self.counts.discarded[loss.route.event] += loss.records
        with self._lock:
            first = not self._discarded
            self._overrun = self._discarded = True
            if first and self._stalled and self.span is not None:
                # What waited until now is not lost yet.
                self.span = replace(self.span, since=max(self.span.since, loss.time))
        self.open_span(reason, loss.time / 1e6)

    def end_overrun(self) -> None:
        """Note that there is room again; the next probe ends the span."""
        with self._lock:
            self._overrun = False

    def stall(self, since: float) -> None:
        """Note that what arrived since a moment waits in memory, as the journal is full."""
        with self._lock:
            self._stalled = True
        self.open_span("journal_full", since)

    def resume(self) -> None:
        """Note that the journal took what waited; where nothing was discarded there is no gap."""
        with self._lock:
            self._stalled = False
            span = self.span
            if span is None or span.reason != "journal_full" or self._discarded:
                return
            self.span = None
            self.counts.gaps_open -= 1
        log.info("gap_withdrawn", table=self.name, gap=span.gap)

    # Spans in which something may have been missed.

    def open_span(self, reason: GapReason, since: float) -> None:
        """Note that events may be missed since a moment, seconds since the epoch.

        A span already open goes on under its first cause, except that a failover, which
        begins as a lost connection, gives it its own name, and so does a full journal, which
        begins as an overrun.
        """
        with self._lock:
            span = self.span
            if span is None:
                self.span = Span(secrets.token_hex(8), round(since * 1e6), reason)
                self.counts.gaps_open += 1
            elif span.reason != reason and (
                reason == "failover" or (span.reason, reason) == ("overrun", "journal_full")
            ):
                self.span = replace(span, reason=reason)
            else:
                return
        log.warning("gap_opened", table=self.name, cause=reason, gap=self.span.gap)

    def end_span(self, cluster: str) -> Gap | None:
        """End the open span, post its gap event, and return it.

        None if there is none, or if it cannot end yet, as there is no room.
        """
        with self._lock:
            if self._overrun or self._stalled:
                return None
            span, self.span = self.span, None
            self._discarded = False
        if span is None:
            return None
        return self._post_gap(span, time.time_ns() // 1000, cluster)

    def declare_gap(self, reason: GapReason, since: int, until: int, cluster: str) -> None:
        """Post the gap of a span that was over before it was noticed; microseconds."""
        self.counts.gaps_open += 1
        self._post_gap(Span(secrets.token_hex(8), since, reason), until, cluster)

    def _post_gap(self, span: Span, until: int, cluster: str) -> Gap:
        now = time.time_ns() // 1000
        self.counts.gaps[span.reason] += 1
        # Where the clock was set back meanwhile, the span reaches over both times.
        since, until = min(span.since, until), max(span.since, until)
        gap = Gap(self.name, cluster, now, span.gap, since, until, span.reason)
        self._post(gap)
        # A layout that is not known yet may turn out to have a key.
        if self._closable and (self.schema is None or self.reading_order is not None):
            self._set_unclosed([*self.unclosed, gap])
        else:
            self.unclosable.append(gap)
        seconds = round((until - since) / 1e6, 3)
        log.warning("gap_ended", table=self.name, cause=span.reason, gap=span.gap, seconds=seconds)
        return gap

    def close_gaps(self, gaps: Sequence[Gap], cluster: str, rows: int) -> None:
        """Post the second event of gaps that one read has closed.

        The rows it delivered count for the first of them.
        """
        now = time.time_ns() // 1000
        known = {gap.gap for gap in self.unclosed}  # a drop meanwhile has closed them all
        gaps = [gap for gap in gaps if gap.gap in known]
        for gap in gaps:
            self._post(replace(gap, cluster=cluster, time=now, closed=True, rows=rows, by="read"))
            log.info("gap_closed", table=self.name, gap=gap.gap, rows=rows)
            rows = 0
        closed = {gap.gap for gap in gaps}
        self.counts.gaps_open -= len(closed)
        self._set_unclosed([gap for gap in self.unclosed if gap.gap not in closed])

    @property
    def reading_order(self) -> Column | None:
        """The column by which the table can be read to close a gap, if there is one."""
        schema = self.schema
        if schema is None:
            return None
        name = self.options.catch_up_column or next(iter(schema.primary_key), None)
        return next((column for column in schema.columns if column.name == name), None)

    def finish_snapshot(self) -> None:
        """Note that the rows that were there already have been delivered."""
        self.snapshot_due = False
        self._post(Mark(f"snapshot/{self.name}", "done"))

    def _set_unclosed(self, gaps: list[Gap]) -> None:
        self.unclosed = gaps
        saved = [[g.cluster, g.time, g.gap, g.since, g.until, g.reason] for g in gaps]
        self._post(Mark(f"gaps/{self.name}", json.dumps(saved)))

    def forget_span(self) -> None:
        """Let the open span go: nothing can be missed of a table that is not there."""
        with self._lock:
            if self.span is not None:
                self.counts.gaps_open -= 1
            self.span = None

    def post(self, entry: Entry | Mark) -> None:
        """Post an entry or a mark of the monitor's own."""
        self._post(entry)

    # What outlives a restart.

    def adopt_schema(self, schema: Schema | None, cluster: str) -> None:
        """Take a layout as the present one, or none after a drop; say what changed."""
        old, self.schema = self.schema, schema
        now = time.time_ns() // 1000
        if schema is None:
            if old is not None:
                log.warning("table_dropped", table=self.name)
                # Of a table that is gone there is no row left to be missed.
                self.close_gaps(self.unclosed, cluster, 0)
                self._post(Drop(self.name, cluster, now))
                self._forget_rows(now / 1e6)
        elif old is not None and old.columns != schema.columns:
            log.warning("table_altered", table=self.name)
            self._post(Alter(self.name, cluster, now, old, schema))
        if old != schema:
            self._post(Mark(f"schema/{self.name}", schema_to_json(schema)))

    def settle_audit(self, level: Level) -> None:
        """Note that all rows up to a level are accounted for."""
        if self.tide is not None:
            with self._lock:
                self.tide.audited = level

    def note_unaccounted(self, rows: int, since: float, cluster: str) -> None:
        """Take the result of an audit; rows that nobody reported are a gap that is over."""
        self.counts.unaccounted = rows
        self.counts.audits += 1
        if rows:
            log.error("rows_unaccounted", table=self.name, rows=rows)
            self.open_span("unaccounted", since)
            self.end_span(cluster)

    def _forget_rows(self, now: float) -> None:
        """Forget what was known of the rows of a table that is gone."""
        self.born_at = now
        self._post(Mark(f"born_at/{self.name}", repr(now)))
        if self.tide is not None:
            with self._lock:
                self.tide.empty(now)
            self._post(Mark(f"tide/{self.name}", self.tide.to_json()))

    def prove_good(self, at: float) -> None:
        """Note that nothing had been missed at a moment, seconds since the epoch.

        Does nothing while a span is open.
        """
        if self.span is not None:
            return
        self.good_at = at
        self._post(Mark(f"good_at/{self.name}", repr(at)))
        if self.tide is not None:
            with self._lock:
                self.tide.settle(at)
            self._post(Mark(f"tide/{self.name}", self.tide.to_json()))

    def restore(self, marks: Mapping[str, str]) -> None:
        """Take up what an earlier run left: its schema, and the time since it was last well."""
        self.schema = schema_from_json(marks.get(f"schema/{self.name}", "null"))
        self.born_at = float(marks.get(f"born_at/{self.name}", 0))
        self.snapshot_due &= marks.get(f"snapshot/{self.name}") != "done"
        if self.tide is not None:
            self.tide.from_json(marks.get(f"tide/{self.name}", "[null, null]"))
        self.unclosed = [
            Gap(self.name, *gap) for gap in json.loads(marks.get(f"gaps/{self.name}", "[]"))
        ]
        self.counts.gaps_open = len(self.unclosed)
        self.good_at = float(marks.get(f"good_at/{self.name}", 0))
        if self.good_at:
            self.open_span("start", self.good_at)


def make_route(table: TableMonitor, event: str, cluster: str, schema: Schema) -> Route:
    """Compile a layout and bind it to a table's event."""
    return Route(table, event, cluster, compile_schema(schema), schema)
