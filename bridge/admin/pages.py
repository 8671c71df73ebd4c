"""The pages: which path is answered by what, and who may ask.

`/livez` depends on nothing outside the process, so that an orchestrator never kills a bridge
whose journal is the only place where events still are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from bridge.admin.gaps import GapPages
from bridge.admin.health import readiness
from bridge.admin.letters import LetterPages
from bridge.admin.replays import ReplayPages
from bridge.admin.requests import TEXT, Answer, Page, Refused, Request, Route, json_answer
from bridge.loop import Loop
from bridge.supervisor import Supervisor

# Pages that read the journal wait while a disk hangs; more of them than this are turned away.
_MOST_WAITING = 8
_PATIENCE_SECONDS = 0.5
_PAGES = ("/livez", "/readyz", "/metrics", "/api/deadletters", "/api/gaps", "/api/replays")


class Pages:
    """Answers requests. Any thread may ask.

    Args:
        supervisor: the service.
        registry: what Prometheus gets.
        loops: gives the loops of the process.
        hide: takes out of a page what must not be shown.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        registry: CollectorRegistry,
        loops: Callable[[], list[Loop]],
        hide: Callable[[str], str],
    ) -> None:
        self._supervisor = supervisor
        self._registry = registry
        self._loops = loops
        self._hide = hide
        self._reading = threading.BoundedSemaphore(_MOST_WAITING)
        self._routes: dict[str, Callable[[Sequence[str]], Route | None]] = {
            "deadletters": LetterPages(supervisor).route,
            "gaps": GapPages(supervisor).route,
            "replays": ReplayPages(supervisor).route,
        }

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request; what is wrong with it is an answer, too."""
        try:
            if request.path in ("/livez", "/healthz"):
                return self._only(("GET",), request, self._livez)
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
            found = self._page(request)
            return found._replace(body=self._hide(found.body.decode()).encode())
        finally:
            self._reading.release()

    def _page(self, request: Request) -> Answer:
        match request.path.strip("/").split("/"):
            case [""]:
                return self._only(("GET",), request, _index)
            case ["readyz"]:
                return self._only(("GET",), request, self._readyz)
            case ["metrics"]:
                return self._only(("GET",), request, self._metrics)
            case ["api", *path]:
                methods, page = self._api(path)
                return self._only(methods.split(), request, page)
        return _no_page(request)

    def _api(self, path: Sequence[str]) -> Route:
        """Return the methods that a page under `/api` takes, and the page."""
        route = self._routes.get(path[0])
        found = route(path[1:]) if route is not None else None
        return found or ("GET", _no_page)

    def _only(self, methods: Sequence[str], request: Request, page: Page) -> Answer:
        if request.method in methods:
            return page(request)
        allowed = ", ".join("GET, HEAD" if method == "GET" else method for method in methods)
        raise Refused(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{request.path} takes {allowed}, not {request.method}",
            headers=(("Allow", allowed),),
        )

    def _livez(self, _: Request) -> Answer:
        dead = self.dead_loops()
        if dead:
            body = {"status": "failed", "threads": dead}
            return json_answer(body, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_answer({"status": "ok"})

    def _readyz(self, _: Request) -> Answer:
        supervisor = self._supervisor
        if supervisor.draining:
            return json_answer({"status": "draining"}, HTTPStatus.SERVICE_UNAVAILABLE)
        snapshot = supervisor.snapshot()
        if snapshot is None:
            body = {"status": "starting", "cause": supervisor.trouble}
            return json_answer(body, HTTPStatus.SERVICE_UNAVAILABLE)
        body = readiness(snapshot)
        if not snapshot.ready:
            body |= {"status": "starting", "cause": "not every table was tried yet"}
            return json_answer(body, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_answer(body)

    def _metrics(self, request: Request) -> Answer:
        encode, content_type = choose_encoder(request.accept)
        return Answer(HTTPStatus.OK, content_type, encode(self._registry))


def _index(_: Request) -> Answer:
    return Answer(HTTPStatus.OK, TEXT, ("  ".join(_PAGES) + "\n").encode())


def _no_page(request: Request) -> Answer:
    raise Refused(HTTPStatus.NOT_FOUND, f"there is no page {request.path}", pages=list(_PAGES))
