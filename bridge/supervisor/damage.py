"""Gaps for what the journal lost before every sink had it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from bridge.journal import Journal
from bridge.monitor.table import TableMonitor


class JournalDamage:
    """Tells each damaged span of the journal once. Used by one thread.

    Args:
        journal: open.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        # A lane that has all keeps its cursor where it was, however far the journal goes on.
        pending = [account for account in journal.accounts() if account.pending]
        lanes = [journal.lanes(account.sink)[account.table] for account in pending]
        settled = min((min((lane.cursor, *lane.waiting)) for lane in lanes), default=journal.head)
        self._told = {damage.last for damage in journal.damaged() if damage.last < settled}

    def tell(self, tables: Iterable[TableMonitor], cluster: str) -> None:
        """Declare a gap for what was found since the last call.

        Which tables were hit cannot be read any more, so all of them get one.
        """
        journal = self._journal
        for damage in journal.damaged():
            if damage.last in self._told:
                continue
            self._told.add(damage.last)
            with journal.reader() as reader:
                before, after = reader.time_of(damage.first - 1), reader.time_of(damage.last + 1)
            until = after if after is not None else time.time_ns() // 1000
            since = min(before if before is not None else 0, until)
            for table in tables:
                evidence = "a part of the journal was damaged before every sink had it"
                table.gaps.declare("journal_damaged", since, until, cluster, evidence)
