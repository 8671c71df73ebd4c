"""What becomes of a sink's lanes where tables, or the types of events it takes, come and go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bridge.journal.ahead import Ahead
from bridge.journal.lane import Boundary, LaneState
from bridge.journal.typed import total_of


@dataclass(frozen=True, slots=True)
class Wish:
    """What a sink is to get.

    Attributes:
        begin: where a new lane begins.
        head: the totals there settle what is pending for a table that is gone.
        events: the types of events that it takes, None for all.
        ahead: counts events before the head.
    """

    begin: int
    head: Boundary
    events: frozenset[str] | None
    ahead: Ahead


def changed_lanes(
    known: Mapping[str, LaneState], tables: Iterable[str], wish: Wish
) -> dict[str, LaneState]:
    """Return the lanes that change, by table.

    Args:
        known: those that there are.
        tables: routed to the sink.
        wish: what it is to get.
    """
    wanted, events = frozenset(tables), wish.events
    changed: dict[str, LaneState] = {}
    for table in wanted:
        lane = known.get(table)
        if lane is None or not lane.active:
            total = total_of(wish.head.totals, table, events)
            total -= wish.ahead.count(table, wish.begin, events)
            before = replace(lane or LaneState(wish.begin, 0), events=events)
            changed[table] = before.resume(wish.begin, total)
        elif lane.events != events:
            changed[table] = _refiltered(table, lane, wish)
    for table in known.keys() - wanted:
        lane = known[table]
        changed[table] = lane.stop(total_of(wish.head.totals, table, lane.events))
    return changed


def _refiltered(table: str, lane: LaneState, wish: Wish) -> LaneState:
    events, ahead = wish.events, wish.ahead
    left = ahead.count(table, lane.cursor, events)
    waiting = tuple(o for o in lane.waiting if events is None or ahead.kind(o) in events)
    old, new = (total_of(wish.head.totals, table, each) for each in (lane.events, events))
    return lane.refilter(events, left, waiting, old, new)
