"""The reading of tables, in threads of its own: snapshots, gaps to be closed, audits.

A read can take hours and must hold up no monitor, so it does not run with the watch's
workers. One read serves all gaps of its table that are over, and a snapshot closes them too.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from weakref import WeakSet

import structlog

from bridge.errors import BridgeError
from bridge.events import ReadCause
from bridge.loop import Loop, backoff
from bridge.monitor.intake import Intake
from bridge.monitor.intake_queue import Stopping
from bridge.monitor.moment import Moment
from bridge.monitor.states import Signal, State
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import Whole
from bridge.monitor.workers import Workers
from bridge.reading.audit import Auditor, Finding
from bridge.reading.closing import Closing, closing_of
from bridge.reading.copying import Copies
from bridge.reading.entire import read_entire
from bridge.reading.first_level import note_first_level
from bridge.reading.moved_rows import Places, UpdateReader
from bridge.reading.options import ReadingOptions
from bridge.reading.read_state import ReadState
from bridge.reading.received import History
from bridge.reading.task import Outcome, Task, Tools
from bridge.reading.turns import Turns
from bridge.reading.update_rows import UpdateRows
from bridge.reading.whole import WholeTables
from bridge.wire.calls import Cluster

log = structlog.get_logger()

# So many tables at a time are read; most of a read's time it waits for what may still arrive,
# and meanwhile another one has its turn.
_READERS = 16
_AT_WORK = 4
# Between two tries to read a table: the first, and the longest.
_RETRY_SECONDS = 5.0
_LONGEST_RETRY = 300.0
# States in which a table can be read.
_HEARD = frozenset({State.LIVE, State.IDLE, State.CATCHING_UP, State.SNAPSHOTTING})
_NONE_APART: Mapping[str, str] = MappingProxyType({})


class Memory(History, Places, Protocol):
    """What was received, readable again: by time, and in the order of the journal."""


class Readers:
    """Reads tables to deliver what was, or may have been, missed.

    Owns its threads; `stop` ends them at the next page. Any thread may call it.

    Args:
        intake: takes the rows read, and knows when what arrived is stored.
        history: what was received before.
        folder: where what reads need for a while lies; it is emptied. Baselines stay, beside it.
        done: called when a read has ended.
        options: how they are read.

    Attributes:
        copies: requests for all rows of a table.
    """

    def __init__(
        self,
        intake: Intake,
        history: Memory,
        folder: Path,
        done: Callable[[], None],
        options: ReadingOptions | None = None,
    ) -> None:
        options = options or ReadingOptions()
        self._folder = folder
        self._stopping = threading.Event()
        self._turns = Turns(_AT_WORK, self._stopping)
        self._tools = Tools(
            intake, history, folder, self._turns.pause, options.patience, options.limits
        )
        self._done = done
        self._workers = Workers("reader", _READERS)
        self._lock = threading.Lock()  # guards the table below, and what is in it
        self._tables: dict[TableMonitor, ReadState] = {}
        self._forgotten: WeakSet[TableMonitor] = WeakSet()
        self._concluding = threading.Lock()  # held while gaps are closed; taken before the other
        self._auditor = Auditor(history, intake.barrier, options.audits)
        self._whole = WholeTables(folder.with_name("baselines"), history, options.whole)
        self._updates = UpdateRows(
            UpdateReader(self._tools, history, self._empty_folder, options.updates)
        )
        self.copies = Copies(self._tools, done)
        self._emptied = False

    @property
    def loops(self) -> list[Loop]:
        """The threads."""
        return [*self._workers.loops, *self._updates.loops]

    def stop(self, timeout: float) -> None:
        """End the threads."""
        self._stopping.set()
        self._workers.stop(timeout)
        self._updates.stop(timeout)

    def look_after(self, table: TableMonitor, cluster: Cluster) -> None:
        """Start what a table that is heard needs: a read, if it can be done, or an audit."""
        now = Moment.now()
        with self._lock:
            if table in self._forgotten:
                return
            known = self._tables.setdefault(table, ReadState(cluster))
            known.cluster = cluster
            if known.busy:
                return
            job = self._job(table, known, now)
            known.busy = job is not None
        if job is not None:
            self._workers.submit(partial(self._turns.run, job))
        if table.options.update_rows is not None:
            self._updates.look_after(table, cluster)

    def close_now(self, table: TableMonitor, gap: str) -> Future[int]:
        """Read a table to close a gap, though that has failed or proven nothing before.

        Returns:
            How many rows the read delivered; raises why it could not close the gap.
            `table.progress` shows how far it is.
        """
        asked: Future[int] = Future()
        with self._lock:
            known = self._tables.get(table)
            heard = table.state in _HEARD and table.schema is not None
            obstacle = table.obstacle() if heard else f"the table is not heard: it is {table.state}"
            if known is None or obstacle is not None:
                asked.set_exception(BridgeError(obstacle or "the table is not heard yet"))
                return asked
            # What it is busy with ends first; then there is no reason left not to read it.
            known.asked.append((gap, asked))
            known.retry_at, known.final = 0.0, frozenset()
        self._done()  # the watch has it read, as it alone knows that the table is heard
        return asked

    def forget(self, table: TableMonitor) -> None:
        """Forget a table that is not watched any more.

        A read of it that goes on ends at the next page, and closes nothing from here on.
        """
        with self._concluding, self._lock:
            self._forgotten.add(table)
            known = self._tables.pop(table, None)
            self._auditor.forget(table)
            self._whole.forget(table)
        self._updates.forget(table)
        self.copies.forget(table)
        for _, asked in known.asked if known is not None else ():
            asked.set_exception(BridgeError(f"{table.name} is watched no longer"))

    def recall(self, table: TableMonitor) -> None:
        """Look after a table again that was forgotten."""
        with self._lock:
            self._forgotten.discard(table)

    def first_level(self, table: TableMonitor, cluster: Cluster) -> None:
        """Note how high a growing column stands when its table is first listened to."""
        note_first_level(table, cluster)

    def _job(self, table: TableMonitor, known: ReadState, now: Moment) -> Callable[[], None] | None:
        """Decide what to do with a table, if anything."""
        cluster = known.cluster
        due = now.order >= known.retry_at
        if table.snapshot_due:
            if not due or table.schema is None:
                return None
            table.signal(Signal.SNAPSHOT)
            return lambda: self._read(table, cluster, read_entire, snapshot=True)
        if self._open(table, known):
            closing = closing_of(table, self._whole) if due else None
            if closing is None:
                return None
            table.signal(Signal.CATCH_UP)
            return lambda: self._read(table, cluster, closing, snapshot=False)
        if self.copies.of(table) is not None:
            return lambda: self._copy(table, cluster)
        return None if table.gaps.going_on else self._watchful(table, cluster, now)

    def _watchful(
        self, table: TableMonitor, cluster: Cluster, now: Moment
    ) -> Callable[[], None] | None:
        """Return a look for losses that nobody reported, None where none is due."""
        if isinstance(table.options.catch_up, Whole) and table.obstacle() is None:
            if self._whole.due(table, now.order):
                return lambda: self._look(table, cluster)
        elif self._auditor.due(table, now.order):
            audit = partial(self._auditor.audit, table, cluster, now)
            return lambda: self._audit(table, cluster, audit)
        return None

    @staticmethod
    def _open(table: TableMonitor, known: ReadState) -> bool:
        """Whether there are gaps that a read may close."""
        return not {gap.gap for gap in table.gaps.unclosed} <= known.final

    # The rest runs in a reader.

    def _wanted(self, table: TableMonitor) -> Callable[[], bool]:
        known = self._tables.get(table)
        return lambda: known is not None and self._tables.get(table) is known

    def _read(
        self, table: TableMonitor, cluster: Cluster, closing: Closing, *, snapshot: bool
    ) -> None:
        schema, gaps = table.schema, table.gaps.unclosed
        ids = [gap.gap for gap in gaps]
        if schema is None:
            self._end(table, f"{table.name} is gone", ids)
            return
        try:
            self._empty_folder()
            cause: ReadCause = "snapshot" if snapshot else "gap"
            task = Task(table, cluster, schema, gaps, cause, self._tools, self._wanted(table))
            table.progress = task.progress
            started = time.monotonic()
            outcome = closing(task)
            task.require_same()
            log.info(
                "table_read",
                table=table.name,
                looked_at=task.progress.done,
                delivered=outcome.rows,
                unproven=outcome.unproven,
                seconds=round(time.monotonic() - started, 3),
            )
            self._conclude(task, outcome, snapshot=snapshot)
        except Stopping:
            return
        except Exception as error:
            ours = not isinstance(error, BridgeError)  # then the log needs the place, too
            log.warning("reading_failed", table=table.name, cause=str(error), exc_info=ours)
            self._end(table, f"reading the table failed: {error}", ids)

    def _copy(self, table: TableMonitor, cluster: Cluster) -> None:
        self.copies.carry_out(table, cluster, self._wanted(table))
        with self._lock:
            known = self._tables.get(table)
            if known is not None:
                known.busy = False
        self._done()

    def _conclude(self, task: Task, outcome: Outcome, *, snapshot: bool) -> None:
        table, ids = task.table, [gap.gap for gap in task.gaps if gap.gap not in outcome.apart]
        self._auditor.forget(table)  # what is in the table now was received, or is being said
        with self._concluding:
            task.require_same()
            for gap, why in (dict.fromkeys(ids, outcome.unproven) | dict(outcome.apart)).items():
                if why is not None:
                    table.gaps.explain(gap, why)
            if outcome.unproven is None:
                if snapshot:
                    table.finish_snapshot()
                table.gaps.close(ids, "read", outcome.rows, task.cluster.url)
        if outcome.unproven is None:
            self._end(table, None, ids, rows=outcome.rows, apart=outcome.apart)
            return
        told: list[str | None] = [gap.why_open for gap in task.gaps if gap.gap in ids]
        if any(
            why != outcome.unproven for why in told or [table.reason]
        ):  # it is tried again and again
            log.warning("read_proves_nothing", table=table.name, cause=outcome.unproven)
        # A gap says so itself.
        self._end(
            table,
            outcome.unproven,
            ids,
            told=snapshot,
            final=outcome.final,
            apart=outcome.apart,
        )

    def _end(
        self,
        table: TableMonitor,
        trouble: str | None,
        gaps: Collection[str],
        *,
        rows: int = 0,
        told: bool = True,
        final: bool = False,
        apart: Mapping[str, str] = _NONE_APART,
    ) -> None:
        table.progress = None
        reasons = dict.fromkeys(gaps, trouble) | dict(apart)
        asked: list[tuple[str | None, Future[int]]] = []
        with self._lock:
            known = self._tables.get(table)
            if known is not None:
                known.busy = False
                known.failures = 0 if trouble is None else known.failures + 1
                wait = backoff(known.failures, _RETRY_SECONDS, _LONGEST_RETRY)
                known.retry_at = 0.0 if trouble is None else time.monotonic() + wait
                known.final |= frozenset(gaps if final else ()) | frozenset(apart)
                asked = [(reasons[gap], one) for gap, one in known.asked if gap in reasons]
                # A gap that was over when the read had begun is served by the next one.
                known.asked = [one for one in known.asked if one[0] not in reasons]
        if table.state in (State.CATCHING_UP, State.SNAPSHOTTING):
            table.signal(Signal.WHOLE, trouble if told else None)
        for why, future in asked:
            if why is None:
                future.set_result(rows)
            else:
                future.set_exception(BridgeError(why))
        self._done()

    def _look(self, table: TableMonitor, cluster: Cluster) -> None:
        """Look after the baseline of a table that is read whole."""

        def look() -> Finding | None:
            if table.schema is None:
                return None
            self._empty_folder()
            wanted = self._wanted(table)
            task = Task(table, cluster, table.schema, (), "gap", self._tools, wanted)
            table.progress = task.progress
            return self._whole.look(task)

        self._audit(table, cluster, look)

    def _audit(
        self, table: TableMonitor, cluster: Cluster, audit: Callable[[], Finding | None]
    ) -> None:
        finding: Finding | None = None
        try:
            finding = audit()
        except Stopping:
            return
        except Exception as error:
            ours = not isinstance(error, BridgeError)
            log.warning("audit_failed", table=table.name, cause=str(error), exc_info=ours)
        table.progress = None
        with self._lock:
            known = self._tables.get(table)
            if known is None:
                return
            known.busy = False
            # A gap that began meanwhile explains what was found, and will be read.
            explained = table.gaps.going_on or self._open(table, known)
        if finding is not None and not explained:
            self._report(table, cluster, finding)

    def _report(self, table: TableMonitor, cluster: Cluster, finding: Finding) -> None:
        table.counts.unaccounted = finding.rows
        table.counts.audits += 1
        if not finding.rows:
            return
        log.error("rows_unaccounted", table=table.name, rows=finding.rows)
        table.gaps.declare(
            "unaccounted",
            round(finding.since.wall * 1e6),
            time.time_ns() // 1000,
            cluster.url,
            f"{finding.rows} rows more in the table than were received",
            None if table.levels is None else table.levels.start(finding.since),
        )
        self._done()

    def _empty_folder(self) -> None:
        """Take away what an earlier run left, once, and make the folder."""
        with self._lock:
            if not self._emptied:
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(self._folder)
                self._emptied = True
            self._folder.mkdir(exist_ok=True)
