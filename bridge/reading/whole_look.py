"""A look at a table whose gaps are closed: its baseline is taken, kept up and renewed.

What a renewal meets that is not known, and was not reported either after a while, was lost at the
publisher; so were other values of a known key, where no update was counted. It is left out of the
baseline, so that the read that follows delivers it.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque

import structlog

from bridge.monitor.moment import Moment
from bridge.reading.audit import Finding
from bridge.reading.whole_read import Hearing, Pending, Read, Seen

log = structlog.get_logger()

# Rows that wait in memory, as two digests each, for a probe to prove them.
_HELD_ROWS = 2_000_000
# Rows that nobody reported, and are looked at again; more are only counted.
_SUSPECTS = 100_000
_PROVE_SECONDS = 0.2


class Look(Read):
    """A look at a table whose gaps are closed."""

    def run(self) -> Finding | None:
        """Do what is due."""
        facts, table, state = self._baseline.facts, self._table, self._state
        if table.snapshot_due:
            return None
        if state.pending is not None:
            pending, state.pending = state.pending, None
            return self._settle(pending)
        hearing = Hearing(table)
        rows = self._count()
        if rows > self._most:
            if self._baseline.count() > 2 * self._most:
                with self._baseline.changing():
                    self._baseline.forget()
            return None
        if not facts.complete:
            return self._take(hearing, rows)
        doubtful = facts.deleted_at > facts.read_at
        due = state.read is None or time.monotonic() >= state.read.order + self._times.renew
        if (doubtful and due) or self._is_suspicious(rows):
            return self._renew(hearing)
        return Finding(0, self._since())

    def _is_suspicious(self, rows: int) -> bool:
        """Whether there are not as many rows as are known."""
        before = self._baseline.count()
        self._task.tools.pause(self._task.tools.patience.settle)
        self._known.catch_up()
        after, deleted = self._baseline.count(), self._baseline.facts.deleted
        return not min(before, after) - deleted <= rows <= max(before, after)

    def _since(self) -> Moment:
        """Return when the last whole read ended."""
        return self._state.read or Moment(-math.inf, self._baseline.facts.read_wall)

    def _renew(self, hearing: Hearing) -> Finding | None:
        suspects: dict[int, int] = {}
        changed: dict[int, int] = {}
        audited = self._is_audited()

        def suspect(frames: list[bytes]) -> None:
            if audited and len(suspects) + len(changed) < _SUSPECTS:
                suspects.update(self._unreported(frames))
                if self._keyed and self._is_untouched():
                    changed.update(self._known.changed(b"".join(frames), len(frames)))

        log.info("renewing_baseline", table=self._table.name)
        before = None if self._keyed else self._standing()
        rows = self._count()
        if self._compare(suspect) is not None:
            return None
        if before is not None and not self._is_steady(before, (rows, self._count())):
            return None
        return self._conclude(hearing, deque(), suspects, changed, taken=False)

    def _unreported(self, frames: list[bytes]) -> dict[int, int]:
        """Return rows that are not known: the digest of each, and how many would have to be."""
        keys = Counter(self._known.keys(b"".join(frames), len(frames)))
        known = self._baseline.find(list(keys))
        if self._keyed:
            return dict.fromkeys(keys.keys() - known.keys(), 1)
        deleted_at = self._baseline.facts.deleted_at
        wanted: dict[int, int] = {}
        for key, n in keys.items():
            row = known.get(key)
            there = n + (row.times if row is not None and row.at >= deleted_at else 0)
            if row is None or there > row.most:
                wanted[key] = there
        return wanted

    def _is_audited(self) -> bool:
        """Whether a row that is not known must have been reported as inserted."""
        options, facts = self._table.options, self._baseline.facts
        if "insert" not in options.events or facts.pruned_at > facts.read_at:
            return False
        # An update brings a row under the filter, or makes another of a row without a key.
        return self._is_untouched() or (self._keyed and options.filter is None)

    def _is_untouched(self) -> bool:
        """Whether no update has given a row other values."""
        return "update" in self._table.options.events and self._baseline.facts.updated == 0

    def _take(self, hearing: Hearing, rows: int) -> Finding | None:
        """Read what was there before, and resume where an earlier run had come to."""
        baseline, known = self._baseline, self._known
        facts = baseline.facts
        if not self._keyed or facts.begun is None:
            with baseline.changing():
                baseline.unstage()
                facts.begun = self._begun
        if facts.begun is not None:
            self._begun = facts.begun
        log.info("taking_baseline", table=self._table.name, rows=rows, resumed=facts.low)
        before = None if self._keyed else self._standing()
        mark, waiting, held = known.mark(), 0, deque[Seen]()
        for page in self._pages().read(facts.low):
            held.append(self._seen(page, mark))
            waiting += len(held[-1].keys)
            self._task.progress.done += page.rows
            waiting -= self._store(hearing, held)
            while waiting > _HELD_ROWS:
                self._task.tools.pause(_PROVE_SECONDS)
                waiting -= self._store(hearing, held)
            known.catch_up()
            self._require_same()
            mark = known.mark()
        if before is not None and not self._is_steady(before, (rows, self._count())):
            return None  # another time
        return self._conclude(hearing, held, {}, {}, taken=True)

    def _conclude(
        self,
        hearing: Hearing,
        held: deque[Seen],
        suspects: dict[int, int],
        changed: dict[int, int],
        *,
        taken: bool,
    ) -> Finding | None:
        """Settle a read that has seen all, now or once it is proven."""
        pending = Pending(
            hearing,
            Moment.now(),
            self._begun,
            self._counted,
            held,
            suspects,
            changed,
            self._since(),
            taken,
        )
        confirm = self._times.confirm
        while not self._keyed and not pending.is_ripe(confirm):
            self._task.tools.pause(_PROVE_SECONDS)  # what comes meanwhile is counted here alone
        # What has no row adopts none: that needs no proof.
        if pending.is_ripe(confirm) or (taken and self._task.progress.done == 0):
            return self._settle(pending)
        self._state.pending = pending
        return None

    def _settle(self, pending: Pending) -> Finding | None:
        """Let a read count that is proven."""
        with self._baseline.changing():
            for page in pending.held:
                self._baseline.stage(page.rows())
        if pending.suspects and not self._keyed:
            self._known.catch_up()
        suspects = self._still_unreported(pending)
        self._require_same()
        if suspects and not self._keyed:
            # What is known stays as it is: only by that the read that follows tells them apart.
            return Finding(len(suspects), pending.since)
        if pending.suspects and not self._keyed:
            return None  # what came late may be among what was seen: another time
        self._finish(pending.begun, pending.counted, suspects)
        log.info(
            "baseline_taken" if pending.taken else "baseline_renewed",
            table=self._table.name,
            rows=self._baseline.count(),
            unreported=len(suspects),
        )
        return None if pending.taken else Finding(len(suspects), pending.since)

    def _still_unreported(self, pending: Pending) -> frozenset[int]:
        """Return those of a read's suspects of which nothing has come: the second look."""
        if not self._is_audited():
            return frozenset()
        wanted, changed = pending.suspects, pending.changed if self._is_untouched() else {}
        found = self._baseline.find([*wanted, *changed])
        missed = {k for k, times in wanted.items() if k not in found or found[k].most < times}
        missed |= {k for k, at in changed.items() if k in found and found[k].at == at}
        return frozenset(missed)

    def _store(self, hearing: Hearing, held: deque[Seen]) -> int:
        """Collect the pages up to which nothing was missed; return how many rows that are."""
        stored = 0
        with self._baseline.changing():
            while held and hearing.is_proven(held[0].at):
                page = held.popleft()
                self._baseline.stage(page.rows())
                self._baseline.facts.low = page.low
                stored += len(page.keys)
        return stored
