"""No secret is shown: texts without the secrets in them.

A secret is a `SecretStr`, or a setting whose name says so, since `options` of a client library
and headers of a request are free text: `sasl.password`, `Authorization`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

from pydantic import BaseModel, SecretStr

from bridge.config.models import Config

MASK = "**********"

_SECRET_NAME = re.compile(
    r"passw|secret|token|credential|authorization|cookie|user\.info|api.?key|\.key$|key\.pem",
    re.IGNORECASE,
)
# What follows `://` up to `@` is a user and a password; what follows `?` may be a key.
_URL_SECRET = re.compile(r"(?<=://)[^/\s@]+@|(?<=\?)[^\s#]+")
# The password within what is a secret as a whole, such as a DSN: libraries quote it alone.
_PASSWORD = re.compile(
    r"://[^/\s@:]*:(?P<url>[^/\s@]+)@"
    r"|passw\w*\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<plain>[^\s'&]+))",
    re.IGNORECASE,
)


class Secrets:
    """The secrets of the configurations so far, to be taken out of whatever is shown.

    Rooms keep secrets out of their own texts; this is for what a library quotes in its errors.
    Any thread may call.
    """

    # Of fewer characters are too many innocent words.
    _SHORTEST = 4

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, config: Config) -> None:
        """Hide the secrets of a configuration, too."""
        found = {form for secret in _secrets("", config) for form in _forms(secret)}
        user, password = config.kinetica.username, config.kinetica.password
        if user and password is not None:
            pair = f"{user}:{password.get_secret_value()}".encode()
            found.add(base64.b64encode(pair).decode())
        self._known |= {form for form in found if len(form) >= self._SHORTEST}
        longest_first = sorted(self._known, key=len, reverse=True)
        # Of no words it would be a pattern that matches everywhere.
        self._pattern = (
            re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        )

    def hide(self, text: str) -> str:
        """Return a text with a mask in place of each secret."""
        pattern = self._pattern
        return text if pattern is None else pattern.sub(MASK, text)


def _secrets(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for key in type(value).model_fields:
            inner = getattr(value, key)
            if isinstance(inner, SecretStr):
                yield inner.get_secret_value()
                yield from _passwords(inner.get_secret_value())
            else:
                yield from _secrets(key, inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _secrets(str(key), inner)
    elif isinstance(value, SecretStr):
        # In free settings, such as those of a client library, the name tells which are.
        yield from _secrets(name, value.get_secret_value())
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(name, inner)
    elif isinstance(value, str) and "://" in value:
        yield from (found.rstrip("@") for found in _URL_SECRET.findall(value))
    elif isinstance(value, str) and _SECRET_NAME.search(name):
        yield value


def _passwords(secret: str) -> Iterator[str]:
    for found in _PASSWORD.finditer(secret):
        if found["url"] or found["plain"]:
            password = found["url"] or found["plain"]
            yield from (password, unquote(password))
        elif found["quoted"]:
            yield re.sub(r"\\(.)", r"\1", found["quoted"])


def _forms(secret: str) -> set[str]:
    """Return the ways in which a library may write a secret."""
    plain = secret.strip()
    return {plain, quote(plain, safe=""), quote(plain), json.dumps(plain)[1:-1], repr(secret)[1:-1]}
