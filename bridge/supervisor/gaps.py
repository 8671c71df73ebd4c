"""The open gaps, and what an operator asks of them: to be read now, or to be accepted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from bridge.errors import BridgeError
from bridge.events import Gap, rfc3339
from bridge.journal import stored_marks
from bridge.monitor.counts import Counts
from bridge.monitor.gaps import Gaps, OpenGap
from bridge.monitor.states import State
from bridge.monitor.table import TableMonitor
from bridge.monitor.writes import Writes

# Requests of which the end is remembered, for whoever asks what became of them.
_MOST_REQUESTS = 100


class Reads(Protocol):
    """Who reads tables."""

    def close_now(self, table: TableMonitor, gap: str) -> Future[int]:
        """Read a table to close a gap, and say how many rows were delivered."""


@dataclass(frozen=True, slots=True)
class Requested:
    """A read on request.

    Attributes:
        state: `reading`; `closed`; `open`, where the read could not close it.
        rows: delivered by it, None unless it is closed.
        why_open: in words, None unless it stayed open.
    """

    state: str
    rows: int | None = None
    why_open: str | None = None


class GapDesk:
    """Shows gaps, and takes requests. Any thread may call.

    Args:
        tables: gives the tables by name; none while the service does not run.
        cluster: gives the URL of the cluster in use.
        refused: gives why the journal takes nothing at present, None where it does.
        reads: reads tables.
    """

    def __init__(
        self,
        tables: Callable[[], Mapping[str, TableMonitor]],
        cluster: Callable[[], str],
        refused: Callable[[], str | None],
        reads: Reads,
    ) -> None:
        self._tables = tables
        self._cluster = cluster
        self._refused = refused
        self._reads = reads
        self._lock = threading.Lock()  # guards the requests
        self._requests: dict[str, tuple[TableMonitor, Future[int]]] = {}

    def open(self) -> list[OpenGap]:
        """Return the gaps that are open, of each table the oldest first."""
        return list(open_gaps(self._tables().values(), self._refused()))

    def find(self, gap: str) -> tuple[TableMonitor, OpenGap] | None:
        """Return an open gap with its table, None where none has the id."""
        for table in self._tables().values():
            for found in table.gaps.open:
                if found.gap == gap:
                    return table, found
        return None

    def accept(self, gap: str) -> None:
        """Let a gap count as open no longer, as it is.

        Raises:
            KeyError: no open gap has the id.
            BridgeError: it goes on.
        """
        table, found = self._found(gap)
        if not table.gaps.accept(gap, self._cluster()):
            raise BridgeError(f"gap {gap} of {table.name} cannot be accepted: {found.why_open}")

    def close(self, gap: str) -> None:
        """Have a gap's table read; `requested` tells how it goes.

        Raises:
            KeyError: no open gap has the id.
            BridgeError: it goes on.
        """
        table, found = self._found(gap)
        if found.until is None:
            raise BridgeError(f"gap {gap} of {table.name} cannot be closed yet: {found.why_open}")
        with self._lock:
            before = self._requests.pop(gap, None)
            if before is None or before[1].done():
                before = table, self._reads.close_now(table, gap)
            self._requests[gap] = before
            while len(self._requests) > _MOST_REQUESTS:
                del self._requests[next(iter(self._requests))]

    def requested(self, gap: str) -> Requested | None:
        """Return how a read on request gets on, None where none was asked for."""
        with self._lock:
            asked = self._requests.get(gap)
        if asked is None:
            return None
        table, future = asked
        still = next((found for found in table.gaps.open if found.gap == gap), None)
        if not future.done():
            # It may have been closed otherwise meanwhile.
            return Requested("reading") if still is not None else Requested("closed")
        error = None if future.cancelled() else future.exception()
        if still is not None:
            return Requested("open", why_open=str(error) if error else still.why_open)
        return Requested("closed", rows=None if error or future.cancelled() else future.result())

    def _found(self, gap: str) -> tuple[TableMonitor, OpenGap]:
        found = self.find(gap)
        if found is None:
            raise KeyError(gap)
        return found


def open_gaps(tables: Iterable[TableMonitor], refused: str | None) -> Iterator[OpenGap]:
    """Yield the gaps that are open, of each table the oldest first.

    Args:
        tables: whose gaps.
        refused: why the journal takes nothing at present, None where it does.
    """
    for table in tables:
        for gap in table.gaps.open:
            if gap.until is None:
                why = gap.why_open if refused is None else f"{gap.why_open}: {refused}"
            elif table.state in (State.CATCHING_UP, State.SNAPSHOTTING):
                why = "the table is being read"
            else:
                why = f"{gap.why_open}: {table.reason}" if table.reason else gap.why_open
            yield replace(gap, why_open=why)


def left_open(journal: Path, table: str | None = None) -> list[OpenGap]:
    """Return the gaps that the service left open, by what is stored.

    Args:
        journal: the folder.
        table: of this one alone, by its qualified name.

    Raises:
        JournalError: it cannot be read.
    """
    found: list[OpenGap] = []
    for mark, text in sorted(stored_marks(journal).items()):
        kind, _, name = mark.partition("/")
        if kind == "gaps" and table in (None, name):
            gaps = Gaps(name, lambda _: None, Counts(), None, Writes(), hold=0.0)
            gaps.restore(text)
            found += gaps.open
    return found


def open_gap_fields(gap: OpenGap) -> dict[str, Any]:
    """Return what is shown of a gap that is open."""
    return {
        "gap": gap.gap,
        "table": gap.table,
        "since": rfc3339(gap.since),
        "until": None if gap.until is None else rfc3339(gap.until),
        "reason": gap.reason,
        "closed": False,
        "why_open": gap.why_open,
        "rows": None,
        "by": None,
    }


def gap_event_fields(gap: Gap) -> dict[str, Any]:
    """Return what is shown of a gap by its last event."""
    return {
        "gap": gap.gap,
        "table": gap.table,
        "since": rfc3339(gap.since),
        "until": rfc3339(gap.until),
        "reason": gap.reason,
        "closed": gap.closed,
        "why_open": None,
        "rows": gap.rows,
        "by": gap.by,
    }


def evidence_fields(gap: OpenGap) -> list[dict[str, str]]:
    """Return what told of a gap, and when."""
    return [{"time": rfc3339(round(at * 1e6)), "text": text} for at, text in gap.evidence]
