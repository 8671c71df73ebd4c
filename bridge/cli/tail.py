"""`tail`: a table's events as lines, read from the journal beside a running service."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from bridge.cli.configuration import load
from bridge.cli.main import OK
from bridge.config import find_file
from bridge.config.named import watched_table
from bridge.delivery.encoding import Writer
from bridge.delivery.tail import Look, look
from bridge.journal import JournalReader
from bridge.supervisor import table_shapes

_POLL_SECONDS = 0.1


def run(arguments: argparse.Namespace) -> int:
    """Print events until `--count` of them are out, or until interrupted."""
    config = load(find_file(arguments.config))
    table = watched_table(config, arguments.table)
    with JournalReader(config.journal.path) as reader:
        oldest, head = reader.bounds()
        start = head if arguments.start is None else arguments.start
        if start < oldest:
            print(f"events before offset {oldest} are not kept any more", file=sys.stderr)
            start = oldest
        elif start > head:
            print(f"waiting: the next event gets offset {head}", file=sys.stderr)
        writer = Writer.of_json(reader.journal_id(), table_shapes(config, [table]))
        _follow(lambda place: look(reader, writer, table, place), start, arguments.count)
    return OK


def _follow(look_from: Callable[[int], Look], start: int, count: int | None) -> None:
    position, left = start, count
    while left is None or left > 0:
        found = look_from(position)
        for span in found.unreadable:
            print(
                f"offsets {span.first} to {span.last} cannot be read: {span.reason}",
                file=sys.stderr,
            )
        for each in found.slices:
            wanted = each if left is None else each.part(0, min(len(each), left))
            if len(wanted):
                sys.stdout.buffer.write(wanted.data)
                left = None if left is None else left - len(wanted)
        sys.stdout.buffer.flush()
        if found.next == position:
            time.sleep(_POLL_SECONDS)
        position = found.next
