"""Where a read of what was missed begins: a value, and the column that it is a value of.

A start outlives the setting it was made with. So it bears its column: the value of one column says
nothing of another, and a read goes by the column that the start names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridge.events import Column, Schema

ColumnId = tuple[str, str, str]
"""What makes a column the one that a value is of: name, base and type."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a read of what was missed begins.

    Attributes:
        value: the wire value of a growing column from which on, and with which, rows are read;
            None for the beginning.
        since: seconds since the epoch; rows received from then on may be among those read.
        ties: digests of rows received before then that may be among those read, too.
        nulls: whether rows without a value may have been missed.
        column: of which the value is; None for the beginning, and where nobody knows any more.
    """

    value: Any
    since: float
    ties: tuple[int, ...] = ()
    nulls: bool = False
    column: ColumnId | None = None

    @property
    def name(self) -> str:
        """Its column's name, "" where it has none."""
        return "" if self.column is None else self.column[0]

    def column_in(self, schema: Schema | None) -> Column | None:
        """Return its column in a layout, None where that has none that is still the same."""
        columns = schema.columns if schema is not None else ()
        return next((c for c in columns if column_id(c) == self.column), None)

    def counts_in(self, schema: Schema | None) -> bool:
        """Whether a table of a layout can be read from here."""
        return self.value is None or self.column_in(schema) is not None


BEGINNING = Start(None, 0.0)
"""Where nothing is known."""


def column_id(column: Column) -> ColumnId:
    """Return what tells a column from others."""
    return column.name, column.base, column.type


def start_to_list(start: Start, most_ties: int) -> list[Any]:
    """Return what `start_from_list` reads, with so many ties at most."""
    return [start.value, start.since, start.ties[:most_ties], start.nulls, start.column]


def start_from_list(saved: Sequence[Any]) -> Start:
    """Return a start as an earlier run left it; an earlier version did not say its column."""
    value, since, ties, nulls, *column = saved
    of = tuple(column[0]) if column and column[0] else None
    return Start(value, since, tuple(ties), nulls, of)
