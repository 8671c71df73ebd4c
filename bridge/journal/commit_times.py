"""How long commits take: a histogram that one thread fills and any other may read."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from types import TracebackType

from bridge.journal.records import CommitTimes

# Seconds: from a fast NVMe drive to a disk that needs looking after.
BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class CommitClock:
    """Times what happens inside its `with` block; a block that raises is not counted."""

    def __init__(self) -> None:
        # Guards the two below, so that a reader sees counts and sum of one moment.
        self._lock = threading.Lock()
        self._counts = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            return
        seconds = time.perf_counter() - self._started
        with self._lock:
            self._counts[bisect_left(BOUNDS, seconds)] += 1
            self._seconds += seconds

    def snapshot(self) -> CommitTimes:
        """Return the numbers so far."""
        with self._lock:
            return CommitTimes(BOUNDS, tuple(self._counts), self._seconds)
