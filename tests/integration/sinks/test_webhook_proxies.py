"""Proxies of the environment, and what the webhook sink says of them."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading

import pytest
import trustme
from services.batches import batch_of
from services.raw_receiver import NO_CONTENT, RawReceiver
from services.webhook import WebhookReceiver

from bridge.errors import Retry
from bridge.sinks.webhook import WebhookSettings, WebhookSink
from bridge.testing import make_event

BATCH = [make_event(offset) for offset in range(3)]


def deliver(sink: WebhookSink) -> None:
    sink.deliver(batch_of(BATCH))


def test_a_proxy_of_the_environment_is_used_and_its_password_never_said(
    receiver: RawReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request names the whole address, and the credentials go in a header of their own."""
    port = receiver.url.rpartition(":")[2].partition("/")[0]
    monkeypatch.setenv("HTTP_PROXY", f"http://me:pr%40xy-pw@127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", "")
    login = base64.b64encode(b"me:pr@xy-pw").decode()
    receiver.reply = lambda connection, number: connection.sendall(
        b"HTTP/1.1 407 No\r\nContent-Length: 60\r\n\r\n%-60b" % f"not {login} pr%40xy-pw".encode()
        if number
        else NO_CONTENT
    )
    sink = WebhookSink(WebhookSettings(type="webhook", url="http://hook.invalid/a?b=1"))

    deliver(sink)
    with pytest.raises(Retry, match="answered 407") as caught:
        deliver(sink)
    sink.close()

    _, head, _ = receiver.requests[0]
    assert head.startswith(b"POST http://hook.invalid/a?b=1 HTTP/1.1\r\nHost: hook.invalid\r\n")
    assert f"Proxy-Authorization: Basic {login}".encode() in head
    said = f"{caught.value} {caught.value.answer}"
    assert "xy-pw" not in said
    assert login not in said


def test_https_goes_through_a_tunnel(
    receiver: RawReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """CONNECT first, then TLS with the receiver itself."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = f"{tmp_path}/ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    monkeypatch.setenv("HTTPS_PROXY", receiver.url)
    monkeypatch.setenv("NO_PROXY", "")

    with WebhookReceiver(context) as target:

        def reply(connection: socket.socket, _: int) -> None:
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            with socket.create_connection(("127.0.0.1", target.port)) as onward:
                _pump(connection, onward)

        receiver.reply = reply
        sink = WebhookSink(
            WebhookSettings(type="webhook", url=target.url, tls={"ca_file": ca_file})
        )
        deliver(sink)
        deliver(sink)
        sink.close()

        assert [request.connection for request in target.requests] == [0, 0]
    assert receiver.requests[0][1].startswith(f"CONNECT 127.0.0.1:{target.port} ".encode())


def test_a_proxy_that_says_more_is_no_tunnel(
    receiver: RawReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows its answer is not the receiver's TLS: that waits for ours."""
    monkeypatch.setenv("HTTPS_PROXY", receiver.url)
    monkeypatch.setenv("NO_PROXY", "")
    receiver.reply = lambda connection, _: connection.sendall(
        b"HTTP/1.0 200 Connected\r\n\r\n\x16\x03\x01"
    )
    sink = WebhookSink(WebhookSettings(type="webhook", url="https://hook.invalid/"))

    with pytest.raises(Retry, match="the proxy said more"):
        deliver(sink)


def test_a_proxy_that_refuses_is_named(
    receiver: RawReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no answer of the receiver's, whatever it says."""
    monkeypatch.setenv("HTTPS_PROXY", receiver.url)
    receiver.reply = lambda connection, _: connection.sendall(b"HTTP/1.1 410 Gone\r\n\r\n")
    sink = WebhookSink(WebhookSettings(type="webhook", url="https://hook.invalid/"))

    with pytest.raises(Retry, match="the proxy answered 410") as caught:
        deliver(sink)

    assert type(caught.value) is Retry


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://me:hunter2@127.0.0.1:1",
        "http://me:hunter2",
        "me:hunter2/x@host",
        "http://:hunter2",
        "http://me:hunter2@127.0.0.1:port",
        "http://me:hunter2@127.0.0.1:99999",
    ],
)
def test_a_proxy_that_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Without its address, which may have a password."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    sink = WebhookSink(WebhookSettings(type="webhook", url="http://hook.invalid/"))

    with pytest.raises(Retry, match="proxy of the environment: it must be http://host") as caught:
        sink.open()

    assert "hunter2" not in str(caught.value)


def test_a_proxy_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the receiver that refuses."""
    with RawReceiver() as gone:
        address = gone.url.removesuffix("/hook")
    monkeypatch.setenv("HTTP_PROXY", address.replace("//", "//me:hunter2@"))
    sink = WebhookSink(WebhookSettings(type="webhook", url="http://hook.invalid/"))

    with pytest.raises(Retry, match=r"the proxy: Connection refused") as caught:
        deliver(sink)

    assert "hunter2" not in str(caught.value)


def _pump(one: socket.socket, other: socket.socket) -> None:
    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=copy, args=(other, one))
    back.start()
    copy(one, other)
    back.join()
