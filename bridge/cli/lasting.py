"""What lasts: the garbage collector does not look through it again and again.

With a thousand tables one full collection stops all threads for 50 to 90 ms, every few seconds.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

_LONG_SECONDS = 0.02
# Setting aside is a full collection too: it is done anew where so much of it is saved by it.
_SHARE = 0.5
_PAUSE_SECONDS = 30.0


class Lasting:
    """Sets aside what there is once a full collection has taken long, and anew when one does again.

    What was set aside and is not needed any more is collected the next time.

    Args:
        clock: seconds of CPU that the calling thread has had.
        now: seconds, as of a monotonic clock.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.thread_time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._now = now
        self._began = self._took = 0.0  # of the last full collection
        self._long = _LONG_SECONDS
        self._next = now()
        gc.callbacks.append(self._note)

    def look(self) -> None:
        """Set aside what there is, if the last full collection took long."""
        if self._took <= self._long or self._now() < self._next:
            return
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._long = max(_LONG_SECONDS, _SHARE * self._took)
        self._took = 0.0
        self._next = self._now() + _PAUSE_SECONDS

    def _note(self, phase: str, info: Mapping[str, Any]) -> None:
        if info["generation"] < 2:
            return
        if phase == "start":
            self._began = self._clock()
        else:
            self._took = self._clock() - self._began
