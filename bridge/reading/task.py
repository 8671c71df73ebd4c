"""One read of one table: what it is for, and what whoever reads may use.

How a gap is closed is chosen for each table (`closing`); each way is a function that takes a task
and returns an outcome. It reads pages, compares, delivers, and says what it could not prove.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.codec import Codec, compile_schema
from bridge.errors import BridgeError, DecodeError
from bridge.events import ReadCause, Schema
from bridge.monitor.arrivals import Arrival, Damaged
from bridge.monitor.gaps import OpenGap
from bridge.monitor.intake import Intake
from bridge.monitor.progress import Progress
from bridge.monitor.route import Route
from bridge.monitor.table import TableMonitor
from bridge.reading.comparison import Comparison, Patience, Room
from bridge.reading.pages import PageLimits, Pages
from bridge.reading.received import History, Received
from bridge.wire.calls import Cluster
from bridge.wire.tables import TableInfo, made_again

MOVED = "rows moved while they were read, and nothing orders them"


def _always() -> bool:
    return True


class TableChanged(BridgeError):
    """The table is not the one any more that was to be read."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a read.

    Attributes:
        rows: how many were delivered.
        unproven: why that is not known to be all, None where it is.
        final: whether another read would prove no more.
        apart: gaps that no read can close, and why of each, whatever came of the others.
    """

    rows: int
    unproven: str | None = None
    final: bool = False
    apart: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tools:
    """What all reads share.

    Attributes:
        intake: takes the rows read, and knows when what arrived is stored.
        history: what was received before.
        folder: where a read may keep what it needs, as long as it runs.
        pause: waits some seconds; raises where the bridge stops.
        patience: how long rows are waited for.
        limits: of a page.
        room: for rows that are held back.
    """

    intake: Intake
    history: History
    folder: Path
    pause: Callable[[float], object]
    patience: Patience
    limits: PageLimits
    room: Room = field(default_factory=Room)


@dataclass(slots=True)
class Task:
    """A read that goes on. Used by one thread.

    Attributes:
        table: of which.
        cluster: where.
        schema: the layout, as it was when the read began.
        gaps: those it is to close.
        cause: why it is read, as the rows say it.
        tools: what it works with.
        wanted: whether the table is still watched by this monitor.
        progress: how far it is.
    """

    table: TableMonitor
    cluster: Cluster
    schema: Schema
    gaps: tuple[OpenGap, ...]
    cause: ReadCause
    tools: Tools
    wanted: Callable[[], bool] = _always
    progress: Progress = field(default_factory=Progress)
    born: float = 0.0
    codec: Codec = field(init=False)

    def __post_init__(self) -> None:
        self.born = self.table.born_at
        self.codec = compile_schema(self.schema)

    def require_same(self) -> None:
        """Raise where the table was dropped, made again, or let go of since the read began."""
        if not self.wanted():
            raise TableChanged(f"{self.table.name} is watched no longer, or in another way")
        if self.table.born_at != self.born:
            raise TableChanged(f"{self.table.name} was dropped while it was read")

    def pages(self, order: Sequence[str]) -> Pages:
        """Return a way to read the table by some columns first, under its filter."""
        return Pages(
            self.cluster,
            self.table.name,
            self.schema,
            filter_=self.table.options.filter,
            order=order,
            limits=self.tools.limits,
        )

    def deliver(self, frames: list[bytes]) -> None:
        """Hand rows on to the journal, as read.

        Raises:
            Stopping: the bridge is about to end.
        """
        self.require_same()
        route = Route(self.table, "read", self.cluster.url, self.codec, self.schema)
        now = time.time_ns() // 1000
        joined = self.codec.join(frames)
        received: list[Arrival[Route] | Damaged[Route]] = []
        if joined.count:
            received.append(Arrival(route, joined.payload, joined.count, now, self.cause))
        for bad in joined.bad:
            error = DecodeError(0, bad.offset, bad.reason)
            received.append(Damaged(route, frames[bad.index], error, now))
        self.tools.intake.deliver(received)

    @contextmanager
    def received(self, since: float, ties: Collection[int] = ()) -> Iterator[Received]:
        """Yield the index of what was received since a moment, seconds since the epoch.

        Args:
            since: rows received from then on may be among those read.
            ties: digests of rows received before then that may be among them, too.
        """
        self.tools.intake.barrier()
        follow = self.tools.history.follow(self.table.name, max(since, self.born))
        name = hashlib.blake2b(self.table.name.encode(), digest_size=8).hexdigest()
        try:
            index = Received(
                self.tools.folder / f"{name}.db",
                self.schema,
                follow,
                recall=not self.schema.primary_key,
            )
        except BaseException:
            follow.close()
            raise
        try:
            index.catch_up()
            index.remember(ties)
            yield index
        finally:
            index.close()

    def compare(self, received: Received, order: Sequence[str], low: Any = None) -> str | None:
        """Read a range of the table and deliver what was not received.

        Returns:
            Why it is not proven that all of it was delivered, None where it is.
        """
        comparison = Comparison(
            self.table.name,
            self.schema,
            received,
            self.tools.intake.barrier,
            self.deliver,
            self.tools.pause,
            self.progress,
            self.tools.patience,
            self.tools.room,
        )
        before, heard = self._standing()
        pages = self.pages(order)

        def counted() -> Iterator[Any]:
            for page in pages.read(low):
                self.progress.expected = max(self.progress.expected, pages.expected)
                yield page

        unproven = comparison.run(counted(), lambda where: self.pages(order).read(low, where))
        after, heard_since = self._standing()
        self.require_same()
        if made_again(before.facts.identity, after.facts.identity):
            raise TableChanged(f"{self.table.name} was made again while it was read")
        if unproven is None and comparison.uncertain and (before, heard) != (after, heard_since):
            return MOVED
        return unproven

    def _standing(self) -> tuple[TableInfo, tuple[int, ...]]:
        """Return what is another after any write: what the server counts, and what was heard.

        What was read is left out: that is this read's.
        """
        self.tools.intake.barrier()
        info = self.cluster.table(self.table.name, sizes=True)
        if info is None:
            raise TableChanged(f"{self.table.name} is gone")
        heard = self.table.counts.received
        return info, tuple(heard[kind] for kind in ("insert", "update", "delete"))
