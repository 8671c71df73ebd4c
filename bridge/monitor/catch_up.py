"""Closing a gap: read from the table what may have been missed, deliver what was not.

With a growing column the read starts at the level that was reached before the gap (`tide`);
with a primary key alone the table is read whole. Pages are read by key, not by offset, so
that rows deleted meanwhile do not shift others out of sight. A page is held back until what
was published while it was read has arrived, then what has arrived is left out (`seen`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog

from bridge.errors import RequestRefused
from bridge.events import Column, Schema
from bridge.monitor.identity import RowReader, comparable, literal
from bridge.monitor.levels import Start
from bridge.monitor.progress import Progress
from bridge.monitor.seen import History, SeenRows
from bridge.wire.calls import Cluster, Query, RowsPage

log = structlog.get_logger()

PAGE_ROWS = 10_000
# A row that a read shows is published at about the same time.
_SETTLE_SECONDS = 0.5
_SAY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Range:
    """What to read of a table.

    Attributes:
        order: the column to read by; None where the table has neither growing column nor key.
        start: where; None to read the table whole.
        since: rows received from this moment on may be among those read.
    """

    table: str
    schema: Schema
    filter: str | None
    order: Column | None
    start: Start | None
    since: float

    @property
    def low(self) -> Any:
        """The value to start from, None for the beginning."""
        return self.start.value if self.start is not None else None


def read_missed(
    cluster: Cluster,
    wanted: Range,
    history: History,
    barrier: Callable[[], object],
    deliver: Callable[[list[bytes]], None],
    progress: Progress,
) -> int:
    """Deliver the rows of a range that were not received; return how many.

    Args:
        cluster: where to read.
        wanted: what to read.
        history: what was received.
        barrier: returns once all that arrived before is in the history.
        deliver: takes rows in the order of the range; may block while there is no room.
        progress: kept up to date.

    Raises:
        WireError: the read failed, or the table was altered meanwhile.
    """
    follow = history.follow(wanted.table, wanted.since)
    try:
        seen = SeenRows(wanted.schema, follow, wanted.order, wanted.low)
        seen.catch_up()
        if wanted.start is not None:
            seen.remember(wanted.start.ties)
        reader = RowReader(wanted.schema)
        held: deque[tuple[float, list[bytes]]] = deque()
        said_at = time.monotonic()

        def let_go(everything: bool) -> None:
            while held and (everything or held[0][0] <= time.monotonic()):
                ready_at, frames = held.popleft()
                time.sleep(max(0.0, ready_at - time.monotonic()))
                barrier()
                seen.catch_up()
                rows = reader.rows(b"".join(frames), len(frames))
                missed = seen.unseen(frames, rows)
                if missed:
                    deliver(missed)
                progress.done += len(frames)
                progress.delivered += len(missed)

        for frames in _pages(cluster, wanted, progress):
            held.append((time.monotonic() + _SETTLE_SECONDS, frames))
            let_go(everything=False)
            if time.monotonic() - said_at > _SAY_SECONDS:
                said_at = time.monotonic()
                log.info(
                    "reading_table",
                    table=wanted.table,
                    rows=progress.done,
                    expected=progress.expected,
                    missed=progress.delivered,
                )
        let_go(everything=True)
    finally:
        follow.close()
    return progress.delivered


def highest_rows(cluster: Cluster, table: str, filter_: str | None, column: str) -> list[bytes]:
    """Return the rows with the highest values of a column, as far as one short page goes."""
    expression = _both(filter_, f"not {column} is null")
    page = cluster.read_rows(Query(table, expression, column, "descending"), 0, 100)
    return page.frames


def count_between(
    cluster: Cluster, table: str, filter_: str | None, column: Column, low: Any, high: Any
) -> int:
    """Return how many rows of the table lie above `low`, None for no bound, up to `high`."""
    condition = f"{column.name} <= {literal(column, high)}"
    if low is not None:
        condition = _both(f"{column.name} > {literal(column, low)}", condition)
    return cluster.read_rows(Query(table, _both(filter_, condition)), 0, 1).total


def _pages(cluster: Cluster, wanted: Range, progress: Progress) -> Iterator[list[bytes]]:
    order, filter_ = wanted.order, wanted.filter
    if order is None:
        yield from _by_offset(cluster, wanted, filter_, progress)
        return
    if order.nullable and wanted.low is None:
        yield from _by_offset(cluster, wanted, _both(filter_, f"{order.name} is null"), progress)
    reader = RowReader(wanted.schema)
    low, strict = wanted.low, False
    while True:
        condition = filter_
        if low is not None:
            sign = ">" if strict else ">="
            condition = _both(filter_, f"{order.name} {sign} {literal(order, low)}")
        elif order.nullable:
            condition = _both(filter_, f"not {order.name} is null")
        page = _read(cluster, wanted, Query(wanted.table, condition, order.name), 0)
        progress.expected = max(progress.expected, progress.done + page.total)
        frames = page.frames
        if not page.more:
            if frames:
                yield frames
            return
        values = [row[order.name] for row in reader.rows(b"".join(frames), len(frames))]
        last = comparable(order, values[-1])
        whole = next(i for i, v in enumerate(values) if comparable(order, v) == last)
        if whole:
            # The last value may go on in the next page: it is read there from its start.
            yield frames[:whole]
            low, strict = values[-1], False
        else:
            equal = _both(filter_, f"{order.name} = {literal(order, values[-1])}")
            yield from _by_offset(cluster, wanted, equal, progress)
            low, strict = values[-1], True


def _by_offset(
    cluster: Cluster, wanted: Range, condition: str | None, progress: Progress
) -> Iterator[list[bytes]]:
    offset = 0
    while True:
        page = _read(cluster, wanted, Query(wanted.table, condition), offset)
        progress.expected = max(progress.expected, page.total)
        if page.frames:
            yield page.frames
        if not page.more or not page.frames:
            return
        offset += len(page.frames)


def _read(cluster: Cluster, wanted: Range, query: Query, offset: int) -> RowsPage:
    page = cluster.read_rows(query, offset, PAGE_ROWS)
    if page.frames and page.type_id != wanted.schema.type_id:
        raise RequestRefused(cluster.url, "/get/records", f"{wanted.table} was altered meanwhile")
    return page


def _both(first: str | None, second: str) -> str:
    return f"({first}) and ({second})" if first else second
