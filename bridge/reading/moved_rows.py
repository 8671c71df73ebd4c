"""The rows of one table that moved: read from where their column stood, and held against the rest.

What was received in the form in which it is read is known; so is what stood there before the table
was followed. A row that was just inserted is read as well: it is waited for, as it comes by itself.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from bridge.errors import RequestRefused
from bridge.events import Block, Column, Schema
from bridge.monitor.moment import Moment
from bridge.monitor.table import TableMonitor
from bridge.reading.height import Height, Step
from bridge.reading.known import Stream, Streams
from bridge.reading.received import Received, Rows
from bridge.reading.task import Task, Tools
from bridge.types import comparable, literal, type_of
from bridge.wire.calls import Cluster, Query, all_of

log = structlog.get_logger()

# Rows of which the height is asked for, and rows above it that are remembered.
_HIGHEST_ROWS = 1_000
# The index of what was received is begun anew: after so many rows.
_INDEX_ROWS = 1_000_000
# Bytes of rows that wait to be received after all.
_HELD_BYTES = 32 * 2**20
_SLACK_SECONDS = 2.0
_DAY_SECONDS = 86_400.0
# Columns that hold a moment, which the cluster's clock can be held against.
_MOMENTS = frozenset({"timestamp", "datetime"})
_UNUSABLE = frozenset({"json", "array", "wkt", "vector", "bytes", "time"})


@dataclass(frozen=True, slots=True)
class UpdateTimes:
    """How updates are followed, seconds.

    Attributes:
        poll: between two looks for counted updates.
        every: least time between two reads of a table.
        margin: how far behind its height the column may be written.
        deep: likewise, where fewer rows than expected were found.
        patience: how long a read waits for the gaps of its table to be closed.
        strikes: so many reads in a row find nothing before it is said that the column stands.
    """

    poll: float = 0.2
    every: float = 1.0
    margin: float = 10.0
    deep: float = 60.0
    patience: float = 30.0
    strikes: int = 3


class Places(Streams, Protocol):
    """What was received, readable again from a moment on."""

    def place(self, since: float) -> int:
        """Return an offset before which nothing was received at a moment or after it."""


@dataclass(slots=True, eq=False)
class Followed:
    """A table whose updates are followed.

    Attributes:
        counted: updates that had been counted by the last read.
        gaps: gaps there had been by then.
        busy: whether it is being read.
        next_at: not before then, by the monotonic clock.
        blocked_at: since when its gaps are waited for.
        stood: where the column stood when a read first found nothing; `strikes` did since.
    """

    table: TableMonitor
    cluster: Cluster
    born: float
    counted: int = 0
    gaps: int = -1
    busy: bool = False
    next_at: float = 0.0
    blocked_at: float | None = None
    failures: int = 0
    height: Height | None = None
    schema: Schema | None = None
    received: Received | None = None
    stood: Any = None
    strikes: int = 0
    said: set[str] = field(default_factory=set)


class UpdateReader:
    """Reads the rows that moved, of one table at a time. Any thread may use it.

    Args:
        tools: what reads use.
        places: what was received.
        make_folder: makes their folder, and takes away what an earlier run left.
        times: how updates are followed.
    """

    def __init__(
        self,
        tools: Tools,
        places: Places,
        make_folder: Callable[[], None],
        times: UpdateTimes,
    ) -> None:
        self.tools = tools
        self.times = times
        self._places = places
        self._make_folder = make_folder
        self._lock = threading.Lock()  # guards what heights are made of

    def prepare(self, followed: Followed, task: Task) -> bool:
        """Know where the column stands; False where it cannot be followed."""
        table, schema = followed.table, task.schema
        if followed.born != table.born_at:
            self.let_go(followed)
            followed.born, followed.height = table.born_at, None
            table.keep_update_level("")
        if followed.schema is not None and followed.schema != schema:
            self.let_go(followed)  # rows are compared in the layout that they are read in
        followed.schema = schema
        column = next((c for c in schema.columns if c.name == table.options.update_rows), None)
        if column is None or type_of(column).family in _UNUSABLE or column.base == "bytes":
            cause = "there is no such column" if column is None else f"it is a {column.type}"
            self._say(followed, "update_rows_unusable", cause)
            return False
        if followed.height is None or followed.height.column != column:
            self._begin(followed, task, column)
        return True

    def _begin(self, followed: Followed, task: Task, column: Column) -> None:
        """Go on from where an earlier run left a column; another one from where it stands now."""
        table, height = followed.table, None
        if table.update_level:
            with suppress(ValueError, TypeError):
                height = Height.from_json(table.update_level, task.schema, column)
        if height is None or height.column != column:
            former, height = height, self._first(task, column, known=height is not None)
            if former is not None:
                # What moved until the new column was asked for its height, the former one tells.
                followed.height = former
                self.follow(followed, task, after_gap=True)
            followed.stood, followed.strikes = None, 0
            table.keep_update_level(height.to_json(time.monotonic()))
        with self._lock:
            followed.height = height
        table.rows_heard = self._listener(height)

    def _listener(self, height: Height) -> Callable[..., None]:
        def heard(codec: Any, payload: bytes, count: int) -> None:
            with self._lock:
                height.note(codec, payload, count)

        return heard

    def _first(self, task: Task, column: Column, *, known: bool) -> Height:
        """Return where a column stands, where it is known, or not, what was there before."""
        table = task.table
        if table.born_at and not known:  # all of its rows are received, so none was there before
            return Height(column, Step(None, Moment(-math.inf, table.born_at)))
        where = f"not {column.name} is null"
        value = self._highest(task, column, where)
        value = self._until_now(task, column, value)
        base: list[int] = []
        if value is not None:
            for page in task.pages((column.name, *_key_without(task, column))).read(value):
                base += task.codec.digests(b"".join(page.frames), len(page.frames))
                if len(base) >= _HIGHEST_ROWS:
                    break
        if column.nullable:
            nulls = task.cluster.read_rows(Query(table.name, f"{column.name} is null"), 0, 1).total
            if nulls:
                log.info("update_rows_nulls", table=table.name, column=column.name, rows=nulls)
        return Height.new(column, value, base)

    def _highest(self, task: Task, column: Column, where: str) -> Any:
        where_all = all_of(task.table.options.filter, where)
        query = Query(task.table.name, where_all, column.name, "descending")
        page = task.cluster.read_rows(query, 0, 1)
        if not page.frames:
            return None
        if page.type_id != task.schema.type_id:
            raise RequestRefused(
                task.cluster.url, "/get/records", "the table was altered meanwhile"
            )
        return task.codec.decode(page.frames[0], 1)[0][column.name]

    def _until_now(self, task: Task, column: Column, value: Any) -> Any:
        """Return the greatest value that is not after the cluster's now, where it can tell.

        A server that does not hold such a column against its clock says all of them: what is a day
        after ours is left out all the same.
        """
        if value is None or type_of(column).family not in _MOMENTS:
            return value
        known = f"not {column.name} is null"
        with suppress(RequestRefused):
            value = self._highest(task, column, f"({known}) and ({column.name} <= NOW())")
        tomorrow = _moment(column, time.time() + _DAY_SECONDS)
        if value is not None and comparable(column, value) > comparable(column, tomorrow):
            bound = f"{column.name} <= {literal(column, tomorrow)}"
            value = self._highest(task, column, f"({known}) and ({bound})")
        return value

    def follow(self, followed: Followed, task: Task, *, after_gap: bool) -> None:
        """Deliver the rows that moved."""
        height, table = followed.height, followed.table
        if height is None:
            return
        column = height.column
        deep = after_gap or followed.strikes > 0
        began = time.monotonic()
        with self._lock:
            start = height.before(began - (self.times.deep if deep else self.times.margin))
        received = self._received(followed, task, start.at.wall)
        inserted = table.counts.received["insert"]
        order = (column.name, *_key_without(task, column))
        where = f"not {column.name} is null" if start.value is None else None
        held: list[bytes] = []
        delivered, size, top = 0, 0, None
        for page in task.pages(order).read(start.value, where):
            fresh = self._unknown(height, received, task, page.frames * page.times)
            held += fresh
            size += sum(map(len, fresh))
            top = task.codec.decode(page.frames[-1], 1)[0][column.name]
            if size > _HELD_BYTES:
                delivered += self._deliver(height, received, task, held, inserted)
                held, size = [], 0
        delivered += self._deliver(height, received, task, held, inserted)
        self._settle(followed, task, top, delivered, began)

    def _received(self, followed: Followed, task: Task, since: float) -> Received:
        """Return the index of what was received since a moment, brought up to now."""
        received = followed.received
        if received is not None and received.rows > _INDEX_ROWS:
            self.let_go(followed)
            received = None
        self.tools.intake.barrier()
        if received is None:
            self._make_folder()
            place = self._places.place(max(since - _SLACK_SECONDS, followed.born))
            stream = self._places.stream(followed.table.name, place)
            name = hashlib.blake2b(followed.table.name.encode(), digest_size=8).hexdigest()
            path = self.tools.folder / f"{name}-updates.db"
            path.unlink(missing_ok=True)
            received = followed.received = Received(path, task.schema, _Blocks(stream))
        received.catch_up()
        return received

    def _unknown(
        self, height: Height, received: Received, task: Task, frames: list[bytes]
    ) -> list[bytes]:
        """Return the rows that were not received as they are, and did not stand there before."""
        if not frames:
            return []
        digests = task.codec.digests(b"".join(frames), len(frames))
        answers = received.answers([Rows(frame, 1) for frame in frames])
        return [
            frame
            for frame, digest, answer in zip(frames, digests, answers, strict=True)
            if not answer.received and digest not in height.base
        ]

    def _deliver(
        self, height: Height, received: Received, task: Task, frames: list[bytes], inserted: int
    ) -> int:
        """Deliver rows that are still not received after a while; return how many."""
        if not frames:
            return 0
        patience = self.tools.patience
        self.tools.pause(patience.settle)
        if task.table.counts.received["insert"] != inserted:
            self.tools.pause(patience.late)  # it may be one that was inserted
        self.tools.intake.barrier()
        received.catch_up()
        frames = self._unknown(height, received, task, frames)
        if frames:
            task.deliver(frames)
        return len(frames)

    def _settle(
        self, followed: Followed, task: Task, top: Any, delivered: int, began: float
    ) -> None:
        height, table = followed.height, followed.table
        if height is None:
            return
        with self._lock:
            height.rise(top)
            highest = height.top.value
        capped = self._until_now(task, height.column, highest)
        with self._lock:
            if capped is not None and capped != highest:
                height.cap(capped)
            height.settle(began - self.times.deep)
            text = height.to_json(began)
        table.keep_update_level(text)
        if delivered or table.counts.received["update"] == followed.counted:
            followed.strikes = 0
            return
        if followed.strikes == 0:
            followed.stood = highest
        followed.strikes += 1
        if followed.strikes >= self.times.strikes and followed.stood == highest:
            name = height.column.name
            query = Query(table.name, f"{name} is null")
            nulls = task.cluster.read_rows(query, 0, 1).total if height.column.nullable else 0
            cause = f"updates were counted, and no row's {name} moved beyond {highest!r}"
            self._say(
                followed,
                "update_rows_column_stands",
                cause + (f"; {nulls} rows have null there" if nulls else ""),
            )

    def _say(self, followed: Followed, event: str, cause: str) -> None:
        """Log once why rows of updates do not come."""
        if event not in followed.said:
            followed.said.add(event)
            column = followed.table.options.update_rows
            log.error(event, table=followed.table.name, column=column, cause=cause)

    def let_go(self, followed: Followed) -> None:
        """Take away what was remembered of a table's rows."""
        if followed.received is not None:
            followed.received.close()
            followed.received = None


class _Blocks:
    """The rows among a table's entries."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def more(self) -> Iterator[Block]:
        """Yield what was received and stored since the last call."""
        for _, entry in self._stream.more():
            if isinstance(entry, Block):
                yield entry

    def close(self) -> None:
        """Let go of the place."""
        self._stream.close()


def _key_without(task: Task, column: Column) -> tuple[str, ...]:
    return tuple(name for name in task.schema.primary_key if name != column.name)


def _moment(column: Column, at: float) -> Any:
    """Return a moment, seconds since the epoch, as a column has it on the wire."""
    if column.base == "long":
        return round(at * 1000)
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.000")
