"""Turns at work: more reads are under way than work at a time, as a read mostly waits."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Turns:
    """So many turns, taken by threads.

    Args:
        count: how many threads work at a time.
    """

    def __init__(self, count: int) -> None:
        self._free = threading.Semaphore(count)
        self._own = threading.local()

    def run(self, job: Callable[[], object]) -> None:
        """Do a job with a turn; it may give the turn away meanwhile."""
        self.take()
        try:
            job()
        finally:
            self.give()

    def take(self) -> None:
        """Wait for a turn."""
        self._free.acquire()
        self._own.has = True

    def give(self) -> bool:
        """Let another thread have this one's turn; say whether it had one."""
        had = getattr(self._own, "has", False)
        if had:
            self._own.has = False
            self._free.release()
        return had
