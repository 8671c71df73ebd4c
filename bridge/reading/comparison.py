"""What a read has found is held against what was received, and what is missing is delivered.

A row that a read shows was published at about the same time, or will be a moment later. So a page
is held back until that has arrived, and a row of it that has not come by then a little longer: it
is delivered only once nobody expects it any more.

Of rows that a key tells apart, each was received or not. Of equal rows only the number tells:
those that came before the page was asked for stand on it, those that came later may be others.
Where that matters the rows are looked at again, until their number leaves no doubt.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import structlog

from bridge.codec import compile_schema
from bridge.events import Schema
from bridge.monitor.progress import Progress
from bridge.reading.pages import Page
from bridge.reading.received import Answer, Memory, Rows

log = structlog.get_logger()

_HELD_BYTES = 64 * 2**20
# What a row takes besides its bytes: two objects, and its place in three lists.
_ROW_BYTES = 150
_DELIVERED_ROWS = 10_000
_SAY_SECONDS = 5.0

ARRIVING = "equal rows kept arriving while they were compared"
CONFUSED = "rows received in an older layout cannot be told apart"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what a read shows is waited for, seconds.

    Attributes:
        settle: a row is published at about the time at which a read shows it.
        late: after so long a notification is not expected any more.
        looks: how often rows of a doubtful number are looked at again.
    """

    settle: float = 0.5
    late: float = 3.0
    looks: int = 5


class Room:
    """Room for the rows that are held back, of all reads together. Any thread may ask.

    Args:
        size: bytes; reads that find it full let go of what they hold before they read on.
    """

    def __init__(self, size: int = _HELD_BYTES) -> None:
        self._lock = threading.Lock()
        self._size = size
        self._held = 0

    @property
    def full(self) -> bool:
        """Whether more is held than there is room for."""
        return self._held > self._size

    def hold(self, size: int) -> None:
        """Count bytes as held, or as let go if negative."""
        with self._lock:
            self._held += size


@dataclass(slots=True)
class _Held:
    """Rows of a page that are waited for."""

    page: Page
    mark: int
    read_at: float
    rows: list[Rows]
    size: int


@dataclass(slots=True)
class _Doubt:
    """Rows whose number is between what was delivered and `most`."""

    frame: bytes
    delivered: int
    most: int


@dataclass(slots=True)
class _Doubts:
    """Those of one page; `where` selects them."""

    where: str | None
    rows: dict[int, _Doubt] = field(default_factory=dict)


class Comparison:
    """Compares the pages of one read. Used by one thread.

    Args:
        table: the qualified name, for the log.
        schema: the layout of the rows.
        keyed: whether a key tells all rows apart.
        received: what was received.
        arrived: returns once all that has arrived can be seen in what was received.
        deliver: takes rows that were missed; may block while there is no room.
        pause: waits some seconds, or raises where the read is to end.
        progress: kept up to date.
        patience: how long a row is waited for.
        room: for rows that are held back; its own where it is None.
    """

    def __init__(
        self,
        table: str,
        schema: Schema,
        received: Memory,
        arrived: Callable[[], object],
        deliver: Callable[[list[bytes]], None],
        pause: Callable[[float], object],
        progress: Progress,
        patience: Patience,
        room: Room | None = None,
    ) -> None:
        self._table = table
        self._codec = compile_schema(schema)
        self._keyed = bool(schema.primary_key)
        self._received = received
        self._arrived = arrived
        self._deliver = deliver
        self._pause = pause
        self._progress = progress
        self._patience = patience
        self._settling: deque[_Held] = deque()
        self._waiting: deque[_Held] = deque()
        self._room = Room() if room is None else room
        self._held_bytes = 0
        self._doubts: list[_Doubts] = []
        self._said_at = time.monotonic()
        self.uncertain = False

    def run(
        self, pages: Iterable[Page], again: Callable[[str | None], Iterable[Page]]
    ) -> str | None:
        """Deliver the rows of all pages that were not received.

        Args:
            pages: of the table.
            again: reads what a page's condition selects once more.

        Returns:
            Why it is not proven that all were delivered, None where it is. Rows that were read
            by offset are not judged: `uncertain` says that there were some.
        """
        try:
            self._compare(pages)
        finally:
            self._count(-self._held_bytes)
        for _ in range(self._patience.looks):
            if not self._doubts:
                break
            self._look_again(again)
        if self._doubts:
            return ARRIVING
        return CONFUSED if self._received.confused else None

    def _compare(self, pages: Iterable[Page]) -> None:
        self._take_in()
        mark = self._received.mark()
        for page in pages:
            self._hold(page, mark)
            self._let_go()
            self._say()
            mark = self._received.mark()
        self._let_go(everything=True)

    def _count(self, size: int) -> None:
        self._held_bytes += size
        self._room.hold(size)

    def _take_in(self) -> None:
        self._arrived()
        self._received.catch_up()

    def _hold(self, page: Page, mark: int) -> None:
        self.uncertain |= not page.certain
        rows = [row for row, _ in self._distinct(page)]
        size = _size(rows)
        self._settling.append(_Held(page, mark, time.monotonic(), rows, size))
        self._count(size)

    def _distinct(self, page: Page) -> Iterator[tuple[Rows, int]]:
        """Yield the rows of a page, equal ones as one, with their digests."""
        frames = page.frames
        digests = self._codec.digests(b"".join(frames), len(frames))
        if self._keyed:
            for frame, digest in zip(frames, digests, strict=True):
                yield Rows(frame, page.times), digest
            return
        times = Counter(digests)
        frame_of = dict(zip(digests, frames, strict=True))
        for digest, n in times.items():
            yield Rows(frame_of[digest], n * page.times), digest

    def _let_go(self, *, everything: bool = False) -> None:
        """Judge the pages whose time has come, and further ones until there is room."""
        while self._settling or self._waiting:
            settled = self._due(self._settling, self._patience.settle)
            late = self._due(self._waiting, self._patience.late)
            wait = min(settled, late) - time.monotonic()
            if wait > 0:
                if not (everything or self._room.full):
                    return
                self._pause(wait)
            self._take_in()
            now = time.monotonic()
            while self._settling and self._due(self._settling, self._patience.settle) <= now:
                self._judge_first(self._settling.popleft())
            while self._waiting and self._due(self._waiting, self._patience.late) <= now:
                self._judge(self._waiting.popleft())
            self._forget()

    @staticmethod
    def _due(held: deque[_Held], patience: float) -> float:
        return held[0].read_at + patience if held else float("inf")

    def _judge_first(self, held: _Held) -> None:
        """Keep of a page only what is still waited for."""
        answers = self._received.answers(held.rows, held.mark)
        if held.page.certain:
            kept = [
                row
                for row, answer in zip(held.rows, answers, strict=True)
                if self._surely(answer) < row.times
            ]
        else:
            kept = held.rows
        self._progress.done += held.page.rows
        size = _size(kept)
        self._count(size - held.size)
        if kept:
            page = replace(held.page, frames=[])
            self._waiting.append(_Held(page, held.mark, held.read_at, kept, size))

    def _surely(self, answer: Answer) -> int:
        return answer.received if self._keyed else answer.received - answer.late

    def _judge(self, held: _Held) -> None:
        """Deliver what has not come, and keep in mind what is not certain."""
        self._count(-held.size)
        answers = self._received.answers(held.rows, held.mark)
        doubts = _Doubts(held.page.where)
        missed: list[Rows] = []
        used: list[Rows] = []
        for row, answer in zip(held.rows, answers, strict=True):
            missing = max(0, row.times - answer.received)
            most = max(0, row.times - self._surely(answer))
            if missing:
                missed.append(Rows(row.frame, missing))
            if missing < row.times:
                used.append(Rows(row.frame, row.times - missing))
            if most > missing and held.page.certain:
                (digest,) = self._codec.digests(row.frame, 1)
                doubts.rows[digest] = _Doubt(row.frame, missing, most)
        self._give(missed)
        if not held.page.certain:
            self._received.use_up(used)
        if doubts.rows:
            self._doubts.append(doubts)

    def _look_again(self, again: Callable[[str | None], Iterable[Page]]) -> None:
        """Count rows of a doubtful number once more, and those that came meanwhile."""
        self._take_in()
        mark = self._received.mark()
        there: list[Counter[int]] = []
        for doubts in self._doubts:
            counted: Counter[int] = Counter()
            for page in again(doubts.where):
                for row, digest in self._distinct(page):
                    if digest in doubts.rows:
                        counted[digest] += row.times
            there.append(counted)
        self._pause(self._patience.late)
        self._take_in()
        left: list[_Doubts] = []
        for doubts, counted in zip(self._doubts, there, strict=True):
            still = self._settle_doubts(doubts, counted, mark)
            if still.rows:
                left.append(still)
        self._doubts = left
        self._forget()

    def _settle_doubts(self, doubts: _Doubts, counted: Counter[int], mark: int) -> _Doubts:
        rows = [Rows(doubt.frame, counted[digest]) for digest, doubt in doubts.rows.items()]
        answers = self._received.answers(rows, mark)
        still = _Doubts(doubts.where)
        missed: list[Rows] = []
        for (digest, doubt), row, answer in zip(doubts.rows.items(), rows, answers, strict=True):
            missing = row.times - answer.received
            most = min(doubt.most, row.times - self._surely(answer))
            if missing > doubt.delivered:
                missed.append(Rows(doubt.frame, missing - doubt.delivered))
            delivered = max(doubt.delivered, missing)
            if most > delivered:
                still.rows[digest] = _Doubt(doubt.frame, delivered, most)
        self._give(missed)
        return still

    def _give(self, missed: Sequence[Rows]) -> None:
        frames: list[bytes] = []
        for row in missed:
            left = row.times
            while left:
                taken = min(left, _DELIVERED_ROWS - len(frames))
                frames += [row.frame] * taken
                left -= taken
                if len(frames) == _DELIVERED_ROWS:
                    self._hand_on(frames)
                    frames = []
        if frames:
            self._hand_on(frames)

    def _hand_on(self, frames: list[bytes]) -> None:
        self._deliver(frames)
        self._progress.delivered += len(frames)

    def _forget(self) -> None:
        outstanding = [held[0].mark for held in (self._settling, self._waiting) if held]
        self._received.forget_before(min(outstanding, default=self._received.mark()))

    def _say(self) -> None:
        if time.monotonic() - self._said_at > _SAY_SECONDS:
            self._said_at = time.monotonic()
            log.info(
                "reading_table",
                table=self._table,
                rows=self._progress.done,
                expected=self._progress.expected,
                missed=self._progress.delivered,
            )


def _size(rows: Sequence[Rows]) -> int:
    return sum(len(row.frame) for row in rows) + _ROW_BYTES * len(rows)
