"""The webhook sink and TLS: whom it trusts, what it shows, and what a reload takes up."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError
from services.batches import batch_of
from services.delivery import TABLE, Engine
from services.webhook import WebhookReceiver

from bridge.errors import Retry
from bridge.sinks.webhook import WebhookSettings, WebhookSink
from bridge.testing import make_event

EVENTS = [make_event(offset) for offset in range(3)]
EXPIRED = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def serve(authority: trustme.CA) -> Iterator[Callable[..., WebhookReceiver]]:
    """Start receivers with a certificate of the authority, or one that is given."""
    receivers = []

    def serve(cert: trustme.LeafCert | None = None, *, asks: bool = False) -> WebhookReceiver:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (cert or authority.issue_cert("127.0.0.1")).configure_cert(context)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(context)
        receiver = WebhookReceiver(context)
        receiver.__enter__()
        receivers.append(receiver)
        return receiver

    yield serve
    for receiver in receivers:
        receiver.stop()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def settings(url: str, **tls: Any) -> WebhookSettings:
    given = {name: str(value) if isinstance(value, Path) else value for name, value in tls.items()}
    return WebhookSettings.model_validate({"type": "webhook", "url": url, "tls": given})


def deliver(url: str, **tls: Any) -> None:
    sink = WebhookSink(settings(url, **tls))
    try:
        sink.deliver(batch_of(EVENTS))
    finally:
        sink.close()


def write(path: Path, *blobs: trustme.Blob) -> Path:
    path.write_bytes(b"".join(blob.bytes() for blob in blobs))
    return path


def test_a_certificate_of_a_configured_authority_is_trusted(
    serve: Callable[..., WebhookReceiver], ca_file: Path
) -> None:
    """`tls.ca_file` stands in for the system's authorities."""
    receiver = serve()

    deliver(receiver.url, ca_file=ca_file)
    WebhookSink(settings(receiver.url, ca_file=ca_file)).check()

    assert len(receiver.accepted) == 3


def test_a_certificate_of_nobody_is_refused(serve: Callable[..., WebhookReceiver]) -> None:
    """Nothing is sent, and the error says which setting decides."""
    receiver = serve()

    with pytest.raises(Retry, match=r"TLS: .*certificate.* \(see tls\.ca_file\)"):
        deliver(receiver.url)

    assert not receiver.requests


def test_the_environment_does_not_overrule_verify(
    serve: Callable[..., WebhookReceiver],
    ca_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variables with other authorities change neither a `ca_file` nor `false`."""
    receiver = serve()
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    monkeypatch.setenv("SSL_CERT_FILE", str(other))

    deliver(receiver.url, ca_file=ca_file)
    deliver(receiver.url, verify=False)

    assert len(receiver.accepted) == 6


@pytest.mark.parametrize("apart", [True, False])
def test_a_receiver_that_asks_who_we_are_is_shown_a_certificate(
    serve: Callable[..., WebhookReceiver],
    authority: trustme.CA,
    ca_file: Path,
    tmp_path: Path,
    *,
    apart: bool,
) -> None:
    """Its key stands in a file of its own, or in that of the certificate."""
    cert = authority.issue_cert("bridge.example")
    key = cert.private_key_pem
    files = {"cert_file": write(tmp_path / "c.pem", *cert.cert_chain_pems, *[key] * (not apart))}
    if apart:
        files["key_file"] = write(tmp_path / "k.pem", key)
    receiver = serve(asks=True)

    deliver(receiver.url, ca_file=ca_file, **files)

    assert len(receiver.accepted) == 3


def test_a_receiver_that_is_not_shown_what_it_wants_says_so(
    serve: Callable[..., WebhookReceiver], authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    """None, one that has expired, one of somebody else: `tls.cert_file` is what to mend."""
    receiver = serve(asks=True)
    for name, cert in {
        "none": None,
        "old": authority.issue_cert("bridge.example", not_before=EXPIRED, not_after=EXPIRED),
        "strange": trustme.CA().issue_cert("bridge.example"),
    }.items():
        pem = cert and write(tmp_path / name, cert.private_key_and_cert_chain_pem)
        with pytest.raises(
            Retry, match=r"TLS: .*(certificate|ca).*\(see tls\.cert_file\)"
        ) as caught:
            deliver(receiver.url, ca_file=ca_file, **({"cert_file": pem} if pem else {}))
        assert not caught.value.answered

    assert not receiver.requests


def test_a_certificate_that_has_expired_is_said(
    serve: Callable[..., WebhookReceiver], authority: trustme.CA, ca_file: Path
) -> None:
    """The receiver's: not about the events, so they wait for it to be renewed."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    receiver = serve(authority.issue_cert("127.0.0.1", not_before=EXPIRED, not_after=yesterday))

    with pytest.raises(Retry, match="certificate has expired") as caught:
        deliver(receiver.url, ca_file=ca_file)
    assert not caught.value.answered


def test_a_receiver_that_speaks_no_tls_is_asked_about(webhook_receiver: WebhookReceiver) -> None:
    """The address says https, and the port is that of http."""
    with pytest.raises(Retry, match=r"TLS: .*\(is it http:// rather than https://\?\)"):
        deliver(webhook_receiver.url.replace("http:", "https:"))


def test_a_name_that_is_not_the_certificates_is_refused(
    serve: Callable[..., WebhookReceiver], authority: trustme.CA, ca_file: Path
) -> None:
    """Whoever it was issued to."""
    receiver = serve(authority.issue_cert("elsewhere.example"))

    with pytest.raises(Retry, match="not valid for"):
        deliver(receiver.url, ca_file=ca_file)


def test_a_handshake_that_trickles_is_given_up_in_time() -> None:
    """It has no more time than the rest, however busy the connection looks."""
    server = socket.create_server(("127.0.0.1", 0))

    def trickle() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            for byte in b"\x16\x03\x03\x40\x00" + b"\x00" * 0x4000:
                connection.sendall(bytes([byte]))
                time.sleep(0.02)

    thread = threading.Thread(target=trickle)
    thread.start()
    url = f"https://127.0.0.1:{server.getsockname()[1]}/"
    sink = WebhookSink(WebhookSettings(type="webhook", url=url, timeout="300ms"))
    begun = time.monotonic()

    with server, pytest.raises(Retry, match=r"no answer within 0\.3 s"):
        sink.deliver(batch_of(EVENTS))

    assert time.monotonic() - begun < 60  # the handshake would take five minutes
    thread.join()


def test_a_renewed_certificate_is_taken_up_by_a_reload(
    serve: Callable[..., WebhookReceiver], authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    """The settings are others although they read the same, and what waited is delivered."""
    receiver = serve(asks=True)
    pem = tmp_path / "mine.pem"
    old = authority.issue_cert("bridge.example", not_before=EXPIRED, not_after=EXPIRED)
    write(pem, old.private_key_and_cert_chain_pem)
    before = settings(receiver.url, ca_file=ca_file, cert_file=pem)
    assert before == settings(receiver.url, ca_file=ca_file, cert_file=pem)

    with Engine(tmp_path / "j") as engine:
        engine.insert(*range(5))
        engine.worker.configure(WebhookSink(before), before, engine.tables, engine.output)
        engine.worker.start()
        while "certificate" not in (engine.worker.stats().error or ""):
            time.sleep(0.01)
        write(pem, authority.issue_cert("bridge.example").private_key_and_cert_chain_pem)
        after = settings(receiver.url, ca_file=ca_file, cert_file=pem)
        assert after != before
        engine.worker.configure(WebhookSink(after), after, engine.tables, engine.output)
        engine.wait_settled(TABLE)

    assert len(receiver.accepted) == 5


def test_a_renewed_authority_makes_other_settings(ca_file: Path) -> None:
    """So that a reload takes it up."""
    before = settings("https://h/", ca_file=ca_file)
    trustme.CA().cert_pem.write_to_path(ca_file)

    assert settings("https://h/", ca_file=ca_file) != before


def test_a_certificate_that_is_gone_by_the_time_it_is_used_is_said(
    authority: trustme.CA, tmp_path: Path
) -> None:
    """It is no fault of the sink's own."""
    pem = write(tmp_path / "c.pem", authority.issue_cert("b").private_key_and_cert_chain_pem)
    sink = WebhookSink(settings("https://h/", cert_file=pem))
    pem.unlink()

    with pytest.raises(Retry, match="tls: cert_file: cannot read"):
        sink.open()


@pytest.fixture
def pems(authority: trustme.CA, tmp_path: Path) -> Path:
    """Files of every kind."""
    cert, other = authority.issue_cert("one.example"), authority.issue_cert("two.example")
    write(tmp_path / "cert", *cert.cert_chain_pems)
    write(tmp_path / "other", other.private_key_pem)
    write(tmp_path / "both", cert.private_key_and_cert_chain_pem)
    (tmp_path / "text").write_text("hunter2")
    key = serialization.load_pem_private_key(cert.private_key_pem.bytes(), None)
    (tmp_path / "locked").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"pw"),
        )
    )
    return tmp_path


@pytest.mark.parametrize(
    ("tls", "reason"),
    [
        ({"cert_file": "cert", "key_file": "other"}, "key_file: the key in .* is not that of"),
        ({"cert_file": "cert", "key_file": "locked"}, "key_file: the key in .* is encrypted"),
        ({"cert_file": "cert"}, "cert_file: .* holds no private key"),
        ({"cert_file": "text", "key_file": "other"}, "cert_file: .* holds no certificate"),
        ({"cert_file": "cert", "key_file": "text"}, "key_file: .* holds no private key"),
        ({"cert_file": "cert", "key_file": "missing"}, "key_file\n.*no such file"),
        ({"cert_file": "missing"}, "cert_file\n.*no such file"),
        ({"key_file": "other"}, "without cert_file"),
        ({"ca_file": "text"}, "ca_file: .* holds no certificate"),
        ({"ca_file": "."}, "ca_file\n.*cannot read"),
    ],
)
def test_unusable_files_are_errors_of_the_configuration(
    pems: Path, capfd: pytest.CaptureFixture[str], tls: dict[str, str], reason: str
) -> None:
    """Each with what is wrong; nobody is asked for a password, and nothing is quoted."""
    files = {name: pems / value for name, value in tls.items()}

    with pytest.raises(ValidationError, match=reason) as caught:
        settings("https://h/", **files)

    assert "hunter2" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
