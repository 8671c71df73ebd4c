"""One connection: whatever comes back, there is an answer or an error, and in time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.loop import Deadline
from bridge.sinks.webhook_connection import LONGEST_BODY, Answer, Connection

PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 503 Busy\r\n",
        b"HTTP/1.1 204 \r\n",
        b"HTTP/1.1 103 Hints\r\n\r\n",
        b"HTTP/1.1 101 Switch\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Connection: close\r\n",
        b"Upgrade: other\r\n",
        b"a : b\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\x00",
        b"5\r\nhello\r\n",
        b"fffffffff\r\n",
        b"0\r\n\r\n",
        b"hello",
    ]
)


@pytest.fixture
def ends() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection, and the receiver's end of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours), theirs


def exchange(connection: Connection, body: bytes = b"[]", seconds: float = 30) -> Answer:
    fields = [("Host", "h"), ("Content-Length", str(len(body)))]
    request = h11.Request(method="POST", target="/", headers=fields)
    return connection.exchange(request, body, Deadline(seconds))


def ask(answer: bytes) -> tuple[Answer | OSError, bool]:
    """Return what became of a request to which these bytes are the answer, and then the end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours)
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        try:
            return exchange(connection), connection.is_reusable()
        except OSError as error:
            return error, False


@given(st.lists(PIECES | st.binary(max_size=8), max_size=12).map(b"".join))
def test_any_bytes_are_an_answer_or_an_error(answer: bytes) -> None:
    """No other exception, and nothing that came is quoted."""
    outcome, _ = ask(answer)

    if isinstance(outcome, Answer):
        assert outcome.status >= 200
        assert len(outcome.body) <= LONGEST_BODY
    else:
        assert str(outcome).startswith(("the ", "what came back is no HTTP"))


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", 200),
        (b"HTTP/1.1 400 No\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (b"HTTP/1.1 202\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 202),
        (b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: x\r\n\r\n", 503),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", 200),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 200),
    ],
)
def test_what_the_status_said_counts_whatever_else_is_wrong(answer: bytes, status: int) -> None:
    """A receiver that took the events would otherwise get them for ever."""
    outcome, reusable = ask(answer)

    assert isinstance(outcome, Answer)
    assert (outcome.status, reusable) == (status, False)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed without an answer"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000, "does not end"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "no HTTP"),
    ],
)
def test_what_is_no_answer_is_said(answer: bytes, reason: str) -> None:
    """In words of ours."""
    outcome, _ = ask(answer)

    assert isinstance(outcome, OSError)
    assert reason in str(outcome)


@pytest.mark.parametrize("length", [LONGEST_BODY - 1, LONGEST_BODY, LONGEST_BODY + 1])
def test_a_body_is_kept_up_to_its_limit(
    ends: tuple[Connection, socket.socket], length: int
) -> None:
    """One byte more costs the connection."""
    connection, theirs = ends
    theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (length, b"x" * length))

    answer = exchange(connection)

    kept = length <= LONGEST_BODY
    assert (len(answer.body), answer.whole) == (min(length, LONGEST_BODY), kept)
    assert connection.is_reusable() is kept


def test_who_never_stops_talking_is_given_up(ends: tuple[Connection, socket.socket]) -> None:
    """Interim answers without end keep the socket busy, and the deadline holds all the same."""
    connection, theirs = ends

    def talk() -> None:
        with contextlib.suppress(OSError):
            while True:
                theirs.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)

    talker = threading.Thread(target=talk)
    talker.start()
    with pytest.raises(TimeoutError):
        exchange(connection, seconds=0.3)
    connection.close()
    talker.join()


def test_a_refusal_is_heard_although_nobody_reads_on(
    ends: tuple[Connection, socket.socket],
) -> None:
    """The receiver neither takes the rest nor hangs up."""
    connection, theirs = ends
    theirs.sendall(b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")

    answer = exchange(connection, b"x" * 10_000_000)

    assert (answer.status, answer.body, answer.early) == (413, b"no", True)
    assert not connection.is_reusable()


def test_an_early_success_does_not_stop_the_request(
    ends: tuple[Connection, socket.socket],
) -> None:
    """Who says 200 first and reads then gets all of it."""
    connection, theirs = ends
    theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    received = bytearray()

    def take() -> None:
        while len(received) < 10_000_000 or not received.endswith(b"]"):
            received.extend(theirs.recv(1 << 16))

    taker = threading.Thread(target=take)
    taker.start()
    answer = exchange(connection, b"[" + b"x" * 10_000_000 + b"]")
    taker.join()

    assert (answer.status, answer.early) == (200, False)
    assert connection.is_reusable()


def test_another_protocol_is_no_answer(ends: tuple[Connection, socket.socket]) -> None:
    """Not even where a configured header offers one."""
    connection, theirs = ends
    theirs.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
    offer = [("Host", "h"), ("Upgrade", "x"), ("Connection", "upgrade")]
    request = h11.Request(method="POST", target="/", headers=offer)

    with pytest.raises(OSError, match="another protocol"):
        connection.exchange(request, b"", Deadline(30))


def test_a_receiver_that_reads_nothing_is_given_up(ends: tuple[Connection, socket.socket]) -> None:
    """Sending has no more time than the rest."""
    with pytest.raises(TimeoutError):
        exchange(ends[0], b"x" * 10_000_000, seconds=0.2)
