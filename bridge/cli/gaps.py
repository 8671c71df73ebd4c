"""`gaps`: which spans may have missed events, why they are open, and what can be done.

The service is asked where it runs. Where it does not, its gaps are read from the journal, and
nothing can be done about them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from bridge.cli.configuration import load
from bridge.cli.listing import counted, print_json, print_table
from bridge.cli.main import OK, RUNTIME
from bridge.cli.progress import Progress
from bridge.cli.service import NotRunning, RequestFailed, Service
from bridge.config import Config, find_file
from bridge.config.named import watched_table
from bridge.errors import BridgeError
from bridge.journal import stored_gaps
from bridge.supervisor.gaps import (
    evidence_fields,
    gap_event_fields,
    left_open,
    open_gap_fields,
)

_HEADERS = ("gap", "table", "since", "until", "reason", "state", "why it is open")
_POLL_SECONDS = 0.2

_Outcome = dict[str, Any]
_Act = Callable[[Service, str], tuple[_Outcome, str]]


def run(arguments: argparse.Namespace) -> int:
    """Carry out `gaps ls`, `show`, `close` or `accept`."""
    match arguments.action:
        case "close":
            return _each(_close, arguments)
        case "accept":
            return _each(_accept, arguments)
    config = load(find_file(arguments.config))
    return _list(config, arguments) if arguments.action == "ls" else _show(config, arguments)


def _list(config: Config, arguments: argparse.Namespace) -> int:
    table = None if arguments.table is None else watched_table(config, arguments.table)
    gaps = _open(config, table)
    if arguments.all:
        shown = {gap["gap"] for gap in gaps}
        gaps = [*(gap for gap in _stored(config, table) if gap["gap"] not in shown), *gaps]
    if arguments.json:
        print_json(gaps)
    else:
        print_table(_HEADERS, map(_as_row, gaps))
    return OK


def _open(config: Config, table: str | None) -> list[dict[str, Any]]:
    query = urlencode({"table": table} if table is not None else {})
    try:
        found: list[dict[str, Any]] = Service(config).get(f"/api/gaps?{query}")["gaps"]
    except NotRunning as error:
        _say_stored(error)
        return [open_gap_fields(gap) for gap in left_open(config.journal.path, table)]
    return found


def _stored(config: Config, table: str | None) -> Iterator[dict[str, Any]]:
    """Yield each gap of which an event is still stored, by its last one."""
    last = {gap.gap: gap for gap in stored_gaps(config.journal.path, table)}
    return map(gap_event_fields, last.values())


def _as_row(gap: dict[str, Any]) -> tuple[object, ...]:
    return (
        gap["gap"],
        gap["table"],
        gap["since"],
        gap["until"] or "goes on",
        gap["reason"],
        _state(gap),
        gap["why_open"] or "",
    )


def _state(gap: dict[str, Any]) -> str:
    if gap["closed"]:
        return f"closed, {gap['by'] or 'read'}"
    return "accepted" if gap["by"] == "accepted" else "open"


def _show(config: Config, arguments: argparse.Namespace) -> int:
    gap = _one(config, arguments.gap)
    if gap is None:
        print(f"no gap {arguments.gap} is known", file=sys.stderr)
        return RUNTIME
    if arguments.json:
        print_json([gap])
        return OK
    evidence = gap.pop("evidence", None) or []
    reading = gap.pop("reading", None)
    for name, value in {**gap, "state": _state(gap)}.items():
        if value is not None and name not in ("closed", "by", "request"):
            print(f"{name.replace('_', ' '):<10}{value}")
    if reading:
        print(f"{'reading':<10}{reading['done']} of {reading['expected']} rows")
    for told in evidence:
        print(f"  {told['time']}  {told['text']}")
    return OK


def _one(config: Config, gap: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = Service(config).get(f"/api/gaps/{quote(gap, safe='')}")
        if "table" in found:
            return found
    except NotRunning as error:
        _say_stored(error)
        for left in left_open(config.journal.path):
            if left.gap == gap:
                return {**open_gap_fields(left), "evidence": evidence_fields(left)}
    except RequestFailed as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
    return next((shown for shown in _stored(config, None) if shown["gap"] == gap), None)


def _say_stored(error: NotRunning) -> None:
    print(f"{error}: this is what it left in the journal", file=sys.stderr)


def _each(act: _Act, arguments: argparse.Namespace) -> int:
    """Do something about each gap; 1 where it did not come to its end with all."""
    service = Service(load(find_file(arguments.config)))
    well = True
    for gap in arguments.gaps:
        try:
            outcome, told = act(service, gap)
        except NotRunning as error:
            raise BridgeError(
                f"{error}; gaps are closed and accepted by the running service"
            ) from None
        except RequestFailed as error:
            print(error, file=sys.stderr)
            well = False
            continue
        well &= outcome["by"] is not None
        if arguments.json:
            print_json([outcome])
        else:
            print(f"{gap}: {told}")
    return OK if well else RUNTIME


def _accept(service: Service, gap: str) -> tuple[_Outcome, str]:
    service.post(f"/api/gaps/{quote(gap, safe='')}/accept")
    outcome = {"gap": gap, "closed": False, "by": "accepted", "rows": None, "why_open": None}
    return outcome, "accepted; it stays unclosed, and is open no longer"


def _close(service: Service, gap: str) -> tuple[_Outcome, str]:
    page = f"/api/gaps/{quote(gap, safe='')}"
    service.post(f"{page}/close")
    with Progress(f"{gap}: reading") as progress:
        while (shown := service.get(page))["request"]["state"] == "reading":
            reading = shown.get("reading") or {"done": 0, "expected": 0}
            progress.show(reading["done"], reading["expected"])
            time.sleep(_POLL_SECONDS)
    request = shown["request"]
    closed = request["state"] == "closed"
    rows = request["rows"] if closed else None
    outcome = {
        "gap": gap,
        "closed": closed,
        "by": "read" if closed else None,
        "rows": rows,
        "why_open": None if closed else request["why_open"],
    }
    if not closed:
        return outcome, f"stays open: {request['why_open']}"
    return outcome, "closed" if rows is None else f"closed, {counted(rows, 'row')} delivered"
