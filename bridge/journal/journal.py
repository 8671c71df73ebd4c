"""The journal: a durable log of entries in one sequence, with a cursor for every sink.

One lock guards the newest segment, one pruning, one `state.db`; they are taken in that order.
Sinks read through `JournalReader`, on connections of their own, and take none of them.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Literal, NamedTuple, Self

import structlog

from bridge.errors import JournalFull, JournalUnavailable
from bridge.events import Entry
from bridge.journal.layout import prepare_folder
from bridge.journal.lock import JournalLock
from bridge.journal.log import SegmentLog
from bridge.journal.prune import Pruner
from bridge.journal.reader import JournalReader
from bridge.journal.records import (
    Account,
    Damage,
    DeadLetter,
    JournalStats,
    Settled,
)
from bridge.journal.repair import recover
from bridge.journal.rows import draft_bytes, drafts_of
from bridge.journal.state import State

OnFull = Literal["stop_capture", "drop_oldest"]

MIN_SIZE = 2**20
MIN_SEGMENT_SIZE = 2**16
MAX_SEGMENT_SIZE = 64 * 2**20
# A journal is cut into at least this many segments, by size and by age, so that deleting the
# oldest one gives back a small part of it.
_LEAST_SEGMENTS = 8
# Seconds in which a commit that is on disk must have become the head.
_HEAD_PATIENCE = 1.0
_NO_MARKS: Mapping[str, str] = MappingProxyType({})

_log = structlog.get_logger(__name__)


class _Opened(NamedTuple):
    """What a journal has while it is open."""

    state: State
    log: SegmentLog
    pruner: Pruner


class Journal:
    """The writer of one journal; safe to use from several threads.

    Args:
        path: a folder; it is created with those above it.
        max_size: bytes at which `on_full` applies. The write-ahead logs come on top, 16 MiB
            or the largest append, whichever is more.
        max_age: seconds after which acknowledged entries go.
        on_full: refuse new entries, or drop the oldest even if not acknowledged.
        segment_size: bytes after which a new segment begins; by default an eighth of
            `max_size`, at most 64 MiB.
        clock: seconds since the epoch.

    Raises:
        ValueError: a size or an age that cannot be.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_size: int = 10 * 2**30,
        max_age: float = 7 * 86400,
        on_full: OnFull = "stop_capture",
        segment_size: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if segment_size is None:
            segment_size = min(MAX_SEGMENT_SIZE, max_size // _LEAST_SEGMENTS)
        if max_size < MIN_SIZE:
            raise ValueError(f"max_size must be at least {MIN_SIZE} bytes, not {max_size}")
        if segment_size < MIN_SEGMENT_SIZE:
            raise ValueError(
                f"segment_size must be at least {MIN_SEGMENT_SIZE} bytes, not {segment_size}"
            )
        if max_age <= 0:
            raise ValueError(f"max_age must be above 0, not {max_age}")
        self._path = path
        self._max_size = max_size
        self._max_age = max_age
        self._on_full = on_full
        self._segment_size = segment_size
        self._clock = clock
        self._file_lock = JournalLock(path)
        # Guards state.db; held during a commit to it, which does not wait for an fsync.
        self._state_lock = threading.Lock()
        self._opened: _Opened | None = None
        # Damaged spans by their last offset: several readers report the same one.
        self._damaged: dict[int, Damage] = {}

    def __repr__(self) -> str:
        return f"<Journal at {self._path}, {'open' if self._opened else 'closed'}>"

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Take the lock, repair what has to be, and make the journal ready.

        Raises:
            JournalUnavailable: in use by another process, not accessible, no such folder, or
                written by a newer version. Damage is no reason.
        """
        if self._opened is not None:
            return
        prepare_folder(self._path)
        self._file_lock.acquire()
        try:
            recovered = recover(self._path, self._file_lock, self._now())
        except BaseException:
            self._file_lock.release()
            raise
        log = SegmentLog(
            self._path,
            recovered,
            segment_size=self._segment_size,
            segment_age=self._max_age * 1e6 / _LEAST_SEGMENTS,
            now=self._now,
            note=self._file_lock.note,
        )
        self._file_lock.note(log.head)
        self._damaged = {damage.last: damage for damage in recovered.damaged}
        pruner = Pruner(
            self._path,
            recovered.state,
            self._state_lock,
            log,
            max_size=self._max_size,
            max_age=self._max_age,
            drop_oldest=self._on_full == "drop_oldest",
            now=self._now,
        )
        self._opened = _Opened(recovered.state, log, pruner)
        _log.info(
            "journal_opened",
            path=str(self._path),
            id=self.id,
            segments=len(recovered.sealed) + 1,
            oldest=log.oldest()[0],
            head=log.head,
            damaged=len(recovered.damaged),
            sqlite=sqlite3.sqlite_version,
        )

    def close(self) -> None:
        """Close the files and give the lock back; may be called twice, or without `open`."""
        opened = self._opened
        if opened is None:
            return
        with opened.log.append_lock, opened.pruner.lock, self._state_lock:
            if self._opened is None:
                return
            self._opened = None
            opened.log.close()
            opened.state.close()
            self._file_lock.release()

    @property
    def id(self) -> str:
        """16 hex digits, drawn when the journal was created."""
        return self._require_open().state.journal_id

    @property
    def head(self) -> int:
        """The offset that the next event gets."""
        return self._require_open().log.head

    def append(self, entries: Sequence[Entry], marks: Mapping[str, str] = _NO_MARKS) -> int:
        """Store entries, and marks with them, in one transaction; durable on return.

        Args:
            entries: in their order; one without events is not stored.
            marks: facts to remember with them, replacing those of the same name.

        Returns:
            The new head.

        Raises:
            JournalFull: no room; nothing was stored. Try again once sinks have caught up.
            JournalError: the disk failed; nothing was stored.
        """
        drafts = drafts_of(entries)
        _, log, pruner = self._require_open()
        with log.append_lock:
            self._require_open()
            if not drafts and not marks:
                return log.head
            size = draft_bytes(drafts)
            pruner.make_room(size)
            try:
                return log.append(drafts, marks, size)
            except JournalFull:
                # The disk is smaller than max_size: it has to make do with what there is.
                if not pruner.free(2 * size + self._segment_size):
                    raise
                return log.append(drafts, marks, size)

    def marks(self) -> dict[str, str]:
        """Return the marks as of the last append."""
        return self._require_open().log.marks()

    def register(self, sink: str, tables: Collection[str]) -> int:
        """Create a sink's cursor at the head, or find it, and say which tables count for it.

        A table that is new to the sink counts from its cursor on; for one that is gone, what
        is pending is discarded. After a repair a sink that is not known starts at the oldest
        entry, since its cursor may have been lost.

        Returns:
            The cursor.

        Raises:
            JournalError: the state could not be written; nothing changed.
        """
        state, log, _ = self._require_open()
        with self._state_lock:
            head = log.head_boundary()
            cursor = state.register(
                sink,
                frozenset(tables),
                oldest=log.oldest()[0],
                head=head,
                totals_at=log.totals_at,
            )
        _log.info("journal_sink_registered", sink=sink, cursor=cursor, head=head.offset)
        return cursor

    def unregister(self, sink: str) -> None:
        """Forget a sink that is configured no more: what is pending for it is discarded.

        Without this its cursor keeps entries forever. Registered again, it starts at the head.

        Raises:
            JournalError: the state could not be written; nothing changed.
        """
        state, log, _ = self._require_open()
        with self._state_lock:
            state.unregister(sink, log.head_boundary())
        _log.info("journal_sink_unregistered", sink=sink)

    def sinks(self) -> list[str]:
        """Return the sinks that are registered, now or by a former run."""
        state = self._require_open().state
        with self._state_lock:
            return state.sinks()

    def cursor(self, sink: str) -> int:
        """Return the offset before which all is settled for a sink.

        Raises:
            KeyError: the sink is not registered.
        """
        state = self._require_open().state
        with self._state_lock:
            return state.cursor(sink)

    def advance(
        self,
        sink: str,
        to: int,
        settled: Sequence[Settled],
        dead_letters: Sequence[DeadLetter] = (),
        *,
        later: bool = False,
    ) -> None:
        """Move a cursor, count what became of the events, and set some aside, all or nothing.

        Events below the present cursor do not count again: dropping the oldest may have moved
        it meanwhile. Where the cursor leaves a segment or reaches the head, the counts are
        balanced: what no run settled, because it was damaged, is discarded.

        Args:
            sink: a registered sink.
            to: its new cursor; one below the present cursor changes nothing.
            settled: what became of the events from the cursor on.
            dead_letters: the events set aside.
            later: whether it may be written down with the next `write_cursors`, or before. A
                crash until then means duplicates, no more; `cursor` and `accounts` show it at
                once.

        Raises:
            ValueError: `to` is beyond the head.
            KeyError: the sink is not registered.
            JournalError: the state could not be written; nothing changed.
        """
        state, log, _ = self._require_open()
        # A reader sees a commit a moment before the head tells of it.
        if not log.wait(to - 1, _HEAD_PATIENCE):
            raise ValueError(f"cursor {to} of {sink} is beyond the head {log.head}")
        with self._state_lock:
            boundary = log.boundary_between(state.cursor(sink), to, or_head=True)
            lost = state.advance(
                sink, to, settled, dead_letters, boundary=boundary, now=self._now(), later=later
            )
        if lost:
            _log.warning("journal_events_lost", sink=sink, before=to, events=lost)

    def write_cursors(self) -> None:
        """Write down what `advance` left for later.

        Raises:
            JournalError: the state could not be written; it is still left.
        """
        state = self._require_open().state
        with self._state_lock:
            state.write()

    def wait(self, offset: int, timeout: float) -> bool:
        """Wait until there is an event at `offset`, for at most `timeout` seconds.

        Returns whether there is one; at once False once the journal is closed.
        """
        opened = self._opened
        return opened is not None and opened.log.wait(offset, timeout)

    def reader(self) -> JournalReader:
        """Return a reader for one thread; the caller closes it."""
        opened = self._opened
        extent = None if opened is None else opened.log.extent
        return JournalReader(self._path, on_damage=self._note_damage, extent=extent)

    def prune(self) -> None:
        """Delete segments that are too old or too many; call it every few seconds.

        Raises:
            JournalError: the state could not be forced to disk; nothing was deleted.
        """
        _, log, pruner = self._require_open()
        with log.append_lock:
            self._require_open()
            # Without this a quiet journal would keep its last entries for ever.
            log.roll_if_old()
        self.write_cursors()
        pruner.prune()

    def accounts(self) -> list[Account]:
        """Return the counts of every registered sink and its tables, of one moment."""
        state, log, _ = self._require_open()
        with self._state_lock:
            return state.accounts(log.head_boundary().totals)

    def stats(self) -> JournalStats:
        """Return the journal's own numbers."""
        state, log, _ = self._require_open()
        with self._state_lock:
            discarded = state.discarded()
        oldest, oldest_time = log.oldest()
        return JournalStats(
            bytes=log.bytes(),
            max_bytes=self._max_size,
            segments=len(log.sealed()[0]) + 1,
            oldest=oldest,
            oldest_time=oldest_time,
            head=log.head,
            appended_events=log.appended_events,
            appended_bytes=log.appended_bytes,
            commits=log.commits(),
            discarded=discarded,
            damaged=len(self._damaged),
        )

    def time_of(self, offset: int) -> int | None:
        """Return when the event at or after an offset was received, in microseconds.

        None where there is no such event yet.

        Raises:
            JournalError: the database stayed busy.
        """
        log = self._require_open().log
        if offset >= log.head:
            return None
        with JournalReader(self._path, extent=log.extent) as reader:
            return reader.time_of(offset)

    def damaged(self) -> list[Damage]:
        """Return the spans found damaged since the journal was opened, in order."""
        spans = list(self._damaged.values())  # copied at once: readers note more meanwhile
        return sorted(spans, key=lambda damage: damage.first)

    def _note_damage(self, damage: Damage) -> None:
        known = self._damaged.setdefault(damage.last, damage)
        if known is damage:
            _log.error(
                "journal_span_damaged",
                path=str(self._path),
                first=damage.first,
                last=damage.last,
                cause=damage.reason,
            )

    def _now(self) -> int:
        return int(self._clock() * 1e6)

    def _require_open(self) -> _Opened:
        opened = self._opened
        if opened is None:
            raise JournalUnavailable(f"journal {self._path} is not open")
        return opened
