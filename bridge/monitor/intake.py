"""From notifications to entries: a queue bounded in bytes, and the thread behind it.

The polling thread puts and never waits. This thread validates what it takes, joins
notifications that arrived together, and emits them as entries, as many at a time as have
gathered while the last ones were written: that is the journal's group commit.

Where the queue is full, what arrives is dropped, counted, and becomes a gap. While the
journal is full nothing is taken from the queue, so the same holds then, under that reason.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import structlog

from bridge.errors import BridgeError, DecodeError, JournalError, JournalFull
from bridge.events import Count, Entry, GapReason, Rows, Undecodable
from bridge.monitor.states import State
from bridge.monitor.subscriber import Notification
from bridge.monitor.table import Mark, Route, TableMonitor

log = structlog.get_logger()

Emit = Callable[[Sequence[Entry], Mapping[str, str]], object]


class _Barrier(threading.Event):
    """Set once all that was queued before it has been emitted."""


Item = Notification[Route] | Entry | Mark | _Barrier

# What may wait in memory. At 200 MB/s, a third of a second of a stalled disk.
MAX_QUEUED_BYTES = 64 * 2**20
# Rows read from a table wait while more than this is queued, so that what arrives has room.
_READS_LEAVE_FREE = MAX_QUEUED_BYTES // 4
# What one emission carries at most: bounds the time until a commit.
_MAX_BATCH_BYTES = 8 * 2**20
# What a queued message costs beside its bytes, roughly, so that empty ones are bounded too.
_OVERHEAD = 200
_RETRY_SECONDS = 0.5


class Stopping(BridgeError):
    """The service is about to end: what was being read from a table is left for later."""


class Intake:
    """The thread that validates and emits.

    Waits for the queue; `stop` lets it finish what is queued. Any thread may put.

    Args:
        emit: takes entries and marks, and returns once they are safe.
        suspect: called when a frame did not fit its layout: it may have changed.
    """

    def __init__(self, emit: Emit, suspect: Callable[[], None]) -> None:
        self._emit = emit
        self._suspect = suspect
        self._queue: deque[Item] = deque()
        # Guards all below; reentrant, as the end of a span posts while notifications are put.
        self._ready = threading.Condition()
        self._bytes = 0
        self._stopping = False
        self._blocked: GapReason = "overrun"
        self._overrun: dict[TableMonitor, int] = {}
        self.dropped_notifications = 0
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    @property
    def queued_bytes(self) -> int:
        """Bytes received and not yet emitted."""
        return self._bytes

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Emit what is queued and end the thread; False if it did not within `timeout` s."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def put(self, notifications: Sequence[Notification[Route]]) -> None:
        """Queue what was received; never blocks. What finds no room is lost, and said."""
        with self._ready:
            for notification in notifications:
                table = notification.route.table
                if self._bytes > MAX_QUEUED_BYTES:
                    self._lose(table, notification)
                    continue
                if table in self._overrun:
                    del self._overrun[table]
                    table.end_span(notification.route.cluster)
                self._bytes += notification.size + _OVERHEAD
                self._queue.append(notification)
            self._ready.notify()

    def post(self, entry: Entry | Mark) -> None:
        """Queue an entry or a mark of the monitor's own, in order with what was received."""
        with self._ready:
            self._bytes += _OVERHEAD
            self._queue.append(entry)
            self._ready.notify()

    def deliver(self, notification: Notification[Route]) -> None:
        """Queue rows that were read from a table, and wait while there is little room.

        Raises:
            Stopping: the intake is about to end.
        """
        with self._ready:
            while self._bytes > _READS_LEAVE_FREE and not self._stopping:
                self._ready.wait(0.1)
            if self._stopping:
                raise Stopping("the bridge is stopping")
            self._bytes += notification.size + _OVERHEAD
            self._queue.append(notification)
            self._ready.notify()

    def barrier(self, timeout: float | None = None) -> bool:
        """Wait until all that is queued now has been emitted; False if not in `timeout` s.

        Raises:
            Stopping: the intake is about to end.
        """
        barrier = _Barrier()
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._ready:
            self._queue.append(barrier)
            self._ready.notify()
        while not barrier.wait(0.1):
            if self._stopping:
                raise Stopping("the bridge is stopping")
            if deadline is not None and time.monotonic() > deadline:
                return False
        return True

    def _lose(self, table: TableMonitor, notification: Notification[Route]) -> None:
        self.dropped_notifications += 1
        self._overrun.setdefault(table, notification.time)
        # Each time: the probe may have ended the span while there was no room yet.
        table.open_span(self._blocked, notification.time / 1e6)

    # The rest runs in the intake's thread.

    def _run(self) -> None:
        while True:
            items, size = self._take()
            if not items:
                return
            entries, marks = self._entries(items)
            if entries or marks:
                self._emit_surely(entries, marks)
            for item in items:
                if isinstance(item, _Barrier):
                    item.set()
            with self._ready:
                self._bytes -= size

    def _take(self) -> tuple[list[Item], int]:
        with self._ready:
            while not self._queue and not self._stopping:
                self._ready.wait()
            items, size = [], 0
            while self._queue and size < _MAX_BATCH_BYTES:
                item = self._queue.popleft()
                items.append(item)
                if not isinstance(item, _Barrier):
                    size += _OVERHEAD + (item.size if isinstance(item, Notification) else 0)
            return items, size

    def _entries(self, items: Sequence[Item]) -> tuple[list[Entry], dict[str, str]]:
        entries: list[Entry] = []
        marks: dict[str, str] = {}
        i = 0
        while i < len(items):
            item = items[i]
            i += 1
            if isinstance(item, Notification):
                route, frames = item.route, item.frames
                if route.table.state is State.FAILED:
                    continue
                # What arrived in one go on one topic becomes one entry.
                if i < len(items) and _joins(item, items[i]):
                    frames = list(frames)
                    while i < len(items) and _joins(item, items[i]):
                        frames += items[i].frames  # type: ignore[union-attr]
                        i += 1
                if route.event in ("insert", "read"):
                    self._rows(route, frames, item.time, entries)
                else:
                    self._counts(route, frames, item.time, entries)
            elif isinstance(item, Mark):
                marks[item.name] = item.text
            elif not isinstance(item, _Barrier):
                entries.append(item)
        return entries, marks

    def _rows(self, route: Route, frames: list[bytes], time_: int, entries: list[Entry]) -> None:
        table, start = route.table, 0
        size = sum(map(len, frames))
        errors = route.codec.validate(frames)
        for error in errors:
            if start < error.index:
                entries.append(_make_rows(route, time_, frames[start : error.index]))
            self._undecodable(route, frames[error.index], time_, error, entries)
            start = error.index + 1
        if start < len(frames):
            entries.append(_make_rows(route, time_, frames[start:] if start else frames))
        table.heard(route.event, len(frames) - len(errors), size, time_)
        if route.event == "insert" and not errors:
            table.note_rows(route.schema, frames)

    def _counts(self, route: Route, frames: list[bytes], time_: int, entries: list[Entry]) -> None:
        for frame in frames:
            try:
                count = route.codec.decode(frame, 1)[0]["count"]
            except (DecodeError, KeyError) as error:
                self._undecodable(route, frame, time_, error, entries)
                continue
            kind = "update" if route.event == "update" else "delete"
            entries.append(Count(route.table.name, route.cluster, time_, kind, count))  # type: ignore[arg-type]
            route.table.heard(kind, 1, len(frame), time_)
            if kind == "delete":
                route.table.counts.deleted_rows += count

    def _undecodable(
        self,
        route: Route,
        frame: bytes,
        time_: int,
        error: DecodeError | KeyError,
        entries: list[Entry],
    ) -> None:
        if isinstance(error, DecodeError):
            reason = f"{route.event}: byte {error.offset}: {error.reason}"
        else:
            reason = f"{route.event}: no field {error}"
        table = route.table
        table.faulty(reason)
        if table.options.on_decode_failure == "dead_letter":
            entries.append(Undecodable(table.name, route.cluster, time_, frame, reason))
        self._suspect()

    def _emit_surely(self, entries: Sequence[Entry], marks: Mapping[str, str]) -> None:
        """Emit, and where that fails, again: what was received is not given up.

        What is too much at once is emitted in halves, so that a journal with little room
        takes what it can; the marks go with the last of them.
        """
        while True:
            try:
                self._emit(entries, marks)
            except JournalError as error:
                full = isinstance(error, JournalFull)
                halves = _halves(entries) if full else None
                if halves is not None:
                    self._emit_surely(halves[0], {})
                    entries = halves[1]
                    continue
                reason: GapReason = "journal_full" if full else "overrun"
                if self._blocked != reason or reason == "overrun":
                    log.error("journal_refuses", cause=str(error))
                self._blocked = reason
                if self._stopping:
                    log.error("entries_lost", entries=len(entries), cause=str(error))
                    return
                time.sleep(_RETRY_SECONDS)
            else:
                self._blocked = "overrun"
                return


def _halves(entries: Sequence[Entry]) -> tuple[Sequence[Entry], Sequence[Entry]] | None:
    """Part entries in two, the rows of one among themselves; None where that cannot be."""
    if len(entries) > 1:
        middle = len(entries) // 2
        return entries[:middle], entries[middle:]
    for entry in entries:
        if isinstance(entry, Rows) and len(entry.frames) > 1:
            middle = len(entry.frames) // 2
            return (
                [replace(entry, frames=entry.frames[:middle])],
                [replace(entry, frames=entry.frames[middle:])],
            )
    return None


def _joins(first: Notification[Route], other: object) -> bool:
    return (
        isinstance(other, Notification)
        and other.route is first.route
        and other.time == first.time
        and first.route.event == "insert"
    )


def _make_rows(route: Route, time_: int, frames: Sequence[bytes]) -> Rows:
    kind: Literal["insert", "read"] = "read" if route.event == "read" else "insert"
    return Rows(route.table.name, route.cluster, time_, kind, route.schema, frames)
