"""The values of the journal: what is read from it, what is settled in it, what it counts.

Everything here is immutable and knows no SQL. Times are microseconds since the epoch, UTC;
offsets count events, and an entry stands at the offset of its first event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bridge.events import Alter, Block, Count, Drop, Gap, Undecodable

Verdict = Literal["delivered", "dead_lettered", "discarded"]
VERDICTS: tuple[Verdict, ...] = ("delivered", "dead_lettered", "discarded")


StoredEntry = Block | Count | Alter | Drop | Gap | Undecodable


class Stored(NamedTuple):
    """An entry at its place: it holds the offsets `offset` to `offset + count - 1`."""

    offset: int
    count: int  # type: ignore[assignment]  # a tuple's own count is not wanted here
    entry: StoredEntry


@dataclass(frozen=True, slots=True)
class Damage:
    """Offsets that cannot be read any more, first and last included, and why.

    `counted` is whether a lane that wanted any of them is known to: it has something pending.
    """

    first: int
    last: int
    reason: str
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """What one read gave.

    Attributes:
        entries: in order of their offsets.
        next: where to go on, also where every entry was filtered out.
        damaged: spans between the start and `next` that could not be read.
    """

    entries: Sequence[Stored]
    next: int
    damaged: Sequence[Damage] = ()


@dataclass(frozen=True, slots=True)
class Lane:
    """Where one table stands within one sink.

    Attributes:
        cursor: all before it is settled but what waits.
        waiting: offsets before the cursor that are not settled, ascending.
        start: where to begin reading: nothing of the lane that is unsettled stands before it;
            the head where nothing is pending.
        events: the types of events that it takes, None for all.
    """

    cursor: int
    waiting: tuple[int, ...]
    start: int
    events: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """A run of `count` events of one table, from `offset` on, that shared one fate."""

    offset: int
    count: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event set aside.

    Attributes:
        sink: which sink did not take it.
        table: the table it belongs to.
        offset: its offset in the journal.
        id: the id of the event.
        time: when it was received.
        reason: why it was set aside.
        value: the event as JSON, None where its bytes could not be read.
        raw: the bytes that could not be read, else None.
        attempts: how often it was tried.
        answer: what the destination said to it, None where it was not asked or said nothing.
        number: its number among the dead letters, given when it is stored.
        set_aside: when it was set aside, given when it is stored.
        entry: the entry of that one event, to deliver it again; None where its bytes could not
            be read, where nobody asked for it, or where an older version set it aside.
    """

    sink: str
    table: str
    offset: int
    id: str
    time: int
    reason: str
    value: bytes | None = None
    raw: bytes | None = None
    attempts: int = 0
    answer: str | None = None
    number: int = 0
    set_aside: int = 0
    entry: StoredEntry | None = None


class LetterFilter(NamedTuple):
    """Which dead letters are meant: those that everything given lets through.

    Attributes:
        sink: of this sink.
        table: of this table.
        since: set aside at this time or later, microseconds.
        reason: whose reason has this text in it, whatever its case.
        after: with a higher number.
        numbers: with one of these numbers.
    """

    sink: str | None = None
    table: str | None = None
    since: int | None = None
    reason: str | None = None
    after: int | None = None
    numbers: frozenset[int] | None = None


class Bounds(NamedTuple):
    """What the segments of a journal keep within.

    Attributes:
        max_size: bytes that all of them together may take.
        max_age: seconds after which acknowledged entries go.
        drop_oldest: whether entries that are not acknowledged go when the journal is full.
        segment_size: bytes after which a new one begins, and that are made free before they are
            needed.
        segment_age: seconds after which a new one begins.
    """

    max_size: int
    max_age: float
    drop_oldest: bool
    segment_size: int
    segment_age: float


class LetterLimits(NamedTuple):
    """What dead letters may take.

    Attributes:
        max_size: bytes of all of them, about.
        max_age: seconds after which one goes.
    """

    max_size: int = 2**30
    max_age: float = 30 * 86400.0


class LetterSum(NamedTuple):
    """The dead letters of one lane.

    Attributes:
        count: how many there are.
        bytes: what they take, about.
        oldest: when the oldest was set aside, or earlier.
    """

    count: int  # type: ignore[assignment]  # a tuple's own count is not wanted here
    bytes: int
    oldest: int


@dataclass(frozen=True, slots=True)
class Move:
    """What became of a lane's events: its cursor moves, and some of them are settled.

    Attributes:
        table: the table of the lane.
        to: the new cursor; one below the present cursor leaves that where it is.
        settled: what is settled now, before `to`; also what waited until now.
        waiting: offsets before `to` that go on waiting, or begin to, whatever `settled` says.
            What waited before and is not settled now goes on waiting, named here or not.
        dead_letters: the events set aside.
    """

    table: str
    to: int
    settled: tuple[Settled, ...] = ()
    waiting: tuple[int, ...] = ()
    dead_letters: tuple[DeadLetter, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """Events of one table for one sink; received is the sum of the other four, always."""

    sink: str
    table: str
    received: int
    delivered: int
    dead_lettered: int
    discarded: int
    pending: int


@dataclass(frozen=True, slots=True)
class CommitTimes:
    """How long commits took, fsync included.

    Attributes:
        bounds: upper bounds of the buckets in seconds.
        counts: commits in each bucket, one more than there are bounds (the last is the rest).
        seconds: the sum.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    seconds: float

    @property
    def count(self) -> int:
        """Return how many commits there were."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class JournalStats:
    """A snapshot of the journal's own numbers.

    Attributes:
        bytes: size of all segments on disk.
        max_bytes: size at which `on_full` applies.
        segments: how many there are.
        oldest: offset of the oldest event still stored.
        oldest_time: when that event was received, None in an empty journal.
        head: offset that the next event gets.
        appended_events: events appended since the journal was opened.
        appended_bytes: payload bytes appended since then.
        commits: how long the commits took.
        discarded: events discarded for all sinks, over the journal's whole life.
        damaged: spans found damaged since the journal was opened.
    """

    bytes: int
    max_bytes: int
    segments: int
    oldest: int
    oldest_time: int | None
    head: int
    appended_events: int
    appended_bytes: int
    commits: CommitTimes
    discarded: int
    damaged: int


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """One segment as `journal ls` shows it.

    Attributes:
        first: its first offset.
        end: the first offset after it.
        events: how many it holds; None where the file cannot tell, `problem` says why then.
        bytes: its size on disk.
        oldest_time: when its first event was received.
        newest_time: when its last event was received.
        thinned: whether it holds only what some sink still waits for.
        problem: what is wrong with it.
    """

    first: int
    end: int
    events: int | None
    bytes: int
    oldest_time: int | None
    newest_time: int | None
    thinned: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class SinkSummary:
    """One sink as `journal ls` shows it: its lanes and accounts by table."""

    sink: str
    lanes: Mapping[str, Lane]
    accounts: Sequence[Account]
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole journal as `journal ls` shows it."""

    id: str
    oldest: int
    head: int
    segments: Sequence[SegmentSummary]
    sinks: Sequence[SinkSummary]
