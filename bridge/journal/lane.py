"""The arithmetic of one lane (a table within a sink), as a value: moving, dropping, showing.

Received is not counted but derived: the journal knows how many events of a table there were
up to any segment's first offset and up to the head, so received = total - base, and pending
is what is left of it. The sum is right by construction, whatever is lost on the way. And
since a lane has settled the first `passed` events of its table but for those that wait, it is
arithmetic too whether anything before an offset waits for it, wherever its cursor stands.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bridge.journal.records import VERDICTS, Account, Move, Settled, Verdict
from bridge.journal.typed import total_of

MOST_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class Boundary:
    """An offset at which the totals of all tables are known."""

    offset: int
    totals: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LaneState:
    """Where a lane stands, and what became of its events.

    Attributes:
        cursor: all before it is settled, but what waits.
        base: the table's events that were never this lane's: those before it began.
        delivered: events the destination confirmed.
        dead_lettered: events set aside.
        discarded: events dropped by stated policy, or damaged.
        active: False once the table is not routed to the sink; nothing is pending then.
        waiting: offsets before the cursor that are not settled, ascending.
        events: the types that its sink takes, None for all; others are passed over and not
            counted at all.
        end: nothing from here on is wanted: a replay has an end.
    """

    cursor: int
    base: int
    delivered: int = 0
    dead_lettered: int = 0
    discarded: int = 0
    active: bool = True
    waiting: tuple[int, ...] = ()
    events: frozenset[str] | None = None
    end: int = 1 << 62

    @property
    def settled(self) -> int:
        """Events that are not pending any more."""
        return self.delivered + self.dead_lettered + self.discarded

    @property
    def passed(self) -> int:
        """Which events of the table, counted from its first, stand before the cursor."""
        return self.base + self.settled + len(self.waiting)

    def pending(self, total: int) -> int:
        """Return how many events are not settled, of a table that has had `total`."""
        return max(0, total - self.base - self.settled) if self.active else 0

    def move(self, move: Move, boundary: Boundary | None) -> tuple[LaneState, int]:
        """Apply what became of events.

        What lies before the cursor counts only if it waited; what lies before the boundary
        and neither was settled nor waits was damaged, and is discarded.

        Args:
            move: what became of them.
            boundary: the last one above the cursor and not above `move.to`, if there is one.

        Returns:
            The lane, the same object if nothing changed, and how many events were lost.

        Raises:
            ValueError: more than `MOST_WAITING` events would wait.
        """
        cursor, to = self.cursor, max(self.cursor, move.to)
        events: dict[Verdict, int] = dict.fromkeys(VERDICTS, 0)
        waiting = self.waiting
        if waiting or move.waiting:
            before, named = frozenset(waiting), frozenset(move.waiting)
            freed: set[int] = set()
            for run in move.settled:
                end = bisect_left(waiting, run.offset + run.count)
                found = set(waiting[bisect_left(waiting, run.offset) : end]) - named - freed
                events[run.verdict] += len(found)
                freed |= found
            new = {offset for offset in named - before if cursor <= offset < to}
            if freed or new:
                waiting = tuple(sorted((before - freed) | new))
            if len(waiting) > MOST_WAITING:
                raise ValueError(
                    f"{len(waiting)} events of {move.table} would wait, above {MOST_WAITING}"
                )
        edge = to if boundary is None else boundary.offset
        _count(events, move.settled, cursor, edge, waiting)
        base, lost = self.base, 0
        if boundary is not None:
            passed = base + self.settled + sum(events.values()) + bisect_left(waiting, edge)
            missing = total_of(boundary.totals, move.table, self.events) - passed
            base, lost = base + min(missing, 0), max(missing, 0)
            if edge < to:
                _count(events, move.settled, edge, to, waiting)
        lane = LaneState(
            to,
            base,
            self.delivered + events["delivered"],
            self.dead_lettered + events["dead_lettered"],
            self.discarded + events["discarded"] + lost,
            self.active,
            waiting,
            self.events,
        )
        return (self if lane == self else lane), lost

    def drop_before(self, boundary: Boundary, table: str) -> LaneState:
        """Discard all that is pending before a boundary."""
        if not self.active:
            return self
        kept = self.waiting[bisect_left(self.waiting, boundary.offset) :]
        gone = len(self.waiting) - len(kept)
        if self.cursor >= boundary.offset:
            if not gone:
                return self
            return replace(self, discarded=self.discarded + gone, waiting=kept)
        lane = self._balance(total_of(boundary.totals, table, self.events))
        return replace(lane, cursor=boundary.offset, waiting=())

    def drop(self, offsets: frozenset[int]) -> LaneState:
        """Discard those of some offsets that wait."""
        kept = tuple(offset for offset in self.waiting if offset not in offsets)
        gone = len(self.waiting) - len(kept)
        return replace(self, discarded=self.discarded + gone, waiting=kept) if gone else self

    def stop(self, total: int) -> LaneState:
        """Stop counting: what is pending is discarded."""
        if not self.active:
            return self
        return replace(self._balance(total), active=False, waiting=())

    def resume(self, cursor: int, total: int) -> LaneState:
        """Count again, from an offset on at which the table had `total` events."""
        return replace(self, cursor=cursor, base=total - self.settled, active=True, waiting=())

    def refilter(
        self,
        events: frozenset[str] | None,
        ahead: int,
        waiting: tuple[int, ...],
        old: int,
        new: int,
    ) -> LaneState:
        """Take other types of events from now on; what is pending and left out is discarded.

        Args:
            events: the types, None for all.
            ahead: how many of them stand from the cursor on.
            waiting: what goes on waiting.
            old: the table's total so far, of the types taken until now.
            new: the same, of those taken from now on.
        """
        pending = ahead + len(waiting)
        discarded = self.discarded + max(0, self.pending(old) - pending)
        settled = self.delivered + self.dead_lettered + discarded
        return replace(
            self,
            base=new - settled - pending,
            discarded=discarded,
            waiting=waiting,
            events=events,
        )

    def account(self, sink: str, table: str, total: int) -> Account:
        """Show the counts of a table that has had `total` events."""
        pending = self.pending(total)
        return Account(
            sink,
            table,
            self.settled + pending,
            self.delivered,
            self.dead_lettered,
            self.discarded,
            pending,
        )

    def _balance(self, total: int) -> LaneState:
        """Let exactly `total` events be settled: the missing are discarded.

        Where more were settled than the total allows, it was understated after a damage,
        and base gives way.
        """
        missing = total - self.base - self.settled
        if missing == 0:
            return self
        if missing > 0:
            return replace(self, discarded=self.discarded + missing)
        return replace(self, base=self.base + missing)


def _count(
    events: dict[Verdict, int],
    runs: tuple[Settled, ...],
    low: int,
    high: int,
    waiting: tuple[int, ...],
) -> None:
    """Add the events of the runs from `low` to before `high`, without those that wait."""
    for run in runs:
        start, end = max(run.offset, low), min(run.offset + run.count, high)
        if start < end:
            held = bisect_left(waiting, end) - bisect_left(waiting, start) if waiting else 0
            events[run.verdict] += end - start - held
