"""What receivers do to those who post to them, and what it costs: a retry at most."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from services.batches import batch_of
from services.raw_receiver import NO_CONTENT, RawReceiver

from bridge.errors import Reject, Retry
from bridge.sinks.webhook import WebhookSettings, WebhookSink
from bridge.testing import make_event

BATCH = [make_event(offset) for offset in range(3)]


@pytest.fixture
def sink(receiver: RawReceiver) -> Iterator[WebhookSink]:
    sink = WebhookSink(WebhookSettings(type="webhook", url=receiver.url))
    yield sink
    sink.close()


def deliver(sink: WebhookSink) -> None:
    sink.deliver(batch_of(BATCH))


def test_cookies_are_not_kept(receiver: RawReceiver, sink: WebhookSink) -> None:
    """One more a request would end with headers that are too large."""
    receiver.reply = lambda connection, number: connection.sendall(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: c%d=%b; Path=/\r\nContent-Length: 0\r\n\r\n"
        % (number, b"x" * 1000)
    )

    for _ in range(20):
        deliver(sink)

    heads = [head for _, head, _ in receiver.requests]
    assert len(heads) == 20
    assert not [head for head in heads if b"cookie" in head.lower()]
    assert len(set(map(len, heads))) == 1
    assert set(receiver.connections()) == {0}


def test_a_hint_before_each_answer_belongs_to_it(receiver: RawReceiver, sink: WebhookSink) -> None:
    """103 before 200, on one connection: no answer is taken for that of the next request."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    receiver.reply = lambda connection, number: connection.sendall(
        early
        + (
            b"HTTP/1.1 422 No\r\nContent-Length: 2\r\n\r\nno"
            if number % 2
            else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        )
    )

    for _ in range(5):
        deliver(sink)
        with pytest.raises(Reject, match="answered 422: no"):
            deliver(sink)

    assert receiver.connections() == [0] * 10


def test_a_hint_and_its_answer_may_come_apart(receiver: RawReceiver, sink: WebhookSink) -> None:
    """However long after: the answer is that of its own request."""

    def reply(connection: socket.socket, _: int) -> None:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        time.sleep(0.05)
        connection.sendall(NO_CONTENT)

    receiver.reply = reply

    deliver(sink)
    deliver(sink)

    assert receiver.connections() == [0, 0]


@pytest.mark.parametrize("status", [408, 421, 502, 503, 504])
def test_another_connection_is_made_where_this_one_led_astray(
    receiver: RawReceiver, sink: WebhookSink, status: int
) -> None:
    """Behind a load balancer it may lead to a server that is well."""
    answer = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status
    receiver.reply = lambda connection, number: connection.sendall(NO_CONTENT if number else answer)

    with pytest.raises(Retry, match=str(status)):
        deliver(sink)
    deliver(sink)

    assert receiver.connections() == [0, 1]


def test_a_body_that_does_not_end_holds_up_nobody(receiver: RawReceiver) -> None:
    """The status was heard: after two seconds the rest is not waited for."""
    sink = WebhookSink(WebhookSettings(type="webhook", url=receiver.url, timeout="30s"))
    over = threading.Event()
    ended = threading.Event()

    def reply(connection: socket.socket, number: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nslow")
        if not number:
            over.wait(25)
            ended.set()

    receiver.reply = reply
    deliver(sink)

    assert not ended.is_set()
    over.set()
    sink.close()


def test_an_answer_of_ten_mebibytes_costs_a_connection(
    receiver: RawReceiver, sink: WebhookSink
) -> None:
    """Its beginning is kept, the rest is not read."""
    size = 10 * 2**20
    receiver.reply = lambda connection, number: connection.sendall(
        NO_CONTENT
        if number
        else b"HTTP/1.1 422 No\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)
    )

    with pytest.raises(Reject) as caught:
        deliver(sink)
    deliver(sink)

    assert caught.value.answer == "422 " + "x" * 2048
    assert receiver.connections() == [0, 1]


@pytest.mark.parametrize("form", ["length", "chunks"])
def test_an_answer_that_breaks_off_in_its_body_has_said_its_status(
    receiver: RawReceiver, sink: WebhookSink, form: str
) -> None:
    """What came of it is kept with the refusal; a success is one."""
    how = b"Content-Length: 50" if form == "length" else b"Transfer-Encoding: chunked"
    body = b"no such" if form == "length" else b"7\r\nno such\r\n20\r\nor"

    def reply(connection: socket.socket, number: int) -> None:
        status = b"200 OK" if number else b"400 No"
        connection.sendall(b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, how, body))
        connection.shutdown(socket.SHUT_RDWR)

    receiver.reply = reply

    with pytest.raises(Reject, match="answered 400: no such") as caught:
        deliver(sink)
    deliver(sink)

    assert str(caught.value.answer).startswith("400 no such")
    assert receiver.connections() == [0, 1]


def test_a_receiver_on_ipv6_is_reached() -> None:
    """Its address stands in brackets, in the header `Host` too."""
    try:
        receiver = RawReceiver(socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with receiver:
        sink = WebhookSink(WebhookSettings(type="webhook", url=receiver.url))
        deliver(sink)
        sink.check()
        sink.close()

        head = receiver.requests[0][1]
    assert f"Host: {receiver.url.split('/')[2]}\r\n".encode() in head


def test_http_of_before_is_understood(receiver: RawReceiver, sink: WebhookSink) -> None:
    """HTTP/1.0, with a body up to the end of the connection."""

    def reply(connection: socket.socket, number: int) -> None:
        status = b"200 OK" if number else b"413 Too Large"
        connection.sendall(b"HTTP/1.0 %b\r\nServer: old\r\n\r\nsmaller please" % status)
        connection.shutdown(socket.SHUT_RDWR)

    receiver.reply = reply

    with pytest.raises(Reject, match="answered 413: smaller please"):
        deliver(sink)
    deliver(sink)

    assert receiver.connections() == [0, 1]


def test_a_name_that_nobody_knows_is_a_retry() -> None:
    """A resolver that fails blames no event; the top-level domain is reserved to be none."""
    sink = WebhookSink(WebhookSettings(type="webhook", url="http://hook.invalid/?token=hunter2"))

    with pytest.raises(Retry, match="cannot be resolved") as caught:
        deliver(sink)

    assert not caught.value.answered
    assert "hunter2" not in str(caught.value)
