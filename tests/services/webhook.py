"""A webhook receiver: a real HTTP server on loopback that records and answers as it is told."""

from __future__ import annotations

import gzip
import itertools
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Request:
    """What was received; `connection` numbers the connections from 0."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    time: float

    @property
    def content(self) -> bytes:
        """The body as it was before it was compressed."""
        compressed = self.headers.get("Content-Encoding") == "gzip"
        return gzip.decompress(self.body) if compressed else self.body

    @property
    def events(self) -> list[dict[str, Any]]:
        """The body as what it should be: an array of events, or one."""
        found = json.loads(self.content)
        return found if isinstance(found, list) else [found]


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer: `hang` says nothing until the receiver stops, `cut` closes instead."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    cut: bool = False


class WebhookReceiver:
    """Records every request of a sink in `requests`; a context manager.

    Attributes:
        answer: called with each request, returns what to answer; 204 unless replaced.
        accepted: the events of the requests that were answered with 2xx; where their attributes are
            in headers, what is in the body.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.accepted: list[dict[str, Any]] = []
        self.answer: Callable[[Request], Answer] = lambda _: Answer()
        self._scheme = "https" if tls else "http"
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._connections = itertools.count()
        self._server = _Server(("127.0.0.1", port), _handler(self))
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """Where to post."""
        return f"{self._scheme}://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening and close every connection; may be called twice."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._server.shutdown()
            self._thread.join()
            self._server.close_connections()
            self._server.server_close()

    def answer_with(self, *answers: Answer) -> None:
        """Give these answers in turn, then 204."""
        queue = iter(answers)
        self.answer = lambda _: next(queue, Answer())

    def wait_for(self, condition: Callable[[Self], bool], timeout: float = 30.0) -> None:
        """Return once `condition(self)` holds; it is looked at after each request."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout):
                raise TimeoutError(f"{len(self.requests)} requests, and the condition not met")

    def receive(self, request: Request) -> Answer:
        """Record a request and return its answer."""
        answer = self.answer(request)
        with self._changed:
            self.requests.append(request)
            answered = not (answer.hang or answer.cut)
            if answered and 200 <= answer.status < 300 and request.content:
                self.accepted += request.events
            self._changed.notify_all()
        if answer.hang:
            self._stopped.wait()
        return answer

    def next_connection(self) -> int:
        """Return a number for a connection."""
        return next(self._connections)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, *arguments: Any) -> None:
        self._open: set[Any] = set()
        super().__init__(*arguments)

    def get_request(self) -> Any:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(2)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are part of the tests."""


def _handler(receiver: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            self.number = receiver.next_connection()

        def do_POST(self) -> None:
            if not str(self.headers["User-Agent"]).startswith("kinetica-bridge/"):
                # A port is given out again: somebody may look for what listened here before.
                print(f"a stranger: {self.command} {self.path} {dict(self.headers)}")
                self.close_connection = True
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, self.headers, body, self.number, time.time())
            answer = receiver.receive(request)
            if answer.hang or answer.cut:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def do_HEAD(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            """Keep the terminal for the tests."""

    return Handler
