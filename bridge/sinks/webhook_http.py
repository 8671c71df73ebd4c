"""Requests to one receiver, each within a deadline, on connections that are kept.

One deadline covers connecting, TLS, sending and the answer, which no library at hand offers:
theirs is a limit for each read.
Source: RFC 9110 section 9.3.6; RFC 9112 section 3.2.2.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import h11

from bridge.loop import Deadline
from bridge.sinks.webhook_connection import Answer, Connection, left
from bridge.sinks.webhook_places import Places

# Where these came from, another connection may lead to another server.
_NOT_HERE = frozenset({408, 421, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, and what a request to it carries."""

    host: str
    port: int
    headers: list[tuple[str, str]] = field(repr=False)

    @classmethod
    def parse(cls, address: str) -> Proxy:
        """Read what an environment variable names: `http://user:password@host:port`.

        Raises:
            ValueError: it is of another kind; the message does not quote it.
        """
        with contextlib.suppress(ValueError):  # its text quotes what may be a password
            parts = urlsplit(address if "://" in address else f"http://{address}")
            if parts.scheme == "http" and parts.hostname:
                login = unquote(f"{parts.username or ''}:{parts.password or ''}").encode()
                basic = f"Basic {base64.b64encode(login).decode()}"
                headers = [] if login == b":" else [("Proxy-Authorization", basic)]
                return cls(parts.hostname, parts.port or 80, headers)
        raise ValueError("it must be http://host:port")


class HttpClient:
    """Makes requests to one host; any thread may, each on a connection of its own.

    Args:
        url: any address there: scheme, host and port of it.
        tls: how to make sure of the host where the scheme is https.
        proxy: what to go through.
    """

    def __init__(self, url: str, tls: ssl.SSLContext, proxy: Proxy | None) -> None:
        parts = urlsplit(url)
        usual = 443 if parts.scheme == "https" else 80
        self._tls = tls if parts.scheme == "https" else None
        self._name = str(parts.hostname)
        self._port = parts.port or usual
        self._host = parts.netloc.removesuffix(":").removesuffix(f":{usual}")
        self._proxy = proxy
        self._places = Places(*((proxy.host, proxy.port) if proxy else (self._name, self._port)))
        self._kept: deque[Connection] = deque()

    def request(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes, timeout: float
    ) -> Answer:
        """Send a request and return the final answer, all within `timeout` seconds.

        Raises:
            TimeoutError: time ran out before the answer's head had come.
            OSError: no connection, or it broke before that.
        """
        deadline = Deadline(timeout)
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = [("Host", self._host), ("Content-Length", str(len(body)))]
        if self._proxy is not None and self._tls is None:
            target = f"http://{self._host}{target}"
            fields += self._proxy.headers
        fields += [(name, value.strip()) for name, value in headers]  # blanks are no part of it
        request = h11.Request(method=method, target=target, headers=fields)
        connection = self._take() or self._connect(deadline)
        keep = False
        try:
            answer = connection.exchange(request, body, deadline)
            keep = connection.is_reusable() and answer.status not in _NOT_HERE
        finally:
            if keep:
                self._kept.append(connection)
            else:
                connection.close()
        return answer

    def close(self) -> None:
        """Close the connections that nobody is using."""
        while self._kept:
            self._kept.pop().close()

    def _take(self) -> Connection | None:
        with contextlib.suppress(IndexError):
            while not (connection := self._kept.pop()).is_quiet():
                connection.close()
            return connection
        return None

    def _connect(self, deadline: Deadline) -> Connection:
        proxy = self._proxy
        try:
            opened = self._places.connect(deadline)
        except OSError as error:
            if proxy is None or isinstance(error, TimeoutError):
                raise
            raise ConnectionError(f"the proxy: {error.strerror or error}") from None
        try:
            if self._tls is not None:
                if proxy is not None:
                    self._tunnel(Connection(opened), proxy, deadline)
                opened.settimeout(left(deadline))
                opened = self._tls.wrap_socket(opened, server_hostname=self._name)
            return Connection(opened)
        except BaseException:
            opened.close()
            raise

    def _tunnel(self, connection: Connection, proxy: Proxy, deadline: Deadline) -> None:
        port = f":{self._port}"
        host = self._host.removesuffix(port) + port
        headers = [("Host", host), *proxy.headers]
        request = h11.Request(method="CONNECT", target=host, headers=headers)
        answer = connection.exchange(request, b"", deadline)
        if not 200 <= answer.status < 300:
            raise ConnectionError(f"the proxy answered {answer.status}")
        if not connection.is_quiet():
            raise ConnectionError("the proxy said more than that we are connected")
