"""`/api/snapshots`: all rows of a table, on request."""

from __future__ import annotations

from http import HTTPStatus

from bridge.admin.requests import Answer, Refused, Request, json_answer, refusal
from bridge.admin.routes import Route
from bridge.errors import BridgeError
from bridge.supervisor import Supervisor


class SnapshotPages:
    """Answers what is asked of snapshots.

    Args:
        supervisor: the service.

    Attributes:
        routes: the pages.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._desk = supervisor.snapshots
        self.routes = [
            Route("GET", "/api/snapshots/*", self.one),
            Route("POST", "/api/snapshots/*", self.begin),
            Route("DELETE", "/api/snapshots/*", self.stop),
        ]

    def one(self, _: Request, table: str) -> Answer:
        """Return how the last snapshot of a table gets on.

        Raises:
            Refused: there was none.
        """
        try:
            return json_answer(self._desk.shown(table))
        except KeyError:
            raise _none(table) from None

    def begin(self, _: Request, table: str) -> Answer:
        """Begin one.

        Raises:
            Refused: the table is unknown or not heard, or one is under way.
        """
        try:
            self._desk.begin(table)
        except KeyError:
            raise Refused(HTTPStatus.NOT_FOUND, f"no table {table} is watched") from None
        except BridgeError as error:
            raise refusal(error) from None
        return json_answer(self._desk.shown(table), HTTPStatus.ACCEPTED)

    def stop(self, _: Request, table: str) -> Answer:
        """Let one end at its next page.

        Raises:
            Refused: there is none.
        """
        try:
            self._desk.stop(table)
        except KeyError:
            raise _none(table) from None
        return json_answer(self._desk.shown(table), HTTPStatus.ACCEPTED)


def _none(table: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, f"no snapshot of {table} was asked for")
