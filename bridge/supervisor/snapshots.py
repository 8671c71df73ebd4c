"""Snapshots on request: all rows of one table, now, beside its live stream."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bridge.monitor.table import TableMonitor
from bridge.reading.copying import Copy


class Copies(Protocol):
    """Who reads tables."""

    def ask(self, table: TableMonitor) -> Copy:
        """Have all rows of a table delivered as they stand."""


class SnapshotDesk:
    """Takes requests for snapshots, and tells of the last one of each table. Any thread may call.

    Args:
        tables: gives the tables by name; none while the service does not run.
        copies: reads tables.
    """

    def __init__(self, tables: Callable[[], Mapping[str, TableMonitor]], copies: Copies) -> None:
        self._tables = tables
        self._copies = copies
        self._lock = threading.Lock()  # guards the requests
        self._requests: dict[str, Copy] = {}

    def begin(self, table: str) -> None:
        """Begin to deliver all rows of a table.

        Raises:
            KeyError: no such table is watched.
            BridgeError: it is not heard, or a snapshot of it is under way.
        """
        copy = self._copies.ask(self._tables()[table])
        with self._lock:
            self._requests[table] = copy

    def stop(self, table: str) -> None:
        """Let the one of a table end at its next page.

        Raises:
            KeyError: there was none.
        """
        with self._lock:
            copy = self._requests[table]
        copy.stop.set()

    def shown(self, table: str) -> dict[str, Any]:
        """Return how the last one of a table gets on.

        Raises:
            KeyError: there was none.
        """
        with self._lock:
            copy = self._requests[table]
        monitor = self._tables().get(table)
        progress = None if monitor is None else monitor.progress
        if not copy.rows.done():
            reading = progress and {"done": progress.done, "expected": progress.expected}
            return {"table": table, "state": "reading", "rows": None, "why": None} | {
                "reading": reading
            }
        error = copy.rows.exception()
        rows = None if error is not None else copy.rows.result()
        state = "done" if error is None else "ended"
        why = None if error is None else str(error)
        return {"table": table, "state": state, "rows": rows, "why": why, "reading": None}
