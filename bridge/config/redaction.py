"""A configuration fit for a log: every value there, no secret among them.

A secret is a `SecretStr`, or a setting whose name says so, since `options` of a client library
and headers of a request are free text: `sasl.password`, `Authorization`.
"""

from __future__ import annotations

import re
from typing import Any

from bridge.config.models import Config

MASK = "**********"

_SECRET_NAME = re.compile(
    r"passw|secret|token|credential|authorization|cookie|user\.info|api.?key|\.key$|key\.pem",
    re.IGNORECASE,
)
# What follows `://` up to `@` is a user and a password; what follows `?` may be a key.
_URL_SECRET = re.compile(r"(?<=://)[^/\s@]+@|(?<=\?)[^\s#]+")


def redacted(config: Config) -> dict[str, Any]:
    """Return the configuration as plain JSON-able data, durations in seconds, sizes in bytes."""
    return {name: _redacted(name, value) for name, value in config.model_dump(mode="json").items()}


def _redacted(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _redacted(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_redacted(name, inner) for inner in value]
    if not isinstance(value, str) or not value:
        return value
    if _SECRET_NAME.search(name):
        return MASK
    if "://" in value:
        return _URL_SECRET.sub(lambda found: MASK + ("@" if "@" in found[0] else ""), value)
    return value
