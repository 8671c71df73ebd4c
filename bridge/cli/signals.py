"""Signals of a long-running command: the first one drains, a second one exits at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType


class Shutdown:
    """Waits for SIGTERM or SIGINT.

    Install it in the main thread. The second signal ends the process with 143 or 130, with
    no further ado: whoever sends it has waited long enough.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()

    def install(self) -> None:
        """Take over the two signals."""
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    @property
    def asked(self) -> bool:
        """Whether the process was asked to end."""
        return self._asked.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until asked to end; False if that did not happen within `seconds`."""
        return self._asked.wait(seconds)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (signature)
        if self._asked.is_set():
            os._exit(128 + number)
        self._asked.set()
