"""A sink's cursor as its worker moves it: known at once, on the disk a moment later.

A transaction for each acknowledgement would cost about as much as all else that is done for
a small batch. So one that follows another closely is left for the next, or for the first
moment without work, and never for longer than `WRITE_SECONDS` while the worker is free.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from bridge.journal import DeadLetter, Journal, Settled

# A crash within it means duplicates.
WRITE_SECONDS = 0.05


class Cursor:
    """The cursor of one sink. Used by its worker's thread alone."""

    def __init__(self, journal: Journal, sink: str) -> None:
        self._journal = journal
        self._sink = sink
        self._written_at = 0.0
        self._unwritten = False

    @property
    def due(self) -> float | None:
        """When `write` is to be called, by the monotonic clock; None where nothing is left."""
        return self._written_at + WRITE_SECONDS if self._unwritten else None

    def move(
        self, to: int, settled: Sequence[Settled], dead_letters: Sequence[DeadLetter] = ()
    ) -> None:
        """Move it, as `Journal.advance`, and write that down unless this was done just now.

        Raises:
            JournalError: the state could not be written; nothing changed.
        """
        now = time.monotonic()
        later = now < self._written_at + WRITE_SECONDS
        self._journal.advance(self._sink, to, settled, dead_letters, later=later)
        self._unwritten = later
        if not later:
            self._written_at = now

    def write(self) -> None:
        """Write down what is left; nothing if that is nothing.

        Raises:
            JournalError: the state could not be written; it is still left.
        """
        if self._unwritten:
            self._journal.write_cursors()
            self._written_at = time.monotonic()
            self._unwritten = False
