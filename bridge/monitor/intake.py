"""From what was received to entries: a queue bounded in bytes, and the thread behind it.

The polling thread puts and never waits. This thread emits blocks as entries, as many at a time as
have gathered while the last ones were written: that is the journal's group commit. Under a steady
trickle it waits a little for more.

The polling thread asks for `room`. What it has to discard becomes a gap, which the
first probe ends that finds half of the queue free again. While the journal is full nothing is
taken from the queue, so the same holds then, under that reason: one gap from the first refusal
until all that waited was taken, and none where nothing had to be discarded.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import structlog

from bridge.errors import JournalError, JournalFull
from bridge.events import Block, Count, Entry, GapReason, Undecodable, rfc3339
from bridge.loop import Loop, backoff
from bridge.monitor.arrivals import Arrival, Damaged, Loss
from bridge.monitor.intake_queue import Barrier, Item, Queue, Received, Stopping
from bridge.monitor.mark import Mark
from bridge.monitor.moment import Moment
from bridge.monitor.records import chunks, halves
from bridge.monitor.route import Route
from bridge.monitor.states import State
from bridge.monitor.table import TableMonitor

log = structlog.get_logger()

Emit = Callable[[Sequence[Entry], Mapping[str, str]], object]

# What may wait in memory. At 200 MB/s, a third of a second of a stalled disk.
MAX_QUEUED_BYTES = 64 * 2**20
# What one emission carries at most: bounds the time until a commit.
_MAX_BATCH_BYTES = 8 * 2**20
# From here on nothing is waited for.
_HURRY_BYTES = 2**20
# A trickle is steady if the last emission ended so many lingers ago.
_STEADY = 10
_RETRY_SECONDS = 0.5
# What is no error of the journal's but a fault of ours is tried so often before it is parted.
_TRIES = 3


class Intake:
    """The thread that makes entries and emits them.

    Waits for the queue; `stop` lets it finish what is queued. Any thread may put.

    Args:
        emit: takes entries and marks, and returns once they are safe.
        suspect: called when a frame did not fit its layout: it may have changed.
        linger: of the polling thread; half of it lies between two emissions of what arrives
            steadily, at least. The first after a pause does not wait.
        max_bytes: what may be queued.

    Attributes:
        refused: why the journal takes nothing now, None while it does.
        dropped_notifications: messages of which something was discarded, as there was no room.
    """

    def __init__(
        self,
        emit: Emit,
        suspect: Callable[[], None],
        *,
        linger: float = 0.005,
        max_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self._emit = emit
        self._suspect = suspect
        self.pace(linger)
        self._max_bytes = max_bytes
        self._queue = Queue(_MAX_BATCH_BYTES, _HURRY_BYTES)
        self._full = False  # the journal was, and did not take yet what waited then
        self._overrun: set[TableMonitor] = set()
        self._emitted_at = 0.0
        # Of the emission that runs: what was taken, how much of that became entries, what it costs.
        self._items: list[Item] = []
        self._marks: dict[str, str] = {}
        self._size = 0
        self._converted = 0
        self._entries: list[Entry] = []
        self._tables: dict[str, TableMonitor] = {}
        # When what ended a table was received: what came together with it still counts.
        self._aborted: dict[TableMonitor, int] = {}
        self._stalled: set[TableMonitor] = set()
        self._behind = 0  # items queued, in all, when a full journal last refused something
        # What could not be written at the end: after it nothing is, lest a mark say that all
        # before it is safe. So the next start's gap begins before it.
        self._lost = Counter[str]()
        self._lost_cause = ""
        self._lost_since = 0
        self.refused: str | None = None
        self.dropped_notifications = 0
        self._loop = Loop("intake", self._pass)

    @property
    def loops(self) -> list[Loop]:
        """The threads."""
        return [self._loop]

    def pace(self, linger: float) -> None:
        """Let what arrives steadily wait so long from now on."""
        # The polling thread paces a trickle by the whole of it: what it brings waits no more.
        self._linger = linger / 2

    @property
    def queued_bytes(self) -> int:
        """Bytes received and not yet emitted, as they are held."""
        return self._queue.bytes

    def room(self) -> int:
        """Return how many bytes more may be queued."""
        return max(0, self._max_bytes - self._queue.bytes)

    def start(self) -> None:
        """Start the thread."""
        self._loop.start()

    def stop(self, timeout: float) -> bool:
        """Emit what is queued and end the thread; False if it did not within `timeout` s."""
        self._queue.stop()
        return self._loop.join(timeout)

    def put(self, received: Sequence[Received], losses: Sequence[Loss[Route]] = ()) -> None:
        """Queue what was received, and note what was discarded after it; never blocks."""
        for item in received:
            item.route.table.note_arrival()
        self._queue.put(received)
        for loss in losses:
            table = loss.route.table
            self.dropped_notifications += loss.messages
            reason: GapReason = "journal_full" if self._full else "overrun"
            table.overrun(loss.route.event, loss.records, loss.time, reason)
            self._overrun.add(table)

    def post(self, entry: Entry | Mark) -> None:
        """Queue an entry or a mark of the monitor's own, in order with what was received."""
        if isinstance(entry, Mark):
            self._queue.put_mark(entry)
        else:
            self._queue.put((entry,))

    def deliver(self, received: Sequence[Received]) -> None:
        """Queue rows that were read from a table, and wait while there is little room.

        Raises:
            Stopping: the intake is about to end.
        """
        # So that what arrives has room.
        self._queue.put_patiently(received, self._max_bytes // 4)

    def barrier(self, timeout: float | None = None) -> bool:
        """Wait until all that is queued now has been emitted; False if not in `timeout` s.

        Raises:
            Stopping: the intake is about to end.
        """
        barrier = Barrier()
        deadline = None if timeout is None else time.monotonic() + timeout
        self._queue.put((barrier,))
        while not barrier.wait(0.1):
            if self._queue.stopping:
                raise Stopping("the bridge is stopping")
            if deadline is not None and time.monotonic() > deadline:
                return False
        return True

    # The rest runs in the intake's thread.

    def _pass(self) -> bool:
        if not (self._items or self._marks) and not self._take():
            self._end_overruns()
            if not (self._queue.stopping and self._queue.empty):
                return True
            self._report_lost()
            return False
        # Whatever is raised, the next pass goes on here: what was taken is neither lost nor redone.
        self._convert()
        if self._entries or self._marks:
            self._emit_surely(self._entries, self._marks)
        items, self._items, self._marks = self._items, [], {}
        for item in items:
            if isinstance(item, Barrier):
                item.set()
        if self._full and self._queue.taken >= self._behind and not self._lost_cause:
            self._resume()
        self._queue.free(self._size)
        self._emitted_at = time.monotonic()
        self._end_overruns()
        return True

    def _take(self) -> bool:
        steady = time.monotonic() - self._emitted_at < _STEADY * self._linger
        self._converted, self._entries = 0, []
        self._items, self._marks, self._size = self._queue.take(self._linger if steady else 0.0)
        return bool(self._items or self._marks)

    def _end_overruns(self) -> None:
        while self._overrun and self._queue.bytes <= self._max_bytes // 2:
            self._overrun.pop().gaps.end_overrun()

    def _convert(self) -> None:
        while self._converted < len(self._items):
            item = self._items[self._converted]
            entries: list[Entry] = []
            if isinstance(item, (Arrival, Damaged)):
                try:
                    self._convert_received(item, entries)
                except BaseException:
                    # A fault of ours: it costs this item, and is said; else it is met again.
                    _declare_lost(item.route.table, item.time)
                    log.exception("received_and_lost", table=item.route.table.name)
            elif not isinstance(item, Barrier):
                entries.append(item)
            self._entries += entries
            self._converted += 1

    def _convert_received(self, item: Received, entries: list[Entry]) -> None:
        route = item.route
        table = self._tables[route.table.name] = route.table
        if table.state is State.FAILED and item.time > self._aborted.get(table, 0):
            return
        if isinstance(item, Damaged):
            reason = f"{route.event}: byte {item.error.offset}: {item.error.reason}"
            self._undecodable(route, item.frame, item.time, reason, entries)
        elif route.event in ("insert", "read"):
            block = _block(item)
            if route.event == "insert":
                table.note_rows(route.codec, item.payload, item.records, item.time)
            entries.append(block)
            table.heard(route.event, item.records, len(item.payload), item.time)
        else:
            self._counts(item, entries)

    def _counts(self, item: Arrival[Route], entries: list[Entry]) -> None:
        route, table = item.route, item.route.table
        kind: Literal["update", "delete"] = "update" if route.event == "update" else "delete"
        for payload, number in chunks(route.codec, item.payload, item.records):
            for place, record in enumerate(route.codec.decode(payload, number)):
                count = record.get("count")
                if not isinstance(count, int):
                    frame = next(
                        frame
                        for i, (frame, _) in enumerate(chunks(route.codec, payload, number, 1))
                        if i == place
                    )
                    reason = f"{kind}: no number of rows in {record}"
                    self._undecodable(route, frame, item.time, reason, entries)
                    continue
                if kind not in table.options.events:
                    table.note_hidden_deletes(count)
                    continue
                entries.append(Count(table.name, route.cluster, item.time, kind, count))
                if kind == "delete":
                    table.counts.deleted_rows += count
                table.heard(kind, 1, 0, item.time)
        table.counts.bytes += len(item.payload)

    def _undecodable(
        self, route: Route, frame: bytes, time_: int, reason: str, entries: list[Entry]
    ) -> None:
        table = route.table
        if table.options.on_decode_failure == "abort":
            self._aborted.setdefault(table, time_)
        table.faulty(reason)
        if table.options.on_decode_failure == "dead_letter":
            entries.append(Undecodable(table.name, route.cluster, time_, frame, reason))
        self._suspect()

    def _emit_surely(self, entries: Sequence[Entry], marks: Mapping[str, str]) -> None:
        """Emit, and where that fails, again: what was received is not given up.

        What is too much at once is emitted in halves, so that a journal with little room
        takes what it can; the marks go with the last of them. So is what a fault of ours keeps
        from being emitted, until the one entry that it lies in is found and lost.
        """
        faults = 0
        while True:
            if self._lost_cause:
                self._lose(entries)
                return
            try:
                self._emit(entries, marks)
            except (JournalError, OSError, MemoryError) as error:
                full = isinstance(error, JournalFull)
                parts = _parts(entries) if full else None
                if parts is not None:
                    self._emit_surely(parts[0], {})
                    entries = parts[1]
                    continue
                if not (full and self._full):
                    log.error("journal_refuses", cause=str(error))
                self.refused = str(error)
                if full:
                    self._stall()
                if not self._wait_for_journal():
                    self._lost_cause = str(error) or type(error).__name__
            except Exception:
                faults += 1
                log.exception("not_emitted", entries=len(entries), tries=faults)
                if faults < _TRIES and not self._queue.stopping:
                    self._loop.wait(backoff(faults))
                    continue
                if len(entries) > 1:
                    middle = len(entries) // 2
                    self._emit_surely(entries[:middle], {})
                    entries = entries[middle:]
                    continue
                log.error("entries_lost", entries=len(entries), marks=len(marks))
                self._declare_lost(entries)
                return
            else:
                self.refused = None
                return

    def _lose(self, entries: Sequence[Entry]) -> None:
        if entries and not self._lost:
            self._lost_since = entries[0].time
        for entry in entries:
            self._lost[entry.table] += entry.count if isinstance(entry, Block) else 1

    def _report_lost(self) -> None:
        if self._lost_cause:
            log.error(
                "received_and_not_stored",
                events=self._lost.total(),
                tables=dict(self._lost),
                since=rfc3339(self._lost_since),
                cause=self._lost_cause,
                consequence="the next start declares a gap that begins before them",
            )

    def _stall(self) -> None:
        """Let the tables of what a full journal refuses, and of what waits behind it, show it."""
        self._full = True
        waits, self._behind = self._queue.behind(self._behind)
        stand = [(self._tables.get(entry.table), entry.time) for entry in self._entries]
        stand += [(i.route.table, i.time) for i in waits if isinstance(i, (Arrival, Damaged))]
        for table, at in stand:
            if table is not None and table not in self._stalled:
                self._stalled.add(table)
                since = Moment(time.monotonic(), at / 1e6)
                table.gaps.stall(since, self.refused or "the journal is full")

    def _resume(self) -> None:
        """Note that the journal took all that waited when it last refused something."""
        self._full = False
        while self._stalled:
            self._stalled.pop().gaps.resume()

    def _declare_lost(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            table = self._tables.get(entry.table)
            if table is not None and isinstance(entry, (Block, Count, Undecodable)):
                _declare_lost(table, entry.time)

    def _wait_for_journal(self) -> bool:
        """Wait before the next try; False where there is none any more."""
        if self._queue.stopping:
            return False
        self._loop.wait(_RETRY_SECONDS)
        return True


def _parts(entries: Sequence[Entry]) -> tuple[Sequence[Entry], Sequence[Entry]] | None:
    """Part entries in two, the rows of one among themselves; None where that cannot be."""
    if len(entries) > 1:
        middle = len(entries) // 2
        return entries[:middle], entries[middle:]
    for entry in entries:
        if isinstance(entry, Block) and entry.count > 1:
            first, second = halves(entry)
            return [first], [second]
    return None


def _block(item: Arrival[Route]) -> Block:
    route = item.route
    return Block(
        route.table.name,
        route.cluster,
        "read" if route.event == "read" else "insert",
        route.schema,
        item.payload,
        item.records,
        ((item.records, item.time),),
        item.cause,
    )


def _declare_lost(table: TableMonitor, at: int) -> None:
    since = Moment(time.monotonic(), at / 1e6)
    table.gaps.begin("unaccounted", since, "a fault of ours lost what was received")
