"""The dead letters of an open journal: dropped, replayed, and kept within their size and age."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence

import structlog

from bridge.journal.letters import LaneKey, Retried
from bridge.journal.records import LetterFilter, LetterLimits, LetterSum
from bridge.journal.state_file import StateFile

# So many go in one transaction: cursors have to move between two of them.
_STEP = 1000

_log = structlog.get_logger(__name__)


class LetterStore:
    """What becomes of dead letters once they are stored; any thread may call.

    Args:
        file: where they are.
        writing: held while the file is written.
    """

    def __init__(self, file: StateFile, writing: threading.Lock) -> None:
        self._file = file
        self._writing = writing

    def __repr__(self) -> str:
        return f"<LetterStore of {self._file!r}>"

    def sums(self) -> Mapping[LaneKey, LetterSum]:
        """Return what there is, by sink and table."""
        return dict(self._file.letters.sums)

    def pruned(self) -> Mapping[tuple[str, str], int]:
        """Return how many went for their size or age, by sink and reason, over all time."""
        return dict(self._file.letters.pruned.items())

    def drop(self, which: LetterFilter, limit: int | None = None) -> int:
        """Delete the letters that a filter lets through; return how many there were.

        What was counted as dead-lettered stays so.

        Args:
            which: these.
            limit: at most so many, the oldest first; None for all.

        Raises:
            JournalError: they could not be deleted, or not all of them.
        """
        dropped = 0
        while True:
            step = _STEP if limit is None else min(_STEP, limit - dropped)
            with self._writing:
                gone = self._file.drop_letters(which, step)
            dropped += len(gone)
            if len(gone) < _STEP:
                return dropped
            which = which._replace(after=gone[-1][0])  # else all before are looked at each time

    def settle(self, delivered: Collection[int], failed: Sequence[Retried] = ()) -> None:
        """Note how a replay of some letters went: those delivered go, in one transaction each.

        Args:
            delivered: their numbers.
            failed: those that stay, with the new reason.

        Raises:
            JournalError: it could not be written.
        """
        with self._writing:
            if failed:
                self._file.note_retried(failed)
            if delivered:
                which = LetterFilter(numbers=frozenset(delivered))
                self._file.drop_letters(which, len(delivered))

    def prune(self, limits: LetterLimits, now: int) -> bool:
        """Delete some of those that are too old or too many, and give their disk back.

        What is too much goes from the lane that takes most, its oldest first, so that no sink's
        letters push out those of another.

        Args:
            limits: what they may take.
            now: microseconds since the epoch.

        Returns:
            Whether there may be more to do.

        Raises:
            JournalError: it could not be written.
        """
        sums = self.sums()
        excess = sum(each.bytes for each in sums.values()) - limits.max_size
        before = now - int(limits.max_age * 1e6)
        old = [key for key, each in sums.items() if each.oldest < before]
        if not old and excess <= 0:
            with self._writing:
                return self._file.shrink()
        key = old[0] if old else max(sums, key=lambda key: sums[key].bytes)
        with self._writing:
            counts = self._file.prune_letters(key, 0 if old else excess, before)
        if counts:
            sink, table = key
            _log.warning("dead_letters_discarded", sink=sink, table=table, **counts)
        return True
