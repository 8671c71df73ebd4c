"""The HTTP server of the admin endpoint: a thread that accepts, and one a request.

`/livez` depends on nothing outside the process, so that an orchestrator never kills a bridge
whose journal is the only place where events still are.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder

from bridge.admin.health import readiness
from bridge.admin.listening import listen
from bridge.admin.metrics import BridgeCollector
from bridge.loop import Loop
from bridge.supervisor import Supervisor

log = structlog.get_logger()

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_PAGES = "/livez  /readyz  /metrics\n"
_POLL_SECONDS = 0.5
# Pages that read the journal wait while a disk hangs; more of them than this are turned away.
_MOST_WAITING = 8

Answer = tuple[int, str, bytes]


class AdminServer:
    """Serve health and metrics of a service.

    Args:
        supervisor: the service.
        host: address to listen on, or a name for some.
        port: 0 for a free one.
        extra: loops of the process besides those of the service.
        hide: takes out of a page what must not be shown.

    Raises:
        BridgeError: it cannot listen there.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        host: str,
        port: int,
        extra: Sequence[Loop] = (),
        hide: Callable[[str], str] = str,
    ) -> None:
        self._supervisor = supervisor
        self._hide = hide
        self._loop = Loop("admin", self._serve)
        self._extra = (self._loop, *extra)
        self._reading = threading.BoundedSemaphore(_MOST_WAITING)
        self._registry = CollectorRegistry()
        self._registry.register(BridgeCollector(supervisor, self._loops))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        handler = _make_handler(self)
        self._servers = [_Server(listening, handler) for listening in listen(host, port)]
        self._poll = select.poll()
        for server in self._servers:
            self._poll.register(server, select.POLLIN)

    @property
    def url(self) -> str:
        """Where it listens, as a URL for this machine."""
        host, port = self._servers[0].server_address[:2]
        text = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(host), str(host))  # noqa: S104 (compared)
        return f"http://[{text}]:{port}" if ":" in text else f"http://{text}:{port}"

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

    def dead_loops(self) -> list[str]:
        """Return the names of the threads that are gone although nobody ended them."""
        return [loop.name for loop in self._loops() if loop.dead]

    def answer(self, path: str, accept: str) -> Answer:
        """Return status, content type and body of a page."""
        match path:
            case "/livez" | "/healthz":
                return self._livez()
            case "/readyz":
                return self._in_turn(self._readyz)
            case "/metrics":
                return self._in_turn(lambda: self._metrics(accept))
            case "/":
                return HTTPStatus.OK, _TEXT, _PAGES.encode()
        return HTTPStatus.NOT_FOUND, _TEXT, _PAGES.encode()

    def _in_turn(self, page: Callable[[], Answer]) -> Answer:
        if not self._reading.acquire(timeout=_POLL_SECONDS):
            return HTTPStatus.SERVICE_UNAVAILABLE, _JSON, b'{"status":"busy"}\n'
        try:
            status, content_type, body = page()
            return status, content_type, self._hide(body.decode()).encode()
        finally:
            self._reading.release()

    def _loops(self) -> list[Loop]:
        return [*self._extra, *self._supervisor.loops()]

    def _livez(self) -> Answer:
        dead = self.dead_loops()
        status = HTTPStatus.SERVICE_UNAVAILABLE if dead else HTTPStatus.OK
        return status, _JSON, _body({"status": "failed", "threads": dead} if dead else _OK)

    def _readyz(self) -> Answer:
        supervisor = self._supervisor
        if supervisor.draining:
            return HTTPStatus.SERVICE_UNAVAILABLE, _JSON, _body({"status": "draining"})
        snapshot = supervisor.snapshot()
        if snapshot is None:
            body = {"status": "starting", "cause": supervisor.trouble}
            return HTTPStatus.SERVICE_UNAVAILABLE, _JSON, _body(body)
        body = readiness(snapshot)
        if not snapshot.ready:
            body |= {"status": "starting", "cause": "not every table was tried yet"}
            return HTTPStatus.SERVICE_UNAVAILABLE, _JSON, _body(body)
        return HTTPStatus.OK, _JSON, _body(body)

    def _metrics(self, accept: str) -> Answer:
        encode, content_type = choose_encoder(accept)
        return HTTPStatus.OK, content_type, encode(self._registry)

    def _serve(self) -> bool:
        for descriptor, _ in self._poll.poll(_POLL_SECONDS * 1000):
            for server in self._servers:
                if server.fileno() == descriptor:
                    server.handle_request()
        return True


_OK = {"status": "ok"}


def _body(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


class _Server(ThreadingHTTPServer):
    """Takes requests from a socket that listens already."""

    daemon_threads = True
    timeout = 0.0

    def __init__(self, listening: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(listening.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_address = listening.getsockname()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (signature)
        log.debug("admin_request_failed", client=str(client_address))


def _make_handler(admin: AdminServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            self._answer(whole=True)

        def do_HEAD(self) -> None:
            self._answer(whole=False)

        def _answer(self, *, whole: bool) -> None:
            try:
                status, content_type, body = admin.answer(
                    self.path.partition("?")[0], self.headers.get("Accept", "")
                )
            except Exception:
                log.exception("admin_page_failed", path=self.path)
                status, content_type = HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT
                body = b"this page failed; the log says why\n"
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if whole:
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its signature)
            log.debug("admin_request", line=format % args)

    return Handler
