"""From a host's name to a connected socket, within a deadline, the look-up of the name included."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from bridge.loop import Deadline, Loop
from bridge.sinks.webhook_connection import left

# Family and address; in an address of IPv6 the scope stands too.
Place = tuple[int, Any]


class Places:
    """Where a host is; any thread may ask.

    The resolver cannot be told how long it may take. So a name is looked up in a thread of its own,
    one at a time, and whoever has no more time leaves without the answer.

    Args:
        host: a name or an address.
        port: its port.
        resolve: as `socket.getaddrinfo`.
    """

    def __init__(
        self, host: str, port: int, resolve: Callable[..., Sequence[Any]] = socket.getaddrinfo
    ) -> None:
        self._host = host
        self._port = port
        self._resolve = resolve
        self._lock = threading.Lock()  # guards what is below
        self._asked: Future[list[Place]] | None = None

    def connect(self, deadline: Deadline) -> socket.socket:
        """Return a connection to the first place that takes one.

        Raises:
            OSError: there is none in time.
        """
        error = OSError("the name has no address")
        found = self.find(deadline)
        for number, (family, address) in enumerate(found):
            opened = socket.socket(family, socket.SOCK_STREAM)
            try:
                opened.settimeout(left(deadline) / (len(found) - number))  # one may be silent
                opened.connect(address)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as failure:
                opened.close()
                error = failure
            else:
                return opened
        raise error

    def find(self, deadline: Deadline) -> list[Place]:
        """Return all places.

        Raises:
            OSError: the name is not known, or was not found in time.
        """
        with contextlib.suppress(socket.gaierror):
            return self._look_up(socket.AI_NUMERICHOST)
        with self._lock:
            asked = self._asked
            if asked is None:
                asked = self._asked = Future()
                Loop("webhook-look-up", self._answer).start()
        try:
            return asked.result(left(deadline))
        except FutureTimeout:
            raise TimeoutError("the name was not looked up in time") from None

    def _answer(self) -> bool:
        """Answer whoever has asked."""
        found: list[Place] = []
        failure: OSError | None = None
        try:
            found = self._look_up(0)
        except OSError as error:
            failure = error
        with self._lock:
            asked, self._asked = self._asked, None
        if asked is None:
            pass
        elif failure is None:
            asked.set_result(found)
        else:
            asked.set_exception(failure)
        return False

    def _look_up(self, flags: int) -> list[Place]:
        try:
            found = self._resolve(self._host, self._port, type=socket.SOCK_STREAM, flags=flags)
        except UnicodeError:
            raise socket.gaierror(socket.EAI_NONAME, "it is no host name") from None
        return [(family, address) for family, _, _, _, address in found]
