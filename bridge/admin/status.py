"""`/api/status`, `/api/rates` and `/`: everything at a glance, and the page that shows it.

docs/status.md says what each field means; a test holds it against this module.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections import Counter
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from bridge import __version__
from bridge.admin.advice import problems
from bridge.admin.health import status
from bridge.admin.recent import Recent
from bridge.admin.requests import JSON, Answer, Refused, Request, json_answer, number
from bridge.admin.routes import Route
from bridge.codec import IMPLEMENTATION
from bridge.errors import BridgeError
from bridge.events import rfc3339
from bridge.loop import in_parts
from bridge.monitor.table import TableMonitor
from bridge.supervisor import Snapshot, Supervisor
from bridge.supervisor.gaps import open_gap_fields
from bridge.supervisor.replays import replay_fields
from bridge.supervisor.trends import STEP_SECONDS

_HTML = "text/html; charset=utf-8"


class StatusPages:
    """Answers what is asked about the whole.

    Args:
        supervisor: the service.
        recent: what happened lately.

    Attributes:
        routes: the pages.
    """

    def __init__(self, supervisor: Supervisor, recent: Recent) -> None:
        self._supervisor = supervisor
        self._recent = recent
        self._started = time.time()
        self.routes = [
            Route("GET", "/", self.page),
            Route("GET", "/api/status", self.status),
            Route("GET", "/api/rates", self.rates, ("of",)),
            Route("GET", "/api/tail", self.tail, ("table", "from"), shows_rows=True),
        ]

    def page(self, _: Request) -> Answer:
        """Return the page for people; it gets all it shows from the JSON beside it."""
        body, policy = _page()
        headers = (
            ("Content-Security-Policy", policy),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
        )
        return Answer(HTTPStatus.OK, _HTML, body, headers)

    def status(self, _: Request) -> Answer:
        """Return everything that is known, but for what went through lately.

        Raises:
            Refused: the service has not started yet.
        """
        snapshot = self._snapshot()
        rates = self._supervisor.onlooker.trends.rates()
        return json_answer(
            {
                "bridge": self._bridge(snapshot),
                "problems": [problem._asdict() for problem in problems(snapshot)],
                "ring": [{"url": url, "in_use": url == snapshot.cluster} for url in snapshot.ring],
                "failovers": sum(snapshot.failovers.values()),
                "journal": _journal(snapshot),
                "tables": _tables(snapshot, rates),
                "sinks": _sinks(snapshot, rates),
                "gaps": [open_gap_fields(gap) for gap in snapshot.gaps],
                "replays": [replay_fields(*each) for each in self._supervisor.replays.all()],
                "recent": self._recent.lines(),
            }
        )

    def rates(self, request: Request) -> Answer:
        """Return the events of each stretch of the last ten minutes, of what the query names."""
        names = [name for name in request.query.get("of", "").split(",") if name]
        return json_answer(
            {"step": STEP_SECONDS, "events": self._supervisor.onlooker.trends.of(names)}
        )

    def tail(self, request: Request) -> Answer:
        """Return events of a table from an offset on; without one, where to begin.

        Raises:
            Refused: there is no such table.
        """
        table, start = request.query.get("table", ""), number(request, "from")
        try:
            found = self._supervisor.onlooker.tail(table, start)
        except KeyError:
            raise Refused(HTTPStatus.NOT_FOUND, f"no table {table} is watched") from None
        except BridgeError as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None
        lines = [bytes(line) for each in found.slices for line in each.data.tobytes().splitlines()]
        body = b'{"next":%d,"events":[%b]}\n' % (found.next, b",".join(lines))
        return Answer(HTTPStatus.OK, JSON, body)

    def _snapshot(self) -> Snapshot:
        snapshot = self._supervisor.snapshot()
        if snapshot is None:
            phase = "draining" if self._supervisor.draining else "starting"
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                self._supervisor.trouble or f"the service is {phase}",
            )
        return snapshot

    def _bridge(self, snapshot: Snapshot) -> dict[str, Any]:
        return {
            "status": "draining" if self._supervisor.draining else status(snapshot),
            "version": __version__,
            "instance": self._supervisor.instance,
            "codec": IMPLEMENTATION,
            "started": rfc3339(round(self._started * 1e6)),
            "time": rfc3339(round(time.time() * 1e6)),
            "reloaded": rfc3339(round(self._supervisor.reloads.success_at * 1e6)),
            "reload_successful": self._supervisor.reloads.successful,
            "restart_needed": list(self._supervisor.reloads.restart_needed),
        }


def _journal(snapshot: Snapshot) -> dict[str, Any]:
    journal = snapshot.journal
    return {
        "bytes": journal.bytes,
        "max_bytes": journal.max_bytes,
        "oldest": journal.oldest,
        "oldest_time": None if journal.oldest_time is None else rfc3339(journal.oldest_time),
        "head": journal.head,
        "discarded": journal.discarded,
        "damaged": journal.damaged,
    }


def _tables(snapshot: Snapshot, rates: dict[str, float]) -> list[dict[str, Any]]:
    gaps = Counter(gap.table for gap in snapshot.gaps)
    return [
        _table(name, one, gaps[name], rates)
        for part in in_parts(list(snapshot.tables.items()))
        for name, one in part
    ]


def _table(name: str, table: TableMonitor, gaps: int, rates: dict[str, float]) -> dict[str, Any]:
    counts, progress = table.counts, table.progress
    return {
        "table": name,
        "state": str(table.state),
        "since": rfc3339(round(table.changed_at * 1e6)),
        "reason": table.reason,
        "received": counts.received.total(),
        "rate": rates.get(f"table/{name}", 0.0),
        "last_event": rfc3339(round(counts.last_event * 1e6)) if counts.last_event else None,
        "gaps": gaps,
        "reading": progress and {"done": progress.done, "expected": progress.expected},
    }


def _sinks(snapshot: Snapshot, rates: dict[str, float]) -> list[dict[str, Any]]:
    shown = []
    for name, stats in snapshot.sinks.items():
        accounts = [account for account in snapshot.accounts if account.sink == name]
        lags = [snapshot.lags.get((name, account.table), 0.0) for account in accounts]
        shown.append(
            {
                "sink": name,
                "state": stats.state,
                "error": stats.error,
                "lag": max(lags, default=0.0),
                "pending": sum(account.pending for account in accounts),
                "delivered": sum(account.delivered for account in accounts),
                "dead_lettered": sum(account.dead_lettered for account in accounts),
                "discarded": sum(account.discarded for account in accounts),
                "rate": rates.get(f"sink/{name}", 0.0),
                "waiting": dict(stats.waiting),
            }
        )
    return shown


@cache
def _page() -> tuple[bytes, str]:
    """Return the page, and the policy that lets it run what is in it and nothing else."""
    text = files("bridge.admin").joinpath("page.html").read_text(encoding="utf-8")

    def sources(tag: str) -> str:
        found = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()) for part in found]
        return " ".join(f"'sha256-{digest.decode()}'" for digest in digests)

    policy = (
        f"default-src 'none'; script-src {sources('script')}; style-src {sources('style')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return text.encode(), policy
