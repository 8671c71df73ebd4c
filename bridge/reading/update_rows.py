"""The rows that updates touched: Kinetica says how many, a column that moves with each tells which.

After a counted update, at most once a second, the rows are read from where the column stood a
while before, and what was not received in that form comes as `read` with cause `update`. After a
gap, or a restart, a read goes on from the height that was reached before.
"""

from __future__ import annotations

import threading
import time
from functools import partial

import structlog

from bridge.errors import BridgeError
from bridge.loop import Loop, backoff
from bridge.monitor.intake_queue import Stopping
from bridge.monitor.table import TableMonitor
from bridge.monitor.workers import Workers
from bridge.reading.moved_rows import Followed, UpdateReader
from bridge.reading.task import Task
from bridge.wire.calls import Cluster

log = structlog.get_logger()

_READERS = 2


class UpdateRows:
    """Reads the rows of updates, of all tables that ask for it. Owns its threads.

    Args:
        reader: reads the rows of one table.
    """

    def __init__(self, reader: UpdateReader) -> None:
        self._reader = reader
        self._times = reader.times
        self._lock = threading.Lock()  # guards the table below
        self._followed: dict[TableMonitor, Followed] = {}
        self._workers: Workers | None = None
        self._loop = Loop("updates", self._pass)

    @property
    def loops(self) -> list[Loop]:
        """The threads; there are none before a table asks for its updates."""
        return [] if self._workers is None else [self._loop, *self._workers.loops]

    def stop(self, timeout: float) -> None:
        """End the threads."""
        self._loop.stop()
        if self._workers is not None:
            self._workers.stop(timeout)
            self._loop.join(timeout)
        for followed in list(self._followed.values()):
            self._reader.let_go(followed)

    def look_after(self, table: TableMonitor, cluster: Cluster) -> None:
        """Follow the updates of a table that is heard."""
        if table.options.update_rows is None:
            return
        with self._lock:
            followed = self._followed.get(table)
            if followed is None:
                self._followed[table] = Followed(table, cluster, table.born_at)
            else:
                followed.cluster = cluster
            if self._workers is None:
                self._workers = Workers("update-reader", _READERS)
                self._loop.start()

    def forget(self, table: TableMonitor) -> None:
        """Forget a table that is not watched any more."""
        with self._lock:
            followed = self._followed.pop(table, None)
            free = followed is not None and not followed.busy  # else its reader lets it go
        if followed is not None and free:
            self._reader.let_go(followed)

    def _pass(self) -> bool:
        """Have tables read of which updates were counted."""
        now = time.monotonic()
        with self._lock:
            due = [followed for followed in self._followed.values() if self._is_due(followed, now)]
            for followed in due:
                followed.busy = True
        for followed in due:
            if self._workers is not None:
                self._workers.submit(partial(self._read, followed))
        return not self._loop.wait(self._times.poll)

    def _is_due(self, followed: Followed, now: float) -> bool:
        table = followed.table
        if followed.busy or table.schema is None or table.snapshot_due or now < followed.next_at:
            return False
        if followed.height is not None and followed.born == table.born_at:
            counts = table.counts
            if (counts.received["update"], counts.gaps.total()) == (
                followed.counted,
                followed.gaps,
            ):
                return False
        if table.gaps.going_on:
            return False
        if any(gap.closable for gap in table.gaps.unclosed):
            # What was missed comes by the read that closes them.
            followed.blocked_at = followed.blocked_at or now
            return now >= followed.blocked_at + self._times.patience
        followed.blocked_at = None
        return True

    # The rest runs in a reader.

    def _is_followed(self, followed: Followed) -> bool:
        return self._followed.get(followed.table) is followed

    def _read(self, followed: Followed) -> None:
        table = followed.table
        counted, gaps = table.counts.received["update"], table.counts.gaps.total()
        wait = self._times.every
        try:
            if table.schema is not None:
                wanted = partial(self._is_followed, followed)
                tools = self._reader.tools
                task = Task(table, followed.cluster, table.schema, (), "update", tools, wanted)
                if self._reader.prepare(followed, task):
                    self._reader.follow(followed, task, after_gap=gaps != followed.gaps)
                task.require_same()
            followed.counted, followed.gaps, followed.failures = counted, gaps, 0
        except Stopping:
            return
        except Exception as error:
            if self._is_followed(followed):
                ours = not isinstance(error, BridgeError)
                log.warning("update_rows_failed", table=table.name, cause=str(error), exc_info=ours)
            followed.failures += 1
            wait = backoff(followed.failures, 2 * wait, 60.0)
        with self._lock:
            followed.next_at = time.monotonic() + wait
            followed.busy = False
            forgotten = not self._is_followed(followed)
        if forgotten:
            self._reader.let_go(followed)
