"""How a sink gets on with its destination: what is shown of it, and what is logged.

A sink that refuses two hundred thousand events must not write as many lines: of one kind a line
every few seconds, with how many there were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from bridge.errors import JournalError, SinkError

log = structlog.get_logger()

_QUIET_SECONDS = 10.0
# A destination that stays away is said again after this many seconds.
_REMIND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SinkStats:
    """A snapshot of a sink.

    Attributes:
        state: delivering while any lane flows, else connecting, retrying, paused, disabled or
            failed.
        error: the first cause of the present trouble, None where there is none.
        waiting: the error by table, where its lane waits.
        oldest: by table, when the oldest event in hand was received, microseconds.
        attempts: calls to the sink.
        retries: calls that came to nothing.
        busy_seconds: time spent in the sink.
    """

    state: str
    error: str | None = None
    waiting: Mapping[str, str] = field(default_factory=dict)
    oldest: Mapping[str, int] = field(default_factory=dict)
    attempts: int = 0
    retries: int = 0
    busy_seconds: float = 0.0


@dataclass(slots=True)
class _Said:
    """What was logged of one kind: when, and how often it was left out since."""

    at: float
    left_out: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)


class Journalist:
    """Logs what happens to one sink, the same thing at most every few seconds.

    Args:
        sink: the sink's id.
        clock: monotonic.
    """

    def __init__(self, sink: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log.bind(sink=sink)
        self._clock = clock
        self._said: dict[tuple[str, str], _Said] = {}

    def warn(self, event: str, about: str = "", **fields: Any) -> None:
        """Log a warning, or count it where the same was logged just now.

        Args:
            event: what happened.
            about: the table, or whatever tells two of a kind apart.
            fields: the particulars.
        """
        now = self._clock()
        said = self._said.get((event, about))
        if said is not None and now - said.at < _QUIET_SECONDS:
            said.left_out += 1
            said.fields = fields
            return
        more = {"more": said.left_out} if said is not None and said.left_out else {}
        self._said[event, about] = _Said(now)
        self._log.warning(event, **fields, **more)

    def flush(self, *, all_of_it: bool = False) -> None:
        """Log the counts of what was left out, once its time is over."""
        now = self._clock()
        for (event, about), said in list(self._said.items()):
            if not all_of_it and now - said.at < _QUIET_SECONDS:
                continue
            del self._said[event, about]
            if said.left_out:
                more = {"more": said.left_out - 1} if said.left_out > 1 else {}
                self._log.warning(event, **said.fields, **more)


class Complaint:
    """The first cause of a trouble that lasts, logged when it begins, now and then, and ends.

    Args:
        sink: the sink's id.
        clock: monotonic.
    """

    def __init__(self, sink: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log.bind(sink=sink)
        self._clock = clock
        self._said_at = 0.0
        self.first: str | None = None

    def begin(self, cause: str, error: BaseException | None = None) -> None:
        """Note a failure; with `error` its traceback is logged, where it is a new one."""
        now = self._clock()
        if self.first is not None and now - self._said_at < _REMIND_SECONDS:
            return
        self._said_at = now
        if self.first is None:
            self.first = cause
            if error is not None:
                self._log.error("sink_failed", cause=cause, exc_info=error)
                return
        self._log.warning("sink_retrying", cause=cause, first=self.first)

    def end(self) -> None:
        """Note that all is well."""
        if self.first is not None:
            self._log.info("sink_recovered", was=self.first)
            self.first = None


def text_of(error: BaseException) -> str:
    """Return what is shown of an error: ours speak for themselves."""
    known = isinstance(error, SinkError | JournalError)
    return str(error) if known else f"{type(error).__name__}: {error}"
