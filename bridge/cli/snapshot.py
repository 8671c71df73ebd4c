"""`snapshot`: all rows of a table as they stand, delivered beside the live stream."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any
from urllib.parse import quote

from bridge.cli.configuration import load
from bridge.cli.listing import counted, print_json
from bridge.cli.main import OK, RUNTIME
from bridge.cli.progress import Progress
from bridge.cli.service import NotRunning, Service
from bridge.config import find_file
from bridge.config.named import watched_table
from bridge.errors import BridgeError

_POLL_SECONDS = 0.2


def run(arguments: argparse.Namespace) -> int:
    """Begin a snapshot and watch it to its end, or end one; 1 where not all was delivered."""
    config = load(find_file(arguments.config))
    table = watched_table(config, arguments.table)
    service, page = Service(config), f"/api/snapshots/{quote(table, safe='')}"
    try:
        if arguments.stop:
            service.delete(page)
        else:
            service.post(page)
        shown = _watch(service, page, table)
    except NotRunning as error:
        raise BridgeError(f"{error}; a snapshot is taken by the running service") from None
    except KeyboardInterrupt:
        again = f"kinetica-bridge snapshot {table} --stop"
        print(f"\nthe snapshot of {table} goes on; `{again}` ends it", file=sys.stderr)
        return 130
    if arguments.json:
        print_json([shown])
    elif shown["why"] is None:
        print(f"{table}: {counted(shown['rows'], 'row')} delivered")
    else:
        print(f"{table}: ended: {shown['why']}")
    return OK if shown["why"] is None or arguments.stop else RUNTIME


def _watch(service: Service, page: str, table: str) -> dict[str, Any]:
    with Progress(f"{table}: reading") as progress:
        while True:
            shown: dict[str, Any] = service.get(page)
            if shown["state"] != "reading":
                return shown
            reading = shown["reading"] or {"done": 0, "expected": 0}
            progress.show(reading["done"], reading["expected"])
            time.sleep(_POLL_SECONDS)
