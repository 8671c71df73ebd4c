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

import json
import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from bridge.codec import Codec
from bridge.events import Column, Schema
from bridge.monitor.moment import Moment
from bridge.monitor.records import pick
from bridge.types import comparable

# How much disorder a growing column may have, and a ring's members with it; seconds.
MARGIN_SECONDS = 60.0
_BUCKET_SECONDS = 10.0
# Spans are noticed late: so far before the last good moment one may begin.
_REACH_SECONDS = 300.0
# More of them, without a good moment for long, are joined: that costs only precision.
_MOST_BUCKETS = 128
_MOST_TIES = 1000
# Rows kept as bytes until somebody asks for their digests.
_RAW_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class Start:
    """Where a read of what was missed begins.

    Attributes:
        value: the wire value of the growing column from which on, and with which, rows are read;
            None for the beginning.
        since: seconds since the epoch; rows received from then on may be among those read.
        ties: digests of rows received before then that may be among those read, too.
        nulls: whether rows without a value may have been missed.
    """

    value: Any
    since: float
    ties: tuple[int, ...] = ()
    nulls: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """The greatest value that a settled part of the column has.

    Attributes:
        at: by when, seconds since the epoch.
        value: as it is on the wire; None where the table was empty.
        ties: digests of the rows that had it.
    """

    at: float
    value: Any
    ties: tuple[int, ...] = ()


BEGINNING = Start(None, 0.0)
"""Where nothing is known."""


class _Ties:
    """Rows of one value, as digests; those come to be when somebody asks."""

    def __init__(self, digests: Iterable[int] = ()) -> None:
        self._digests = dict.fromkeys(islice(digests, _MOST_TIES))
        self._raw: list[tuple[Codec, bytes, int]] = []
        self._raw_bytes = self._raw_rows = 0

    def add(self, codec: Codec, payload: bytes, count: int, who: list[int]) -> None:
        who = who[: _MOST_TIES - len(self._digests) - self._raw_rows]
        if not who:
            return
        rows = pick(codec, payload, count, who)
        self._raw.append((codec, rows, len(who)))
        self._raw_rows += len(who)
        self._raw_bytes += len(rows)
        if self._raw_bytes > _RAW_BYTES or len(self._raw) > 100:
            self.digests()

    def digests(self) -> tuple[int, ...]:
        """Return the digests, in the order in which the rows came."""
        for codec, payload, count in self._raw:
            self._digests.update(dict.fromkeys(codec.digests(payload, count)))
        self._raw, self._raw_bytes, self._raw_rows = [], 0, 0
        return tuple(self._digests)

    def joined(self, other: _Ties) -> _Ties:
        return _Ties(dict.fromkeys(chain(self.digests(), other.digests())))


@dataclass(slots=True)
class _Value:
    """A value as it is on the wire, and as it orders."""

    rank: Any
    wire: Any


@dataclass(slots=True)
class _Bucket:
    """Rows received one after another; `begin` and `last` by the monotonic clock.

    Attributes:
        wall: when the first of them was received, by a clock that may have been set back
            meanwhile; seconds since the epoch.
        ties: the rows that have the greatest value.
    """

    begin: float
    last: float
    wall: float
    low: _Value
    high: _Value
    ties: _Ties = field(default_factory=_Ties)


class Levels:
    """The levels of one table's growing column. Any thread may ask, the intake's notes.

    Attributes:
        disproved: why the column does not grow, None while it does.
        audited: up to here all rows are accounted for.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self.audited: Level | None = None
        self.disproved: str | None = None
        self._lock = threading.Lock()  # guards all below
        self._schema: Schema | None = None
        self._kind: Column | None = None
        self._forget()

    def _forget(self) -> None:
        self._known = False
        self._began = 0.0  # no row received before then is ours
        self._origin: tuple[Any, tuple[int, ...]] | None = None
        self._base: tuple[_Value, _Ties, float] | None = None  # all that is older than the buckets
        self._buckets: list[_Bucket] = []
        self._bar: _Value | None = None  # no row that comes now may be below
        self._least: _Value | None = None  # of the rows that disproved it
        self._nulls = False
        self._latest = -math.inf
        self.disproved = None
        self.audited = None

    @property
    def known(self) -> bool:
        """Whether it was told what stood in the table before all that is ours."""
        return self._known

    @property
    def usable(self) -> bool:
        """Whether the layout has the column, and rows can be read by it."""
        return self._kind is not None

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
            self._forget()
        return same

    def first(self, codec: Codec, payload: bytes, count: int, moment: Moment) -> None:
        """Take the table's highest rows, as read when it was first listened to, for settled."""
        with self._lock:
            if codec.schema != self._schema:
                self._adopt(codec.schema)
            self._known, self._began = True, moment.wall
            kind = self._kind
            found = codec.highest(payload, count, self.column) if kind is not None else None
            if found is None or kind is None:
                return
            high = _Value(comparable(kind, found[0]), found[0])
            ties = _Ties()
            ties.add(codec, payload, count, found[1])
            self._origin = high.wire, ties.digests()
            # What came before it was read may be below it.
            low = min((high, *(b.low for b in self._buckets)), key=_rank)
            self._base = low, ties if low is high else _Ties(), moment.order
            self._buckets.insert(
                0, _Bucket(-math.inf, moment.order, moment.wall, low, high, _Ties(ties.digests()))
            )

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
            Whether the clock was set back since the last ones: what was received since then is
            older than it was thought.
        """
        with self._lock:
            if codec.schema is not self._schema and codec.schema != self._schema:
                self._adopt(codec.schema)
            back, self._latest = moment.wall < self._latest, moment.wall
            kind = self._kind
            if kind is None or not count:
                return back
            bounds = codec.lowest(payload, count, self.column)
            top = codec.highest(payload, count, self.column)
            if bounds is None or bounds[1]:
                self._nulls = True
                self._disprove("has nulls")
            if bounds is None or top is None:
                return back
            low = _Value(comparable(kind, bounds[0]), bounds[0])
            high = _Value(comparable(kind, top[0]), top[0])
            bucket = self._bucket(moment, low, high)
            if self._bar is not None and low.rank < self._bar.rank:
                if self._least is None or low.rank < self._least.rank:
                    self._least = low
                self._disprove("fell below what had come more than a minute before")
            if low.rank < bucket.low.rank:
                bucket.low = low
            if high.rank > bucket.high.rank:
                bucket.high, bucket.ties = high, _Ties()
            if high.rank == bucket.high.rank:
                bucket.ties.add(codec, payload, count, top[1])
            bucket.last = moment.order
            bucket.wall = min(bucket.wall, moment.wall)
            return back

    def _bucket(self, moment: Moment, low: _Value, high: _Value) -> _Bucket:
        last = self._buckets[-1] if self._buckets else None
        if last is not None and moment.order < last.begin + _BUCKET_SECONDS:
            return last
        if len(self._buckets) >= _MOST_BUCKETS:
            self._join_old()
        settled = moment.order - MARGIN_SECONDS
        older = [b.high for b in self._buckets if b.last <= settled]
        if self._base is not None and self._base[2] <= settled:
            older.append(self._base[0])
        self._bar = max(older, key=_rank, default=None)
        self._buckets.append(_Bucket(moment.order, moment.order, moment.wall, low, high))
        return self._buckets[-1]

    def _join_old(self) -> None:
        half = _MOST_BUCKETS // 2
        old, kept = self._buckets[:half], self._buckets[half:]
        self._buckets = [*map(_joined, old[::2], old[1::2]), *kept]

    def _disprove(self, how: str) -> None:
        if self.disproved is None:
            self.disproved = f"column {self.column} does not grow: it {how}"

    def start(self, since: Moment) -> Start:
        """Return where to begin reading what was missed since a moment."""
        with self._lock:
            return self._start(since)

    def from_origin(self) -> Start:
        """Return where to begin reading all that came since the table was first listened to."""
        with self._lock:
            value, ties = self._origin or (None, ())
            return Start(value, self._began, ties, self._may_have_nulls())

    def _may_have_nulls(self) -> bool:
        return self._nulls or (self._kind is not None and self._kind.nullable)

    def _start(self, since: Moment) -> Start:
        nulls = self._may_have_nulls()
        edge, window, older = self._parts(since.order)
        settled = [b.high for b in older]
        if self._base is not None:
            settled.append(self._base[0])
        if not settled:
            return Start(None, self._earliest(-math.inf, self._began), (), nulls)
        value = min((max(settled, key=_rank), *(b.low for b in window)), key=_rank)
        if self._least is not None:
            value = min(value, self._least, key=_rank)
        if self.disproved is not None:
            return Start(value.wire, self._earliest(-math.inf, self._began), (), nulls)
        reach = self._reach(edge, window)
        ties = _Ties()
        for high, rows in self._settled_by(reach):
            if high.rank == value.rank:
                ties = ties.joined(rows)
        return Start(value.wire, self._earliest(reach, since.wall), ties.digests(), nulls)

    def _parts(self, order: float) -> tuple[float, list[_Bucket], list[_Bucket]]:
        """Return the last moment of activity, the minute before it, and what is older."""
        before = [b for b in self._buckets if b.begin <= order]
        edge = order
        if before and before[-1].last <= order - MARGIN_SECONDS:
            edge = before[-1].last
        window = [b for b in before if b.last > edge - MARGIN_SECONDS]
        return edge, window, [b for b in before if b.last <= edge - MARGIN_SECONDS]

    def _reach(self, edge: float, window: Sequence[_Bucket]) -> float:
        """Return by when all rows had come that are no higher than any in the window."""
        first = window[0].begin if window else edge
        return first - MARGIN_SECONDS - _BUCKET_SECONDS

    def _settled_by(self, reach: float) -> list[tuple[_Value, _Ties]]:
        parts = [(b.high, b.ties) for b in self._buckets if b.last <= reach]
        return parts if self._base is None else [self._base[:2], *parts]

    def _earliest(self, reach: float, wall: float) -> float:
        """Return the time from which on rows were received after a moment."""
        return min([wall, *(b.wall for b in self._buckets if b.last > reach)])

    def settled(self, at: Moment) -> Level | None:
        """Return how high all that came more than a minute before a moment is."""
        with self._lock:
            parts = self._settled_by(at.order - MARGIN_SECONDS)
            if not parts:
                return Level(self._began, None) if self._known else None
            high = max((value for value, _ in parts), key=_rank)
            ties = _Ties(chain(*(t.digests() for v, t in parts if v.rank == high.rank)))
            return Level(at.wall - MARGIN_SECONDS, high.wire, ties.digests())

    def settle(self, good: Moment) -> None:
        """Let go of what no span can need that begins after about a good moment."""
        with self._lock:
            edge, window, _ = self._parts(good.order - _REACH_SECONDS)
            reach = self._reach(edge, window)
            gone = [b for b in self._buckets if b.last <= reach]
            for bucket in gone:
                self._lower(bucket)
            self._buckets = [b for b in self._buckets if b.last > reach]

    def _lower(self, bucket: _Bucket) -> None:
        """Take what a bucket has into what is older than all of them."""
        base, high, ties = self._base, bucket.high, bucket.ties
        if base is not None and base[0].rank >= high.rank:
            ties = base[1].joined(ties) if base[0].rank == high.rank else base[1]
            high = base[0]
        self._base = high, ties, bucket.last

    # What outlives a restart.

    def to_json(self, good: Moment) -> str:
        """Return what `from_json` reads: what is known as of a good moment."""
        with self._lock:
            start, kind = self._start(good), self._kind
            parts = self._settled_by(math.inf)
            high = max((value for value, _ in parts), key=_rank, default=None)
            ties = _Ties(chain(*(t.digests() for v, t in parts if high and v.rank == high.rank)))
            audited = self.audited
            return json.dumps(
                {
                    "kind": kind and [kind.base, kind.type],
                    "known": self._known,
                    "began": self._began,
                    "origin": self._origin,
                    "start": [start.value, start.since, start.ties],
                    "high": [None if high is None else high.wire, ties.digests()],
                    "disproved": self.disproved,
                    "least": None if self._least is None else self._least.wire,
                    "nulls": self._nulls,
                    "audited": audited and [audited.at, audited.value, audited.ties],
                }
            )

    def from_json(self, text: str, schema: Schema | None, now: Moment) -> None:
        """Take up what an earlier run knew of a table of this layout."""
        with self._lock:
            self._adopt(schema)
            self._forget()
            saved = json.loads(text)
            kind = self._kind
            if kind is None or saved is None:
                return
            if isinstance(saved, list):
                saved = _of_tide(saved, kind)
            if saved["kind"] != [kind.base, kind.type]:
                return
            self._known, self._began = saved["known"], saved["began"]
            origin, audited = saved["origin"], saved["audited"]
            self._origin = origin and (origin[0], tuple(origin[1]))
            self.audited = audited and Level(audited[0], audited[1], tuple(audited[2]))
            self.disproved, self._nulls = saved["disproved"], saved["nulls"]
            if saved["least"] is not None:
                self._least = _Value(comparable(kind, saved["least"]), saved["least"])
            self._resume(kind, saved["start"], saved["high"], now)

    def _resume(self, kind: Column, start: list[Any], high: list[Any], now: Moment) -> None:
        if high[0] is None:
            return
        # As the earlier run left it: until a minute has passed it may come to be lower again.
        top = _Value(comparable(kind, high[0]), high[0])
        value = top if start[0] is None else _Value(comparable(kind, start[0]), start[0])
        if start[0] is not None:
            self._base = value, _Ties(start[2]), -math.inf
        self._buckets = [_Bucket(now.order, now.order, start[1], value, top, _Ties(high[1]))]


def _rank(value: _Value) -> Any:
    return value.rank


def _joined(one: _Bucket, other: _Bucket) -> _Bucket:
    low = min(one.low, other.low, key=_rank)
    high, ties = (
        (one.high, one.ties) if one.high.rank >= other.high.rank else (other.high, other.ties)
    )
    if one.high.rank == other.high.rank:
        ties = one.ties.joined(other.ties)
    return _Bucket(one.begin, other.last, min(one.wall, other.wall), low, high, ties)


def _of_tide(saved: list[Any], kind: Column) -> dict[str, Any]:
    """Read the mark of an earlier version, but for its digests, which were others."""
    origin, audited, *levels = saved
    known = [level for level in levels if level is not None]
    begin = known[0] if known else [0.0, None, []]
    end = known[-1] if known else begin
    return {
        "kind": [kind.base, kind.type],
        "known": origin is not None,
        "began": origin[0] if origin else 0.0,
        "origin": [origin[1], []] if origin and origin[1] is not None else None,
        "start": [begin[1], begin[0] - _BUCKET_SECONDS, []],
        "high": [end[1], []],
        "disproved": None,
        "least": None,
        "nulls": False,
        "audited": audited and [*audited[:2], []],
    }
