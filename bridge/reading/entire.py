"""A table read from its first row to its last: a first snapshot, and gaps that nothing bounds."""

from __future__ import annotations

from bridge.reading.task import Outcome, Task


def read_entire(task: Task) -> Outcome:
    """Deliver every row of the table that was not received since it is the table that it is.

    Raises:
        BridgeError: it could not be read.
    """
    column = task.table.options.growing_column
    known = {column.name for column in task.schema.columns}
    first = (column,) if column is not None and column in known else ()
    order = dict.fromkeys((*first, *task.schema.primary_key))
    with task.received(task.born) as received:
        unproven = task.compare(received, list(order))
    return Outcome(task.progress.delivered, unproven)
