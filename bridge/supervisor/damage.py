"""Gaps for what the journal lost before every sink had it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from bridge.journal import Damage, Journal, JournalReader
from bridge.journal.layout import Spans, add_span
from bridge.monitor.table import TableMonitor


class JournalDamage:
    """Tells each damaged span of the journal once. Used by one thread.

    Args:
        journal: open.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._told: Spans = ()
        self._note_told(d for d in journal.damaged() if d.last < self._settled(counted=d.counted))

    def tell(self, tables: Iterable[TableMonitor], cluster: str, hold: float) -> None:
        """Declare gaps for what was found since the last call.

        Which tables were hit cannot be read any more, so all of them get one.

        Args:
            tables: all of them.
            cluster: in use.
            hold: a probe interval, seconds: a span that begins so soon after another continues it.

        Raises:
            JournalError: the journal cannot be read; nothing was declared, call it again.
        """
        if not (found := self._untold()):
            return
        with self._journal.reader() as reader:
            # One bad page is met piece by piece, by whoever comes to read there.
            for damage in found:
                reader.look_through(damage.first, self._settled())
            found = self._untold()
            spans = sorted(_times(reader, damage) for damage in found)
        for since, until in _joined(spans, round(hold * 1e6)):
            for table in tables:
                evidence = "a part of the journal was damaged before every sink had it"
                table.gaps.declare("journal_damaged", since, until, cluster, evidence)
        self._note_told(found)

    def _settled(self, *, counted: bool = True) -> int:
        """Return the offset before which every sink has all, by what is counted or by cursors."""
        # A lane that has all keeps its cursor where it was, however far the journal goes on.
        journal = self._journal
        wanting = [account for account in journal.accounts() if account.pending or not counted]
        lanes = [journal.lanes(account.sink)[account.table] for account in wanting]
        return min((min((lane.cursor, *lane.waiting)) for lane in lanes), default=journal.head)

    def _untold(self) -> list[Damage]:
        told = self._told
        return [d for d in self._journal.damaged() if add_span(told, d.first, d.last + 1) != told]

    def _note_told(self, found: Iterable[Damage]) -> None:
        for damage in found:
            self._told = add_span(self._told, damage.first, damage.last + 1)


def _times(reader: JournalReader, damage: Damage) -> tuple[int, int]:
    """Return the times between which what is lost was received, as far as is known."""
    before, after = reader.time_before(damage.first), reader.time_of(damage.last + 1)
    until = after if after is not None else time.time_ns() // 1000
    return min(before if before is not None else 0, until), until


def _joined(spans: Iterable[tuple[int, int]], hold: int) -> list[tuple[int, int]]:
    """Return ascending spans of time, those as one that are no further apart than `hold`."""
    joined: list[tuple[int, int]] = []
    for since, until in spans:
        if joined and since <= joined[-1][1] + hold:
            joined[-1] = joined[-1][0], max(joined[-1][1], until)
        else:
            joined.append((since, until))
    return joined
