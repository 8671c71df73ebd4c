"""How far a growing column has come, and when: where a catch-up starts reading.

At every good probe the highest value seen so far becomes a *level*. A gap is read from the
level that was reached some time before it began: the margin covers rows that a ring's other
member replicates late. Rows that share the level's value are remembered by identity, so
that reading from that value on does not deliver them again.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridge.events import Schema
from bridge.monitor.identity import RowReader, comparable

# How far before a gap reading starts. A ring's members replicate within seconds.
MARGIN_SECONDS = 60.0
_SPACING_SECONDS = 10.0
_MAX_TIES = 1000
# The column grows with every insert, so the highest value is among the latest rows.
LATEST_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Level:
    """The highest value seen by a moment.

    Attributes:
        at: seconds since the epoch.
        value: as it is on the wire; None where the table was empty.
        ties: identities of the rows that had it.
    """

    at: float
    value: Any
    ties: tuple[int, ...] = ()


class Tide:
    """The levels of one table's column. Used under its table's lock, or by one thread."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.levels: list[Level] = []
        self.origin: Level | None = None  # what stood in the table before all that is ours
        self.audited: Level | None = None  # up to here all rows are accounted for
        self._latest: deque[bytes] = deque(maxlen=LATEST_ROWS)
        self._schema: Schema | None = None

    def note(self, schema: Schema, frames: Sequence[bytes]) -> None:
        """Keep the latest rows for the next level."""
        if schema is not self._schema:
            self._latest.clear()
            self._schema = schema
        self._latest.extend(frames[-LATEST_ROWS:])

    def settle(self, at: float) -> None:
        """Make a level of what was seen until a moment at which nothing was missed."""
        if not self.levels:
            return  # without a first level, read from the table, nothing says what came before
        last = self.levels[-1]
        level = Level(at, last.value, last.ties)
        if self._latest and self._schema is not None:
            reader = RowReader(self._schema)
            frames = [self._latest.popleft() for _ in range(len(self._latest))]
            rows = reader.rows(b"".join(frames), len(frames))
            level = _raise(level, reader, self.column, rows)
        if len(self.levels) > 1 and at - self.levels[-2].at < _SPACING_SECONDS:
            self.levels.pop()
        self.levels.append(level)
        while len(self.levels) > 1 and self.levels[1].at <= at - MARGIN_SECONDS:
            self.levels.pop(0)

    def start(self, at: float, schema: Schema, rows: Sequence[bytes]) -> None:
        """Make the first level of the table's highest rows as read."""
        reader = RowReader(schema)
        decoded = reader.rows(b"".join(rows), len(rows))
        self.origin = _raise(Level(at, None), reader, self.column, decoded)
        self.levels = [self.origin]

    def empty(self, at: float) -> None:
        """Start over with a table that has no rows."""
        self._latest.clear()
        self.origin = Level(at, None)
        self.levels = [self.origin]
        self.audited = None

    def before(self, moment: float) -> Level | None:
        """Return the latest known level that was reached by a moment, else the origin."""
        earlier = [level for level in (self.audited, *self.levels) if level is not None]
        known = [level for level in earlier if level.at <= moment]
        return known[-1] if known else self.origin

    def to_json(self) -> str:
        """Return what `from_json` reads."""
        levels = [self.origin, self.audited, *self.levels]
        return json.dumps([level and [level.at, level.value, level.ties] for level in levels])

    def from_json(self, text: str) -> None:
        """Take up the levels of an earlier run."""
        levels = [
            level and Level(level[0], level[1], tuple(level[2])) for level in json.loads(text)
        ]
        self.origin, self.audited = levels[:2]
        self.levels = [level for level in levels[2:] if level is not None]


def _raise(level: Level, reader: RowReader, name: str, rows: Sequence[dict[str, Any]]) -> Level:
    column = next((c for c in reader.schema.columns if c.name == name), None)
    rows = [row for row in rows if column is not None and row[name] is not None]
    if column is None or not rows:
        return level
    value = max((row[name] for row in rows), key=lambda v: comparable(column, v))
    if level.value is not None:
        if comparable(column, value) < comparable(column, level.value):
            return level
        ties = level.ties if comparable(column, value) == comparable(column, level.value) else ()
    else:
        ties = ()
    highest = comparable(column, value)
    new = (reader.identity(row) for row in rows if comparable(column, row[name]) == highest)
    return Level(level.at, value, tuple(dict.fromkeys((*ties, *new)))[:_MAX_TIES])
