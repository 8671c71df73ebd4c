"""What is asked of the admin endpoint, and what it answers: values, no sockets."""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from bridge.errors import BridgeError, ConfigurationError, JournalError

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
_MOST_DIGITS = 100


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: GET, POST and so on; a HEAD is a GET here.
        path: without the query.
        query: the last value of each parameter, of the query or of a form in the body.
        accept: which content types are wanted.
        token: what was sent as `Authorization: Bearer`, None where nothing was.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = ""
    token: str | None = None


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def json_answer(
    content: Any, status: int = HTTPStatus.OK, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """Return a value as a page of JSON."""
    return Answer(status, JSON, json.dumps(content).encode() + b"\n", headers)


def rows_answer(content: Any) -> Answer:
    """Return a value as a page of JSON; events in it go in as they are written."""
    return Answer(HTTPStatus.OK, JSON, orjson.dumps(content) + b"\n")


class Refused(Exception):
    """A request that is not carried out; its answer is `{"error": …}`.

    Args:
        status: of the answer.
        reason: in words.
        headers: further headers.
        more: further members of the answer.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        **more: Any,
    ) -> None:
        super().__init__(reason)
        self.answer = json_answer({"error": reason, **more}, status, headers)


def number(request: Request, name: str) -> int | None:
    """Return a parameter that is a whole number, None where it is not given.

    Raises:
        Refused: it is none.
    """
    text = request.query.get(name)
    return None if text is None else natural(name, text)


def natural(name: str, text: str) -> int:
    """Read a whole number from 0 on.

    Raises:
        Refused: it is none.
    """
    # SQLite has no room for more, and Python reads no more than some thousand digits.
    if not text.isdecimal() or len(text) > _MOST_DIGITS or int(text) >= 2**63:
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name}: {text!r} is not a number from 0 on")
    return int(text)


def refusal(error: BridgeError) -> Refused:
    """Return how a request is answered that the service cannot carry out."""
    if isinstance(error, ConfigurationError):
        return Refused(HTTPStatus.BAD_REQUEST, "; ".join(error.problems))
    if isinstance(error, JournalError):
        return Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    return Refused(HTTPStatus.CONFLICT, str(error))


def require_token(request: Request, tokens: Collection[str]) -> None:
    """Let through who brings one of the tokens.

    Raises:
        Refused: the request has none, or another one.
    """
    given = request.token
    if given is not None:
        if any(hmac.compare_digest(given.encode(), token.encode()) for token in tokens):
            return
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "this token is not the service's: admin.token, or the one in journal.path",
        )
    raise Refused(
        HTTPStatus.UNAUTHORIZED,
        "wants Authorization: Bearer with admin.token, or with the token in journal.path",
        headers=(("WWW-Authenticate", "Bearer"),),
    )
