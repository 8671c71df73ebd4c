"""`sinks`: how each sink stands, table by table; paused, resumed, and helped over an event."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from bridge.cli.beside import ask_or_do
from bridge.cli.configuration import load
from bridge.cli.listing import print_json, print_table
from bridge.cli.main import OK, RUNTIME
from bridge.cli.service import NotRunning, Service
from bridge.config import Config, find_file
from bridge.config.named import known_sink, watched_table
from bridge.errors import BridgeError
from bridge.journal import WHOLE, Journal, JournalReader, overview
from bridge.supervisor.sinks import stored_sinks

_HEADERS = (
    "sink",
    "table",
    "state",
    "cursor",
    "pending",
    "waiting",
    "lag",
    "dead letters",
    "error",
)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `sinks ls`, `pause`, `resume` or `skip`."""
    config = load(find_file(arguments.config))
    match arguments.action:
        case "ls":
            return _list(config, arguments)
        case "skip":
            return _skip(config, arguments)
        case _:
            return _pause(config, arguments)


def _list(config: Config, arguments: argparse.Namespace) -> int:
    try:
        sinks: list[dict[str, Any]] = Service(config).get("/api/sinks")["sinks"]
    except NotRunning as error:
        print(f"{error}: this is what it left in the journal", file=sys.stderr)
        with JournalReader(config.journal.path) as reader:
            letters = {lane: there.count for lane, there in reader.letter_sums().items()}
            sinks = list(stored_sinks(overview(config.journal.path), reader.paused(), letters))
    rows = list(_rows(sinks))
    if arguments.json:
        print_json(rows)
    else:
        print_table(_HEADERS, map(_as_row, rows))
    return OK


def _rows(sinks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row for each lane; a sink that gets no table has one of its own."""
    for sink in sinks:
        for lane in sink["tables"]:
            since = lane["paused_since"] or sink["paused_since"]
            yield {"sink": sink["sink"], **lane, "paused_since": since}
        if not sink["tables"]:
            yield {"sink": sink["sink"], "table": None} | {
                key: sink[key] for key in ("state", "error", "paused_since", "dead_letters")
            }


def _as_row(row: dict[str, Any]) -> tuple[object, ...]:
    lag = row.get("lag_seconds")
    return (
        row["sink"],
        row["table"] or "",
        row["state"],
        row.get("cursor", ""),
        row.get("pending", ""),
        row.get("waiting", ""),
        "" if lag is None else f"{lag:.1f}s",
        row["dead_letters"],
        row["error"] or "",
    )


def _pause(config: Config, arguments: argparse.Namespace) -> int:
    sink, table = _known(config, arguments)
    action: str = arguments.action

    def do(journal: Journal) -> bool:
        if sink not in journal.sinks():
            raise BridgeError(f"{sink} is not in the journal yet: start the service once")
        if action == "pause":
            return journal.pauses.pause(sink, table or WHOLE, int(time.time() * 1e6))
        return journal.pauses.resume(sink, table or WHOLE)

    changed = ask_or_do(
        config, lambda service: bool(service.post(_page(sink, action, table))["changed"]), do
    )
    if arguments.json:
        print_json([{"sink": sink, "table": table, "changed": changed}])
    else:
        done = {"pause": "paused", "resume": "resumed"}[action]
        before = {"pause": "was paused already", "resume": "was not paused"}[action]
        print(f"{sink}{f', {table}' if table else ''}: {done if changed else before}")
    return OK


def _skip(config: Config, arguments: argparse.Namespace) -> int:
    sink, table = _known(config, arguments)
    try:
        told = Service(config).post(_page(sink, "skip", table))
    except NotRunning as error:
        raise BridgeError(f"{error}; an event is skipped by the running service") from None
    skipped = told["skipped"]
    if arguments.json:
        print_json([told])
    elif skipped is None:
        print(f"{sink}, {table}: nothing waits", file=sys.stderr)
    else:
        number, event = skipped["number"], skipped["id"]
        print(f"{sink}, {table}: set aside {event}, now dead letter {number}")
    return OK if skipped is not None else RUNTIME


def _known(config: Config, arguments: argparse.Namespace) -> tuple[str, str | None]:
    """Return the sink and the table that the arguments name.

    Raises:
        ConfigurationError: there is no such sink, or no such table.
    """
    sink = known_sink(config, arguments.sink)
    table = None if arguments.table is None else watched_table(config, arguments.table)
    return sink, table


def _page(sink: str, action: str, table: str | None) -> str:
    query = f"?{urlencode({'table': table})}" if table is not None else ""
    return f"/api/sinks/{quote(sink)}/{action}{query}"
