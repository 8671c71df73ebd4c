"""How a sink gets on with its destination: its state, and the first cause of its trouble."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from bridge.errors import Retry

log = structlog.get_logger()

# A destination that stays away is said again after this many seconds.
_REMIND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SinkStats:
    """A snapshot of a sink.

    Attributes:
        state: connecting, delivering or retrying.
        error: the first cause of the present trouble, None where there is none.
        oldest: reception time of the oldest event in hand, microseconds, None without any.
        attempts: calls to the sink.
        retries: calls that came to nothing.
        busy_seconds: time spent in the sink.
    """

    state: str
    error: str | None
    oldest: int | None
    attempts: int
    retries: int
    busy_seconds: float


class Standing:
    """Written by the sink's worker, read by anybody.

    Attributes:
        state: connecting, delivering or retrying.
        error: the first cause of the present trouble, None where there is none.
        failures: calls that came to nothing.
    """

    def __init__(self, sink: str) -> None:
        self._sink = sink
        self._said_at: float | None = None
        self.state = "connecting"
        self.error: str | None = None
        self.failures = 0

    def fail(self, error: Retry) -> None:
        """Note that a call came to nothing; the first cause is kept."""
        self.failures += 1
        self.state = "retrying"
        self.error = self.error or str(error)
        now = time.monotonic()
        if self._said_at is None or now - self._said_at > _REMIND_SECONDS:
            self._said_at = now
            log.warning("sink_retrying", sink=self._sink, cause=str(error), first=self.error)

    def succeed(self) -> None:
        """Note that all is well."""
        if self.error is not None:
            log.info("sink_recovered", sink=self._sink, was=self.error)
        self.state, self.error, self._said_at = "delivering", None, None
