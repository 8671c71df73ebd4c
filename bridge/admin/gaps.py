"""`/api/gaps`: the open gaps, and requests to read or accept one."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from bridge.admin.requests import Answer, Refused, Request, Route, json_answer, require_token
from bridge.errors import BridgeError
from bridge.monitor.gaps import OpenGap
from bridge.monitor.table import TableMonitor
from bridge.supervisor import Supervisor
from bridge.supervisor.gaps import evidence_fields, open_gap_fields


class GapPages:
    """Answers what is asked of gaps.

    Args:
        supervisor: the service.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._desk = supervisor.gaps

    def route(self, path: Sequence[str]) -> Route | None:
        """Return the page for what stands behind `/api/gaps/`."""
        match path:
            case []:
                return "GET", self.listed
            case [gap]:
                return "GET", lambda _: self.one(gap)
            case [gap, "close" | "accept" as action]:
                return "POST", lambda request: self.act(request, gap, action)
        return None

    def listed(self, request: Request) -> Answer:
        """Return the open gaps, of one table where the query names one."""
        table = request.query.get("table")
        gaps = [gap for gap in self._desk.open() if table in (None, gap.table)]
        return json_answer({"gaps": [open_gap_fields(gap) for gap in gaps]})

    def one(self, gap: str) -> Answer:
        """Return an open gap with its evidence, or what became of a read on request.

        Raises:
            Refused: neither is known.
        """
        found, requested = self._desk.find(gap), self._desk.requested(gap)
        if found is None and requested is None:
            raise _unknown(gap)
        shown: dict[str, Any] = {"gap": gap} if found is None else _shown(*found)
        if requested is not None:
            shown["request"] = {
                "state": requested.state,
                "rows": requested.rows,
                "why_open": requested.why_open,
            }
        return json_answer(shown)

    def act(self, request: Request, gap: str, action: str) -> Answer:
        """Accept a gap, or begin to read its table: then the page of the gap tells the rest.

        Raises:
            Refused: the token is missing, the gap unknown, or it goes on.
        """
        require_token(request, self._supervisor.tokens)
        try:
            if action == "accept":
                self._desk.accept(gap)
                return json_answer({"gap": gap, "by": "accepted"})
            self._desk.close(gap)
        except KeyError:
            raise _unknown(gap) from None
        except BridgeError as error:
            raise Refused(HTTPStatus.CONFLICT, str(error)) from None
        return json_answer({"gap": gap}, HTTPStatus.ACCEPTED)


def _unknown(gap: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, f"no open gap has the id {gap}")


def _shown(table: TableMonitor, gap: OpenGap) -> dict[str, Any]:
    progress = table.progress
    return {
        **open_gap_fields(gap),
        "evidence": evidence_fields(gap),
        "reading": progress and {"done": progress.done, "expected": progress.expected},
    }
