"""How high a column stands that moves with every update, and when it came to stand there.

A read of updated rows begins at the height of a while before: who writes may set the column by a
clock that is behind, or commit late. What stands above the cluster's own now is left out of the
height, else one row from the future would hide all others.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bridge.codec import Codec
from bridge.events import Column, Schema
from bridge.monitor.moment import Moment
from bridge.monitor.starts import column_id
from bridge.types import comparable

_SPACING_SECONDS = 1.0
_MOST_STEPS = 256
_MOST_BASE = 1_000


@dataclass(frozen=True, slots=True)
class Step:
    """A height, and since when.

    Attributes:
        value: the greatest value by then, as on the wire; None where there was none.
        at: rows that have it, or more, were received from then on.
    """

    value: Any
    at: Moment


class Height:
    """The height of one column. Used under its owner's lock.

    Args:
        column: the column.
        first: where it stands.
        base: digests of rows that stood there, or above, before it was watched.
    """

    def __init__(self, column: Column, first: Step, base: Iterable[int] = ()) -> None:
        self.column = column
        self.base = frozenset(base)
        self._steps = [first]

    def __repr__(self) -> str:
        return f"<Height of {self.column.name}: {self.top.value!r}>"

    @property
    def top(self) -> Step:
        """Where it stands now."""
        return self._steps[-1]

    def before(self, order: float) -> Step:
        """Return the height at a moment of the monotonic clock, the first known at least."""
        earlier = [step for step in self._steps if step.at.order <= order]
        return earlier[-1] if earlier else self._steps[0]

    def note(self, codec: Codec, payload: bytes, count: int) -> None:
        """Take in rows that were received."""
        if all(column != self.column for column in codec.schema.columns):
            return
        found = codec.highest(payload, count, self.column.name)
        if found is not None:
            self.rise(found[0])

    def rise(self, value: Any) -> None:
        """Take in a value that the column has somewhere."""
        if not self._is_above(value, self.top.value):
            return
        now = Moment.now()
        if now.order - self.top.at.order < _SPACING_SECONDS and len(self._steps) > 1:
            self._steps[-1] = replace(self.top, value=value)
        else:
            self._steps.append(Step(value, now))
        del self._steps[: max(0, len(self._steps) - _MOST_STEPS)]

    def cap(self, value: Any) -> None:
        """Stand no higher than a value."""
        self._steps = [
            replace(step, value=value) if self._is_above(step.value, value) else step
            for step in self._steps
        ]

    def settle(self, order: float) -> None:
        """Let go of what is older than the height at a moment."""
        kept = self.before(order)
        self._steps = self._steps[self._steps.index(kept) :]

    def _is_above(self, value: Any, other: Any) -> bool:
        if value is None or other is None:
            return value is not None
        return bool(comparable(self.column, value) > comparable(self.column, other))

    # What outlives a restart.

    def to_json(self, order: float) -> str:
        """Return what `from_json` reads: the height at a moment."""
        step = self.before(order)
        base = sorted(self.base)[:_MOST_BASE]
        return json.dumps([step.value, step.at.wall, base, column_id(self.column)])

    @classmethod
    def from_json(cls, text: str, schema: Schema, column: Column) -> Height | None:
        """Return the height that an earlier run left, of the column that it followed.

        Args:
            text: what it left.
            schema: the table's layout; None is returned where that column is not in it any more.
            column: which one it was where it did not say so, as an earlier version does not.
        """
        value, wall, base, *named = json.loads(text)
        which = tuple(named[0]) if named else column_id(column)
        found = next((c for c in schema.columns if column_id(c) == which), None)
        return None if found is None else cls(found, Step(value, Moment(-math.inf, wall)), base)

    @classmethod
    def new(cls, column: Column, value: Any, base: Iterable[int]) -> Height:
        """Return the height of a column that stands where it was just found."""
        return cls(column, Step(value, Moment(-math.inf, time.time())), base)
