"""The HTTP server of the admin endpoint: a thread that accepts, and one a request.

`/livez` depends on nothing outside the process, so that an orchestrator never kills a bridge
whose journal is the only place where events still are.
"""

from __future__ import annotations

import json
import threading
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
from bridge.admin.metrics import BridgeCollector
from bridge.errors import BridgeError
from bridge.supervisor import Supervisor

log = structlog.get_logger()

_JSON = "application/json"
_PAGES = "/livez  /readyz  /metrics\n"


class AdminServer:
    """Serve health and metrics of a service.

    Args:
        supervisor: the service.
        host: address to listen on.
        port: 0 for a free one.
    """

    def __init__(self, supervisor: Supervisor, host: str, port: int) -> None:
        self._supervisor = supervisor
        self._registry = CollectorRegistry()
        self._registry.register(BridgeCollector(supervisor))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        try:
            self._server = _Server((host, port), _make_handler(self))
        except OSError as error:
            raise BridgeError(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                hint="see admin.listen",
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="admin", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens, as a URL for this machine."""
        host, port = self._server.server_address[:2]
        text = str(host)
        text = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(text, text)  # noqa: S104 (compared)
        return f"http://{text}:{port}"

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, and let go of the port; also if it was never started."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(1)
        self._server.server_close()

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Return status, content type and body of a page."""
        match path:
            case "/livez" | "/healthz":
                return HTTPStatus.OK, _JSON, b'{"status":"ok"}\n'
            case "/readyz":
                return self._readyz()
            case "/metrics":
                encode, content_type = choose_encoder(accept)
                return HTTPStatus.OK, content_type, encode(self._registry)
            case "/":
                return HTTPStatus.OK, "text/plain; charset=utf-8", _PAGES.encode()
        return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", _PAGES.encode()

    def _readyz(self) -> tuple[int, str, bytes]:
        if self._supervisor.draining:
            return HTTPStatus.SERVICE_UNAVAILABLE, _JSON, b'{"status":"draining"}\n'
        if not self._supervisor.started:
            return HTTPStatus.SERVICE_UNAVAILABLE, _JSON, b'{"status":"starting"}\n'
        snapshot = self._supervisor.snapshot()
        body: dict[str, Any] = readiness(snapshot)
        status = HTTPStatus.OK
        if not snapshot.ready:
            status, body["status"] = HTTPStatus.SERVICE_UNAVAILABLE, "starting"
        return status, _JSON, json.dumps(body).encode() + b"\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (signature)
        log.debug("admin_request_failed", client=str(client_address))


def _make_handler(admin: AdminServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            try:
                status, content_type, body = admin.answer(
                    self.path.partition("?")[0], self.headers.get("Accept", "")
                )
            except Exception as error:
                log.exception("admin_page_failed", path=self.path)
                status, content_type = HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain"
                body = f"{type(error).__name__}: {error}\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its signature)
            log.debug("admin_request", line=format % args)

    return Handler
