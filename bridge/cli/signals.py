"""Signals of a long-running command: the first one drains, a second one exits at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType


class Signals:
    """Waits for SIGTERM, SIGINT and SIGHUP.

    Install it in the main thread. A second SIGTERM or SIGINT ends the process with 143 or
    130, with no further ado: whoever sends it has waited long enough.
    """

    def __init__(self) -> None:
        self._stop = False
        self._reload = False
        self._came = threading.Event()

    def install(self, *, reload: bool = False) -> None:
        """Take over SIGTERM and SIGINT, and where it means something SIGHUP."""
        signal.signal(signal.SIGTERM, self._note_stop)
        signal.signal(signal.SIGINT, self._note_stop)
        if reload:
            signal.signal(signal.SIGHUP, self._note_reload)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until asked to end, or for some seconds.

        Returns:
            True where a reload was asked for meanwhile: wait again afterwards.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._stop:
            left = None if deadline is None else deadline - time.monotonic()
            if (left is not None and left <= 0) or self._reload:
                break
            self._came.wait(left)
            self._came.clear()
        reload, self._reload = self._reload and not self._stop, False
        return reload

    def _note_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (signature)
        if self._stop:
            os._exit(128 + number)
        self._stop = True
        self._came.set()

    def _note_reload(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (signature)
        self._reload = True
        self._came.set()
