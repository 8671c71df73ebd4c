"""The counts of one sink and one table, as a value: settling, balancing, showing.

Received is not counted but derived: the journal knows how many events of a table there were
up to any segment's first offset and up to the head, so received = total - base, and pending
is what is left of it. The sum is right by construction, whatever is lost on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bridge.journal.records import VERDICTS, Account, Settled, Verdict


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the events of one table for one sink.

    Attributes:
        since: events count from this offset on.
        base: the table's total at that offset, less what was settled before it.
        delivered: events the destination confirmed.
        dead_lettered: events set aside.
        discarded: events dropped by stated policy, or damaged.
        active: False once the table is not routed to the sink; nothing is pending then.
    """

    since: int
    base: int
    delivered: int = 0
    dead_lettered: int = 0
    discarded: int = 0
    active: bool = True

    @property
    def settled(self) -> int:
        """Events that are not pending any more."""
        return self.delivered + self.dead_lettered + self.discarded

    def add(self, events: Mapping[Verdict, int]) -> Tally:
        """Count events by verdict."""
        if not any(events.values()):
            return self
        return replace(
            self,
            delivered=self.delivered + events["delivered"],
            dead_lettered=self.dead_lettered + events["dead_lettered"],
            discarded=self.discarded + events["discarded"],
        )

    def balance(self, total: int) -> Tally:
        """Settle all events up to a total: those that no run settled are discarded.

        Where more were settled than the total allows, the total was understated after a
        damage, and base gives way.
        """
        missing = total - self.base - self.settled
        if missing == 0:
            return self
        if missing > 0:
            return replace(self, discarded=self.discarded + missing)
        return replace(self, base=self.base + missing)

    def stop(self, head: int, total: int) -> Tally:
        """Stop counting at the head: what is pending is discarded."""
        return replace(self.balance(total), since=head, active=False)

    def resume(self, cursor: int, total_at_cursor: int) -> Tally:
        """Count again, from the cursor on but never what was counted before."""
        if cursor <= self.since:
            return replace(self, active=True)
        return replace(self, since=cursor, base=total_at_cursor - self.settled, active=True)

    def account(self, sink: str, table: str, totals: Mapping[str, int]) -> Account:
        """Show the counts against the totals at the head."""
        pending = max(0, totals.get(table, 0) - self.base - self.settled) if self.active else 0
        return Account(
            sink,
            table,
            self.settled + pending,
            self.delivered,
            self.dead_lettered,
            self.discarded,
            pending,
        )


@dataclass(frozen=True, slots=True)
class Boundary:
    """An offset at which the totals of all tables are known."""

    offset: int
    totals: Mapping[str, int]


def settle(
    tally: Tally, runs: list[Settled], cursor: int, to: int, table: str, boundary: Boundary | None
) -> tuple[Tally, int]:
    """Apply runs of one table to its tally as the cursor moves from `cursor` to `to`.

    Events below the cursor or the tally's `since`, and at or above `to`, do not count.

    Args:
        tally: the counts so far; must be active.
        runs: of this table.
        cursor: where the sink stands.
        to: where it will stand.
        table: the table.
        boundary: the last one crossed on the way; the counts are balanced there.

    Returns:
        The tally, the same object if nothing changed, and how many events were discarded
        because no run settled them before the boundary.
    """
    low = max(cursor, tally.since)
    if boundary is None or boundary.offset < tally.since:
        return tally.add(_events(runs, low, to)), 0
    before = tally.add(_events(runs, low, boundary.offset))
    balanced = before.balance(boundary.totals.get(table, 0))
    lost = balanced.discarded - before.discarded
    return balanced.add(_events(runs, boundary.offset, to)), lost


def _events(runs: list[Settled], low: int, high: int) -> dict[Verdict, int]:
    events: dict[Verdict, int] = dict.fromkeys(VERDICTS, 0)
    for run in runs:
        counted = min(run.offset + run.count, high) - max(run.offset, low)
        if counted > 0:
            events[run.verdict] += counted
    return events
