"""How far a growing column has come, and when: where a read of what was missed begins.

What is received is kept in *buckets* of ten seconds: the least and the greatest value, told by
the monotonic clock. A column "grows with every insert" up to a minute of disorder, as writers
overtake each other and a ring's members replicate late. So a read begins at the least value
received within the minute before the span (the last minute of activity, where nothing came),
and never above what had come before that minute. What is older is its greatest value alone, with
the digests of the rows that had it.

A row below what had come a minute before it, or a null, *disproves* the column: a read then
begins at the least of such rows, and what it finds proves nothing.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bridge.codec import Codec
from bridge.events import Column, Schema
from bridge.monitor.buckets import (
    BUCKET_SECONDS,
    Base,
    Bucket,
    Ties,
    Value,
    highest,
    rank,
    thinned,
)
from bridge.monitor.level_mark import LevelMark, level_from_json, level_to_json
from bridge.monitor.moment import Moment
from bridge.monitor.starts import BEGINNING, ColumnId, Start, column_id
from bridge.types import comparable

# How much disorder a growing column may have, and a ring's members with it; seconds.
MARGIN_SECONDS = 60.0
# Spans are noticed late, by an audit most of all: so far before a good moment one may begin.
_REACH_SECONDS = 1200.0


class Levels:
    """The levels of one table's growing column. Any thread may ask, the intake's notes.

    Attributes:
        disproved: why the column does not grow, None while it does.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self.disproved: str | None = None
        self._lock = threading.Lock()  # guards all below
        self._schema: Schema | None = None
        self._kind: Column | None = None
        self._forget()

    def _forget(self) -> None:
        self._former: Levels | None = None  # of the column that an earlier run went by
        self._own_from = math.inf  # by the monotonic clock: what begins before is told by others
        self._known = False
        self._began = 0.0  # no row received before then is ours
        self._origin: Start | None = None  # of a former column where there was one
        self._base: Base | None = None
        self._buckets: list[Bucket] = []
        self._bar: Value | None = None  # no row that comes now may be below
        self._least: Value | None = None  # of the rows that disproved it
        self._nulls = False
        self._latest = math.inf  # the clock may have been set back meanwhile
        self.disproved = None
        self._changed, self._settled = 0, -1

    @property
    def known(self) -> bool:
        """Whether it was told what stood in the table before all that is ours."""
        return self._known

    def adopt(self, schema: Schema | None) -> bool:
        """Take a layout as the present one; False where nothing known of the column counts now."""
        with self._lock:
            return self._adopt(schema)

    def _adopt(self, schema: Schema | None) -> bool:
        self._schema = schema
        columns = schema.columns if schema is not None else ()
        kind = next((c for c in columns if c.name == self.column and c.base != "bytes"), None)
        before, self._kind = self._kind, kind
        same = before is None or (
            kind is not None and (kind.base, kind.type) == (before.base, before.type)
        )
        if not same:
            heard = self._known or self._origin is not None
            self._forget()
            self._origin = BEGINNING if heard else None
        return same

    def first(self, codec: Codec, payload: bytes, count: int, moment: Moment) -> None:
        """Take the table's highest rows, as read when it was first listened to, for settled."""
        with self._lock:
            if codec.schema != self._schema:
                self._adopt(codec.schema)
            kind, fresh = self._kind, self._origin is None
            self._known = True
            # A row may be a minute late: where the table was heard before, what began by then is
            # read by what was known before.
            self._own_from = -math.inf if fresh else moment.order + MARGIN_SECONDS
            if fresh:
                self._began = moment.wall
            found = None if kind is None else codec.highest(payload, count, self.column)
            if found is None or kind is None:
                return
            high, ties = Value(comparable(kind, found[0]), found[0]), Ties()
            ties.add(codec, payload, count, found[1])
            if fresh:
                self._origin = Start(high.wire, 0.0, ties.digests(), column=column_id(kind))
            # What came before it was read may be below it.
            low = min((high, *(b.low for b in self._buckets)), key=rank)
            self._base = Base(low, ties if low is high else Ties(), moment.order, self._own_from)
            bucket = Bucket(-math.inf, moment.order, moment.wall, low, high, ties)
            self._buckets.insert(0, bucket)
            self._changed += 1

    def empty(self, moment: Moment) -> None:
        """Start over with a table that has no rows."""
        with self._lock:
            self._forget()
            self._known, self._began = True, moment.wall

    def note(self, codec: Codec, payload: bytes, count: int, moment: Moment) -> bool:
        """Take in rows as received.

        Args:
            codec: of their layout.
            payload: the rows' bytes.
            count: how many.
            moment: `order` is now, `wall` when they were received.

        Returns:
            Whether the clock may have been set back since the last ones: what is received now is
            as old as it says.
        """
        with self._lock:
            if codec.schema is not self._schema and codec.schema != self._schema:
                self._adopt(codec.schema)
            back, self._latest = moment.wall < self._latest, moment.wall
            if self._kind is not None and count:
                self._note(self._kind, codec, payload, count, moment)
            return back

    def _note(self, kind: Column, codec: Codec, payload: bytes, count: int, moment: Moment) -> None:
        self._changed += 1
        top = codec.highest(payload, count, self.column)
        bottom = codec.lowest(payload, count, self.column)
        if bottom is None or bottom[1]:
            self._nulls = True
            self._disprove("has nulls, which have no place in its order")
        if bottom is None or top is None:
            return
        low = Value(comparable(kind, bottom[0]), bottom[0])
        high = Value(comparable(kind, top[0]), top[0])
        bucket = self._bucket(moment, low, high)
        if self._bar is not None and low.rank < self._bar.rank:
            if self._least is None or low.rank < self._least.rank:
                self._least = low
            self._disprove("does not grow: it fell below what had come a minute before")
        if low.rank < bucket.low.rank:
            bucket.low = low
        if high.rank > bucket.high.rank:
            bucket.high, bucket.ties = high, Ties()
        if high.rank == bucket.high.rank:
            bucket.ties.add(codec, payload, count, top[1])
        bucket.last = moment.order
        bucket.wall = min(bucket.wall, moment.wall)

    def _bucket(self, moment: Moment, low: Value, high: Value) -> Bucket:
        last = self._buckets[-1] if self._buckets else None
        if last is not None and moment.order < last.begin + BUCKET_SECONDS:
            return last
        self._buckets = thinned(self._buckets, moment.order)
        settled = moment.order - MARGIN_SECONDS
        older = [b.high for b in self._buckets if b.last <= settled]
        if self._base is not None and self._base.last <= settled:
            older.append(self._base.high)
        self._bar = max(older, key=rank, default=None)
        bucket = Bucket(moment.order, moment.order, moment.wall, low, high)
        self._buckets.append(bucket)
        return bucket

    def _disprove(self, how: str) -> None:
        if self.disproved is None:
            self.disproved = f"column {self.column} {how}"

    def distrust(self, how: str) -> None:
        """Believe nothing that was known."""
        with self._lock:
            self._forget()
            self._disprove(how)

    def start(self, since: Moment) -> Start:
        """Return where to begin reading what was missed since a moment."""
        former = self._former
        if former is not None and since.order < self._own_from:
            # How far this column had come nobody knew by then.
            start = former.start(since) if former.disproved is None else BEGINNING
            return start if start.counts_in(self._schema) else BEGINNING
        with self._lock:
            return self._start(since)

    def from_origin(self) -> Start:
        """Return where to begin reading all that came since the table was first listened to."""
        with self._lock:
            return self._from_origin()

    def _from_origin(self) -> Start:
        origin, least, kind = self._origin or BEGINNING, self._least, self._kind
        origin = replace(origin, since=self._earliest(-math.inf, self._began))
        if kind is None or origin.column != column_id(kind):
            return origin if origin.counts_in(self._schema) else Start(None, origin.since)
        low = Value(comparable(kind, origin.value), origin.value)
        value = low if least is None else min(low, least, key=rank)
        return replace(origin, value=value.wire, nulls=self._may_have_nulls())

    def taken_up(self, start: Start | None) -> Start:
        """Return where to begin in place of a start that an earlier run left."""
        with self._lock:
            if start is None:
                return self._from_origin()
            left_by = self._former or self
            if start.value is not None and start.column is None:  # that version named none
                start = replace(start, column=left_by._identity)
            disproved = left_by is not self and left_by.disproved is not None
            if disproved and start.name == left_by.column:
                return BEGINNING
            return start if start.counts_in(self._schema) else BEGINNING

    @property
    def _identity(self) -> ColumnId | None:
        return None if self._kind is None else column_id(self._kind)

    def _may_have_nulls(self) -> bool:
        return self._nulls or (self._kind is not None and self._kind.nullable)

    def _start(self, since: Moment) -> Start:
        base, nulls = self._base, self._may_have_nulls()
        if base is not None and since.order < base.serves:
            return self._from_origin()  # what came before then is known no more
        edge, window, older = self._parts(since.order)
        settled = [b.high for b in older]
        if base is not None:
            settled.append(base.high)
        if not settled:
            return Start(None, self._earliest(-math.inf, self._began))
        value = min((max(settled, key=rank), *(b.low for b in window)), key=rank)
        if self._least is not None:
            value = min(value, self._least, key=rank)
        if self.disproved is not None:
            since_all = self._earliest(-math.inf, self._began)
            return Start(value.wire, since_all, (), nulls, self._identity)
        reach = self._reach(edge, window)
        high, ties = highest(self._settled_by(reach)) if self._settled_by(reach) else (None, ())
        if high is None or high.rank != value.rank:
            ties = ()
        return Start(value.wire, self._earliest(reach, since.wall), ties, nulls, self._identity)

    def _parts(self, order: float) -> tuple[float, list[Bucket], list[Bucket]]:
        """Return the last moment of activity, the minute before it, and what is older."""
        before = [b for b in self._buckets if b.begin <= order]
        edge = order
        if before and before[-1].last <= order - MARGIN_SECONDS:
            edge = before[-1].last
        window = [b for b in before if b.last > edge - MARGIN_SECONDS]
        return edge, window, [b for b in before if b.last <= edge - MARGIN_SECONDS]

    def _reach(self, edge: float, window: Sequence[Bucket]) -> float:
        """Return by when all rows had come that are no higher than any in the window."""
        first = window[0].begin if window else edge
        return first - MARGIN_SECONDS - BUCKET_SECONDS

    def _settled_by(self, reach: float) -> list[tuple[Value, Ties]]:
        parts = [(b.high, b.ties) for b in self._buckets if b.last <= reach]
        return parts if self._base is None else [(self._base.high, self._base.ties), *parts]

    def _earliest(self, reach: float, wall: float) -> float:
        """Return the time from which on rows were received after a moment."""
        return min([wall, *(b.wall for b in self._buckets if b.last > reach)])

    @property
    def height(self) -> Any:
        """The greatest value known, as it is on the wire."""
        with self._lock:
            parts = self._settled_by(math.inf)
            return highest(parts)[0].wire if parts else None

    # What outlives a restart.

    def settle(self, good: Moment) -> str | None:
        """Let go of what no span can need that begins after about a good moment.

        Returns:
            What `from_json` reads: what is known as of that moment. None where that is what it
            was at the last call.
        """
        with self._lock:
            idle = not self._buckets or self._buckets[-1].last < good.order - MARGIN_SECONDS
            if idle and self._settled == self._changed:
                return None
            if self._former is not None and good.order < self._own_from:
                return None  # what is stored is of the former column, and of more use
            # While it is not idle for a minute what is known still changes by itself.
            self._settled = self._changed if idle else -1
            edge, window, _ = self._parts(good.order - _REACH_SECONDS)
            reach = self._reach(edge, window)
            for bucket in [b for b in self._buckets if b.last <= reach]:
                self._lower(bucket)
            self._buckets = [b for b in self._buckets if b.last > reach]
            return self._to_json(good)

    def _lower(self, bucket: Bucket) -> None:
        """Take what a bucket has into what is older than all of them."""
        parts = [(bucket.high, bucket.ties)]
        if self._base is not None:
            parts.insert(0, (self._base.high, self._base.ties))
        high, ties = highest(parts)
        self._base = Base(high, Ties(ties), bucket.last, bucket.last + MARGIN_SECONDS)

    def to_json(self, good: Moment) -> str:
        """Return what is known as of a moment; see `settle`."""
        with self._lock:
            return self._to_json(good)

    def _to_json(self, good: Moment) -> str:
        kind, parts = self._kind, self._settled_by(math.inf)
        high, ties = highest(parts) if parts else (Value(None, None), ())
        return level_to_json(
            LevelMark(
                self.column,
                None if kind is None else (kind.base, kind.type),
                self._known,
                self._began,
                self._origin,
                self._start(good),
                (high.wire, ties),
                self.disproved,
                None if self._least is None else self._least.wire,
                self._nulls,
            )
        )

    def from_json(
        self, text: str, schema: Schema | None, now: Moment, *, heard: bool = False
    ) -> None:
        """Take up what an earlier run knew of a table of this layout.

        Where that run went by another column, what began in it is read by that one.

        Args:
            text: the mark.
            schema: the layout.
            now: the present moment.
            heard: whether the table was listened to before, with or without a column.
        """
        with self._lock:
            self._adopt(schema)
            self._forget()
            mark = level_from_json(text, self.column, self._kind)
            if mark is None:
                self._origin = BEGINNING if heard else None
            elif mark.column == self.column:
                self._resume(mark, now)
            else:
                former = self._former = Levels(mark.column)
                former.from_json(text, schema, now)
                self._began = former._began
                self._origin = BEGINNING if former.disproved else former.from_origin()

    def _resume(self, mark: LevelMark, now: Moment) -> None:
        kind, start, (high, ties) = self._kind, mark.start, mark.high
        self._began, self._origin = mark.began, mark.origin
        if kind is None or not mark.is_of(kind):
            return
        self._known, self.disproved, self._nulls = mark.known, mark.disproved, mark.nulls
        if mark.least is not None:
            self._least = Value(comparable(kind, mark.least), mark.least)
        if high is None:
            return
        # As the earlier run left it: until a minute has passed it may come to be lower again.
        top = Value(comparable(kind, high), high)
        own = start.value is not None and start.column == column_id(kind)
        value = Value(comparable(kind, start.value), start.value) if own else top
        if own:
            self._base = Base(value, Ties(start.ties), -math.inf, -math.inf)
        self._buckets = [Bucket(now.order, now.order, start.since, value, top, Ties(ties))]
