"""All rows of a table as they stand, because somebody asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import structlog

from bridge.errors import BridgeError
from bridge.monitor.intake_queue import Stopping
from bridge.monitor.states import State
from bridge.monitor.table import TableMonitor
from bridge.reading.task import Task, Tools
from bridge.wire.calls import Cluster

log = structlog.get_logger()

_HEARD = frozenset({State.LIVE, State.IDLE})


class Copy:
    """One request.

    Attributes:
        rows: how many were delivered, or why it ended before.
        stop: ends it at the next page.
    """

    def __init__(self) -> None:
        self.rows: Future[int] = Future()
        self.stop = threading.Event()


class Copies:
    """The requests, at most one a table. Any thread may use it.

    Args:
        tools: what reads use.
        asked: called when there is one more.
    """

    def __init__(self, tools: Tools, asked: Callable[[], None]) -> None:
        self._tools = tools
        self._asked = asked
        self._lock = threading.Lock()  # guards the table below
        self._copies: dict[TableMonitor, Copy] = {}

    def ask(self, table: TableMonitor) -> Copy:
        """Have all rows of a table delivered as they stand, beside what is heard of it.

        Raises:
            BridgeError: it is not heard at present, or is being copied already.
        """
        if table.state not in _HEARD or table.schema is None:
            raise BridgeError(f"{table.name} is not heard: it is {table.state}")
        with self._lock:
            if table in self._copies:
                raise BridgeError(f"a snapshot of {table.name} is under way")
            copy = self._copies[table] = Copy()
        self._asked()
        return copy

    def of(self, table: TableMonitor) -> Copy | None:
        """Return the request for a table, None where there is none."""
        return self._copies.get(table)

    def forget(self, table: TableMonitor) -> None:
        """End the request for a table that is not watched any more."""
        self._end(table, BridgeError(f"{table.name} is watched no longer"))

    def carry_out(self, table: TableMonitor, cluster: Cluster, wanted: Callable[[], bool]) -> None:
        """Do what is asked for, in a reader; it is not tried again.

        Args:
            table: of which.
            cluster: where it is heard.
            wanted: whether it is still watched by this monitor.
        """
        copy = self.of(table)
        if copy is None or table.schema is None:
            self._end(table, BridgeError(f"{table.name} is gone"))
            return
        task = Task(table, cluster, table.schema, (), "snapshot", self._tools, wanted)
        table.progress = task.progress
        try:
            _deliver(task, copy.stop)
        except Stopping:
            self._end(table, BridgeError("the bridge stops"))
        except Exception as error:
            ours = not isinstance(error, BridgeError)
            log.warning("snapshot_ended", table=table.name, cause=str(error), exc_info=ours)
            self._end(table, BridgeError(str(error)))
        else:
            log.info("snapshot_delivered", table=table.name, rows=task.progress.delivered)
            self._end(table, task.progress.delivered)
        table.progress = None

    def _end(self, table: TableMonitor, result: int | BridgeError) -> None:
        with self._lock:
            copy = self._copies.pop(table, None)
        if copy is None:
            return
        if isinstance(result, BridgeError):
            copy.rows.set_exception(result)
        else:
            copy.rows.set_result(result)


def _deliver(task: Task, stop: threading.Event) -> None:
    """Deliver every row of a table, whatever was received before.

    Raises:
        BridgeError: it could not be read, or was stopped.
    """
    column, progress = task.table.options.growing_column, task.progress
    known = {each.name for each in task.schema.columns}
    first = (column,) if column is not None and column in known else ()
    pages = task.pages(list(dict.fromkeys((*first, *task.schema.primary_key))))
    for page in pages.read():
        if stop.is_set():
            raise BridgeError(f"stopped by hand after {progress.delivered} rows")
        frames = page.frames * page.times
        task.deliver(frames)
        progress.expected = max(progress.expected, pages.expected)
        progress.done += len(frames)
        progress.delivered += len(frames)
