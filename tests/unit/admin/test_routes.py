"""Which page answers a request, and which requests none does."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from bridge.admin.requests import Answer, Refused, Request, json_answer
from bridge.admin.routes import Route, answer


def page(request: Request, *_: str) -> Answer:
    return json_answer(dict(request.query))


ROUTES = [
    Route("GET", "/readyz", page),
    Route("POST", "/api/letters/drop", page, ("sink", "all")),
    Route("POST", "/api/reload", page),
    Route("DELETE", "/api/replays/*", page),
    Route("GET", "/api/tail", page, ("from",), shows_rows=True),
]
TOKEN = "let me in"


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/api/letters/drop", {"all": "true", "snik": "hook"}, 'snik; did you mean "sink"?'),
        ("/api/letters/drop", {"all": "true", "colour": "red"}, "colour; it takes sink, all"),
        ("/api/reload", {"now": "1"}, "no parameter now"),
    ],
)
def test_a_filter_that_is_misspelt_is_refused(path: str, query: dict[str, str], said: str) -> None:
    """It would let everything through, where something is dropped or paused."""
    with pytest.raises(Refused, match=said.replace("?", r"\?")) as refused:
        answer(ROUTES, Request("POST", path, query, token=TOKEN), [TOKEN])
    assert refused.value.answer.status == HTTPStatus.BAD_REQUEST


def test_a_probe_may_add_what_it_likes() -> None:
    """As some do against caches."""
    assert answer(ROUTES, Request("GET", "/readyz", {"verbose": ""})).status == HTTPStatus.OK


@pytest.mark.parametrize(
    ("method", "path", "query", "token", "status"),
    [
        ("POST", "/api/letters/drop", {}, None, 401),
        ("POST", "/api/letters/drop", {"snik": "hook"}, None, 401),
        ("POST", "/api/letters/drop", {"snik": "hook"}, "wrong", 403),
        ("DELETE", "/api/replays/1", {}, None, 401),
        ("GET", "/api/tail", {"form": "1"}, None, 401),
        ("GET", "/api/tail", {"form": "1"}, TOKEN, 400),
        ("POST", "/api/letters/dorp", {}, None, 404),
        ("POST", "/api/tail", {}, None, 405),
        ("GET", "/api/reload", {"now": "1"}, None, 405),
    ],
)
def test_the_token_is_asked_for_before_anything_is_said_of_parameters(
    method: str, path: str, query: dict[str, str], token: str | None, status: int
) -> None:
    """What has no such page or method is said to anybody."""
    with pytest.raises(Refused) as refused:
        answer(ROUTES, Request(method, path, query, token=token), [TOKEN])
    assert refused.value.answer.status == status


def test_without_tokens_nobody_acts() -> None:
    """Whoever forgets to give them opens no door."""
    with pytest.raises(Refused) as refused:
        answer(ROUTES, Request("POST", "/api/reload", token=""))
    assert refused.value.answer.status == HTTPStatus.FORBIDDEN
