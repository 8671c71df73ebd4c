"""The thread that takes over tables which patterns mean, as the watch sees them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import structlog

from bridge.errors import BridgeError
from bridge.loop import Loop, backoff

log = structlog.get_logger()

_IDLE_SECONDS = 1.0

Listed = Mapping[str, frozenset[str]]
"""The qualified names of all tables of each schema that was listed."""


class Discovery:
    """Hands on what there is, one look after the other, so that the watch waits for no disk.

    Owns its thread; ended by `stop`.

    Args:
        take: takes over what a look at a moment, seconds since the epoch, has found.
    """

    def __init__(self, take: Callable[[Listed, float], None]) -> None:
        self._take = take
        self._wake = threading.Event()
        self._lock = threading.Lock()  # guards the look that is not handed on yet
        self._look: tuple[Listed, float] | None = None
        self._attempts = 0
        self.loop = Loop("tables", self._step)

    def note(self, listed: Listed, at: float) -> None:
        """Say what there is; any thread may call."""
        with self._lock:
            before = self._look[0] if self._look is not None else {}
            self._look = {**before, **listed}, at
        self._wake.set()

    def stop(self) -> None:
        """Take over nothing further."""
        self.loop.stop()
        self._wake.set()

    def _step(self) -> bool:
        if not self._wake.wait(_IDLE_SECONDS) or self.loop.stopping:
            return True
        self._wake.clear()
        with self._lock:
            look = self._look
        if look is None:
            return True
        try:
            self._take(*look)
        except (BridgeError, OSError) as error:  # a disk that fails, say: all is tried again
            self._attempts += 1
            log.warning("tables_not_taken_over", cause=str(error), attempts=self._attempts)
            self.loop.wait(backoff(self._attempts))
            self._wake.set()
        else:
            self._attempts = 0
            with self._lock:
                if self._look is look:
                    self._look = None
        return True
