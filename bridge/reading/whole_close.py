"""A table read from its first row to its last to close gaps: what is not known is delivered."""

from __future__ import annotations

import structlog

from bridge.reading.task import MOVED, Outcome
from bridge.reading.whole_read import Read

log = structlog.get_logger()

_NO_BASELINE = "it began before the baseline of the table was taken: what it missed is unknown"


class Close(Read):
    """A read that closes gaps."""

    def run(self) -> Outcome:
        """Deliver what was missed."""
        facts = self._baseline.facts
        ids = {gap.gap for gap in self._task.gaps}
        facts.older = {gap: why for gap, why in facts.older.items() if gap in ids}
        if len(facts.older) == len(ids):
            return Outcome(0, apart=facts.older)
        rows = self._count()
        if rows > self._most:
            return Outcome(0, self._too_large(rows), apart=facts.older)
        if not facts.complete and rows > self._times.told:
            log.warning("gap_without_baseline", table=self._table.name, gaps=sorted(ids))
            with self._baseline.changing():
                facts.older = dict.fromkeys(ids, _NO_BASELINE) | facts.older
            return Outcome(0, apart=facts.older)
        if self._keyed and facts.begun is not None:
            with self._baseline.changing():
                self._baseline.adopt_collected(self._layout)
        before = None if self._keyed else self._standing()
        unproven = self._compare(self._task.deliver)
        if unproven is None and before is not None:
            unproven = None if self._is_steady(before, (rows, self._count())) else MOVED
        self._known.catch_up()  # what was delivered is on disk from here on
        self._require_same()
        if unproven is None:
            self._finish(self._begun, self._counted, frozenset())
        return Outcome(self._task.progress.delivered, unproven, apart=facts.older)

    def _too_large(self, rows: int) -> str:
        why = f"the table has {rows} rows, more than catch_up.whole_table: {self._most}"
        if not self._state.warned:
            self._state.warned = True
            log.warning(
                "table_too_large",
                table=self._table.name,
                rows=rows,
                setting=f"catch_up: {{whole_table: {self._most}}}",
                consequence="its gaps stay open",
            )
        return why
