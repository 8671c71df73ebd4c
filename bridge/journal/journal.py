"""The journal: a durable log of entries in one sequence, with a lane for each sink and table.

Appending holds one lock, upkeep another, writing `state.db` a third; upkeep's is taken before the
append lock, and both before the third. What is shown and what sinks settle takes none of them.
Sinks read through `JournalReader`, on connections of their own.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

import structlog

from bridge.errors import JournalUnavailable
from bridge.events import Entry
from bridge.journal.appending import append
from bridge.journal.letter_store import LetterStore
from bridge.journal.lock import JournalLock
from bridge.journal.moments import offset_at, offset_until, steps_of
from bridge.journal.noted_damage import NotedDamage
from bridge.journal.opening import Limits, OnFull, Opened, open_journal
from bridge.journal.pauses import Pauses
from bridge.journal.reader import JournalReader
from bridge.journal.recent import KEPT_BYTES
from bridge.journal.records import Account, Damage, JournalStats, Lane, LetterLimits, Move
from bridge.journal.replays import Replays
from bridge.journal.rows import drafts_of
from bridge.journal.troubles import Troubles
from bridge.loop import Loop

# Seconds between two looks at what may go.
_UPKEEP_SECONDS = 1.0
_NO_MARKS: Mapping[str, str] = MappingProxyType({})

_log = structlog.get_logger(__name__)


class Journal:
    """The writer of one journal; safe to use from several threads.

    Args:
        path: a folder; it is created with those above it.
        max_size: bytes at which `on_full` applies. The write-ahead logs come on top, 16 MiB
            or the largest append, whichever is more.
        max_age: seconds after which acknowledged entries go.
        on_full: refuse new entries, or drop the oldest even if not acknowledged.
        letters: what all dead letters may take, and how old they get.
        segment_size: bytes after which a new segment begins; by default an eighth of
            `max_size`, or of the disk where that is less, at most 64 MiB.
        memory: bytes of the newest entries that are kept for readers, beside the files.
        clock: seconds since the epoch.
        monotonic: seconds that only grow, for how long a read has failed.

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
        letters: LetterLimits = LetterLimits(),  # noqa: B008 (a value)
        segment_size: int | None = None,
        memory: int = KEPT_BYTES,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._limits = Limits(max_size, max_age, on_full, segment_size, memory)
        self._letter_limits = letters
        self._clock = clock
        self._file_lock = JournalLock(path)
        self._troubles = Troubles(monotonic)
        self._opened: Opened | None = None
        self._damage = NotedDamage(path)

    def __repr__(self) -> str:
        return f"<Journal at {self._path}, {'open' if self._opened else 'closed'}>"

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Take the lock, repair what has to be, and make the journal ready.

        Raises:
            JournalUnavailable: in use by another process, not accessible, no such folder, or
                written by a newer version. Damage is no reason.
            JournalDiskError: the disk failed or is full; nothing changed, try again.
        """
        if self._opened is not None:
            return
        opened = open_journal(
            self._path,
            self._file_lock,
            self._limits,
            now=self._now,
            troubles=self._troubles,
            on_damage=self._note_damage,
        )
        self._damage = NotedDamage(self._path, opened.damaged)
        self._opened = opened
        opened.cursors.start()
        _log.info(
            "journal_opened",
            path=str(self._path),
            id=self.id,
            segments=len(opened.log.sealed()) + 1,
            oldest=opened.log.oldest()[0],
            head=opened.log.head,
            damaged=len(opened.damaged),
            sqlite=sqlite3.sqlite_version,
        )

    def limit(
        self, *, max_size: int, max_age: float, on_full: OnFull, letters: LetterLimits
    ) -> None:
        """Keep within other limits from now on; arguments as of the constructor."""
        self._limits = replace(self._limits, max_size=max_size, max_age=max_age, on_full=on_full)
        self._letter_limits = letters
        if (opened := self._opened) is not None:
            opened.log.bounds = opened.upkeep.bounds = self._limits.bounds(self._path)

    def close(self, timeout: float | None = None) -> bool:
        """Close the files and give the lock back; may be called twice, or without `open`.

        From here on nothing is accepted any more, and whoever waits is woken.

        Args:
            timeout: seconds after which it is left to itself, for a disk that hangs; None waits
                as long as it takes. What is left undone then costs duplicates, no more.

        Returns:
            Whether all is closed.
        """
        opened, self._opened = self._opened, None
        if opened is None:
            return True
        opened.log.end()
        opened.cursors.stop()
        opened.state.end()
        if timeout is None:
            self._close(opened)
            return True
        closing = threading.Thread(
            target=self._close, args=(opened,), name="journal-close", daemon=True
        )
        closing.start()
        closing.join(timeout)
        if closing.is_alive():
            _log.error("journal_not_closed", path=str(self._path), seconds=timeout)
        return not closing.is_alive()

    def _close(self, opened: Opened) -> None:
        opened.cursors.join()
        with opened.upkeep.lock, opened.log.append_lock:
            opened.log.close()
            opened.state.close()
            opened.upkeep.make_ballast()  # what a start needs is free just now
            self._file_lock.release()

    @property
    def loop(self) -> Loop | None:
        """The thread that writes cursors, None while the journal is closed."""
        return None if self._opened is None else self._opened.cursors

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
            JournalDiskError: the disk failed; nothing was stored.
        """
        return append(self._require_open, self._limits, drafts_of(entries), marks)

    def marks(self) -> dict[str, str]:
        """Return the marks as of the last append."""
        return self._require_open().log.marks()

    def register(
        self,
        sink: str,
        tables: Collection[str],
        *,
        begin: int | None = None,
        events: Collection[str] | None = None,
    ) -> dict[str, Lane]:
        """Say which tables a sink gets, and return its lanes by table: found, or begun.

        For a table that is gone, what is pending is discarded. After a repair the lanes of a sink
        that is not known begin at the oldest entry, since they may have been lost.

        Args:
            sink: its name.
            tables: those routed to it.
            begin: where lanes that are new begin, None for the head. One before what is still
                complete begins there.
            events: the types of events that it takes, None for all. Others are not counted for
                it; where that changed, what is pending and left out now is discarded.

        Raises:
            JournalError: the state could not be written; nothing changed.
        """
        types = None if events is None else frozenset(events)
        return self._require_open().lanes.register(sink, tables, begin, types)

    def unregister(self, sink: str) -> None:
        """Forget a sink that is configured no more: what is pending for it is discarded.

        Without this its lanes keep entries forever. Registered again, it starts at the head.

        Raises:
            JournalError: the state could not be written; nothing changed.
        """
        self._require_open().lanes.unregister(sink)

    def sinks(self) -> list[str]:
        """Return the sinks that are registered, now or by a former run."""
        return self._require_open().state.sinks()

    def lanes(self, sink: str) -> dict[str, Lane]:
        """Return where each table of a sink stands.

        Raises:
            KeyError: the sink is not registered.
        """
        return self._require_open().lanes.of(sink)

    def settle(self, sink: str, moves: Sequence[Move]) -> None:
        """Move lanes, count what became of their events, and set some aside, all or nothing.

        It holds in memory at once. It is on disk at once where events are set aside or what waits
        changes, else a little later together with others: a crash until then means duplicates.

        Events before a lane's cursor count only if they waited: dropping the oldest may have
        moved it meanwhile. Where a cursor passes the beginning of a segment or reaches the head,
        what no run settled and what does not wait is discarded, as it was damaged.

        Args:
            sink: a registered sink.
            moves: at most one for each table; one for a table that the sink does not get any
                more changes nothing.

        Raises:
            ValueError: a cursor would be beyond the head, or more than 10,000 events of a lane
                would wait; nothing changed.
            KeyError: the sink is not registered.
            JournalError: the state could not be written; nothing changed.
        """
        if moves:
            self._require_open().lanes.settle(sink, moves)

    @property
    def replays(self) -> Replays:
        """What is to be delivered once more."""
        return self._require_open().replays

    @property
    def letters(self) -> LetterStore:
        """What was set aside, to be dropped or settled; `reader` reads it."""
        return self._require_open().state.letters

    @property
    def pauses(self) -> Pauses:
        """What rests because somebody said so."""
        return self._require_open().state.pauses

    def wait(self, offset: int, timeout: float) -> bool:
        """Wait until there is an event at `offset`, for at most `timeout` seconds.

        Returns whether there is one; at once False once the journal is closed.
        """
        opened = self._opened
        return opened is not None and opened.log.wait(offset, timeout)

    def reader(self) -> JournalReader:
        """Return a reader for one thread; the caller closes it."""
        opened = self._opened
        return JournalReader(
            self._path,
            on_damage=self._note_damage,
            extent=None if opened is None else opened.log.extent,
            recent=None if opened is None else opened.log.recent,
            troubles=self._troubles,
        )

    def upkeep(self) -> float:
        """Do one piece of what keeps the journal within its size and age.

        Deletes what nobody wants, thins a segment of which little is wanted, writes cursors,
        lets dead letters go that are too old or too many.

        Returns:
            Seconds until it wants to be called again.

        Raises:
            JournalFull, JournalDiskError: the disk is full or failed; call it again.
        """
        opened = self._require_open()
        log = opened.log
        # Without this a quiet journal would keep its last entries for ever. While a commit runs,
        # it can wait.
        if log.append_lock.acquire(blocking=False):
            try:
                self._require_open()
                log.roll_if_old()
            finally:
                log.append_lock.release()
        more = opened.upkeep.step()  # first: it needs no room, and makes some
        more |= opened.state.letters.prune(self._letter_limits, self._now())
        return 0.0 if more else _UPKEEP_SECONDS

    def accounts(self) -> list[Account]:
        """Return the counts of every registered sink and its tables, of one moment."""
        return self._require_open().lanes.accounts()

    def stats(self) -> JournalStats:
        """Return the journal's own numbers."""
        opened = self._require_open()
        log, discarded = opened.log, opened.state.discarded()
        oldest, oldest_time = log.oldest()
        return JournalStats(
            bytes=log.bytes(),
            max_bytes=self._limits.max_size,
            segments=len(log.sealed()) + 1,
            oldest=oldest,
            oldest_time=oldest_time,
            head=log.head,
            appended_events=log.appended_events,
            appended_bytes=log.appended_bytes,
            commits=log.commits(),
            discarded=discarded,
            damaged=len(self._damage),
        )

    def offset_at(self, time: int) -> int:
        """Return an offset before which nothing was received at a time or later.

        Args:
            time: microseconds since the epoch.

        Raises:
            JournalDiskError: the disk failed, or the database stayed busy.
        """
        with self.reader() as reader:
            return offset_at(reader, time, steps_of(self.marks()))

    def offset_until(self, time: int) -> int:
        """Return an offset from which on nothing was received before a time; as `offset_at`."""
        with self.reader() as reader:
            return offset_until(reader, time, steps_of(self.marks()))

    def damaged(self) -> list[Damage]:
        """Return the spans found damaged since the journal was opened, in order."""
        return self._damage.spans()

    def _note_damage(self, damage: Damage) -> None:
        self._damage.note(damage)

    def _now(self) -> int:
        return int(self._clock() * 1e6)

    def _require_open(self) -> Opened:
        opened = self._opened
        if opened is None:
            raise JournalUnavailable(f"journal {self._path} is not open")
        return opened
