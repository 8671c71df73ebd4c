"""Which request is answered by what: paths with gaps in them, one page for each method."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from bridge.admin.requests import Answer, Refused, Request, require_token
from bridge.config.nearest import suggestion


class Route(NamedTuple):
    """One page.

    Attributes:
        method: GET, which HEAD is too, or POST.
        path: such as `/api/gaps/*/close`; what stands for a `*` is given to the page.
        page: called with the request, and what stands for each `*`.
        takes: the parameters that its query may have; pages outside `/api/` take any.
        shows_rows: whether it does; that wants a token, as does every method but GET.
    """

    method: str
    path: str
    page: Callable[..., Answer]
    takes: Collection[str] = ()
    shows_rows: bool = False


def answer(routes: Iterable[Route], request: Request, tokens: Collection[str] = ()) -> Answer:
    """Return the answer of the page that is asked for.

    Args:
        routes: all pages.
        request: what is asked.
        tokens: those with which rows are shown and actions carried out.

    Raises:
        Refused: there is no such page, it takes other methods, wants a token, or takes other
            parameters; or as the page raises.
    """
    routes, parts = list(routes), request.path.strip("/").split("/")
    found = [(route, fill) for route in routes if (fill := _fill(route, parts)) is not None]
    if not found:
        pages = sorted({r.path for r in routes if r.method == "GET" and "*" not in r.path})
        raise Refused(HTTPStatus.NOT_FOUND, f"there is no page {request.path}", pages=pages)
    for route, fill in found:
        if route.method == request.method:
            if route.shows_rows or route.method != "GET":
                require_token(request, tokens)
            _check(route, request.query)
            return route.page(request, *fill)
    methods = sorted({route.method for route, _ in found})
    allowed = ", ".join("GET, HEAD" if method == "GET" else method for method in methods)
    raise Refused(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"{request.path} takes {allowed}, not {request.method}",
        headers=(("Allow", allowed),),
    )


def _check(route: Route, query: Collection[str]) -> None:
    # A filter that is misspelt would let everything through, what is dropped or paused too.
    unknown = sorted(set(query) - set(route.takes)) if route.path.startswith("/api/") else []
    if unknown:
        meant = suggestion(unknown[0], route.takes, otherwise="it takes") if route.takes else ""
        said = f"there is no parameter {unknown[0]}" + (f"; {meant}" if meant else "")
        raise Refused(HTTPStatus.BAD_REQUEST, said)


def _fill(route: Route, parts: Sequence[str]) -> list[str] | None:
    """Return what stands for each `*` of a path, None where the path is another one."""
    wanted = route.path.strip("/").split("/")
    if len(wanted) != len(parts):
        return None
    if any(one not in ("*", part) for one, part in zip(wanted, parts, strict=True)):
        return None
    return [part for one, part in zip(wanted, parts, strict=True) if one == "*"]
