"""`status`: the running service on one screen, from what is wrong to where the journal stands."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import datetime
from typing import Any

from bridge.cli.configuration import load
from bridge.cli.listing import counted, print_table
from bridge.cli.main import OK
from bridge.cli.service import Service
from bridge.config import find_file
from bridge.units import size_text

_WATCH_SECONDS = 2.0
_CLEAR = "\x1b[H\x1b[2J"
_TABLE_HEADERS = ("table", "state", "since", "rows/s", "received", "last event", "gaps", "why")
_SINK_HEADERS = (
    "sink",
    "state",
    "lag",
    "pending",
    "events/s",
    "delivered",
    "dead letters",
    "discarded",
    "why",
)
_GAP_HEADERS = ("gap", "table", "since", "reason", "why open")


def run(arguments: argparse.Namespace) -> int:
    """Print how the service stands, once, or again and again until interrupted."""
    service = Service(load(find_file(arguments.config)))
    while True:
        status = service.get("/api/status")
        if arguments.json:
            print(json.dumps(status), flush=True)
        else:
            if arguments.watch and sys.stdout.isatty():
                print(_CLEAR, end="")
            _show(status)
        if not arguments.watch:
            return OK
        time.sleep(_WATCH_SECONDS)


def _show(status: dict[str, Any]) -> None:
    bridge, problems, journal = status["bridge"], status["problems"], status["journal"]
    name = "" if bridge["instance"] == "default" else f" ({bridge['instance']})"
    verdict = "all is well" if not problems else counted(len(problems), "problem")
    verdict = "draining" if bridge["status"] == "draining" else verdict
    up = _age(bridge["started"], bridge)
    print(f"kinetica-bridge {bridge['version']}{name}, up {up}: {verdict}")
    for problem in problems:
        print(f"  {problem['kind']} {problem['name']}: {problem['what']}")
        print(f"      {problem['cure'].replace('`', '')}")
    ring = [each["url"] + (" (in use)" if each["in_use"] else "") for each in status["ring"]]
    print(f"\nring     {', '.join(ring)}; {counted(status['failovers'], 'failover')}")
    events = counted(journal["head"] - journal["oldest"], "event")
    room = f"{size_text(journal['bytes'])} of {size_text(journal['max_bytes'])}"
    print(f"journal  {room}, {events}, next offset {journal['head']}\n")
    print_table(_TABLE_HEADERS, [_table_row(table, bridge) for table in status["tables"]])
    print()
    print_table(_SINK_HEADERS, [_sink_row(sink) for sink in status["sinks"]])
    if status["gaps"]:
        print()
        print_table(_GAP_HEADERS, [_gap_row(gap, bridge) for gap in status["gaps"]])


def _table_row(table: dict[str, Any], bridge: dict[str, Any]) -> tuple[object, ...]:
    reading, last = table["reading"], table["last_event"]
    why = table["reason"] or ""
    if reading:
        why = f"reading: {reading['done']:,} of {reading['expected']:,} rows"
    return (
        table["table"],
        table["state"],
        _age(table["since"], bridge),
        f"{table['rate']:.1f}",
        table["received"],
        "" if last is None else f"{_age(last, bridge)} ago",
        table["gaps"] or "",
        why,
    )


def _sink_row(sink: dict[str, Any]) -> tuple[object, ...]:
    waiting = [f"{table} waits: {error}" for table, error in sink["waiting"].items()]
    return (
        sink["sink"],
        sink["state"],
        _span(sink["lag"]),
        sink["pending"],
        f"{sink['rate']:.1f}",
        sink["delivered"],
        sink["dead_lettered"],
        sink["discarded"],
        "; ".join(filter(None, [sink["error"], *waiting])),
    )


def _gap_row(gap: dict[str, Any], bridge: dict[str, Any]) -> tuple[object, ...]:
    since = _age(gap["since"], bridge)
    return gap["gap"], gap["table"], f"{since} ago", gap["reason"], gap["why_open"]


def _age(then: str, bridge: dict[str, Any]) -> str:
    """Return how long ago something was, by the service's clock."""
    now = datetime.fromisoformat(bridge["time"])
    return _span(max(0.0, (now - datetime.fromisoformat(then)).total_seconds()))


def _span(seconds: float) -> str:
    """Return a time span in its largest unit.

    >>> _span(0.2), _span(100), _span(300), _span(90_000), _span(900_000)
    ('0 s', '100 s', '5 min', '25 h', '10 d')
    """
    for unit, length, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // 86400)} d"
