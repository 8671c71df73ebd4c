"""What was received lately of a growing column: its least and greatest value, in ten seconds each.

Told by the monotonic clock. What is older than any span may need is its greatest value alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from bridge.codec import Codec
from bridge.monitor.records import pick

BUCKET_SECONDS = 10.0
# What is older than `_FINE_SECONDS` is joined to buckets of a minute.
_FINE_SECONDS, _COARSE_SECONDS = 300.0, 60.0
# More of them, without a good moment for long, are joined: that costs only precision.
_MOST = 128

_MOST_TIES = 1000
# Rows kept as bytes until somebody asks for their digests.
_RAW_BYTES, _RAW_PIECES = 2**16, 100


class Ties:
    """Rows of one value, as digests; those come to be when somebody asks."""

    def __init__(self, digests: Iterable[int] = ()) -> None:
        self._digests = dict.fromkeys(islice(digests, _MOST_TIES))
        self._raw: list[tuple[Codec, bytes, int]] = []
        self._raw_bytes = self._raw_rows = 0

    def add(self, codec: Codec, payload: bytes, count: int, places: list[int]) -> None:
        """Take in the records of a payload that stand at these places."""
        # A duplicate is better than memory without bound.
        places = places[: _MOST_TIES - len(self._digests) - self._raw_rows]
        if not places:
            return
        rows = pick(codec, payload, count, places)
        self._raw.append((codec, rows, len(places)))
        self._raw_rows += len(places)
        self._raw_bytes += len(rows)
        if self._raw_bytes > _RAW_BYTES or len(self._raw) > _RAW_PIECES:
            self.digests()

    def digests(self) -> tuple[int, ...]:
        """Return the digests, in the order in which the rows came."""
        for codec, payload, count in self._raw:
            self._digests.update(dict.fromkeys(codec.digests(payload, count)))
        self._raw, self._raw_bytes, self._raw_rows = [], 0, 0
        return tuple(self._digests)


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it is on the wire, and as it orders."""

    rank: Any
    wire: Any


@dataclass(slots=True)
class Bucket:
    """Rows received one after another; `begin` and `last` by the monotonic clock.

    Attributes:
        wall: when the first of them was received, by a clock that may have been set back
            meanwhile; seconds since the epoch.
        ties: the rows that have the greatest value.
    """

    begin: float
    last: float
    wall: float
    low: Value
    high: Value
    ties: Ties = field(default_factory=Ties)


@dataclass(frozen=True, slots=True)
class Base:
    """All that is older than the buckets.

    Attributes:
        high: the greatest value.
        ties: the rows that have it.
        last: when the last of it came.
        serves: spans that begin from then on may be read from it.
    """

    high: Value
    ties: Ties
    last: float
    serves: float


def rank(value: Value) -> Any:
    """Return what a value orders by."""
    return value.rank


def highest(parts: Sequence[tuple[Value, Ties]]) -> tuple[Value, tuple[int, ...]]:
    """Return the greatest value of some, one at least, and the digests of all rows that have it."""
    high = max((value for value, _ in parts), key=rank)
    ties: dict[int, None] = {}
    for value, rows in parts:
        if value.rank == high.rank:
            ties.update(dict.fromkeys(rows.digests()))
    return high, tuple(islice(ties, _MOST_TIES))


def thinned(buckets: list[Bucket], now: float) -> list[Bucket]:
    """Return buckets with those joined that are old, or too many."""
    if len(buckets) >= _MOST:
        half = _MOST // 2
        joined = [_join(one, other) for one, other in zip(*[iter(buckets[:half])] * 2, strict=True)]
        buckets = [*joined, *buckets[half:]]
    made: list[Bucket] = []
    for bucket in buckets:
        old = bucket.last < now - _FINE_SECONDS
        if made and old and bucket.last - made[-1].begin <= _COARSE_SECONDS:
            made[-1] = _join(made[-1], bucket)
        else:
            made.append(bucket)
    return made


def _join(one: Bucket, other: Bucket) -> Bucket:
    low = min(one.low, other.low, key=rank)
    high, digests = highest([(one.high, one.ties), (other.high, other.ties)])
    return Bucket(one.begin, other.last, min(one.wall, other.wall), low, high, Ties(digests))
