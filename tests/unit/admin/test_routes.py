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
]


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
        answer(ROUTES, Request("POST", path, query))
    assert refused.value.answer.status == HTTPStatus.BAD_REQUEST


def test_a_probe_may_add_what_it_likes() -> None:
    """As some do against caches."""
    assert answer(ROUTES, Request("GET", "/readyz", {"verbose": ""})).status == HTTPStatus.OK
