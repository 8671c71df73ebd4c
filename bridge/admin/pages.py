"""The pages: which path is answered by what, and who may ask.

`/livez` depends on nothing outside the process, so that an orchestrator never kills a bridge
whose journal is the only place where events still are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus

from bridge.admin.exposition import Exposition
from bridge.admin.gaps import GapPages
from bridge.admin.health import readiness
from bridge.admin.letters import LetterPages
from bridge.admin.recent import Recent
from bridge.admin.replays import ReplayPages
from bridge.admin.requests import JSON, Answer, Refused, Request, json_answer
from bridge.admin.routes import Route, answer
from bridge.admin.sinks import SinkPages
from bridge.admin.snapshots import SnapshotPages
from bridge.admin.status import StatusPages
from bridge.foreign import within_json
from bridge.loop import Loop
from bridge.supervisor import Supervisor

# Pages that read the journal wait while a disk hangs; more of them than this are turned away.
_MOST_WAITING = 8
_PATIENCE_SECONDS = 0.5


class Pages:
    """Answers requests. Any thread may ask.

    Args:
        supervisor: the service.
        exposition: what Prometheus gets.
        loops: gives the loops of the process.
        recent: what happened lately.
        reload: asks for the configuration to be read again.
        hide: takes out of a page what must not be shown.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        exposition: Exposition,
        loops: Callable[[], list[Loop]],
        recent: Recent,
        reload: Callable[[], None],
        hide: Callable[[str], str],
    ) -> None:
        self._supervisor = supervisor
        self._exposition = exposition
        self._loops = loops
        self._hide = hide
        self._reading = threading.BoundedSemaphore(_MOST_WAITING)
        self._reload = reload
        self._alive = [Route("GET", "/livez", self._livez), Route("GET", "/healthz", self._livez)]
        self._routes = [
            *self._alive,
            Route("GET", "/readyz", self._readyz),
            Route("GET", "/metrics", self._metrics),
            Route("POST", "/api/reload", self._ask_reload),
            *StatusPages(supervisor, recent).routes,
            *GapPages(supervisor).routes,
            *LetterPages(supervisor).routes,
            *ReplayPages(supervisor).routes,
            *SinkPages(supervisor).routes,
            *SnapshotPages(supervisor).routes,
        ]

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request; what is wrong with it is an answer, too."""
        try:
            if request.path in {route.path for route in self._alive}:
                return answer(self._alive, request)
            return self._in_turn(request)
        except Refused as refused:
            return refused.answer

    def dead_loops(self) -> list[str]:
        """Return the names of the threads that are gone although nobody ended them."""
        return [loop.name for loop in self._loops() if loop.dead]

    def _in_turn(self, request: Request) -> Answer:
        if not self._reading.acquire(timeout=_PATIENCE_SECONDS):
            return json_answer({"status": "busy"}, HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            found = answer(self._routes, request, self._supervisor.tokens)
            if found.content_type != JSON:
                return found  # the metrics and the page for people have no text of others
            return found._replace(body=within_json(found.body.decode(), self._hide).encode())
        finally:
            self._reading.release()

    def _livez(self, _: Request) -> Answer:
        dead = self.dead_loops()
        if dead:
            body = {"status": "failed", "threads": dead}
            return json_answer(body, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_answer({"status": "ok"})

    def _readyz(self, request: Request) -> Answer:
        supervisor = self._supervisor
        snapshot = supervisor.snapshot()
        if supervisor.draining:  # asked last: it explains what the snapshot lacks
            return json_answer({"status": "draining"}, HTTPStatus.SERVICE_UNAVAILABLE)
        if snapshot is None:
            body = {"status": "starting", "cause": supervisor.trouble}
            return json_answer(body, HTTPStatus.SERVICE_UNAVAILABLE)
        body = readiness(snapshot)
        if not snapshot.ready:
            body |= {"status": "starting", "cause": "not every table was tried yet"}
            return json_answer(body, HTTPStatus.SERVICE_UNAVAILABLE)
        strict = request.query.get("strict", "false") not in ("false", "0")
        if strict and body["status"] != "ok":
            return json_answer(body, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_answer(body)

    def _metrics(self, request: Request) -> Answer:
        body, content_type = self._exposition.write(request.accept)
        return Answer(HTTPStatus.OK, content_type, body)

    def _ask_reload(self, _: Request) -> Answer:
        self._reload()
        return json_answer({"reload": "asked"}, HTTPStatus.ACCEPTED)
