"""A lane: one table's way through one sink, as its courier knows it.

All before `cursor` is settled, but what is in `waiting` (only where order is per key). What was
delivered ahead of the cursor is remembered in `done`, in memory, until the cursor passes it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.delivery.policy import ACCEPTED, EVERYTHING, Hold, Trouble
from bridge.journal import DeadLetter, Settled, StoredEntry, kind_of
from bridge.lines import Slice
from bridge.sinks.base import Standing

MOST_WAITING = 10_000
_ASIDE_BYTES = 2**20
# So that a sink that takes little of much still hears what is asked of it.
_PASSED_OVER = 1000


class Waits(NamedTuple):
    """An event that waits while others of its table go on.

    Attributes:
        key: a digest of its key; None where it has none.
        time: when it was received.
    """

    key: int | None
    time: int


@dataclass(frozen=True, slots=True)
class Aside:
    """A stretch that no sink can get; it is settled when the cursor passes it."""

    offset: int
    end: int
    settled: tuple[Settled, ...] = ()
    letters: tuple[DeadLetter, ...] = ()


@dataclass(slots=True, eq=False)
class Lane:
    """Where one table stands. Changed by its courier's thread alone.

    Attributes:
        table: the qualified name.
        cursor: all before it is settled but what waits.
        start: nothing unsettled but what waits stands before it; where it is read from.
        waiting: by offset, ascending.
        done: runs (start, stop) behind the cursor that were delivered already, ascending.
        trouble: why the whole lane waits.
        parked: why the events in `waiting` do.
        certain: events in a row that the sink refused by its own knowledge.
        full: more events would wait than may.
        hand: ends and times of the entries that are read, for the age of the oldest.
        since: when the first unsettled event was received, where the lane waits.
        seconds: how long the last try took after which it was in trouble.
        events: the types of events that its sink takes, None for all.
    """

    table: str
    cursor: int
    start: int = 0
    waiting: dict[int, Waits] = field(default_factory=dict)
    done: list[tuple[int, int]] = field(default_factory=list)
    trouble: Trouble | None = None
    parked: Trouble | None = None
    certain: int = 0
    full: bool = False
    hand: deque[tuple[int, int]] = field(default_factory=deque)
    since: int | None = None
    seconds: float = 0.0
    events: frozenset[str] | None = None

    def takes(self, entry: StoredEntry) -> bool:
        """Whether an entry's events are of a type that its sink takes."""
        return self.events is None or kind_of(entry) in self.events

    def flows(self, *, by_key: bool) -> bool:
        """Whether its next events may go out with those of others."""
        return self.trouble is None and not self.full and (by_key or not self.waiting)

    @property
    def oldest(self) -> int | None:
        """When the oldest event in hand or waiting was received. Any thread may ask."""
        try:
            times = [next(iter(self.waiting.values())).time] if self.waiting else []
            times += [self.hand[0][1]] if self.hand else []
        except (IndexError, RuntimeError, StopIteration):  # it moved on meanwhile
            return self.since
        times += [] if self.since is None else [self.since]
        return min(times, default=None)

    def blocked_keys(self) -> set[int]:
        """Return the digests of the keys that wait."""
        return {each.key for each in self.waiting.values() if each.key is not None}

    def witness(self, now: float) -> None:
        """Note that the destination took an event, for the proof of what waits beside."""
        if self.parked is not None:
            self.parked = self.parked.witnessed(now)

    def more_waits(self, now: float) -> None:
        """Let what still waits beside the lane be tried next, or nothing if that is none."""
        if not self.waiting:
            self.parked = None
        elif self.parked is None:
            self.parked = Trouble((EVERYTHING,), ACCEPTED, now)

    def fresh(self, piece: Slice, floor: int = 0) -> list[Slice]:
        """Return the parts of a slice, from `floor` on, that are not delivered already."""
        start, stop = max(piece.offset, self.cursor, floor), piece.end
        parts: list[Slice] = []
        for begin, end in self.done:
            if end <= start:
                continue
            if begin >= stop:
                break
            if begin > start:
                parts.append(piece.part(start - piece.offset, begin - piece.offset))
            start = end
        if start < stop:
            parts.append(piece.part(start - piece.offset, stop - piece.offset))
        return parts

    def remember(self, runs: Iterable[tuple[int, int]]) -> None:
        """Note runs as delivered ahead of the cursor."""
        for run in runs:
            insort(self.done, run)

    def pass_done(self, to: int) -> list[Settled]:
        """Forget, and return as settled, what was delivered ahead and lies before `to`."""
        passed: list[Settled] = []
        while self.done and self.done[0][0] < to:
            begin, end = self.done.pop(0)
            if end > to:
                self.done.insert(0, (to, end))
                end = to
            if begin >= self.cursor:
                passed.append(Settled(begin, end - begin, "delivered"))
        return passed

    def standing(self) -> Standing:
        """Return where it stands."""
        return Standing(self.cursor, [(o, o + 1) for o in self.waiting], tuple(self.done))

    def move_to(self, to: int) -> None:
        """Move the cursor."""
        self.cursor = max(self.cursor, to)
        self.start = max(self.start, self.cursor)
        hand = self.hand
        while hand and hand[0][0] <= self.cursor:
            hand.popleft()


@dataclass(slots=True, eq=False)
class Part:
    """What a batch has of one lane.

    Attributes:
        lane: whose.
        to: where the cursor stands once all of it is settled.
        slices: what is to be delivered, in order.
        asides: what no sink can get on the way.
        parked: what has to wait on the way, behind an event with the same key.
    """

    lane: Lane
    to: int
    slices: list[Slice] = field(default_factory=list)
    asides: list[Aside] = field(default_factory=list)
    parked: dict[int, Waits] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """Offset of the first event to be delivered."""
        return self.slices[0].offset

    @property
    def begin(self) -> int:
        """Offset of the first of all that it has."""
        asides, parked = self.asides[:1], list(self.parked)[:1]
        return min([self.first, *(aside.offset for aside in asides), *parked])

    @property
    def stop(self) -> int:
        """The offset behind the last event to be delivered."""
        return self.slices[-1].end

    @property
    def events(self) -> int:
        """How many are to be delivered."""
        return sum(map(len, self.slices))

    @property
    def middle(self) -> int:
        """Offset of the event that begins the second half."""
        left = self.events // 2
        for piece in self.slices:
            if left < len(piece):
                return piece.offset + left
            left -= len(piece)
        return self.stop

    @property
    def time(self) -> int:
        """When the first event was received."""
        return self.slices[0].lines.time(self.slices[0].start)

    def runs(self, without: Sequence[int] = ()) -> list[tuple[int, int]]:
        """Return the events as runs (start, stop), without some offsets (ascending)."""
        runs: list[tuple[int, int]] = []
        for piece in self.slices:
            start, stop = piece.offset, piece.end
            for gap in without[bisect_left(without, start) : bisect_left(without, stop)]:
                if start < gap:
                    _add(runs, start, gap)
                start = gap + 1
            if start < stop:
                _add(runs, start, stop)
        return runs

    def standing(self) -> Standing:
        """Return where the lane stands once all of it is delivered."""
        lane = self.lane
        waits = {*lane.waiting, *self.parked}
        away = [(offset, offset + 1) for offset in waits if offset < self.to]
        away += [(aside.offset, aside.end) for aside in self.asides if aside.offset < self.to]
        ahead = [(max(start, self.to), stop) for start, stop in lane.done if stop > self.to]
        return Standing(max(self.to, lane.cursor), sorted(away), ahead)

    def find(self, offset: int) -> Slice:
        """Return an event as a slice of one."""
        for piece in self.slices:
            if piece.offset <= offset < piece.end:
                index = offset - piece.offset
                return piece.part(index, index + 1)
        raise KeyError(offset)


@dataclass(slots=True, eq=False)
class Load:
    """What is next in line, up to a batch: parts by table, slices in journal order.

    Attributes:
        max_events: most events of it.
        max_bytes: most bytes, if it is more than one event.
        aside_bytes: held for the dead letters of what no sink can get.
        passed_over: entries that the sink does not take.
    """

    max_events: int
    max_bytes: int
    parts: dict[str, Part] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    events: int = 0
    nbytes: int = 0
    aside_bytes: int = 0
    passed_over: int = 0

    @property
    def full(self) -> bool:
        """Whether nothing more goes in."""
        return (
            self.events >= self.max_events
            or self.nbytes >= self.max_bytes
            or self.aside_bytes >= _ASIDE_BYTES
            or self.passed_over >= _PASSED_OVER
        )

    @property
    def tables(self) -> list[str]:
        """The tables of which there are events to be delivered."""
        return [table for table, part in self.parts.items() if part.slices]

    def standing(self, table: str) -> Standing:
        """Return where a table's lane stands once all of the load is delivered."""
        return self.parts[table].standing()

    def beside(self, table: str) -> Standing:
        """Return where a table's lane stands, whose cursor none of the load moves."""
        return self.parts[table].lane.standing()

    def part(self, lane: Lane) -> Part:
        """Return the part of a lane, begun if there is none."""
        part = self.parts.get(lane.table)
        if part is None:
            part = self.parts[lane.table] = Part(lane, lane.cursor)
        return part

    def add(self, part: Part, piece: Slice) -> None:
        """Put in a slice that fits."""
        part.slices.append(piece)
        part.to = piece.end
        self.slices.append(piece)
        self.events += len(piece)
        self.nbytes += piece.nbytes

    def fitting(self, piece: Slice) -> int:
        """Return how many of the first events of a slice still go in."""
        most = min(len(piece), self.max_events - self.events)
        room = self.max_bytes - self.nbytes
        if most == len(piece) and piece.nbytes <= room:
            return most
        lines, start = piece.lines, piece.start
        from_byte = lines.start(start)
        count = _ends_within(lines.ends, from_byte + room, start, start + most) - start
        return 1 if count == 0 and not self.slices and most else count


@dataclass(slots=True)
class Held:
    """The batch that is next, and how it fared."""

    load: Load
    hold: Hold = field(default_factory=Hold)


def dead_letter(
    sink: str, piece: Slice, reason: str, attempts: int, answer: str | None
) -> DeadLetter:
    """Make the dead letter of the event that a slice of one holds."""
    event = piece.event(0)
    return DeadLetter(
        sink,
        event.table,
        event.offset,
        event.id,
        event.time,
        reason,
        value=event.value,
        attempts=attempts,
        answer=answer,
    )


def settled_runs(runs: Iterable[tuple[int, int]]) -> list[Settled]:
    """Return runs (start, stop) as delivered."""
    return [Settled(start, stop - start, "delivered") for start, stop in runs]


def offsets_of(failed: Mapping[int, object], part: Part) -> list[int]:
    """Return those of some offsets that are events of the part, ascending."""
    return sorted(o for o in failed if any(p.offset <= o < p.end for p in part.slices))


def _ends_within(ends: memoryview, limit: int, low: int, high: int) -> int:
    """Return the first place from `low` to before `high` whose end is above the limit."""
    while low < high:
        middle = (low + high) // 2
        if ends[middle] <= limit:
            low = middle + 1
        else:
            high = middle
    return low


def _add(runs: list[tuple[int, int]], start: int, stop: int) -> None:
    if runs and runs[-1][1] == start:
        runs[-1] = (runs[-1][0], stop)
    else:
        runs.append((start, stop))
