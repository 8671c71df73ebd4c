"""How far a growing column has come, and when: where a catch-up starts reading.

At every good probe the highest value seen so far becomes a *level*. A gap is read from the
level that was reached some time before it began: the margin covers rows that a ring's other
member replicates late. Rows that share the level's value are remembered by identity, so
that reading from that value on does not deliver them again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bridge.codec import Codec
from bridge.events import Column, Schema
from bridge.monitor.identity import RowReader, comparable
from bridge.monitor.records import pick

# How far before a gap reading starts. A ring's members replicate within seconds.
MARGIN_SECONDS = 60.0
_SPACING_SECONDS = 10.0
_MAX_TIES = 1000


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
        self._seen = _Highest(column)

    def note(self, codec: Codec, payload: bytes, count: int) -> None:
        """Take in rows for the next level."""
        self._seen.note(codec, payload, count)

    def settle(self, at: float) -> None:
        """Make a level of what was seen until a moment at which nothing was missed."""
        if not self.levels:
            return  # without a first level, read from the table, nothing says what came before
        last = self.levels[-1]
        level = self._seen.raised(Level(at, last.value, last.ties))
        self._seen = _Highest(self.column)
        if len(self.levels) > 1 and at - self.levels[-2].at < _SPACING_SECONDS:
            self.levels.pop()
        self.levels.append(level)
        while len(self.levels) > 1 and self.levels[1].at <= at - MARGIN_SECONDS:
            self.levels.pop(0)

    def start(self, at: float, codec: Codec, payload: bytes, count: int) -> None:
        """Make the first level of the table's highest rows as read."""
        seen = _Highest(self.column)
        seen.note(codec, payload, count)
        self.origin = seen.raised(Level(at, None))
        self.levels = [self.origin]

    def empty(self, at: float) -> None:
        """Start over with a table that has no rows."""
        self._seen = _Highest(self.column)
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


class _Highest:
    """The highest value among rows of one layout, and the identities of those that have it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._schema: Schema | None = None
        self._reader: RowReader | None = None
        self._column: Column | None = None
        self._value: Any = None
        self._ties: dict[int, None] = {}  # in the order in which they came

    def note(self, codec: Codec, payload: bytes, count: int) -> None:
        """Take in rows; those of an older layout are forgotten."""
        if codec.schema is not self._schema:
            self._take_layout(codec.schema)
        if self._column is None or self._reader is None:
            return
        found = codec.highest(payload, count, self._name)
        if found is None:
            return
        value, indices = found
        if self._value is not None:
            new, old = comparable(self._column, value), comparable(self._column, self._value)
            if new < old:
                return
            if new > old:
                self._ties = {}
        self._value = value
        indices = indices[: _MAX_TIES - len(self._ties)]
        if indices:
            rows = self._reader.rows(pick(codec, payload, count, indices), len(indices))
            self._ties.update(dict.fromkeys(map(self._reader.identity, rows)))

    def raised(self, level: Level) -> Level:
        """Return a level as it is with these rows."""
        column, value = self._column, self._value
        if column is None or value is None:
            return level
        ties: Sequence[int] = ()
        if level.value is not None:
            new, old = comparable(column, value), comparable(column, level.value)
            if new < old:
                return level
            ties = level.ties if new == old else ()
        return Level(level.at, value, tuple(dict.fromkeys((*ties, *self._ties)))[:_MAX_TIES])

    def _take_layout(self, schema: Schema) -> None:
        self._schema = schema
        self._value, self._ties = None, {}
        self._column = next((c for c in schema.columns if c.name == self._name), None)
        self._reader = None if self._column is None else RowReader(schema)
