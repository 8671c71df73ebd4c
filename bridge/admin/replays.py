"""`/api/replays`: what is delivered again, and requests to begin or stop that."""

from __future__ import annotations

from http import HTTPStatus

from bridge.admin.requests import Answer, Refused, Request, json_answer, refusal
from bridge.admin.routes import Route
from bridge.errors import BridgeError
from bridge.supervisor import Supervisor
from bridge.supervisor.replays import Wish, replay_fields


class ReplayPages:
    """Answers what is asked of replays.

    Args:
        supervisor: the service.

    Attributes:
        routes: the pages.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._desk = supervisor.replays
        self.routes = [
            Route("GET", "/api/replays", self.listed),
            Route("POST", "/api/replays", self.begin, Wish.__slots__),
            Route("GET", "/api/replays/*", self.one),
            Route("DELETE", "/api/replays/*", self.stop),
        ]

    def listed(self, _: Request) -> Answer:
        """Return what is delivered again, and what was."""
        return json_answer({"replays": [replay_fields(*each) for each in self._desk.all()]})

    def begin(self, request: Request) -> Answer:
        """Begin what the query asks for.

        Raises:
            Refused: it cannot be begun.
        """
        try:
            begun = self._desk.begin(Wish.from_query(request.query))
        except BridgeError as error:
            raise refusal(error) from None
        return json_answer({"replays": list(map(replay_fields, begun))}, HTTPStatus.ACCEPTED)

    def one(self, _: Request, number: str) -> Answer:
        """Return one replay.

        Raises:
            Refused: none has the number.
        """
        for replay, waits in self._desk.all():
            if str(replay.number) == number:
                return json_answer(replay_fields(replay, waits))
        raise _unknown(number)

    def stop(self, request: Request, number: str) -> Answer:
        """Let a replay end where it is, and return it.

        Raises:
            Refused: none has the number.
        """
        try:
            self._desk.stop(int(number))
        except (KeyError, ValueError):
            raise _unknown(number) from None
        except BridgeError as error:
            raise refusal(error) from None
        return self.one(request, number)


def _unknown(number: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, f"no replay has the number {number}")
