"""The thread that starts the service and reloads it, so that the main one only waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from bridge.errors import BridgeError, ConfigurationError
from bridge.loop import Loop
from bridge.supervisor.service import Supervisor

log = structlog.get_logger()

_IDLE_SECONDS = 1.0


class Control:
    """Starts the service once, then reloads it whenever asked.

    Owns its thread; ended by `stop`, which does not wait for what is under way.

    Args:
        supervisor: the service, not started.
        reload: reads the configuration anew and applies it.
        failed: called in the thread when the start has failed for good.

    Attributes:
        failure: why the start has failed for good.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        reload: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        self._supervisor = supervisor
        self._reload = reload
        self._failed = failed
        self._wanted = threading.Event()
        self._started = False
        self.failure: BridgeError | None = None
        self.loop = Loop("control", self._step)

    def start(self) -> None:
        """Start the service, in the thread."""
        self.loop.start()

    def reload(self) -> None:
        """Let the configuration be read and applied, after what is under way."""
        self._wanted.set()

    def stop(self) -> None:
        """Begin nothing further."""
        self.loop.stop()
        self._wanted.set()

    def _step(self) -> bool:
        if not self._started:
            try:
                self._supervisor.start()
            except BaseException as error:  # half a start is no start: it must not be tried again
                if not isinstance(error, BridgeError):
                    log.critical("start_failed", exc_info=error)
                    error = BridgeError(f"the start failed: {_text(error)}")
                self.failure = error
                self._failed()
                return False
            self._started = True
        if self._wanted.wait(_IDLE_SECONDS) and not self.loop.stopping:
            self._wanted.clear()  # before the file is read: what changes later is asked for later
            self._take_over()
        return True

    def _take_over(self) -> None:
        reloads = self._supervisor.reloads
        try:
            self._reload()
        except BaseException as error:  # a plug-in may raise anything
            reloads.successful = False
            problems = error.problems if isinstance(error, ConfigurationError) else [_text(error)]
            ours = not isinstance(error, BridgeError)  # then the log needs the place, too
            log.error("reload_refused", problems=problems, exc_info=error if ours else None)
        else:
            reloads.successful, reloads.success_at = True, time.time()


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, BridgeError) else f"{type(error).__name__}: {error}"
