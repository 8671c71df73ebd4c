"""Signals of a long-running command: the first one drains, a second one exits at once.

The kernel gives a signal to any thread, while Python runs handlers in the main one alone: so
the main thread waits on a descriptor that the interpreter writes to whichever thread was hit.
Light on imports, as it is the first thing that the command does.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from types import FrameType
from typing import Any


class Signals:
    """SIGTERM, SIGINT and SIGHUP, noted for whoever waits. Used by the main thread.

    A second SIGTERM or SIGINT ends the process with 143 or 130, with no further ado: whoever
    sends it has waited long enough.

    Attributes:
        stop: whether the process was asked to end.
        idle: whether nothing runs yet that would have to end: then the first signal ends the
            process at once, with 0.
    """

    def __init__(self) -> None:
        self.stop = False
        self.idle = False
        self._reload = False
        self._came: list[int] = []
        self._before: dict[int, Any] = {}
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def install(self) -> None:
        """Take over the three signals."""
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._note)

    def give_back(self, *numbers: int) -> None:
        """Put back what these signals did before; one that came meanwhile does it now."""
        for number in numbers or tuple(self._before):
            signal.signal(number, self._before.pop(number))
            if number in self._came:
                os.kill(os.getpid(), number)
        if not self._before:
            signal.set_wakeup_fd(-1)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until a signal comes, or `wake` is called, or for some seconds.

        What came before the call and was not waited for ends it at once: look at `stop` and
        `take_reload` afterwards.
        """
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        if poll.poll(None if seconds is None else max(0.0, seconds) * 1000):
            with contextlib.suppress(BlockingIOError):
                while os.read(self._read, 4096):
                    pass

    def wait_for_stop(self, seconds: float | None = None) -> None:
        """Wait until asked to end, or for some seconds."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self.stop and (end is None or time.monotonic() < end):
            self.wait(None if end is None else end - time.monotonic())

    def wake(self) -> None:
        """Let `wait` return; any thread may call it."""
        # Where the pipe is full, it is full of reasons to wake up.
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"\0")

    def take_reload(self) -> bool:
        """Whether a reload was asked for since the last call; several count as one."""
        if not self._reload:
            return False
        # In this order: a signal from here on is for the reload after this one.
        self._reload = False
        return True

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (signature)
        self._came.append(number)
        if number == signal.SIGHUP:
            self._reload = True
        elif self.stop:
            os._exit(128 + number)
        elif self.idle:
            os._exit(0)
        else:
            self.stop = True
