"""The webhook sink's HTTP, byte by byte: what trickles, what breaks off, what was not asked for."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import trustme
from services.batches import batch_of
from services.raw_receiver import NO_CONTENT, RawReceiver, Reply

from bridge.errors import Reject, Retry
from bridge.sinks.webhook import WebhookSettings, WebhookSink
from bridge.testing import make_event

BATCH = [make_event(offset) for offset in range(3)]


@pytest.fixture
def sink(receiver: RawReceiver) -> Iterator[WebhookSink]:
    sink = WebhookSink(WebhookSettings(type="webhook", url=receiver.url, timeout="400ms"))
    yield sink
    sink.close()


def deliver(sink: WebhookSink) -> None:
    sink.deliver(batch_of(BATCH))


def trickle(data: bytes) -> Reply:
    def reply(connection: socket.socket, number: int) -> None:
        if number:
            connection.sendall(NO_CONTENT)
        for byte in b"" if number else data:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    return reply


def test_an_answer_that_trickles_is_given_up_in_time(
    receiver: RawReceiver, sink: WebhookSink
) -> None:
    """One deadline for the whole request, however busy the connection looks."""
    receiver.reply = trickle(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: y\r\n" * 100)
    begun = time.monotonic()

    with pytest.raises(Retry, match=r"no answer within 0\.4 s"):
        deliver(sink)
    assert time.monotonic() - begun < 13  # the answer would take 26 s
    deliver(sink)

    assert receiver.connections() == [0, 1]


def test_a_body_that_trickles_does_not_hold_what_its_status_has_said(
    receiver: RawReceiver, sink: WebhookSink
) -> None:
    """Delivered; the connection is not used again."""
    receiver.reply = trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + b"x" * 4000)
    receiver_reply = receiver.reply

    def reply(connection: socket.socket, number: int) -> None:
        if not number:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
        receiver_reply(connection, number)

    receiver.reply = reply

    deliver(sink)
    deliver(sink)

    assert receiver.connections() == [0, 1]


def test_interim_answers_are_read_past(receiver: RawReceiver, sink: WebhookSink) -> None:
    """Any 1xx, several of them; each request gets its own final answer."""
    interim = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
        b"HTTP/1.1 102 Processing\r\n\r\n"
    )
    answers = [b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nno", NO_CONTENT]
    receiver.reply = lambda connection, number: connection.sendall(interim + answers[number])

    with pytest.raises(Reject, match="answered 400: no"):
        deliver(sink)
    deliver(sink)

    assert receiver.connections() == [0, 0]


@pytest.mark.parametrize(
    "answer",
    [
        NO_CONTENT + b"HTTP/1.1 500 Unasked\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Unasked\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000,
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_connection_with_anything_left_on_it_is_not_used_again(
    receiver: RawReceiver, sink: WebhookSink, answer: bytes
) -> None:
    """What nobody asked for, or cannot be told from it, is no answer to the next request."""
    receiver.reply = lambda connection, number: connection.sendall(NO_CONTENT if number else answer)

    deliver(sink)
    deliver(sink)

    assert receiver.connections() == [0, 1]


def test_what_comes_later_unasked_ends_the_connection(
    receiver: RawReceiver, sink: WebhookSink
) -> None:
    """Bytes that arrive between two requests belong to neither."""
    later = threading.Event()
    sent = threading.Event()

    def reply(connection: socket.socket, number: int) -> None:
        connection.sendall(NO_CONTENT)
        if not number:
            later.wait()
            connection.sendall(b"HTTP/1.1 500 Unasked\r\nContent-Length: 0\r\n\r\n")
            sent.set()

    receiver.reply = reply
    deliver(sink)
    later.set()
    sent.wait()

    deliver(sink)

    assert receiver.connections() == [0, 1]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1;a=b\r\no\r\n1\r\nk\r\n0\r\nT: x\r\n\r\n"
        ),
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 202\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_an_answer_read_to_its_end_keeps_the_connection(
    receiver: RawReceiver, sink: WebhookSink, answer: bytes
) -> None:
    """With a length, in chunks with trailers, or with nothing."""
    receiver.reply = lambda connection, _: connection.sendall(answer)

    deliver(sink)
    deliver(sink)

    assert receiver.connections() == [0, 0]


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"\r\n\r\n"])
def test_what_is_no_http_is_no_answer(
    receiver: RawReceiver, sink: WebhookSink, answer: bytes
) -> None:
    """The address is of something else: retried."""
    receiver.reply = lambda connection, _: connection.sendall(answer)

    with pytest.raises(Retry, match="what came back is no HTTP") as caught:
        deliver(sink)
    assert not caught.value.answered


def test_a_head_without_end_is_given_up(receiver: RawReceiver, sink: WebhookSink) -> None:
    """It is neither kept nor read for ever."""
    endless = b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 1_000_000
    receiver.reply = lambda connection, _: connection.sendall(endless)

    with pytest.raises(Retry, match="does not end"):
        deliver(sink)


def test_an_answer_before_the_whole_body_was_sent_counts(receiver: RawReceiver) -> None:
    """A receiver may say 413 and hang up while we are still sending."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    sink = WebhookSink(WebhookSettings(type="webhook", url=url))
    with pytest.raises(Reject, match="413"):
        sink.deliver(batch_of([make_event(0, record={"text": "x" * 30_000_000})]))
    sink.close()
    thread.join()
    server.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["http", "https"])
def served(
    request: pytest.FixtureRequest, authority: trustme.CA, tmp_path: object
) -> Iterator[tuple[WebhookSink, Callable[[Callable[[socket.socket], None]], None]]]:
    """A sink, and how to serve its one connection, with TLS and without."""
    server = socket.create_server(("127.0.0.1", 0))
    ca_file = f"{tmp_path}/ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    threads: list[threading.Thread] = []

    def serve(answer: Callable[[socket.socket], None]) -> None:
        def run() -> None:
            connection, _ = server.accept()
            if request.param == "https":
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                answer(connection)

        threads.append(threading.Thread(target=run))
        threads[0].start()

    url = f"{request.param}://127.0.0.1:{server.getsockname()[1]}/"
    sink = WebhookSink(WebhookSettings(type="webhook", url=url, tls={"ca_file": ca_file}))
    yield sink, serve
    sink.close()
    for thread in threads:
        thread.join()
    server.close()


LARGE = [make_event(0, record={"text": "x" * 30_000_000})]


def test_a_refusal_is_heard_while_the_request_is_being_sent(
    served: tuple[WebhookSink, Callable[[Callable[[socket.socket], None]], None]],
) -> None:
    """A receiver may say 413, read no further and not hang up either."""
    sink, serve = served
    heard = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        heard.wait()

    serve(answer)
    try:
        with pytest.raises(Reject, match="413"):
            sink.deliver(batch_of(LARGE))
    finally:
        heard.set()


def test_half_a_request_is_not_delivered_whatever_the_answer(
    served: tuple[WebhookSink, Callable[[Callable[[socket.socket], None]], None]],
) -> None:
    """Who says 200 and hangs up cannot have the events."""
    sink, serve = served

    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    serve(answer)
    with pytest.raises(Retry):
        sink.deliver(batch_of(LARGE))


def test_a_large_request_arrives_as_it_is(
    served: tuple[WebhookSink, Callable[[Callable[[socket.socket], None]], None]],
) -> None:
    """However many pieces it takes, and whatever TLS has to say meanwhile."""
    sink, serve = served
    received = bytearray()

    def answer(connection: socket.socket) -> None:
        while not received.endswith(b"}]"):
            received.extend(connection.recv(1 << 20))
        connection.sendall(NO_CONTENT)

    serve(answer)
    sink.deliver(batch_of(LARGE))

    assert received.partition(b"\r\n\r\n")[2] == b"[" + LARGE[0].value + b"]"


@pytest.mark.parametrize("value", ["", " a b ", "\ta"])
def test_blanks_around_a_header_are_no_part_of_it(receiver: RawReceiver, value: str) -> None:
    """The settings take them, since a file may have them."""
    settings = WebhookSettings(type="webhook", url=receiver.url, headers={"X-Key": value})
    sink = WebhookSink(settings)

    deliver(sink)
    sink.close()

    assert f"X-Key: {value.strip()}\r\n".encode() in receiver.requests[0][1]


def test_a_secret_cut_off_with_its_answer_is_not_said(receiver: RawReceiver) -> None:
    """Wherever in an echo of it the part that is kept ends."""
    token = "hunter2-" + "0123456789" * 3
    said = []
    for before in range(2048 - len(token) - 2, 2050):
        body = b"y" * before + token.encode() * 50
        answer = b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        receiver.reply = lambda connection, _, answer=answer: connection.sendall(answer)
        sink = WebhookSink(WebhookSettings(type="webhook", url=receiver.url, bearer_token=token))
        with pytest.raises(Retry) as caught:
            deliver(sink)
        sink.close()
        said.append(f"{caught.value} {caught.value.answer}")

    assert all("yyy" in each and "hu" not in each for each in said)
