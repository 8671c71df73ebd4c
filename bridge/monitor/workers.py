"""A few threads for calls that may block, shared by all tables.

Their number is fixed, so it does not grow with the tables; they are daemons, so a call that
hangs until its time-out does not hold up an exit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

import structlog

log = structlog.get_logger()


class Workers:
    """Run jobs in the order given, `count` at a time."""

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{i}", daemon=True)
            for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Callable[[], None]) -> None:
        """Queue a job; what it raises is logged, since it is a fault of ours."""
        self._jobs.put(job)

    def stop(self, timeout: float) -> None:
        """Let the threads end after what is queued; wait for them `timeout` seconds at most."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                log.exception("job_failed")
