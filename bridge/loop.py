"""A thread of ours: one supervised loop, the arithmetic of waiting, and manners.

No thread dies unseen. What a pass of a loop raises is logged with its traceback and counted; the
loop takes up again after a backoff, from whatever durable state its owner reads anew. A thread
that is gone all the same shows in `dead`, which `/livez` asks.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import structlog

log = structlog.get_logger()

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_BREATH_SECONDS = 5e-5

_T = TypeVar("_T")


def backoff(attempts: int, first: float = 0.2, longest: float = 10.0) -> float:
    """Return seconds to wait before the next try: doubling, capped, half to all of it at random.

    Args:
        attempts: tries that have failed, from 1.
        first: the wait after the first of them, at most.
        longest: the longest wait.
    """
    most = min(longest, first * 2.0 ** min(max(attempts, 1) - 1, 30))
    return float(most * random.uniform(0.5, 1.0))  # noqa: S311 (jitter is no secret)


def give_way() -> None:
    """Let others have the interpreter's lock, amid long work on what is only looked at.

    Who wants it waits 5 ms for a thread that does not let go of it, and an event on its way wants
    it a dozen times.
    """
    time.sleep(_BREATH_SECONDS)


def in_parts(many: Sequence[_T], size: int = 200) -> Iterator[Sequence[_T]]:
    """Yield many things in parts, and give way after each.

    >>> [list(part) for part in in_parts("abc", 2)]
    [['a', 'b'], ['c']]
    """
    for start in range(0, len(many), size):
        yield many[start : start + size]
        give_way()


class Deadline:
    """A moment by the monotonic clock.

    >>> Deadline(0.0).passed
    True
    """

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then, 0 once it has passed."""
        return max(0.0, self._at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self._at


class Loop:
    """A thread that calls `step` again and again until it is told to stop.

    Args:
        name: of the thread.
        step: one pass; returns whether to go on. It waits by itself, in slices short enough that
            the owner can end it.
        failed: told of what a pass raised, after it was logged; to show it as a state.
        done: called in the thread when it ends, whatever ended it.

    Attributes:
        faults: passes that raised.
        fault: the text of the last one since a pass went well, None where all is well.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], bool],
        *,
        failed: Callable[[BaseException], None] | None = None,
        done: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._step = step
        self._failed = failed
        self._done = done
        self._stopping = threading.Event()
        self._ended = False
        self.faults = 0
        self.fault: str | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __repr__(self) -> str:
        return f"<Loop {self.name}, {self.faults} faults>"

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let no further pass begin; a pause after a fault ends at once."""
        self._stopping.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; False if it did not come within `timeout` seconds, True unstarted."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    @property
    def current(self) -> bool:
        """Whether the calling thread is this one."""
        return threading.current_thread() is self._thread

    @property
    def dead(self) -> bool:
        """Whether the thread is gone although nobody ended it."""
        return self.started and not self._ended and not self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Wait within a pass; True at once when told to stop."""
        return self._stopping.wait(seconds)

    def note(self, error: BaseException) -> None:
        """Log and count a fault of ours, that ended a pass or that a pass went on from."""
        self.faults += 1
        # An error may be of a plug-in, and its text and our answer to it may raise in their turn.
        self.fault = type(error).__name__
        with contextlib.suppress(Exception):
            self.fault = f"{type(error).__name__}: {error}"
            log.error("loop_failed", loop=self.name, faults=self.faults, exc_info=error)
        if self._failed is not None:
            with contextlib.suppress(Exception):
                self._failed(error)

    def _run(self) -> None:
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    if not self._step():
                        break
                except BaseException as error:  # noqa: BLE001 (that is what a loop is for)
                    failures += 1
                    self.note(error)
                    self._stopping.wait(backoff(failures, _FIRST_PAUSE, _LONGEST_PAUSE))
                else:
                    failures, self.fault = 0, None
            self._ended = True
        finally:
            if self._done is not None:
                self._done()
