"""The table monitor client of the library: one table, and callbacks for what happens to it.

A façade over the core that the service runs on: it says what to watch, and whom to tell; a
`Session` does the rest. Every callback is called from one thread, the client's own.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import Any, Self
from weakref import WeakSet

from bridge.errors import ConfigurationError
from bridge.monitor.address import read_address
from bridge.monitor.callbacks import Callback, check, watched
from bridge.monitor.library_log import log_through_logging, logger, set_level
from bridge.monitor.options import Options
from bridge.monitor.session import MonitoringAborted, NotLive, Session
from bridge.monitor.table_options import TableOptions
from bridge.monitor.watch import WatchOptions
from bridge.wire.calls import qualified

_PROBE_INTERVAL = WatchOptions().probe_interval
_SHORTEST_PROBE_INTERVAL = 0.2
# `start_monitor` tries at least this long, whatever the options say: once needs some time.
_LEAST_PATIENCE = 1.0
# Seconds that `stop_monitor` has, unless told otherwise.
_STOP_TIMEOUT = 10.0
# For whoever forks: a running client is its parent's.
_clients: WeakSet[Client] = WeakSet()
# Sessions of the parent. Nothing of them is ever taken down here: it might touch what is shared.
_inherited: list[Session] = []


class Client:
    """Monitors one table of Kinetica. To be instantiated with callbacks, or subclassed.

    The constructor does no I/O; `start_monitor` does. All methods may be called from any
    thread, callbacks included. Also a context manager that starts and stops.

    Args:
        db: where Kinetica is: a URL, several in a list or parted by commas (a ring, primary
            first), or a connected object with the attributes of the vendor's `GPUdb`.
        table_name: the table; without a schema it is one of `ki_home`.
        callback_list: whom to tell of what. For each kind of event that somebody is to be
            told of, and for no other, the server gets a table monitor.
        options: an `Options`, else all defaults.

    A process that forks keeps its running clients: in the child they are stopped, and may be
    started there.

    Raises:
        ConfigurationError: an argument is not what it should be.
    """

    def __init__(
        self,
        db: Any,
        table_name: str,
        callback_list: Sequence[Callback] | None,
        options: Options | None = None,
    ) -> None:
        log_through_logging()
        if not isinstance(table_name, str) or not table_name.strip():
            raise ConfigurationError([f"Client: table_name: no name of a table: {table_name!r}"])
        if options is not None and not isinstance(options, Options):
            raise ConfigurationError([f"Client: options: not an Options: {options!r}"])
        self.db = db
        self.table_name = table_name.strip()
        self.options = options or Options.default()
        self._address = read_address(db)
        self._callbacks = check(callback_list)
        self._lock = threading.Lock()  # guards _session
        self._session: Session | None = None
        _clients.add(self)
        # For the lines of a subclass, which the seed's examples write to it.
        self._logger = logging.getLogger("bridge.monitor.client")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.table_name} {self.state}>"

    def __enter__(self) -> Self:
        self.start_monitor()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop_monitor()

    def start_monitor(self) -> None:
        """Start monitoring; returns once it is live, so that no later event is missed.

        Does nothing where it runs already. May be called again after an end.

        Raises:
            NotLive: there is no such table; another client of this process has the `instance`
                for it; or `max_retries` times `wait_interval` seconds
                (at least one) did not suffice, and the message says what is in the way.
        """
        patience = max(_LEAST_PATIENCE, self.options.max_retries * self.options.wait_interval)
        while True:
            with self._lock:
                session = self._session
                if session is None or session.ended:
                    session = self._make_session(patience)
                    session.start()
                    self._session = session
            if not session.ending:
                break
            if not session.wait(_STOP_TIMEOUT):
                raise NotLive(f"{self.table_name}: an earlier run has not ended yet")
        try:
            session.await_live(patience)
        except NotLive:
            session.stop(_STOP_TIMEOUT)
            raise

    def stop_monitor(self, timeout: float = _STOP_TIMEOUT) -> None:
        """Stop monitoring, and clear the table monitors on the server. Idempotent.

        Returns when all that was received has been told, after `timeout` seconds at the
        latest; a callback that still runs then is the last one. Called from a callback it
        returns at once: that callback is the last, and the rest happens after it.
        """
        with self._lock:
            session = self._session
        if session is not None:
            session.stop(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until monitoring has ended: stopped, the table dropped, or aborted.

        Args:
            timeout: seconds, None for as long as it takes.

        Returns:
            False where it has not ended in time.

        Raises:
            MonitoringAborted: it ended since a record did not decode and ABORT was asked for.
        """
        session = self._session
        if session is None:
            return True
        if not session.wait(timeout):
            return False
        if session.aborted is not None:
            raise MonitoringAborted(session.aborted)
        return True

    @property
    def is_monitor_running(self) -> bool:
        """Whether it is live, or on its way back to that; False once it has ended."""
        session = self._session
        return session is not None and session.running

    @property
    def state(self) -> str:
        """What the monitor is doing: one of the states of the bridge, or `stopped`."""
        session = self._session
        return "stopped" if session is None or session.ended else str(session.table.state)

    @property
    def full_url(self) -> str:
        """The URL of the cluster in use."""
        session = self._session
        return self._address.urls[0] if session is None else session.cluster

    @property
    def logging_level(self) -> int:
        """The level of the library's logger, `bridge.monitor`; 0 where its parent's counts.

        Where the program has set up no logging, whoever sets it sees lines on stderr.
        """
        return logger.level

    @logging_level.setter
    def logging_level(self, value: int | str) -> None:
        try:
            set_level(value)
        except (ValueError, TypeError) as error:
            raise ConfigurationError([f"Client: logging_level: {error}"]) from error

    def _make_session(self, patience: float) -> Session:
        options = self.options
        inactivity = options.inactivity_timeout * 60
        return Session(
            self._address,
            TableOptions(
                name=qualified(self.table_name),
                events=watched(self._callbacks),
                inactivity_timeout=inactivity,
                # As an entry with its bytes, which the second try needs; what then happens is
                # for the callback's options to say.
                on_decode_failure="dead_letter",
                on_drop="stop",
            ),
            self.table_name,
            self._callbacks,
            WatchOptions(
                # The seed checks after so much silence; nothing is asked more rarely for it.
                probe_interval=max(_SHORTEST_PROBE_INTERVAL, min(_PROBE_INTERVAL, inactivity)),
                # So that the reason is known when patience ends.
                timeout=max(_LEAST_PATIENCE, patience) / 2,
                monitor_port=options.monitor_port,
            ),
            options.instance,
        )

    def _forget_parent(self) -> None:
        self._lock = threading.Lock()
        if self._session is not None:
            self._session.abandon()
            _inherited.append(self._session)
            self._session = None


def _forget_parents() -> None:
    for client in list(_clients):
        client._forget_parent()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_parents)
