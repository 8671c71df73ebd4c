"""One connection to a receiver or a proxy: h11 understands it, one deadline bounds an exchange.

The socket never blocks: whatever waits, waits for what is left of the deadline, and while a
request is being sent its answer is listened for.
Source: RFC 9112; RFC 9110 sections 6.4.1 and 15.2.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
from dataclasses import dataclass

import h11

from bridge.loop import Deadline

LONGEST_HEAD = 64 * 1024  # bytes of a status line and its headers
LONGEST_BODY = 2048  # bytes of an answer's body that are kept; after more the connection is not
_BODY_SECONDS = 2.0  # the status was heard: what follows is worth no longer wait
_READ = 16 * 1024  # a whole record of TLS: nothing is left where `poll` cannot see it

_STATUS = re.compile(rb"HTTP/1\.[01] ([2-9][0-9]{2})[ \r\n]")
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer; `early` if the request could not be sent to its end, nor need it be."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool  # or the body was cut short
    early: bool


class Connection:
    """A connected socket, after TLS where there is any, for one exchange after the other."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(0)
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(connected, 0)
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        self._head: h11.Response | None = None
        self._deadline = Deadline(0)

    def exchange(self, request: h11.Request, body: bytes, deadline: Deadline) -> Answer:
        """Send a request and return the final answer.

        Raises:
            TimeoutError: the deadline passed before the answer's head had come.
            OSError: the connection broke before that, or what came is no answer.
        """
        self._deadline, self._head = deadline, None
        head = self._http.send(request)
        if len(body) < _READ:  # one packet
            through = self._send(head + body)
        else:
            through = self._send(head) and self._send(body)
        if through:
            self._http.send(h11.Data(data=body))
            self._http.send(h11.EndOfMessage())
        while (final := self._hear()) is None:
            self._read()
        kept, whole = self._body()
        headers = [(name.decode("latin-1"), text.decode("latin-1")) for name, text in final.headers]
        return Answer(final.status_code, headers, kept, whole, early=not through)

    def is_reusable(self) -> bool:
        """Tell whether both sides have come to an end, and make ready for the next exchange."""
        if self._head is not None and self._head.status_code in {204, 304}:
            fields = dict(self._head.headers)
            if b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0":
                return False  # a body may follow all the same
        try:
            self._http.start_next_cycle()
        except h11.LocalProtocolError:
            return False
        return not any(self._http.trailing_data)

    def is_quiet(self) -> bool:
        """Tell whether nothing has come, not even its end, that nobody asked for."""
        self._poll.modify(self._socket, select.POLLIN)
        return not any(self._http.trailing_data) and not self._poll.poll(0)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _send(self, data: bytes) -> bool:
        """Send; return False if the receiver refused or hung up before it was through."""
        rest = memoryview(data)
        # Who takes the events may say so early, and wants the rest of them.
        while rest and (self._head is None or self._head.status_code < 300):
            try:
                rest = rest[self._socket.send(rest) :]
            except ssl.SSLWantReadError:
                self._read()
            except (BlockingIOError, ssl.SSLWantWriteError):
                listen = select.POLLIN if self._head is None else 0
                if self._wait(select.POLLOUT | listen) & listen:
                    self._read()
                    self._hear()
            except (ConnectionError, ssl.SSLError):
                break  # it may have said why
        return not rest

    def _hear(self) -> h11.Response | None:
        """Return the final answer's head, None as long as it has not come."""
        while self._head is None:
            heard, ended = self._http.trailing_data
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:  # its text quotes what came
                if ended:
                    raise ConnectionError("the connection was closed without an answer") from None
                if error.error_status_hint == 431:
                    raise ConnectionError("the head of the answer does not end") from None
                if (status := _STATUS.match(heard)) is None:
                    raise ConnectionError("what came back is no HTTP") from None
                # The headers are no good, but what matters was said.
                event = h11.Response(status_code=int(status[1]), headers=[])
            if event is h11.NEED_DATA:
                return None
            if event is h11.PAUSED:
                raise ConnectionError("the receiver changed to another protocol")
            if isinstance(event, h11.Response):
                self._head = event
        return self._head

    def _body(self) -> tuple[bytes, bool]:
        """Return the beginning of the body, and whether that is all of it."""
        body = b""
        self._deadline = Deadline(min(self._deadline.left, _BODY_SECONDS))
        with contextlib.suppress(OSError, h11.RemoteProtocolError):  # the status was heard
            while len(body) <= LONGEST_BODY:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._read()
                elif isinstance(event, h11.Data):
                    body += event.data
                else:
                    return body, True
        return body[:LONGEST_BODY], False

    def _read(self) -> None:
        """Wait until there is something, and read it; it may be nothing but TLS's own."""
        self._wait(select.POLLIN)
        with contextlib.suppress(*_NOT_YET):
            self._http.receive_data(self._socket.recv(_READ))

    def _wait(self, wanted: int) -> int:
        self._poll.modify(self._socket, wanted)
        while not (ready := self._poll.poll(left(self._deadline) * 1000)):
            pass
        return ready[0][1]


def left(deadline: Deadline) -> float:
    """Return the seconds that are left; a TimeoutError if none are."""
    if not (seconds := deadline.left):
        raise TimeoutError("the time for the request is used up")
    return seconds
