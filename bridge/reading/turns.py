"""Turns at work: more reads are under way than work at a time, as a read mostly waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bridge.monitor.intake_queue import Stopping


class Turns:
    """So many turns, taken by threads.

    Args:
        count: how many threads work at a time.
        stopping: set once nobody is to work any more.
    """

    def __init__(self, count: int, stopping: threading.Event) -> None:
        self._free = threading.Semaphore(count)
        self._stopping = stopping
        self._own = threading.local()

    def run(self, job: Callable[[], object]) -> None:
        """Do a job once it is this thread's turn."""
        self._take()
        try:
            job()
        finally:
            self._give()

    def pause(self, seconds: float) -> None:
        """Wait, and let another thread have this one's turn meanwhile, if it has one.

        Raises:
            Stopping: nobody is to work any more.
        """
        had = self._give()
        if self._stopping.wait(seconds):
            raise Stopping("the bridge is stopping")
        if had:
            self._take()

    def _take(self) -> None:
        self._free.acquire()
        self._own.has = True

    def _give(self) -> bool:
        had = getattr(self._own, "has", False)
        if had:
            self._own.has = False
            self._free.release()
        return had
