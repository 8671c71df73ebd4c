"""The HTTP side: a thread per connection, keep-alive, one request after another.

It checks credentials, reads and writes bodies, and leaves what a call does to its handler, which
runs under the database's lock. Faults asked for are carried out here. Source: protocol, section 1.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import http.server
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kinetica_emulator import network
from kinetica_emulator.database import Database
from kinetica_emulator.endpoints import ENDPOINTS, Endpoint, Kind, effective_kind
from kinetica_emulator.envelope import BINARY, JSON, decode_request, encode_error, encode_reply
from kinetica_emulator.errors import EmulatorError, RequestError
from kinetica_emulator.faults import Faults
from kinetica_emulator.handlers import HANDLERS, Call
from kinetica_emulator.identity import Identity
from kinetica_emulator.permissions import ANONYMOUS

_log = logging.getLogger(__name__)

# Calls about the cluster, not its data: answered while it drains, and however busy it is.
_ABOUT_CLUSTER = frozenset({"/show/system/status", "/show/system/properties"})
_MAX_BODY = 2**31
# Paths of what is asked of the emulator, not of the cluster it plays.
CONTROL = "/emulator/"


class RingLink(Protocol):
    """How a cluster speaks to its ring."""

    def preparing(self) -> None:
        """Let the cluster catch up before it changes its tables."""

    def changed(
        self, kind: Kind, endpoint: Endpoint, request: Mapping[str, Any], group: str
    ) -> None:
        """Take note of a call that changed rows or tables here, and of its replication header."""

    def returning(self) -> None:
        """Take note that the cluster can be reached again, from before it serves."""


class Alone:
    """The ring of a cluster that is in none."""

    def preparing(self) -> None:
        """There is nothing to catch up with."""

    def changed(
        self, kind: Kind, endpoint: Endpoint, request: Mapping[str, Any], group: str
    ) -> None:
        """Nobody is told."""

    def returning(self) -> None:
        """There is nothing to catch up with."""


class Service:
    """What all connections of a server share.

    Args:
        database: the cluster's state.
        identity: what it says of itself.
        faults: how it misbehaves.
        credentials: user and password to ask for, None to let everybody in.

    Attributes:
        link: the ring it is in.
        control: carries out what is asked of the emulator itself: a name, a body; the HTTP
            status and body of the answer.
    """

    def __init__(
        self,
        database: Database,
        identity: Identity,
        faults: Faults,
        credentials: tuple[str, str] | None,
    ) -> None:
        self.database = database
        self.identity = identity
        self.faults = faults
        self.link: RingLink = Alone()
        self.control: Callable[[str, bytes], tuple[int, bytes]] = _no_control
        self._authorization = ""
        self._owner = ANONYMOUS
        if credentials is not None:
            token = base64.b64encode(":".join(credentials).encode()).decode()
            self._authorization = f"Basic {token}"
            self._owner = credentials[0]

    def user_of(self, authorization: str | None) -> str | None:
        """Return who has these credentials, None if they are wrong; in constant time."""
        given = (authorization or "").encode()
        name, password = _pair_of(authorization or "")
        if self.database.permissions.knows(name):
            return name if self.database.permissions.password_is(name, password) else None
        if not self._authorization or hmac.compare_digest(given, self._authorization.encode()):
            return self._owner
        return None

    def carry_out(
        self,
        endpoint: Endpoint,
        request: Mapping[str, Any],
        host_header: str | None = None,
        user: str | None = None,
    ) -> Mapping[str, Any]:
        """Run one call under the lock; the reply's fields.

        Raises:
            RequestError: the cluster refuses it.
        """
        call = Call(self.database, self.identity, request, host_header, user)
        if endpoint.path in _ABOUT_CLUSTER:
            return HANDLERS[endpoint.path](call)
        with self.database.lock:
            self.database.user = user or ANONYMOUS
            return HANDLERS[endpoint.path](call)

    def _endpoint(self, path: str) -> Endpoint:
        endpoint = ENDPOINTS.get(path)
        if endpoint is None:
            raise RequestError(f"Endpoint '{path}' is not emulated")
        if self.identity.draining and path not in _ABOUT_CLUSTER:
            raise RequestError("Unavailable: Draining HA queue")
        return endpoint

    def answer(
        self,
        path: str,
        content_type: str,
        accept: str,
        headers: Mapping[str, str],
        body: bytes,
        user: str = ANONYMOUS,
    ) -> tuple[int, bytes]:
        """Answer one POST: HTTP status and body."""
        try:
            endpoint = self._endpoint(path)
            request = decode_request(endpoint, content_type, body)
            kind = effective_kind(endpoint, request)
            group = headers.get("X-Kinetica-Group", "")
            if kind is Kind.DDL:
                self.link.preparing()
            if kind is Kind.DML:
                # Queued for the ring inside the lock, in the order in which it happened here.
                with self.database.lock:
                    reply = self.carry_out(endpoint, request, headers.get("Host"), user)
                    self.link.changed(kind, endpoint, request, group)
            else:
                reply = self.carry_out(endpoint, request, headers.get("Host"), user)
            if kind is Kind.DDL:
                # Outside the lock: it takes those of other clusters.
                self.link.changed(kind, endpoint, request, group)
            return 200, encode_reply(endpoint, accept, reply)
        except RequestError as error:
            return error.status, encode_error(accept, str(error))
        except Exception as error:  # noqa: BLE001 (a bug here must not look like a dead cluster)
            _log.exception("emulator failed to answer %s", path)
            return 500, encode_error(accept, f"Internal error: {error}")


def _no_control(name: str, body: bytes) -> tuple[int, bytes]:
    del name, body
    return 404, b""


def _pair_of(authorization: str) -> tuple[str, str]:
    """Return user and password of a header, empty ones if it has none."""
    scheme, _, token = authorization.partition(" ")
    if scheme != "Basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(token).decode().partition(":")
    except ValueError:
        return "", ""
    return name, password


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """The listening socket, and every open connection."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, service: Service) -> None:
        self.service = service
        # Guards `_connections`.
        self._connections_lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._serving: threading.Thread | None = None
        # Cleared while the cluster is cut off from the network: no answer leaves.
        self.audible = threading.Event()
        self.audible.set()
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), _Connection)
        except OSError as error:
            raise EmulatorError(
                f"cannot listen on {host}:{port}: {error.strerror}",
                hint="choose another port, or 0 for a free one",
            ) from error

    def server_bind(self) -> None:
        """Bind; unlike the base, without asking the resolver for our name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def start(self) -> None:
        """Serve on a thread of its own."""
        self._serving = threading.Thread(
            target=self.serve_forever, args=(0.02,), name="emulator-http", daemon=True
        )
        self._serving.start()

    def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._serving is not None:
            self.shutdown()
            self._serving.join()
        self.server_close()
        self.drop_connections()
        self.audible.set()

    def drop_connections(self) -> None:
        """Cut every open connection."""
        for connection in self.connections():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def connections(self) -> list[socket.socket]:
        """Return the open connections."""
        with self._connections_lock:
            return list(self._connections)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it."""
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._connections_lock:
            self._connections.add(connection)
        if not self.audible.is_set():
            # It was established before the cut, and only waited to be taken.
            network.silence(connection.fileno(), self.server_port)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and forget it."""
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (the base names it)
        """Log what a connection's thread died of; a client that left is nothing to log."""
        _log.debug("connection from %s ended", client_address, exc_info=True)


class _Connection(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        """Answer a ping: the text says that the cluster is up."""
        if self.server.service.faults.concern("/") and self._misbehave():
            return
        if self.path.rstrip("/") == "":
            self._reply(200, "text/plain", b"Kinetica is running!")
        else:
            self._reply(404, "text/plain", b"Not found")

    def do_POST(self) -> None:
        """Answer a call."""
        service = self.server.service
        started = time.perf_counter()
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_BODY:
            # Without a length nothing tells where the next request begins.
            self.close_connection = True
            self._reply(411 if not length else 413, "text/plain", b"Content-Length needed")
            return
        body = self.rfile.read(int(length))
        user = service.user_of(self.headers.get("Authorization"))
        if user is None:
            self._reply(401, "text/plain", b"Unauthorized")
            return
        path = "/" + self.path.partition("?")[0].strip("/")
        if path.startswith(CONTROL):
            status, reply = service.control(path[len(CONTROL) :], body)
            self._reply(status, JSON, reply)
            return
        content_type = (self.headers.get("Content-Type") or BINARY).partition(";")[0].strip()
        accept = (self.headers.get("Accept") or content_type).partition(",")[0].strip()
        if accept not in (BINARY, JSON):
            accept = JSON if content_type == JSON else BINARY
        faulty = service.faults.concern(path)
        if faulty and not service.faults.after and self._misbehave(accept):
            return
        status, reply = service.answer(path, content_type, accept, self._headers(), body, user)
        if faulty and service.faults.after and self._misbehave(accept):
            return
        self._reply(status, accept, reply, time.perf_counter() - started)

    def _headers(self) -> Mapping[str, str]:
        return {
            name: self.headers[name]
            for name in ("Host", "X-Kinetica-Group")
            if name in self.headers
        }

    def _misbehave(self, accept: str = "text/plain") -> bool:
        """Carry out the fault in force; whether the request is done with."""
        faults = self.server.service.faults
        if faults.hanging:
            faults.wait()
            return False
        if faults.dropping:
            self.close_connection = True
            return True
        if faults.status is not None:
            self._reply(faults.status, "text/plain", b"")
            return True
        if faults.refusal is not None:
            self._reply(400, accept, encode_error(accept, faults.refusal))
            return True
        return False

    def _reply(self, status: int, content_type: str, body: bytes, seconds: float = 0.0) -> None:
        self.server.audible.wait()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        # The vendor's client fails after an insert without it. Source: protocol, section 1.1.
        self.send_header("x-request-time-secs", f"{seconds:.6f}")
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return a time for the Date header: the server's own now, unless one is given."""
        now = self.server.service.database.traits.now()
        return super().date_time_string(now if timestamp is None else timestamp)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base names it)
        """Keep requests out of stderr."""
