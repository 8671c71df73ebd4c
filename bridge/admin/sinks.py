"""`/api/sinks`: sinks with their lanes, and requests to pause, resume or skip."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import orjson

from bridge.admin.requests import JSON, Answer, Refused, Request, Route, json_answer, require_token
from bridge.errors import BridgeError
from bridge.supervisor import Supervisor
from bridge.supervisor.letters import letter_fields


class SinkPages:
    """Answers what is asked of sinks.

    Args:
        supervisor: the service.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._desk = supervisor.sinks

    def route(self, path: Sequence[str]) -> Route | None:
        """Return the page for what stands behind `/api/sinks/`."""
        match path:
            case []:
                return "GET", lambda _: json_answer({"sinks": self._desk.all()})
            case [sink]:
                return "GET", lambda _: self._one(sink)
            case [sink, "pause" | "resume" | "skip" as action]:
                return "POST", lambda request: self._act(request, sink, action)
        return None

    def _one(self, sink: str) -> Answer:
        try:
            return json_answer(self._desk.one(sink))
        except KeyError:
            raise _unknown(sink) from None

    def _act(self, request: Request, sink: str, action: str) -> Answer:
        """Let a sink, or the table that the query names, rest, go on, or lose its first event.

        Raises:
            Refused: the token is missing, the sink or the table unknown, or it cannot be now.
        """
        require_token(request, self._supervisor.tokens)
        table = request.query.get("table")
        try:
            if action == "skip":
                return self._skip(sink, table)
            act = self._desk.pause if action == "pause" else self._desk.resume
            return json_answer({"sink": sink, "table": table, "changed": act(sink, table)})
        except KeyError as error:
            raise _unknown(str(error.args[0])) from None
        except BridgeError as error:
            raise Refused(HTTPStatus.CONFLICT, str(error)) from None

    def _skip(self, sink: str, table: str | None) -> Answer:
        if table is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "say whose first event: table=…")
        letter = self._desk.skip(sink, table)
        shown = None if letter is None else letter_fields(letter)
        body = {"sink": sink, "table": table, "skipped": shown}
        return Answer(HTTPStatus.OK, JSON, orjson.dumps(body) + b"\n")


def _unknown(name: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, f"no sink or table of a sink is named {name}")
