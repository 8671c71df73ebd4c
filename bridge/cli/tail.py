"""`tail`: a table's events as lines, read from the journal beside a running service."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from bridge.cli.main import OK
from bridge.cli.tables import one_table
from bridge.config import find_file, load
from bridge.delivery.encoding import Encoder
from bridge.errors import DecodeError
from bridge.events import Undecodable
from bridge.formats.base import Output
from bridge.formats.json import JsonFormat
from bridge.journal import JournalReader, Stored, overview
from bridge.lines import Lines, Slice
from bridge.supervisor import table_shapes

_POLL_SECONDS = 0.1


def run(arguments: argparse.Namespace) -> int:
    """Print events until `--count` of them are out, or until interrupted."""
    config = load(find_file(arguments.config))
    table = one_table(config, arguments.table)
    with JournalReader(config.journal.path) as reader:
        oldest, head = reader.bounds()
        start = head if arguments.start is None else arguments.start
        if start < oldest:
            print(f"events before offset {oldest} are not kept any more", file=sys.stderr)
            start = oldest
        encoder = Encoder(overview(config.journal.path).id, keep_bytes=0)
        output = Output(JsonFormat(), table_shapes(config, [table]), keyed=False)
        _follow(reader, partial(_lines, encoder, output), table, start, arguments.count)
    return OK


def _follow(
    reader: JournalReader,
    lines_of: Callable[[Stored], Iterator[Lines]],
    table: str,
    start: int,
    count: int | None,
) -> None:
    position, left = start, count
    while left is None or left > 0:
        page = reader.read(position, tables=[table])
        for damage in page.damaged:
            _say(damage.first, damage.last, damage.reason)
        for stored in page.entries:
            for lines in lines_of(stored):
                first = max(0, start - lines.first)
                last = len(lines) if left is None else min(len(lines), first + left)
                if first < last:
                    sys.stdout.buffer.write(Slice(lines, first, last).data)
                    left = None if left is None else left - (last - first)
        sys.stdout.buffer.flush()
        if page.next == position:
            time.sleep(_POLL_SECONDS)
        position = page.next


def _lines(encoder: Encoder, output: Output, stored: Stored) -> Iterator[Lines]:
    if isinstance(stored.entry, Undecodable):
        return
    try:
        for piece in encoder.pieces(stored, output):
            yield encoder.lines(stored, piece, output)
    except DecodeError as error:
        _say(stored.offset, stored.offset + stored.count - 1, str(error))


def _say(first: int, last: int, reason: str) -> None:
    print(f"offsets {first} to {last} cannot be read: {reason}", file=sys.stderr)
