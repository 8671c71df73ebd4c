"""Gaps closed by a column that grows with every insert.

A read begins where the earliest of the gaps begins (`Levels.start`), and compares with what was
received since a minute before. What it finds proves nothing where the column turned out not to
grow, or has nulls: those stand nowhere in its order.
"""

from __future__ import annotations

from bridge.events import Column
from bridge.monitor.levels import Start
from bridge.reading.task import Outcome, TableChanged, Task
from bridge.types import comparable
from bridge.wire.calls import Query, all_of


def close_by_column(task: Task) -> Outcome:
    """Deliver what was missed in the task's gaps.

    Raises:
        BridgeError: it could not be read.
    """
    levels = task.table.levels
    column = next((c for c in task.schema.columns if levels and c.name == levels.column), None)
    if levels is None or column is None:
        raise TableChanged(f"{task.table.name} has no column to read it by")
    start = earliest(task, column)
    order = dict.fromkeys((column.name, *task.schema.primary_key))
    with task.received(start.since, start.ties) as received:
        unproven = task.compare(received, list(order), start.value)
    if unproven is not None:
        return Outcome(task.progress.delivered, unproven)
    if start.value is not None:
        # Asked after the read: what came meanwhile may have shown it.
        if levels.disproved is not None:
            return Outcome(task.progress.delivered, levels.disproved, final=True)
        if start.nulls and _has_nulls(task, column):
            why = f"column {column.name} has nulls: such rows cannot be read by it"
            return Outcome(task.progress.delivered, why, final=True)
    return Outcome(task.progress.delivered)


def earliest(task: Task, column: Column) -> Start:
    """Return where a read begins that closes all of the task's gaps."""
    levels = task.table.levels
    starts = [gap.start for gap in task.gaps if gap.start is not None]
    if levels is None or len(starts) < len(task.gaps) or not starts:
        return Start(None, task.born)
    since = min(start.since for start in starts)
    nulls = any(start.nulls for start in starts)
    if any(start.value is None for start in starts):
        return Start(None, since, (), nulls)
    low = min(starts, key=lambda start: comparable(column, start.value))
    rank = comparable(column, low.value)
    # One that has as low a value brings its ties along; those of higher ones are not needed.
    ties = {tie for s in starts if comparable(column, s.value) == rank for tie in s.ties}
    return Start(low.value, since, tuple(ties), nulls)


def _has_nulls(task: Task, column: Column) -> bool:
    where = all_of(task.table.options.filter, f"{column.name} is null")
    return task.cluster.read_rows(Query(task.table.name, where), 0, 1).total > 0
