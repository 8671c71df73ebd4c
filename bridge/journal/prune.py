"""Which segments go, and their going: a decision from plain values, then the act.

Deleting a file never waits for the append lock, and the append path waits for it only where
the journal is full.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from bridge.errors import JournalFull
from bridge.journal.layout import remove_database, segment_path
from bridge.journal.log import SegmentLog
from bridge.journal.records import SealedSegment
from bridge.journal.state import State

_log = structlog.get_logger(__name__)


def segments_to_delete(
    sealed: Sequence[SealedSegment],
    *,
    acknowledged: int,
    excess: int,
    before: int,
    drop: bool,
) -> int:
    """Return how many of the oldest segments to delete.

    Args:
        sealed: complete segments, oldest first.
        acknowledged: every sink has settled all before this offset.
        excess: bytes by which the journal is too large; not above 0 if it is not.
        before: a segment that ends earlier than this time (microseconds) is too old.
        drop: whether segments that are not acknowledged may go to make room.
    """
    count = 0
    for segment in sealed:
        settled = segment.end <= acknowledged
        old = segment.newest_time is None or segment.newest_time < before
        if not (excess > 0 and (settled or drop)) and not (settled and old):
            break
        excess -= segment.bytes
        count += 1
    return count


class Pruner:
    """Deletes segments of an open journal.

    Attributes:
        lock: held while it works; taken after the append lock, before the state's.

    Args:
        path: the journal's folder.
        state: its cursors.
        state_lock: guards `state`.
        log: its segments.
        max_size: bytes that all segments together may take.
        max_age: seconds after which acknowledged entries go.
        drop_oldest: whether entries that are not acknowledged go when the journal is full.
        now: microseconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        state: State,
        state_lock: threading.Lock,
        log: SegmentLog,
        *,
        max_size: int,
        max_age: float,
        drop_oldest: bool,
        now: Callable[[], int],
    ) -> None:
        self.lock = threading.Lock()
        self._path = path
        self._state = state
        self._state_lock = state_lock
        self._log = log
        self._max_size = max_size
        self._max_age = max_age
        self._drop_oldest = drop_oldest
        self._now = now

    def make_room(self, incoming: int) -> None:
        """Delete what may go until `incoming` bytes fit. Append lock held.

        Raises:
            JournalFull: they do not.
            JournalError: the state could not be forced to disk; nothing was deleted.
        """
        log = self._log
        if log.bytes() + incoming <= self._max_size:
            return
        if incoming > self._max_size // 2:
            raise JournalFull(
                f"journal {self._path}: {incoming} bytes at once are too much for a journal of "
                f"{self._max_size}",
                hint="raise journal.max_size",
            )
        self.prune(incoming)
        if log.bytes() + incoming <= self._max_size:
            return
        with self._state_lock:
            acknowledged = self._state.acknowledged(log.head)
        if not log.empty and (self._drop_oldest or acknowledged >= log.head):
            log.roll()
            self.prune(incoming)
        if log.bytes() + incoming > self._max_size:
            raise JournalFull(
                f"journal {self._path} is full: {log.bytes()} of {self._max_size} bytes hold "
                f"events that not every sink has taken, from offset {acknowledged} on",
                hint="see which sink lags, or raise journal.max_size",
            )

    def prune(self, incoming: int = 0) -> None:
        """Delete what is too old, or too much with `incoming` bytes more.

        Raises:
            JournalError: the state could not be forced to disk; nothing was deleted.
        """
        self.free(self._log.bytes() + incoming - self._max_size)

    def free(self, excess: int) -> bool:
        """Delete what is too old, and the oldest until `excess` bytes are gone, if they may go.

        Returns:
            Whether anything was deleted.

        Raises:
            JournalError: the state could not be forced to disk; nothing was deleted.
        """
        with self.lock:
            with self._state_lock:
                sealed, ends = self._log.sealed()
                count = segments_to_delete(
                    sealed,
                    acknowledged=self._state.acknowledged(self._log.head),
                    excess=excess,
                    before=self._now() - int(self._max_age * 1e6),
                    drop=self._drop_oldest,
                )
                if count == 0:
                    return False
                oldest = ends[count - 1]
                # Before a file goes, no cursor may be able to fall back into it.
                discarded = self._state.prune_to(oldest)
            self._log.forget(count)
            for segment in sealed[:count]:
                self._delete(segment)
        if discarded:
            _log.warning("journal_events_discarded", before=oldest.offset, events=discarded)
        return True

    def _delete(self, segment: SealedSegment) -> None:
        path = segment_path(self._path, segment.first)
        try:
            remove_database(path)
        except OSError as error:
            _log.warning("journal_segment_not_deleted", path=str(path), cause=error.strerror)
