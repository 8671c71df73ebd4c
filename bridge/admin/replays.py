"""`/api/replays`: what is delivered again, and requests to begin or stop that."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from bridge.admin.requests import Answer, Refused, Request, Route, json_answer, require_token
from bridge.errors import BridgeError, ConfigurationError, JournalError
from bridge.supervisor import Supervisor
from bridge.supervisor.replays import Wish, replay_fields


class ReplayPages:
    """Answers what is asked of replays.

    Args:
        supervisor: the service.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._desk = supervisor.replays

    def route(self, path: Sequence[str]) -> Route | None:
        """Return the page for what stands behind `/api/replays/`."""
        match path:
            case []:
                return "GET POST", self.listed
            case [number]:
                return "GET DELETE", lambda request: self.one(request, number)
        return None

    def listed(self, request: Request) -> Answer:
        """Return the replays, or with POST begin one as the query says.

        Raises:
            Refused: the token is missing, or the replay cannot be begun.
        """
        if request.method == "GET":
            return json_answer({"replays": [replay_fields(*each) for each in self._desk.all()]})
        require_token(request, self._supervisor.tokens)
        try:
            begun = self._desk.begin(Wish.from_query(request.query))
        except ConfigurationError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "; ".join(error.problems)) from None
        except JournalError as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None
        except BridgeError as error:
            raise Refused(HTTPStatus.CONFLICT, str(error)) from None
        return json_answer({"replays": list(map(replay_fields, begun))}, HTTPStatus.ACCEPTED)

    def one(self, request: Request, number: str) -> Answer:
        """Return one replay, with DELETE once it was let end where it is.

        Raises:
            Refused: the token is missing, or none has the number.
        """
        if request.method == "DELETE":
            require_token(request, self._supervisor.tokens)
            self._stop(number)
        for replay, waits in self._desk.all():
            if str(replay.number) == number:
                return json_answer(replay_fields(replay, waits))
        raise _unknown(number)

    def _stop(self, number: str) -> None:
        try:
            self._desk.stop(int(number))
        except (KeyError, ValueError):
            raise _unknown(number) from None
        except BridgeError as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None


def _unknown(number: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, f"no replay has the number {number}")
