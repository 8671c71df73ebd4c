"""The thread that takes over tables which patterns mean, as the watch sees them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import structlog

from bridge.errors import BridgeError, cause_of
from bridge.loop import Loop, backoff

log = structlog.get_logger()

_IDLE_SECONDS = 1.0

Listed = Mapping[str, frozenset[str]]
"""The qualified names of all tables of each schema that was listed."""


class Discovery:
    """Hands on what there is, one look after the other, so that the watch waits for no disk.

    Owns its thread; ended by `stop`.

    Args:
        take: takes over what a look has found; it is given the time of the look before, seconds
            since the epoch, 0 for none.

    Attributes:
        looked_at: when the last look was, seconds since the epoch.
    """

    def __init__(self, take: Callable[[Listed, float], None]) -> None:
        self._take = take
        self._wake = threading.Event()
        self._lock = threading.Lock()  # guards what was seen
        self._listed: Listed = {}
        self._since = self.looked_at = 0.0
        self._handed = self._taken = 0  # how often there was something to take over, and was
        self._attempts = 0
        self.loop = Loop("tables", self._step)

    def note(self, schema: str, names: frozenset[str]) -> None:
        """Say which tables a schema has now; any thread may call."""
        with self._lock:
            if self._listed.get(schema) != names:
                self._listed = {**self._listed, schema: names}
                self._since = self.looked_at
                self._hand_on()
            self.looked_at = time.time()

    def again(self) -> None:
        """Hand on once more what was seen."""
        with self._lock:
            self._hand_on()

    def _hand_on(self) -> None:
        self._handed += 1
        self._wake.set()

    @property
    def settled(self) -> bool:
        """Whether all that was seen was taken over."""
        return self._taken == self._handed

    def stop(self) -> None:
        """Take over nothing further."""
        self.loop.stop()
        self._wake.set()

    def _step(self) -> bool:
        if not self._wake.wait(_IDLE_SECONDS) or self.loop.stopping:
            return True
        self._wake.clear()
        with self._lock:
            listed, since, handed = self._listed, self._since, self._handed
        try:
            self._take(listed, since)
        except (BridgeError, OSError) as error:  # a disk that fails, say: all is tried again
            self._attempts += 1
            log.warning("tables_not_taken_over", cause=cause_of(error), attempts=self._attempts)
            self.loop.wait(backoff(self._attempts))
            self._wake.set()
        except BaseException:
            self._wake.set()  # what was seen is not taken over yet
            raise
        else:
            self._attempts, self._taken = 0, handed
        return True
