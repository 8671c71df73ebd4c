"""`journal`: what is stored and where each sink stands, read beside a running service."""

from __future__ import annotations

import argparse

from bridge.cli.main import OK
from bridge.config import find_file, load
from bridge.events import rfc3339
from bridge.journal import JournalReader, SegmentSummary


def run(arguments: argparse.Namespace) -> int:
    """Print the journal's segments and the sinks' cursors and accounts."""
    config = load(find_file(arguments.config))
    with JournalReader(config.journal.path) as reader:
        overview = reader.overview()
    print(f"journal {overview.id} in {config.journal.path}")
    print(f"offsets {overview.oldest} to {overview.head}, the next one\n")
    print(f"{'segment':>20} {'events':>12} {'bytes':>14}  from, to")
    for segment in overview.segments:
        print(_segment_line(segment))
    for sink in overview.sinks:
        behind = sum(account.pending for account in sink.accounts)
        print(
            f"\nsink {sink.sink}: cursor {sink.cursor}, pending {behind}, "
            f"dead letters {sink.dead_letters}"
        )
        if sink.accounts:
            print(f"  {'received':>12} {'delivered':>12} {'dead':>8} {'discarded':>10}  table")
        for account in sink.accounts:
            print(
                f"  {account.received:>12} {account.delivered:>12} {account.dead_lettered:>8} "
                f"{account.discarded:>10}  {account.table}"
            )
    return OK


def _segment_line(segment: SegmentSummary) -> str:
    if segment.problem is not None:
        return f"{segment.first:>20} {'?':>12} {segment.bytes:>14}  {segment.problem}"
    times = [
        rfc3339(time) for time in (segment.oldest_time, segment.newest_time) if time is not None
    ]
    return f"{segment.first:>20} {segment.events:>12} {segment.bytes:>14}  {', '.join(times)}"
