"""HTTP as the admin endpoint speaks it: a request read from a socket, its answer written.

What is wrong with a request is answered in JSON as well, never with a page for people.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote

import structlog

from bridge.admin.requests import Answer, Refused, Request, json_answer, natural
from bridge.admin.tls import Handshakes
from bridge.loop import Deadline

log = structlog.get_logger()

# The longest form is that of a replay with tens of thousands of numbers.
_LONGEST_BODY = 256 * 1024
_MOST_PARAMETERS = 100  # no page takes more; each costs many times its own length
_NO_BODY = f"a body has at most {_LONGEST_BODY // 1024} KiB, as its Content-Length says"
_FORM = "application/x-www-form-urlencoded"
# Who sends a longer one gets its answer only if what it sends is taken; so much of it is.
_MOST_DRAINED, _DRAIN_SECONDS = 2**24, 1.0
# Each connection has a thread. Beyond these, the one that was silent longest is closed.
_MOST_CONNECTIONS = 200


class Server(ThreadingHTTPServer):
    """Takes requests from a socket that listens already, and answers each in a thread.

    Args:
        listening: the socket.
        answer: returns the answer to a request.
        handshakes: of connections with TLS.
    """

    daemon_threads = True
    timeout = 0.0

    def __init__(
        self,
        listening: socket.socket,
        answer: Callable[[Request], Answer],
        handshakes: Handshakes,
    ) -> None:
        handler = _make_handler(answer)
        self._handshakes = handshakes
        super().__init__(listening.getsockname()[:2], handler, bind_and_activate=False)
        self._lock = threading.Lock()  # guards the connections, those silent longest first
        self._connections: OrderedDict[socket.socket, None] = OrderedDict()
        self.socket.close()
        self.socket = listening
        self.server_address = listening.getsockname()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the handshake is for its thread."""
        connection, client = super().get_request()
        return self._handshakes.wrap(connection), client

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; where there are too many, one that says nothing has to go."""
        with self._lock:
            if len(self._connections) >= _MOST_CONNECTIONS:
                silent, _ = self._connections.popitem(last=False)
                with contextlib.suppress(OSError):
                    # Which ends its thread; a socket with TLS would first forget that it has it.
                    socket.socket.shutdown(silent, socket.SHUT_RDWR)
            self._connections[request] = None
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, in the thread."""
        try:
            if self._handshakes.shake(request, str(client_address[0])):
                super().process_request_thread(request, client_address)
            else:
                self.shutdown_request(request)
        finally:
            self._forget(request)

    def heard(self, request: socket.socket) -> None:
        """Note that a connection has something to say."""
        with self._lock:
            if request in self._connections:
                self._connections.move_to_end(request)

    def _forget(self, request: socket.socket) -> None:
        with self._lock:
            self._connections.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (signature)
        """Note that a request broke off."""
        log.debug("admin_request_failed", client=str(client_address))


def _pairs(text: str) -> dict[str, str]:
    """Read the parameters of a query or a form.

    Raises:
        ValueError: there are too many.
    """
    return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS))


def _make_handler(answer: Callable[[Request], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server: Server
        protocol_version = "HTTP/1.1"
        timeout = 10

        def __getattr__(self, name: str) -> Any:
            # Whatever the method is, the pages say whether they take it.
            if name.startswith("do_"):
                return self._answer
            raise AttributeError(name)

        def _answer(self) -> None:
            self.server.heard(self.connection)
            posted = self._read_body()
            if posted is None:
                self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _NO_BODY)
                self._drain()
                return
            if len(posted) < int(self.headers.get("Content-Length", "0")):
                self.close_connection = True  # whoever sent it has gone in the middle of it
                return
            path, _, query = self.path.partition("?")
            try:
                parameters = _pairs(query) | self._form(posted)
            except ValueError:
                text = f"a request has at most {_MOST_PARAMETERS} parameters"
                self.send_error(HTTPStatus.BAD_REQUEST, text)
                return
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            request = Request(
                "GET" if self.command == "HEAD" else self.command,
                unquote(path),
                parameters,
                self.headers.get("Accept", ""),
                token.strip() if scheme.lower() == "bearer" else None,
            )
            try:
                self._send(answer(request))
            except OSError:
                raise
            except Exception:
                log.exception("admin_page_failed", path=path)
                body = {"error": "this page failed; the log says why"}
                self._send(json_answer(body, HTTPStatus.INTERNAL_SERVER_ERROR))

        def _read_body(self) -> bytes | None:
            length = self.headers.get("Content-Length", "0")
            try:
                size = natural("Content-Length", length)
            except Refused:
                return None
            if "Transfer-Encoding" in self.headers or size > _LONGEST_BODY:
                return None
            return self.rfile.read(size)

        def _form(self, body: bytes) -> dict[str, str]:
            if self.headers.get_content_type() != _FORM:
                return {}
            return _pairs(body.decode(errors="replace"))

        def _drain(self) -> None:
            """Take what is still being sent: else the answer is lost with the connection."""
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DRAIN_SECONDS)
            left, deadline = _MOST_DRAINED, Deadline(2 * _DRAIN_SECONDS)
            with contextlib.suppress(OSError):
                while left > 0 and not deadline.passed and (part := self.rfile.read1(2**16)):
                    left -= len(part)

        def _send(self, found: Answer) -> None:
            self.send_response(found.status)
            self.send_header("Content-Type", found.content_type)
            self.send_header("Content-Length", str(len(found.body)))
            for name, value in found.headers:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(found.body)

        def send_error(
            self, code: int, message: str | None = None, explain: str | None = None
        ) -> None:
            """Answer what is no request that can be read; the connection ends with it."""
            self.close_connection = True
            self.request_version = self.protocol_version  # of what is no request it is not known
            reason = explain or message or HTTPStatus(code).phrase
            self._send(json_answer({"error": reason}, code, (("Connection", "close"),)))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its signature)
            log.debug("admin_request", line=format % args)

    return Handler
