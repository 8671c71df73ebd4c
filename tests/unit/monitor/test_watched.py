"""A table waits for what had its name before, and holds on to it no longer."""

from __future__ import annotations

from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import TableOptions
from bridge.monitor.watched import Watched


def test_a_table_is_free_once_all_that_had_its_name_are_done_with() -> None:
    """However often it was changed meanwhile; what is done with is let go of."""
    table = TableMonitor(TableOptions("s.t"), lambda _: None)
    first = Watched(table, busy=True)
    second = Watched(table, after=first)
    third = Watched(table, after=second)
    assert not third.is_free()
    first.busy = False
    assert third.is_free()
    assert third.after is None
    third.busy = True
    assert not third.is_free()
