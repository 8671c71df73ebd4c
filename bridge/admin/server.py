"""The HTTP server of the admin endpoint: a thread that accepts, and one a request."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)

from bridge.admin.exposition import Exposition
from bridge.admin.http import Server
from bridge.admin.listening import listen
from bridge.admin.metrics import BridgeCollector
from bridge.admin.pages import Pages
from bridge.admin.recent import Recent
from bridge.admin.tls import Handshakes
from bridge.loop import Loop
from bridge.supervisor import Supervisor

_POLL_SECONDS = 0.5


class AdminServer:
    """Serve the pages of a service.

    Args:
        supervisor: the service.
        host: address to listen on, or a name for some.
        port: 0 for a free one.
        extra: loops of the process besides those of the service.
        recent: what happened lately.
        reload: asks for the configuration to be read again.
        hide: takes out of a page what must not be shown.
        tls: what it takes connections with, None for plain http.

    Raises:
        BridgeError: it cannot listen there.

    Attributes:
        answer: returns the answer to a request.
        dead_loops: returns the names of the threads that are gone although nobody ended them.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        host: str,
        port: int,
        extra: Sequence[Loop] = (),
        *,
        recent: Recent | None = None,
        reload: Callable[[], None] = lambda: None,
        hide: Callable[[str], str] = str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._loop = Loop("admin", self._serve)
        self._extra = (self._loop, *extra)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        exposition = Exposition(BridgeCollector(supervisor, self._loops, registry).collect)
        pages = Pages(supervisor, exposition, self._loops, recent or Recent(), reload, hide)
        self.answer = pages.answer
        self.dead_loops = pages.dead_loops
        self._handshakes = Handshakes(tls)
        self._servers = [
            Server(listening, pages.answer, self._handshakes) for listening in listen(host, port)
        ]
        self._poll = select.poll()
        for server in self._servers:
            self._poll.register(server, select.POLLIN)

    @property
    def url(self) -> str:
        """Where it listens, as a URL for this machine."""
        host, port = self._servers[0].server_address[:2]
        text = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(host), str(host))  # noqa: S104 (compared)
        scheme = "http" if self._handshakes.context is None else "https"
        return f"{scheme}://[{text}]:{port}" if ":" in text else f"{scheme}://{text}:{port}"

    def show(self, tls: ssl.SSLContext | None) -> None:
        """Take connections from now on with this; those that there are go on."""
        self._handshakes.context = tls

    def start(self) -> None:
        """Start serving."""
        self._loop.start()

    def stop(self) -> None:
        """Stop serving, and let go of the port; also if it was never started."""
        self._loop.stop()
        for server in self._servers:
            with contextlib.suppress(OSError):
                server.socket.shutdown(socket.SHUT_RDWR)  # which ends the poll
        self._loop.join(2 * _POLL_SECONDS)
        for server in self._servers:
            server.server_close()

    def _loops(self) -> list[Loop]:
        return [*self._extra, *self._supervisor.loops()]

    def _serve(self) -> bool:
        for descriptor, _ in self._poll.poll(_POLL_SECONDS * 1000):
            for server in self._servers:
                if server.fileno() == descriptor:
                    server.handle_request()
        return True
