"""`/api/gaps`: the open gaps, and requests to read or accept one."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from bridge.admin.requests import Answer, Refused, Request, json_answer, refusal
from bridge.admin.routes import Route
from bridge.errors import BridgeError
from bridge.monitor.gaps import OpenGap
from bridge.monitor.table import TableMonitor
from bridge.supervisor import Supervisor
from bridge.supervisor.gaps import evidence_fields, open_gap_fields


class GapPages:
    """Answers what is asked of gaps.

    Args:
        supervisor: the service.

    Attributes:
        routes: the pages.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._desk = supervisor.gaps
        self.routes = [
            Route("GET", "/api/gaps", self.listed, ("table",)),
            Route("GET", "/api/gaps/*", self.one),
            Route("POST", "/api/gaps/*/close", self.close),
            Route("POST", "/api/gaps/*/accept", self.accept),
        ]

    def listed(self, request: Request) -> Answer:
        """Return the open gaps, of one table where the query names one."""
        table = request.query.get("table")
        gaps = [gap for gap in self._desk.open() if table in (None, gap.table)]
        return json_answer({"gaps": [open_gap_fields(gap) for gap in gaps]})

    def one(self, _: Request, gap: str) -> Answer:
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

    def accept(self, _: Request, gap: str) -> Answer:
        """Accept a gap: its rows may be missing for good.

        Raises:
            Refused: the gap is unknown, or goes on.
        """
        _act(gap, self._desk.accept)
        return json_answer({"gap": gap, "by": "accepted"})

    def close(self, _: Request, gap: str) -> Answer:
        """Begin to read a gap's table: the page of the gap tells the rest; raises as `accept`."""
        _act(gap, self._desk.close)
        return json_answer({"gap": gap}, HTTPStatus.ACCEPTED)


def _act(gap: str, action: Callable[[str], object]) -> None:
    try:
        action(gap)
    except KeyError:
        raise _unknown(gap) from None
    except BridgeError as error:
        raise refusal(error) from None


def _unknown(gap: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, f"no open gap has the id {gap}")


def _shown(table: TableMonitor, gap: OpenGap) -> dict[str, Any]:
    progress = table.progress
    return {
        **open_gap_fields(gap),
        "evidence": evidence_fields(gap),
        "reading": progress and {"done": progress.done, "expected": progress.expected},
    }
