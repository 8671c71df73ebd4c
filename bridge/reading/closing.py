"""How a table's gaps are closed: the way is chosen for each table, by what it is told."""

from __future__ import annotations

from collections.abc import Callable

from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import ByColumn, Whole
from bridge.reading.by_column import close_by_column
from bridge.reading.task import Outcome, Task
from bridge.reading.whole import WholeTables

Closing = Callable[[Task], Outcome]


def closing_of(table: TableMonitor, whole: WholeTables) -> Closing | None:
    """Return what closes a table's gaps, None where nothing can as far as is known."""
    if table.schema is None or table.obstacle() is not None:
        return None
    match table.options.catch_up:
        case ByColumn():
            return close_by_column
        case Whole():
            return whole.close
        case _:
            return None
