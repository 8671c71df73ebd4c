"""Tables that are read whole: gaps closed against a baseline, which is taken, kept up and renewed.

Three reads go from the first row to the last. The one that *takes* the baseline delivers nothing,
and goes on where an earlier run had come to. One that *closes* gaps delivers what is not known, and
what it saw is the new baseline. One that *renews* follows counted deletes, or a count of rows that
does not agree; what it meets and nobody reported is a gap `unaccounted`, and closed by another.

Where a gap began before there was a baseline, what was missed cannot be told from what was there:
up to as many rows as are read whole by default may come, beyond that the gap stays open.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import structlog

from bridge.monitor.table import TableMonitor
from bridge.reading.audit import Finding
from bridge.reading.baseline import Baseline, baseline_path
from bridge.reading.known import Known, Stream, Streams, columns_of, key_of
from bridge.reading.task import Outcome, Task
from bridge.reading.whole_close import Close
from bridge.reading.whole_look import Look
from bridge.reading.whole_read import Disturbed, State, WholeTimes

log = structlog.get_logger()


class WholeTables:
    """The tables that are read whole. Any thread may ask what is due; each is read by one.

    Args:
        folder: where baselines lie.
        streams: what was received.
        times: when tables are looked at.
    """

    def __init__(self, folder: Path, streams: Streams, times: WholeTimes | None = None) -> None:
        self._folder = folder
        self._streams = streams
        self._times = times or WholeTimes()
        self._lock = threading.Lock()  # guards the table of states
        self._states: WeakKeyDictionary[TableMonitor, State] = WeakKeyDictionary()

    def due(self, table: TableMonitor, now: float) -> bool:
        """Whether it is time to look at a table that has no open gap, by the monotonic clock."""
        return now >= self._state(table).due

    def forget(self, table: TableMonitor) -> None:
        """Forget a table that is not watched any more; its baseline stays on disk."""
        with self._lock:
            self._states.pop(table, None)

    def close(self, task: Task) -> Outcome:
        """Deliver what was missed in the task's gaps.

        Raises:
            BridgeError: it could not be read.
        """
        state = self._state(task.table)
        state.pending = None  # the gaps are older than its proof
        with self._open(task) as (baseline, known):
            return Close(self._times, state, task, baseline, known).run()

    def look(self, task: Task) -> Finding | None:
        """Take the baseline, keep it up or renew it, and look for losses that nobody reported.

        Returns:
            What was found; None where the look proved nothing.

        Raises:
            BridgeError: it could not be done now.
        """
        state, table = self._state(task.table), task.table
        heard, pending = _heard(table), state.pending
        try:
            if pending is not None and not pending.is_ripe(self._times.confirm):
                return None
            state.due = time.monotonic() + self._times.every
            with self._open(task) as (baseline, known):
                finding = Look(self._times, state, task, baseline, known).run()
                state.due = time.monotonic() + self._pause(state, baseline, heard)
                state.heard = heard
                return finding
        except Disturbed as error:
            state.pending = None
            log.info("read_disturbed", table=table.name, cause=str(error))
            return None

    def _pause(self, state: State, baseline: Baseline, heard: tuple[int, ...]) -> float:
        """Return how long nothing is due."""
        if state.pending is not None:
            return 0.0
        if state.read is not None and baseline.facts.deleted_at > baseline.facts.read_at:
            renewal = state.read.order + self._times.renew - time.monotonic()
            return max(0.0, min(renewal, self._times.every))
        return self._times.every if heard != state.heard else self._times.idle

    def _state(self, table: TableMonitor) -> State:
        with self._lock:
            state = self._states.get(table)
            if state is None or state.born != table.born_at:
                state = self._states[table] = State(table.born_at)
            return state

    @contextmanager
    def _open(self, task: Task) -> Iterator[tuple[Baseline, Known]]:
        """Yield a table's baseline, brought up to now."""
        table = task.table
        with Baseline(baseline_path(self._folder, table.name), table.name) as baseline:
            stream = self._stream(table, baseline)
            with closing(stream):
                facts = baseline.facts
                if facts.position is None:
                    facts.journal, facts.older = stream.journal, {}
                    facts.key = key_of(task.schema)
                    facts.hidden = table.hidden_deletes
                    # What is listened to from its first row on is known from its first row on.
                    facts.complete = table.born_at > 0 or table.snapshot_due
                    log.info("baseline_begun", table=table.name, complete=facts.complete)
                lost = [
                    (gap.since, gap.until or gap.since)
                    for gap in task.gaps
                    if gap.reason == "journal_damaged"
                ]
                known = Known(
                    baseline,
                    task.schema,
                    stream,
                    task.tools.intake.barrier,
                    lambda: table.hidden_deletes,
                    lost=lost,
                )
                known.catch_up()
                task.require_same()
                self._fit(task, baseline)
                known.begin()
                yield baseline, known

    def _stream(self, table: TableMonitor, baseline: Baseline) -> Stream:
        """Return what is not taken in yet; of another journal nothing is."""
        facts = baseline.facts
        stream = self._streams.stream(table.name, facts.position)
        if facts.journal in ("", stream.journal):
            return stream
        log.warning("baseline_forgotten", table=table.name, cause="the journal is another one")
        stream.close()
        with baseline.changing():
            baseline.forget()
            baseline.facts.position = None
        return self._streams.stream(table.name, None)

    def _fit(self, task: Task, baseline: Baseline) -> None:
        """Forget what cannot be held against the table as it is now."""
        key, facts = key_of(task.schema), baseline.facts
        cause = None
        if facts.key not in (None, key):
            cause = "the primary key is another one now"
        elif not key and any(c != columns_of(task.schema) for c in baseline.layouts().values()):
            cause = "the layout changed, and no key tells which row is which"
        with baseline.changing():
            if cause is not None:
                log.warning("baseline_forgotten", table=task.table.name, cause=cause)
                baseline.forget()
                baseline.facts.older |= {gap.gap: cause for gap in task.gaps}
            baseline.facts.key = key


def _heard(table: TableMonitor) -> tuple[int, ...]:
    heard = table.counts.received
    return (*(heard[kind] for kind in ("insert", "update", "delete", "read")), table.hidden_deletes)
