"""`tail`: a table's events as lines, read from the journal beside a running service."""

from __future__ import annotations

import argparse
import sys
import time

from bridge.cli.main import OK
from bridge.config import find_file, load
from bridge.delivery.rendering import Renderer
from bridge.errors import BridgeError, DecodeError
from bridge.journal import JournalReader
from bridge.supervisor import table_forms
from bridge.wire.calls import qualified

_POLL_SECONDS = 0.1


def run(arguments: argparse.Namespace) -> int:
    """Print events until `--count` of them are out, or until interrupted."""
    config = load(find_file(arguments.config))
    table = qualified(arguments.table)
    names = sorted(qualified(t.name) for t in config.tables)
    if table not in names:
        raise BridgeError(f"no table {table} in the configuration: known are {', '.join(names)}")
    with JournalReader(config.journal.path) as reader:
        oldest, head = reader.bounds()
        start = head if arguments.start is None else arguments.start
        if start < oldest:
            print(f"events before offset {oldest} are not kept any more", file=sys.stderr)
            start = oldest
        renderer = Renderer(reader.overview().id, table_forms(config))
        _follow(reader, renderer, table, start, arguments.count)
    return OK


def _follow(
    reader: JournalReader, renderer: Renderer, table: str, start: int, count: int | None
) -> None:
    position, left = start, count
    while left is None or left > 0:
        page = reader.read(position, tables=[table])
        for damage in page.damaged:
            print(
                f"offsets {damage.first} to {damage.last} cannot be read: {damage.reason}",
                file=sys.stderr,
            )
        for stored in page.entries:
            try:
                events = renderer.events(stored)
            except DecodeError as error:
                print(f"offset {stored.offset} cannot be read: {error}", file=sys.stderr)
                continue
            for event in events:
                if event.offset < start:
                    continue
                sys.stdout.buffer.write(event.value + b"\n")
                if left is not None:
                    left -= 1
                    if left == 0:
                        break
            if left == 0:
                break
        sys.stdout.buffer.flush()
        if page.next == position:
            time.sleep(_POLL_SECONDS)
        position = page.next
