"""Totals by table, and by table and type of event: what a lane has received is made of them.

Both stand in one mapping, a table under its name, a table's type under a name that no table has.
The latter are counted from the first segment on that says so; before, they are not known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bridge.events import Block, Count, Undecodable
from bridge.journal.records import StoredEntry

_MARK = "\x1f"
KNOWN = _MARK
"""Among the totals where those by type are known."""

_KINDS = ("insert", "read", "update", "delete", "alter", "drop", "gap")


def typed(table: str, kind: str) -> str:
    """Return the name under which a table's events of one kind are counted.

    A frame that is no record would have been an insert.
    """
    return f"{table}{_MARK}{'insert' if kind == 'undecodable' else kind}"


def is_table(name: str) -> bool:
    """Return whether a name among totals is that of a table."""
    return _MARK not in name


def all_events(totals: Mapping[str, int]) -> int:
    """Return how many events there are of all tables together."""
    return sum(events for name, events in totals.items() if is_table(name))


def total_of(totals: Mapping[str, int], table: str, events: Collection[str] | None) -> int:
    """Return how many events of a table there are in totals, of some types or of all."""
    if events is None:
        return totals.get(table, 0)
    return sum(totals.get(typed(table, kind), 0) for kind in events)


def totals_of(totals: Mapping[str, int], table: str) -> dict[str, int]:
    """Return the totals of one table, its own and those by type."""
    names = (table, KNOWN, *(typed(table, kind) for kind in _KINDS))
    return {name: totals[name] for name in names if name in totals}


def add(totals: dict[str, int], table: str, kind: str, events: int) -> None:
    """Count events, under both names."""
    for name in (table, typed(table, kind)):
        totals[name] = totals.get(name, 0) + events


def kind_of(entry: StoredEntry) -> str:
    """Return the type of an entry's events, as lanes that take some of them tell them apart."""
    match entry:
        case Undecodable():
            return "insert"
        case Block() | Count():
            return entry.type
        case _:
            return type(entry).__name__.lower()
