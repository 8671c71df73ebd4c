"""Gaps closed by a column that grows with every insert.

A read begins where the earliest of the gaps begins (`Levels.start`), and compares with what was
received since a minute before. Gaps that began when another column was configured are read by that
one, as each start names its column. What a read finds proves nothing where the column turned out
not to grow, or has nulls: those stand nowhere in its order.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridge.events import Column
from bridge.monitor.starts import BEGINNING, Start
from bridge.reading.task import Outcome, TableChanged, Task
from bridge.types import comparable
from bridge.wire.calls import Query, all_of


def close_by_column(task: Task) -> Outcome:
    """Deliver what was missed in the task's gaps.

    Raises:
        BridgeError: it could not be read.
    """
    levels, columns = task.table.levels, {column.name for column in task.schema.columns}
    if levels is None or levels.column not in columns:
        raise TableChanged(f"{task.table.name} has no column to read it by")
    refused: dict[str, str] = {}
    for start, gaps in starts(task):
        unproven = _deliver(task, start, levels.column)
        if unproven is not None:
            return Outcome(task.progress.delivered, unproven)
        # Asked after the read: what came meanwhile may have shown it.
        why = _disproved(task, start)
        if why is not None:
            refused |= dict.fromkeys(gaps, why)
    why = next(iter(refused.values()), None) if len(refused) == len(task.gaps) else None
    apart = {gap: told for gap, told in refused.items() if told != why}
    return Outcome(task.progress.delivered, why, final=why is not None, apart=apart)


def starts(task: Task) -> Iterator[tuple[Start, list[str]]]:
    """Yield where reads begin that close all of the task's gaps, and which gaps each is for.

    One for each column that their starts are of; one from the first row serves them all.
    """
    known = {gap.gap: gap.start or BEGINNING for gap in task.gaps}
    if not known or any(start.value is None for start in known.values()):
        since = min((start.since for start in known.values()), default=task.born)
        yield Start(None, since), list(known)
        return
    for which in dict.fromkeys(start.column for start in known.values()):
        own = {gap: start for gap, start in known.items() if start.column == which}
        column = next(iter(own.values())).column_in(task.schema)
        if column is None:
            raise TableChanged(f"{task.table.name} has the column no more that a gap began by")
        yield _earliest(column, list(own.values())), list(own)


def _earliest(column: Column, starts: list[Start]) -> Start:
    low = min(starts, key=lambda start: comparable(column, start.value))
    rank = comparable(column, low.value)
    # One that has as low a value brings its ties along; those of higher ones are not needed.
    ties = {tie for s in starts if comparable(column, s.value) == rank for tie in s.ties}
    since, nulls = min(start.since for start in starts), any(start.nulls for start in starts)
    return Start(low.value, since, tuple(ties), nulls, low.column)


def _deliver(task: Task, start: Start, column: str) -> str | None:
    order = dict.fromkeys((start.name or column, *task.schema.primary_key))
    with task.received(start.since, start.ties) as received:
        return task.compare(received, list(order), start.value)


def _disproved(task: Task, start: Start) -> str | None:
    """Return why a read from a value on proves nothing, None where it does."""
    levels = task.table.levels
    column = start.name
    if levels is None or not column:
        return None
    if column == levels.column and levels.disproved is not None:
        return levels.disproved
    if start.nulls and _has_nulls(task, column):
        return f"column {column} has nulls: such rows cannot be read by it"
    return None


def _has_nulls(task: Task, column: str) -> bool:
    where = all_of(task.table.options.filter, f"{column} is null")
    return task.cluster.read_rows(Query(task.table.name, where), 0, 1).total > 0
