"""Auditing what nobody reported: rows that are in the table and never arrived.

ZeroMQ numbers no messages, so a publisher that drops some says nothing. Where the table has
a growing column, the rows between two settled values of it are counted in Kinetica and in
what was received. Elsewhere, and without a filter, the table's size is compared with what
inserts and deletes made of it between two quiet moments. More rows in the table than were
received are a gap with the reason `unaccounted`; fewer prove nothing, since rows are deleted.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from bridge.errors import DecodeError
from bridge.events import Schema
from bridge.monitor.catch_up import count_between
from bridge.monitor.identity import RowReader, comparable
from bridge.monitor.levels import Level
from bridge.monitor.moment import Moment
from bridge.monitor.records import each_row
from bridge.monitor.seen import History
from bridge.monitor.table import TableMonitor
from bridge.wire.calls import Cluster

# A change of the table and its notification are seen at about the same time.
_SETTLE_SECONDS = 0.5
_HISTORY_SLACK = 10.0


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A table at a quiet moment: its size, and what had been received by then."""

    at: float
    rows: int
    received: tuple[int, ...]
    inserted: int
    deleted: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows that nobody reported, and since when they may have been missed."""

    rows: int
    since: float


class Auditor:
    """Compares tables with what was received. One audit a table at a time.

    Args:
        history: what was received.
        barrier: returns once all that arrived before is in the history.
    """

    def __init__(self, history: History, barrier: Callable[[], object]) -> None:
        self._history = history
        self._barrier = barrier
        self._quiet: dict[TableMonitor, _Quiet] = {}

    def audit(self, table: TableMonitor, cluster: Cluster) -> Finding | None:
        """Audit a table; None where it could not be done now.

        Raises:
            WireError: the cluster did not answer.
        """
        if table.levels is not None:
            return self._by_column(table, cluster)
        if table.options.filter is None and {"insert", "delete"} <= set(table.options.events):
            return self._by_size(table, cluster)
        return None

    def _by_column(self, table: TableMonitor, cluster: Cluster) -> Finding | None:
        levels, order, schema = table.levels, table.reading_order, table.schema
        if levels is None or order is None or schema is None or not levels.known:
            return None
        origin = levels.from_origin()
        low = levels.audited or Level(origin.since, origin.value, origin.ties)
        high = levels.settled(Moment.now())
        if high is None or high.value is None or high.at <= low.at:
            return None
        if low.value is not None and comparable(order, low.value) == comparable(order, high.value):
            table.settle_audit(high)
            return Finding(0, low.at)
        there = count_between(
            cluster, table.name, table.options.filter, order, low.value, high.value
        )
        here = self._received_between(table, low, high)
        if there <= here:
            table.settle_audit(high)
            return Finding(0, low.at)
        return Finding(there - here, low.at)

    def _received_between(self, table: TableMonitor, low: Level, high: Level) -> int:
        column = table.reading_order
        if column is None:
            return 0
        bottom = None if low.value is None else comparable(column, low.value)
        top = comparable(column, high.value)
        count = 0
        since = max(table.born_at, low.at - _HISTORY_SLACK)
        follow = self._history.follow(table.name, since)
        readers: dict[Schema, RowReader] = {}
        try:
            self._barrier()
            for rows in follow.more():
                if all(c.name != column.name for c in rows.schema.columns):
                    continue
                if rows.schema not in readers:
                    readers[rows.schema] = RowReader(rows.schema)
                with contextlib.suppress(DecodeError):
                    for row in each_row(readers[rows.schema], rows.payload, rows.count):
                        value = row[column.name]
                        if value is None:
                            continue
                        value = comparable(column, value)
                        count += (bottom is None or value > bottom) and value <= top
        finally:
            follow.close()
        return count

    def _by_size(self, table: TableMonitor, cluster: Cluster) -> Finding | None:
        before = _received(table)
        info = cluster.table(table.name, sizes=True)
        if info is None or info.rows is None:
            return None
        time.sleep(_SETTLE_SECONDS)
        self._barrier()
        if _received(table) != before:
            return None  # not quiet: another time
        counts = table.counts
        now = _Quiet(
            time.time(),
            info.rows,
            before,
            counts.received["insert"],
            counts.deleted_rows,
            counts.gaps.total(),
        )
        last = self._quiet.get(table)
        self._quiet[table] = now
        if last is None or last.gaps != now.gaps:
            return None  # what a gap changed is accounted for by the gap
        expected = last.rows + (now.inserted - last.inserted) - (now.deleted - last.deleted)
        return Finding(max(0, now.rows - expected), last.at)


def _received(table: TableMonitor) -> tuple[int, ...]:
    received = table.counts.received
    return tuple(received[kind] for kind in ("insert", "update", "delete", "read"))
