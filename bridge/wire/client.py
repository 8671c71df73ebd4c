"""One cluster's HTTP API: a call goes out, a reply comes back, anything else is a WireError.

The control plane is spoken in JSON, whose named fields survive a server that adds some
(protocol, sections 1.5 and 2.2). Every call has a timeout. A call that only reads is sent
once more when a kept-alive connection turns out to be dead; a call that changes something
never is, since the first may have arrived.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import fastavro
import orjson
import requests

from bridge.errors import (
    BridgeError,
    ClusterUnavailable,
    ReplyNotUnderstood,
    RequestRefused,
    Unauthorised,
    WireError,
    cause_of,
    excerpt,
)
from bridge.foreign import Cleaner

DEFAULT_HTTP_PORT = 9191
_CONNECT_TIMEOUT = 5.0
_QUOTED = 512  # bytes of an answer that is no reply are looked at

# An ERROR reply with one of these texts comes from a cluster that is not running
# (protocol, section 1.4).
_NOT_RUNNING = (
    "Kinetica is exiting",
    "Kinetica is offline",
    "System is offline",
    "Connection refused",
    "Connection reset",
    "system-limited-fatal",
    "Query planner is not running",
    "System shutting down",
    "Unavailable: Draining HA queue",
)
_GONE_STATUS = frozenset({404, 500, 502, 503, 504})

# What the system puts before the reason, and tells a person nothing.
_NUMBER = re.compile(r"\[Errno -?[0-9]+\] ")

_JSON = "application/json"
_AVRO = "application/octet-stream"
# What reading bytes that are no JSON or Avro of the wanted form can raise.
_NOT_AVRO = (ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError)


def _record(name: str, **fields: Any) -> Any:
    """Return an Avro record schema, parsed."""
    schema = {
        "type": "record",
        "name": name,
        "fields": [{"name": field, "type": type_} for field, type_ in fields.items()],
    }
    return fastavro.parse_schema(schema)


_ENVELOPE = _record(
    "gpudb_response",
    status="string",
    message="string",
    data_type="string",
    data="bytes",
    data_str="string",
)


@dataclass(frozen=True, slots=True)
class AvroCall:
    """The record schemas of an endpoint's request and reply, parsed."""

    request: Any
    reply: Any

    @classmethod
    def of(cls, name: str, request: dict[str, Any], reply: dict[str, Any]) -> AvroCall:
        """Build both from field names and Avro types, in the order of the wire."""
        return cls(_record(f"{name}_request", **request), _record(f"{name}_response", **reply))


@dataclass(frozen=True, slots=True)
class Access:
    """How to be let in: a bearer token, else user and password, else nothing.

    Attributes:
        ca_file: certificate authorities to trust instead of the system's.
        verify: False to accept any certificate.
    """

    username: str | None = None
    password: str | None = None
    token: str | None = None
    ca_file: str | None = None
    verify: bool = True

    def __repr__(self) -> str:
        return f"<Access username={self.username!r} token={'set' if self.token else None}>"


def normal_url(url: str) -> str:
    """Complete a cluster's URL: scheme http, port 9191 where neither port nor path is given.

    >>> normal_url("kinetica-a")
    'http://kinetica-a:9191'
    """
    url = url.strip().rstrip("/")
    if "://" not in url:
        url = f"http://{url}"
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.port is None and not parts.path:
        url = f"{url}:{DEFAULT_HTTP_PORT}"
    return url


class Http:
    """Calls to one cluster; may be used from several threads at once.

    Args:
        url: `http[s]://host[:port][/path]`.
        access: credentials and trust.
        timeout: seconds to wait for an answer.

    Attributes:
        skew: seconds by which the server's clock was ahead of this machine's at the last answer,
            to the second and what the answer took; None where it does not say.
    """

    def __init__(self, url: str, access: Access, timeout: float) -> None:
        self.url = normal_url(url)
        self.host = urlsplit(self.url).hostname or "localhost"
        self.renew(access)
        self._timeout = timeout
        # requests' sessions are not thread-safe: each thread has its own.
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()  # guards _sessions
        self._peer: str | None = None
        self.skew: float | None = None

    def renew(self, access: Access) -> None:
        """Make calls from now on with another access, on new connections."""
        self._access = access
        # A proxy in between, or a server in debug mode, quotes what it was sent.
        self._clean = Cleaner([access.password, access.token, _pair(access)])

    def addresses(self) -> list[str]:
        """Return the host's addresses, first the one that the calls go to, if there were any.

        Where the name does not resolve, it stands for itself.
        """
        try:
            found = socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return [self._peer or self.host]
        addresses = [str(info[4][0]) for info in found]
        if self._peer is not None:
            addresses.insert(0, self._peer)
        return list(dict.fromkeys(addresses))

    def call(
        self,
        endpoint: str,
        body: dict[str, Any],
        *,
        changes: bool = False,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Send one request in JSON and return its payload.

        Args:
            endpoint: `/show/table` and the like.
            body: the request record's fields.
            changes: whether the call changes something; such a call is never sent twice.
            timeout: seconds to wait for an answer, if not the client's own.

        Raises:
            ClusterUnavailable: no answer, or that of a cluster that is not running.
            Unauthorised: the credentials were refused.
            RequestRefused: the cluster answered with an error.
            ReplyNotUnderstood: the answer is not the protocol's.
        """
        data = json.dumps({"options": {}, **body}).encode()
        wait = timeout or self._timeout
        response = self._post(endpoint, data, _JSON, resend=not changes, timeout=wait)
        text = self._open_envelope(endpoint, response, orjson.loads).get("data_str")
        try:
            payload = orjson.loads(text or "")
            if not isinstance(payload, dict):
                raise TypeError("the payload is no object")  # noqa: TRY301 (one way out below)
        except (ValueError, TypeError) as error:
            raise ReplyNotUnderstood(self.url, endpoint, f"unreadable payload: {error}") from error
        return payload

    def call_avro(self, endpoint: str, call: AvroCall, body: dict[str, Any]) -> dict[str, Any]:
        """Send one request that only reads in Avro, and return its payload.

        For replies that carry records, which stay the bytes they are on the wire.

        Raises:
            WireError: as `call`.
        """
        data = BytesIO()
        fastavro.schemaless_writer(data, call.request, {"options": {}, **body})
        response = self._post(endpoint, data.getvalue(), _AVRO, resend=True, timeout=self._timeout)
        envelope = self._open_envelope(endpoint, response, _read_envelope)
        try:
            return _read_avro(call.reply, envelope["data"])
        except _NOT_AVRO as error:
            raise ReplyNotUnderstood(self.url, endpoint, f"unreadable payload: {error}") from error

    def close(self) -> None:
        """Close every thread's connections; may be called twice."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    def _session(self) -> requests.Session:
        access = self._access
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is not None and self._local.access is access:
            return session
        before, session = session, requests.Session()
        session.trust_env = False  # a proxy meant for browsers must not see the database
        session.verify = (access.ca_file or True) if access.verify else False
        if access.token:
            session.headers["Authorization"] = f"Bearer {access.token}"
        elif (pair := _pair(access)) is not None:
            session.headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        self._local.session, self._local.access = session, access
        with self._lock:
            self._sessions = [each for each in self._sessions if each is not before] + [session]
        if before is not None:
            before.close()
        return session

    def _post(
        self, endpoint: str, data: bytes, content_type: str, *, resend: bool, timeout: float
    ) -> requests.Response:
        waits = (min(_CONNECT_TIMEOUT, timeout), timeout)
        headers = {"Content-type": content_type, "Accept": content_type}
        for attempt in (1, 2):
            asked = time.time()
            try:
                # Streamed: the connection is asked for its peer before it is given back.
                response = self._session().post(
                    self.url + endpoint,
                    data=data,
                    headers=headers,
                    timeout=waits,
                    allow_redirects=False,
                    stream=True,
                )
                self._note_peer(response)
                self._note_clock(response, asked)
                response.content  # noqa: B018 (reads it, and gives the connection back)
            except requests.Timeout as error:
                raise ClusterUnavailable(
                    self.url, endpoint, f"no answer within {timeout:g} s"
                ) from error
            except requests.exceptions.SSLError as error:
                raise ClusterUnavailable(
                    self.url, endpoint, f"TLS: {_root(error)}", hint="see kinetica.tls"
                ) from error
            except requests.ConnectionError as error:
                if not resend or attempt == 2 or not _was_kept_alive(error):
                    raise ClusterUnavailable(self.url, endpoint, _root(error)) from error
            except requests.RequestException as error:
                raise ClusterUnavailable(self.url, endpoint, _root(error)) from error
            except OSError as error:  # requests says so of a ca_file that is not there
                raise ClusterUnavailable(
                    self.url, endpoint, f"TLS: {cause_of(error)}", hint="see kinetica.tls"
                ) from error
            else:
                return response
        raise AssertionError("unreachable")

    def _note_peer(self, response: requests.Response) -> None:
        connection: Any = getattr(response.raw, "connection", None)
        with contextlib.suppress(AttributeError, OSError):  # given back already, or closed
            self._peer = str(connection.sock.getpeername()[0])

    def _note_clock(self, response: requests.Response, asked: float) -> None:
        with contextlib.suppress(ValueError, TypeError):  # none, or no time
            said = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
            # It stands for a whole second, and was written between the question and now.
            self.skew = said + 0.5 - (asked + time.time()) / 2

    def _open_envelope(
        self,
        endpoint: str,
        response: requests.Response,
        parse: Callable[[bytes], dict[str, Any]],
    ) -> dict[str, Any]:
        """Return the envelope of a reply that says OK (protocol, section 1.3)."""
        code = response.status_code
        if code in (401, 403):
            raise Unauthorised(
                self.url,
                endpoint,
                f"HTTP {code}: credentials refused",
                hint="see kinetica.username and kinetica.password",
            )
        try:
            envelope = parse(response.content)
            status, message = envelope["status"], envelope["message"]
        except _NOT_AVRO as error:
            kind: type[WireError] = (
                ClusterUnavailable if code in _GONE_STATUS else ReplyNotUnderstood
            )
            said = response.content[:_QUOTED].decode("utf-8", "replace")
            cut = len(response.content) > _QUOTED
            text = excerpt(self._clean.whole(said, cut=cut), 80)
            raise kind(
                self.url, endpoint, f"HTTP {code}: not a reply of Kinetica: {text!r}"
            ) from error
        if status != "OK":
            text = str(message)
            kind = (
                ClusterUnavailable
                if code in _GONE_STATUS or any(mark in text for mark in _NOT_RUNNING)
                else RequestRefused
            )
            said = self._clean.whole(text) or f"HTTP {code}: an error without a message"
            raise kind(self.url, endpoint, said)
        return envelope


@contextlib.contextmanager
def understanding(http: Http, endpoint: str) -> Iterator[str]:
    """Call whatever a reply lacks or garbles a ReplyNotUnderstood."""
    try:
        yield endpoint
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ReplyNotUnderstood(
            http.url, endpoint, f"the reply lacks or garbles {error}"
        ) from error


def _pair(access: Access) -> str | None:
    if access.username is None:
        return None
    return f"{access.username}:{access.password or ''}"


def _read_avro(schema: Any, data: bytes) -> dict[str, Any]:
    read = fastavro.schemaless_reader(BytesIO(data), schema, None)
    if not isinstance(read, dict):
        raise TypeError("no record")
    return read


def _read_envelope(data: bytes) -> dict[str, Any]:
    return _read_avro(_ENVELOPE, data)


def _root(error: BaseException) -> str:
    """Return the innermost cause of a requests error, which is what a person can act on."""
    seen: BaseException = error
    while True:
        inner = getattr(seen, "reason", None) or seen.__cause__ or seen.__context__
        # A context may also be what was being handled when the call was made.
        if not isinstance(inner, BaseException) or isinstance(inner, BridgeError):
            break
        seen = inner
    text = _NUMBER.sub("", str(seen))
    # urllib3 puts the object's repr in front: '<…Connection object at 0x…>: reason'.
    return text.rpartition(">: ")[2] or type(seen).__name__


def _was_kept_alive(error: requests.ConnectionError) -> bool:
    """Tell a dead kept-alive connection from a server that cannot be reached."""
    text = str(error)
    return "Connection aborted" in text or "RemoteDisconnected" in text
