"""The counts of one sink and one table, as a value: settling, balancing, showing.

Received is not counted but derived: the journal knows how many events of a table there were
up to any segment's first offset and up to the head, so received = total - base, and pending
is what is left of it. The sum is right by construction, whatever is lost on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bridge.journal.records import Account, Settled, Verdict


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

    def add(self, verdict: Verdict, events: int) -> Tally:
        """Count events under a verdict."""
        match verdict:
            case "delivered":
                return replace(self, delivered=self.delivered + events)
            case "dead_lettered":
                return replace(self, dead_lettered=self.dead_lettered + events)
            case "discarded":
                return replace(self, discarded=self.discarded + events)

    def balance(self, total: int) -> Tally:
        """Settle all events up to a total: those that no run settled are discarded.

        Where more were settled than the total allows, the total was understated after a
        damage, and base gives way.
        """
        missing = total - self.base - self.settled
        if missing >= 0:
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
) -> Tally:
    """Apply runs of one table to its tally as the cursor moves from `cursor` to `to`.

    Events below the cursor or the tally's `since`, and at or above `to`, do not count.

    Args:
        tally: the counts so far; must be active.
        runs: of this table.
        cursor: where the sink stands.
        to: where it will stand.
        table: the table.
        boundary: the last one crossed on the way; the counts are balanced there.
    """
    low = max(cursor, tally.since)
    if boundary is None or boundary.offset < tally.since:
        return _apply(tally, runs, low, to)
    tally = _apply(tally, runs, low, boundary.offset)
    tally = tally.balance(boundary.totals.get(table, 0))
    return _apply(tally, runs, boundary.offset, to)


def _apply(tally: Tally, runs: list[Settled], low: int, high: int) -> Tally:
    for run in runs:
        events = min(run.offset + run.count, high) - max(run.offset, low)
        if events > 0:
            tally = tally.add(run.verdict, events)
    return tally
