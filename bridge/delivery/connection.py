"""A sink's connection, for those that deliver through it at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from bridge.errors import SinkError
from bridge.loop import Deadline
from bridge.sinks.base import Sink

log = structlog.get_logger()

_LOOK_SECONDS = 0.2


class Interrupted(Exception):
    """Whoever waits is to do something else."""


class Connection:
    """Opens and closes a sink so that neither is ever done while a `deliver` runs.

    Args:
        name: the sink's id.
        sink: not open.
    """

    def __init__(self, name: str, sink: Sink) -> None:
        self._name = name
        self._sink = sink
        self._turn = threading.Condition()  # guards all below
        self._open = False
        self._lost = False  # to be closed before it is opened again
        self._busy = False  # somebody opens or closes it
        self._users = 0

    @property
    def open(self) -> bool:
        """Whether it is open."""
        return self._open and not self._lost

    def connect(self, interrupted: Callable[[], bool]) -> None:
        """Open the sink unless it is open.

        Raises:
            Interrupted: as the callable says, while it waited for others.
            BaseException: what the sink's `open` raised; it is not open.
        """
        with self._turn:
            while self._busy or (self._lost and self._users):
                if interrupted():
                    raise Interrupted
                self._turn.wait(_LOOK_SECONDS)
            if self._open and not self._lost:
                return
            self._busy = True
        try:
            if self._lost:
                self._close_quietly()
            self._sink.open()
            self._open, self._lost = True, False
        finally:
            self._release()

    @contextmanager
    def use(self, interrupted: Callable[[], bool]) -> Iterator[Sink]:
        """Lend the sink, open; raises as `connect`."""
        while True:
            self.connect(interrupted)
            with self._turn:
                if self._open and not self._lost and not self._busy:
                    self._users += 1
                    break
        try:
            yield self._sink
        finally:
            with self._turn:
                self._users -= 1
                self._turn.notify_all()

    def lose(self) -> None:
        """Note that the connection is gone: who wants it next closes it and opens it anew."""
        with self._turn:
            self._lost = True

    def close(self, timeout: float = 0.0) -> bool:
        """Close the sink once nobody uses it; False if somebody still does after `timeout`."""
        deadline = Deadline(timeout)
        with self._turn:
            while self._busy or self._users:
                if deadline.passed:
                    return False
                self._turn.wait(min(_LOOK_SECONDS, deadline.left))
            self._busy = True
        try:
            self._close_quietly()
            self._open = False
        finally:
            self._release()
        return True

    def _release(self) -> None:
        with self._turn:
            self._busy = False
            self._turn.notify_all()

    def _close_quietly(self) -> None:
        try:
            self._sink.close()
        except BaseException as error:  # noqa: BLE001 (closing is a courtesy)
            cause = (
                str(error) if isinstance(error, SinkError) else f"{type(error).__name__}: {error}"
            )
            log.warning("sink_close_failed", sink=self._name, cause=cause)
