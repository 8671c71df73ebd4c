"""What the program of a user did to a table: what may, must and must not be delivered.

A row's content follows from its id, and a row may look as it did in the layouts and versions
it went through, so that one record alone can be told right from wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FIRST_MOMENT = 1_700_000_000_000  # of row 0, milliseconds since the epoch; a second a row
TEAMS = 3  # values of the first column of a key of two


@dataclass(frozen=True, slots=True)
class Layout:
    """Which of its forms a table has: with `extra` or not, `at` as a long or a timestamp."""

    extra: bool = False
    timestamp: bool = False

    @property
    def columns(self) -> list[str]:
        """The names, in their order."""
        return ["team", "id", "name", "at", "note", "rank", *(["extra"] if self.extra else [])]


@dataclass(slots=True)
class Row:
    """One row that a program tried to insert.

    Attributes:
        layout: of the table at that moment.
        began, ended: seconds since the epoch between which it was inserted.
        accepted: whether the cluster said so; where it did not, it may be in the table or not.
        notes: what its column `note` may have been so far.
        touched: whether it may have changed after it was inserted.
        rank: its column `rank`, which mostly grows.
        lies: whether its `rank` is lower than was promised, or null: who never heard of such a
            row cannot know that there is one.
        again: times a program deleted it, and inserted it again, or tried.
        lives: since when it is in the table for good: before it was deleted last, and before it
            was inserted again, seconds since the epoch.
    """

    layout: Layout
    began: float
    ended: float = 0.0
    accepted: bool = False
    notes: set[str] = field(default_factory=lambda: {"v0"})
    touched: bool = False
    rank: int | None = None
    lies: bool = False
    again: int = 0
    lives: tuple[float, float] | None = None


def content(id_: int, layout: Layout, rank: int | None) -> dict[str, Any]:
    """Return a row as it is inserted."""
    row: dict[str, Any] = {"team": id_ % TEAMS, "id": id_, "name": f"n{id_}", "note": "v0"}
    row |= {"at": FIRST_MOMENT + id_ * 1000, "rank": rank}
    if layout.extra:
        row["extra"] = id_ % 100
    return row


class Ledger:
    """All rows of a run, by id. Written by whoever holds the table's lock."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}

    def next_ids(self, count: int) -> range:
        """Return ids that no row has."""
        return range(len(self.rows), len(self.rows) + count)

    def note_update(self, ids: Iterable[int], note: str) -> None:
        """Note that rows may have another `note`."""
        for id_ in ids:
            row = self.rows.get(id_)
            if row is not None:
                row.notes.add(note)
                row.touched = True

    def note_layout_change(self) -> None:
        """Note that a column of all rows went, and perhaps came back empty."""
        for row in self.rows.values():
            row.touched = True

    def faults(self, event: Mapping[str, Any], table_layouts: set[Layout]) -> list[str]:
        """Say what is wrong with a row as delivered.

        Args:
            event: an insert, which must have the layout of its moment, or a read.
            table_layouts: all that the table ever had.
        """
        record = event["record"]
        row = self.rows.get(record.get("id"))
        if row is None:
            return [f"an unknown row: {record}"]
        wrong = []
        # A call without an answer may be carried out later, when the table is another one.
        known = event["type"] == "insert" and row.accepted and not row.again
        layouts = {row.layout} if known else table_layouts
        if not any(_fits(record, layout) for layout in layouts):
            wrong.append(f"{event['type']} {record} in none of {layouts}")
        as_inserted = content(record["id"], row.layout, row.rank)
        same = all(record[name] == as_inserted[name] for name in ("team", "name", "rank"))
        if not same or record["note"] not in row.notes:
            wrong.append(f"{record}: not its content")
        extra = record.get("extra")
        lost = extra is None and (row.touched or not row.layout.extra)
        if extra != record["id"] % 100 and not lost:
            wrong.append(f"{record}: not its extra")
        return wrong


def _fits(record: Mapping[str, Any], layout: Layout) -> bool:
    moment = FIRST_MOMENT + record["id"] * 1000
    if layout.timestamp:
        told = datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return list(record) == layout.columns and record["at"] == told
    return list(record) == layout.columns and record["at"] == moment
