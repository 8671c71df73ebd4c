"""Signatures after Standard Webhooks: who holds the secret can tell that a body is ours.

HMAC-SHA256 over `id.timestamp.body`, the exact bytes sent, as `v1,<base64>`; with several
secrets, one signature each, separated by spaces, so that a receiver can change over in peace.
Source: the Standard Webhooks specification, sections "Webhook Headers" and "Signature scheme".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

_PREFIX = "whsec_"


def parse_secret(text: str) -> bytes:
    """Return the key that a secret stands for.

    Args:
        text: `whsec_` and the key in base64; any other text is the key itself, as UTF-8. The
            specification asks for 24 to 64 random bytes; the receiver, who issues the secret
            as a rule, may see it otherwise, so the length is not checked.

    Raises:
        ValueError: it is empty, or begins with `whsec_` and goes on with something else.
    """
    if not text.startswith(_PREFIX):
        key = text.encode()
    else:
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError(f"after {_PREFIX} a secret must be base64: {error}") from error
    if not key:
        raise ValueError("the secret is empty: leave it out to send without a signature")
    return key


def sign(keys: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`.

    Args:
        keys: what `parse_secret` returned, the current one first.
        message_id: the value of `webhook-id`.
        timestamp: the value of `webhook-timestamp`: seconds since the epoch, of this attempt.
        body: the exact bytes of the request's body.
    """
    content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    digests = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
