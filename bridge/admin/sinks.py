"""`/api/sinks`: sinks with their lanes, and requests to pause, resume or skip."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from bridge.admin.requests import Answer, Refused, Request, json_answer, refusal, rows_answer
from bridge.admin.routes import Route
from bridge.errors import BridgeError
from bridge.supervisor import Supervisor
from bridge.supervisor.letters import letter_fields

_Result = TypeVar("_Result")


class SinkPages:
    """Answers what is asked of sinks.

    Args:
        supervisor: the service.

    Attributes:
        routes: the pages.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._desk = supervisor.sinks
        self.routes = [
            Route("GET", "/api/sinks", self.listed),
            Route("GET", "/api/sinks/*", self.one),
            Route("POST", "/api/sinks/*/pause", self.pause, ("table",)),
            Route("POST", "/api/sinks/*/resume", self.resume, ("table",)),
            Route("POST", "/api/sinks/*/skip", self.skip, ("table",)),
        ]

    def listed(self, _: Request) -> Answer:
        """Return every sink."""
        return json_answer({"sinks": self._desk.all()})

    def one(self, _: Request, sink: str) -> Answer:
        """Return one sink.

        Raises:
            Refused: there is none of that id.
        """
        try:
            return json_answer(self._desk.one(sink))
        except KeyError:
            raise _unknown(sink) from None

    def pause(self, request: Request, sink: str) -> Answer:
        """Let a sink, or the table that the query names, rest.

        Raises:
            Refused: the sink or the table is unknown, or it cannot be now.
        """
        table = request.query.get("table")
        changed = _act(lambda: self._desk.pause(sink, table))
        return json_answer({"sink": sink, "table": table, "changed": changed})

    def resume(self, request: Request, sink: str) -> Answer:
        """Let it go on; raises as `pause`."""
        table = request.query.get("table")
        changed = _act(lambda: self._desk.resume(sink, table))
        return json_answer({"sink": sink, "table": table, "changed": changed})

    def skip(self, request: Request, sink: str) -> Answer:
        """Set the first waiting event of a table aside; raises as `pause`."""
        table = request.query.get("table")
        if table is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "say whose first event: table=…")
        letter = _act(lambda: self._desk.skip(sink, table))
        shown = None if letter is None else letter_fields(letter)
        return rows_answer({"sink": sink, "table": table, "skipped": shown})


def _act(action: Callable[[], _Result]) -> _Result:
    try:
        return action()
    except KeyError as error:
        raise _unknown(str(error.args[0])) from None
    except BridgeError as error:
        raise refusal(error) from None


def _unknown(name: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, f"no sink or table of a sink is named {name}")
