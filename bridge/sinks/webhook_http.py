"""HTTP/1.1 for one receiver: requests within a deadline, on connections that are kept.

Written out because no library at hand bounds a whole request: theirs is a limit for each read, so
an answer that trickles holds the caller for as long as it likes. Here every operation on the
socket gets what is left of one deadline; the look-up of a name alone has the resolver's. Interim
answers (1xx) are read past. A connection is used again only if its answer was read to the end and
not a byte more has come since.
Source: RFC 9112; RFC 9110 sections 6.4.1, 9.3.6 and 15.2.
"""

from __future__ import annotations

import base64
import http.client
import io
import re
import select
import socket
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from bridge.loop import Deadline

LONGEST_HEAD = 64 * 1024  # bytes of a status line and its headers
LONGEST_BODY = 4096  # bytes of an answer's body that are read; after more it is not kept
_READ = 16 * 1024
_PORTS = {"http": 80, "https": 443}

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_END_OF_LINE = re.compile(rb"\r?\n")
_SIZE = re.compile(rb"[0-9a-fA-F]+")
_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([0-9]{3})(?: |$)")
_WITHOUT_BODY = {204, 304}

Headers = Iterable[tuple[str, str]]


class NotUnderstood(OSError):
    """What came back is no answer in HTTP/1.1."""


class ProxyRefused(OSError):
    """The proxy did not connect us; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answered {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer; the body may have been cut short."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, and the value of `Proxy-Authorization` where it wants one."""

    host: str
    port: int
    authorization: str | None = field(repr=False)

    @classmethod
    def parse(cls, address: str) -> Proxy:
        """Read what an environment variable names: `http://user:password@host:port`.

        Raises:
            ValueError: it is of another kind; the message does not quote it.
        """
        try:
            parts = urlsplit(address if "://" in address else f"http://{address}")
            host, port = parts.hostname, parts.port or 80
        except ValueError:  # its text quotes what may be a password
            host, port, parts = None, 0, urlsplit("")
        if parts.scheme != "http" or not host:
            raise ValueError(f"it must be http://host:port, not {parts.scheme or 'this'}")
        authorization = None
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            authorization = f"Basic {base64.b64encode(login).decode()}"
        return cls(host, port, authorization)


class HttpClient:
    """Makes requests to one host; any thread may, each on a connection of its own.

    Args:
        url: any address there: scheme, host and port of it.
        tls: how to make sure of the host where the scheme is https.
        proxy: what to go through.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None, proxy: Proxy | None) -> None:
        self._origin = urlsplit(url)
        self._tls = tls if self._origin.scheme == "https" else None
        self._proxy = proxy
        self._lock = threading.Lock()  # of the list
        self._kept: list[_Connection] = []

    def request(
        self, method: str, url: str, headers: Headers, body: bytes, timeout: float
    ) -> Answer:
        """Send a request and return the final answer, all within `timeout` seconds.

        Raises:
            TimeoutError: time ran out before the answer's head had come.
            OSError: no connection, or it broke before that.
        """
        deadline = Deadline(timeout)
        connection = self._take() or self._connect(deadline)
        connection.deadline = deadline
        keep = False
        try:
            connection.send(self._head(method, urlsplit(url), headers, body), body)
            answer, keep = connection.answer(with_body=method != "HEAD")
        finally:
            if keep:
                with self._lock:
                    self._kept.append(connection)
            else:
                connection.close()
        return answer

    def close(self) -> None:
        """Close the connections that nobody is using."""
        with self._lock:
            kept, self._kept = self._kept, []
        for connection in kept:
            connection.close()

    def _take(self) -> _Connection | None:
        while True:
            with self._lock:
                if not self._kept:
                    return None
                connection = self._kept.pop()
            if connection.is_quiet():
                return connection
            connection.close()

    def _connect(self, deadline: Deadline) -> _Connection:
        host, port = str(self._origin.hostname), _port(self._origin)
        address = (self._proxy.host, self._proxy.port) if self._proxy else (host, port)
        plain = _open(address, deadline)
        try:
            if self._tls is None:
                return _Connection(plain, deadline)
            if self._proxy is not None:
                self._tunnel(_Connection(plain, deadline))
            plain.settimeout(_left(deadline))
            return _Connection(self._tls.wrap_socket(plain, server_hostname=host), deadline)
        except BaseException:
            plain.close()
            raise

    def _tunnel(self, connection: _Connection) -> None:
        host = f"{_bracketed(str(self._origin.hostname))}:{_port(self._origin)}"
        headers = [("Host", host), *self._for_proxy()]
        connection.send(_lines(f"CONNECT {host} HTTP/1.1", headers), b"")
        answer, _ = connection.answer(with_body=False)
        if not 200 <= answer.status < 300:
            raise ProxyRefused(answer.status)

    def _head(self, method: str, url: SplitResult, headers: Headers, body: bytes) -> bytes:
        host = _bracketed(str(url.hostname))
        if _port(url) != _PORTS[url.scheme]:
            host += f":{_port(url)}"
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        ours = [("Host", host), ("Content-Length", str(len(body)))]
        if self._proxy is not None and self._tls is None:
            target = f"http://{host}{target}"
            ours += self._for_proxy()
        return _lines(f"{method} {target} HTTP/1.1", [*ours, *headers])

    def _for_proxy(self) -> list[tuple[str, str]]:
        if self._proxy is None or self._proxy.authorization is None:
            return []
        return [("Proxy-Authorization", self._proxy.authorization)]


class _Connection:
    """One connection, and what was read of it and not yet used."""

    __slots__ = ("_buffer", "_ended", "_half_sent", "_socket", "deadline")

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._socket = connected
        self._buffer = bytearray()
        self._ended = self._half_sent = False
        self.deadline = deadline

    def is_quiet(self) -> bool:
        """Tell whether nothing has come, not even its end, that nobody asked for."""
        if self._buffer or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def send(self, head: bytes, body: bytes) -> None:
        """Send a request; where the receiver hangs up meanwhile, it may have answered."""
        try:
            self._socket.settimeout(_left(self.deadline))
            self._socket.sendall(head + body if len(body) < _READ else head)
            if len(body) >= _READ:
                self._send_slowly(memoryview(body))
        except (BrokenPipeError, ConnectionResetError):
            self._half_sent = True
            if not self._read_on():
                raise

    def answer(self, *, with_body: bool) -> tuple[Answer, bool]:
        """Read the final answer; return whether the connection may be used again as well."""
        status, headers, persistent = self._final_head()
        body = bytearray()
        if not with_body:
            whole = True
        elif status in _WITHOUT_BODY:
            whole = headers.get("Content-Length", "0") == "0" and "Transfer-Encoding" not in headers
        else:
            try:
                whole = self._read_body(headers, body)
            except (OSError, ValueError):  # the status has said what matters
                whole = False
        keep = whole and persistent and not self._buffer and not self._half_sent
        return Answer(status, headers, bytes(body)), keep

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _send_slowly(self, rest: memoryview) -> None:
        while rest:  # an SSL socket's sendall allows each of its writes the whole time
            self._socket.settimeout(_left(self.deadline))
            rest = rest[self._socket.send(rest) :]

    def _final_head(self) -> tuple[int, http.client.HTTPMessage, bool]:
        while True:
            head = self._until(_END_OF_HEAD)
            first, _, rest = head.partition(b"\n")
            match = _STATUS.match(first.rstrip(b"\r"))
            if match is None:
                raise NotUnderstood("what came back is no HTTP")
            status = int(match[2])
            if status >= 200:
                headers = _parsed(rest)
                said = ",".join(headers.get_all("Connection", [])).lower()
                return status, headers, match[1] != b"0" and "close" not in said

    def _read_body(self, headers: http.client.HTTPMessage, body: bytearray) -> bool:
        """Read into `body`; return whether that was all.

        Raises:
            OSError: it ended too early, or time ran out.
            ValueError: its length is no length.
        """
        if "Transfer-Encoding" in headers:
            return self._read_chunks(body)
        lengths = set(headers.get_all("Content-Length", []))
        if not lengths:
            while self._take_bytes(1, body):  # until the connection ends
                pass
            return False
        (length,) = lengths
        if not (length.isascii() and length.isdigit()):
            raise ValueError(length)
        return self._take_bytes(int(length), body)

    def _read_chunks(self, body: bytearray) -> bool:
        while True:
            match = _SIZE.match(self._until(_END_OF_LINE))
            if match is None:
                raise ValueError("no size of a chunk")
            size = int(match[0], 16)
            if not size:
                break
            if not self._take_bytes(size, body):
                return False
            self._until(_END_OF_LINE)
        while self._until(_END_OF_LINE).strip():
            pass  # trailers
        return True

    def _take_bytes(self, count: int, body: bytearray) -> bool:
        """Move so many bytes of the body; False once there are enough of them."""
        while count > 0:
            if not self._buffer and not self._read_on():
                raise NotUnderstood("the connection was closed within the answer")
            piece = self._buffer[: min(count, LONGEST_BODY - len(body))]
            if not piece:
                return False
            body += piece
            del self._buffer[: len(piece)]
            count -= len(piece)
        return True

    def _until(self, end: re.Pattern[bytes]) -> bytes:
        while (match := end.search(self._buffer)) is None:
            if len(self._buffer) > LONGEST_HEAD:
                raise NotUnderstood("the head of the answer does not end")
            if not self._read_on():
                raise NotUnderstood("the connection was closed without an answer")
        found = bytes(self._buffer[: match.end()])
        del self._buffer[: match.end()]
        return found

    def _read_on(self) -> bool:
        """Read more, False at the end of the connection."""
        if self._ended:
            return False
        self._socket.settimeout(_left(self.deadline))
        piece = self._socket.recv(_READ)
        self._ended = not piece
        self._buffer += piece
        return bool(piece)


def _open(address: tuple[str, int], deadline: Deadline) -> socket.socket:
    error: OSError | None = None
    found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, place) in enumerate(found):
        attempt = socket.socket(family, kind, protocol)
        try:
            attempt.settimeout(_left(deadline) / (len(found) - number))  # one may be silent
            attempt.connect(place)
            attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as failure:
            attempt.close()
            error = failure
        else:
            return attempt
    raise error or OSError("the name has no address")


def _left(deadline: Deadline) -> float:
    left = deadline.left
    if not left:
        raise TimeoutError("the time for the request is used up")
    return left


def _port(url: SplitResult) -> int:
    return url.port or _PORTS[url.scheme]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _lines(first: str, headers: Headers) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _parsed(head: bytes) -> http.client.HTTPMessage:
    try:
        return http.client.parse_headers(io.BytesIO(head))
    except http.client.HTTPException as error:
        raise NotUnderstood(str(error)) from error
