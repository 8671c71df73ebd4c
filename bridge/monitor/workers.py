"""A few threads for calls that may block, shared by all tables.

Their number is fixed, so it does not grow with the tables; they are daemons, so a call that
hangs until its time-out does not hold up an exit.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue

from bridge.loop import Loop


class Workers:
    """Run jobs in the order given, `count` at a time.

    Attributes:
        loops: the threads.
    """

    def __init__(self, name: str, count: int) -> None:
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self.loops = [Loop(f"{name}-{i}", self._step) for i in range(count)]
        for loop in self.loops:
            loop.start()

    def submit(self, job: Callable[[], object]) -> None:
        """Queue a job; what it raises is logged and counted, since it is a fault of ours."""
        self._jobs.put(job)

    def stop(self, timeout: float) -> None:
        """Let the threads end after what is queued; wait for them `timeout` seconds at most."""
        for _ in self.loops:
            self._jobs.put(None)
        for loop in self.loops:
            loop.join(timeout)

    def _step(self) -> bool:
        job = self._jobs.get()
        if job is None:
            return False
        job()
        return True
