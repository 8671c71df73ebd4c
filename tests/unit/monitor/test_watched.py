"""A table waits for what had its name before, and holds on to it no longer."""

from __future__ import annotations

from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import TableOptions
from bridge.monitor.watched import Watched


def test_a_table_is_free_once_all_that_had_its_name_are_done_with() -> None:
    """However often it was changed meanwhile; what is done with is let go of."""
    table = TableMonitor(TableOptions("s.t"), lambda _: None)
    first = Watched(table, busy=True, gone=True)
    second = Watched(table, after=first, gone=True)
    third = Watched(table, after=second)
    third.forget_former()
    assert not third.is_free
    first.end_job()
    third.forget_former()
    assert third.is_free
    assert third.after is None
    assert third.ended_at == first.ended_at  # what was seen before then says nothing of it
    third.busy = True
    assert not third.is_free
