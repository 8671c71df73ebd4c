"""What a table's monitor is told; the configuration's names and meanings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bridge.events import Column, Schema

DecodeFailure = Literal["dead_letter", "skip", "abort"]

# Up to so many rows a table with a primary key is read whole where nothing else is asked for.
DEFAULT_WHOLE_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class ByColumn:
    """Close gaps by a column that grows with every insert."""

    name: str


@dataclass(frozen=True, slots=True)
class Whole:
    """Close gaps by comparing the whole table.

    Attributes:
        rows: up to how many; a larger table's gaps stay open.
        keyed: only where the table has a primary key.
    """

    rows: int
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Off:
    """Close no gaps by reading."""


CatchUp = ByColumn | Whole | Off


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What a table's monitor is told.

    Attributes:
        name: the qualified name.
        events: which of insert, update and delete to watch.
        filter: an expression that inserted rows must meet, evaluated by Kinetica.
        inactivity_timeout: seconds of silence after which a well table is called idle.
        on_decode_failure: what becomes of a frame that is no record of the table.
        on_drop: wait for a dropped table to come back, or stop.
        catch_up: how gaps are closed.
        update_rows: a column that moves with every update, by which their rows are read.
        snapshot: whether the rows that are there already are delivered first.
    """

    name: str
    events: tuple[str, ...] = ("insert", "update", "delete")
    filter: str | None = None
    inactivity_timeout: float = 1200.0
    on_decode_failure: DecodeFailure = "dead_letter"
    on_drop: Literal["wait", "stop"] = "wait"
    catch_up: CatchUp = Whole(DEFAULT_WHOLE_ROWS, keyed=True)
    update_rows: str | None = None
    snapshot: Literal["never", "initial"] = "never"

    @property
    def growing_column(self) -> str | None:
        """The column by which gaps are closed, if one is named."""
        return self.catch_up.name if isinstance(self.catch_up, ByColumn) else None

    def reading_order(self, schema: Schema) -> Column | None:
        """Return the column by which a table of a layout can be read, if there is one."""
        name = self.growing_column or next(iter(schema.primary_key), None)
        return next((column for column in schema.columns if column.name == name), None)

    def obstacle(self, schema: Schema | None) -> str | None:
        """Return why no read can close a gap of a table; None where one can, as far as is known.

        A layout that is not known yet may turn out to have a key.
        """
        if isinstance(self.catch_up, Off):
            return "catch_up is off"
        if schema is None or self.reading_order(schema) is not None:
            return None
        if isinstance(self.catch_up, Whole) and not self.catch_up.keyed:
            return None
        if self.growing_column is not None:
            return f"the table has no column {self.growing_column} to read it by"
        return "the table has no primary key and no catch_up column to read it by"
