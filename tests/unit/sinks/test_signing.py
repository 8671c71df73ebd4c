"""Signatures are those of Standard Webhooks, shown by its published examples."""

from __future__ import annotations

import base64

import pytest

from bridge.sinks.signing import parse_secret, sign


@pytest.mark.parametrize(
    ("secret", "message_id", "timestamp", "body", "signature"),
    [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_plJ3nmyCDGBKInavdOK15jsl",
            "msg_loFOjxBNrRLzqYUf",
            1731705121,
            b'{"event_type":"ping","data":{"success":true}}',
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        ),
    ],
)
def test_published_examples_are_signed_as_published(
    secret: str, message_id: str, timestamp: int, body: bytes, signature: str
) -> None:
    """Both the specification's example and its reference implementation's come out equal."""
    assert sign([parse_secret(secret)], message_id, timestamp, body) == signature


def test_several_keys_give_several_signatures() -> None:
    """During a change of secrets the receiver finds the signature of either."""
    first, second = b"a" * 24, b"b" * 24

    both = sign([first, second], "id", 1, b"[]")

    assert both.split(" ") == [sign([first], "id", 1, b"[]"), sign([second], "id", 1, b"[]")]


def test_a_secret_without_the_prefix_is_the_key_itself() -> None:
    """Plain text is not decoded, even where it could be base64."""
    assert parse_secret("MfKQ9r8G größe") == "MfKQ9r8G größe".encode()
    key = bytes(range(32))
    assert parse_secret(f"whsec_{base64.b64encode(key).decode()}") == key


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_%%%%", "whsec_abc"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    """An empty secret would sign nothing, a broken one would sign with another key."""
    with pytest.raises(ValueError, match="secret"):
        parse_secret(text)
