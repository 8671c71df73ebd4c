"""`/api/deadletters`: what was set aside, page by page, and requests to drop some of it."""

from __future__ import annotations

from http import HTTPStatus

from bridge.admin.requests import (
    Answer,
    Refused,
    Request,
    json_answer,
    natural,
    number,
    rows_answer,
)
from bridge.admin.routes import Route
from bridge.journal import LetterFilter
from bridge.supervisor import Supervisor
from bridge.supervisor.letters import letter_fields
from bridge.units import parse_moment

_LIMIT, _MOST = 100, 1000
_FILTERS = ("sink", "table", "since", "reason", "after", "limit", "numbers")


class LetterPages:
    """Answers what is asked of dead letters; they show rows, so all of it wants a token.

    Args:
        supervisor: the service.

    Attributes:
        routes: the pages.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.routes = [
            Route("GET", "/api/deadletters", self.listed, _FILTERS, shows_rows=True),
            Route("GET", "/api/deadletters/*", self.one, shows_rows=True),
            Route("POST", "/api/deadletters/drop", self.drop, (*_FILTERS, "all")),
        ]

    def listed(self, request: Request) -> Answer:
        """Return those that the query asks for, oldest first, and where the next page begins.

        Raises:
            Refused: the query is not understood.
        """
        which, limit = _filter(request), number(request, "limit")
        most = _LIMIT if limit is None else min(limit, _MOST)
        with self._supervisor.journal.reader() as reader:
            found = reader.dead_letters(which, limit=most)
        body = {
            "dead_letters": [letter_fields(letter) for letter in found],
            "next": found[-1].number if found else None,
        }
        return rows_answer(body)

    def one(self, _: Request, number: str) -> Answer:
        """Return one of them.

        Raises:
            Refused: there is none with this number.
        """
        which = LetterFilter(numbers=frozenset((natural("number", number),)))
        with self._supervisor.journal.reader() as reader:
            found = reader.dead_letters(which)
        if not found:
            raise Refused(HTTPStatus.NOT_FOUND, f"no dead letter has the number {number}")
        return rows_answer(letter_fields(found[0]))

    def drop(self, request: Request) -> Answer:
        """Delete those that the query names, or with `all=true` all that it lets through.

        Raises:
            Refused: the query is not understood.
        """
        which = chosen(request)
        dropped = self._supervisor.journal.letters.drop(which, number(request, "limit"))
        return json_answer({"dropped": dropped})


def chosen(request: Request) -> LetterFilter:
    """Return which dead letters a request to do something is about.

    Raises:
        Refused: it does not say so.
    """
    which = _filter(request)
    if which.numbers is None and request.query.get("all") != "true":
        raise Refused(HTTPStatus.BAD_REQUEST, "give numbers=1,2,3, or all=true with filters")
    return which


def _filter(request: Request) -> LetterFilter:
    query = request.query
    numbers, since = query.get("numbers"), query.get("since")
    try:
        at = None if since is None else parse_moment(since)
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"since: {error}") from None
    return LetterFilter(
        query.get("sink"),
        query.get("table"),
        at,
        query.get("reason"),
        number(request, "after"),
        None
        if numbers is None
        else frozenset(natural("numbers", one) for one in numbers.split(",") if one),
    )
