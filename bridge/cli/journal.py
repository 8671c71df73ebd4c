"""`journal`: what is stored and where each sink stands, read beside a running service."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from bridge.cli.configuration import load
from bridge.cli.listing import print_json, print_table
from bridge.cli.main import OK
from bridge.cli.stored_event import show
from bridge.config import find_file
from bridge.events import rfc3339
from bridge.journal import Overview, Replay, SegmentSummary, SinkSummary, overview, stored_replays
from bridge.supervisor.replays import replay_fields

_SEGMENT_HEADERS = ("segment", "events", "bytes", "from", "to")
_REPLAY_HEADERS = (
    "replay", "sink", "of", "state", "begun", "expected", "replayed", "refused", "gone",
)  # fmt: skip
_LANE_HEADERS = (
    "table",
    "cursor",
    "pending",
    "waiting",
    "received",
    "delivered",
    "dead",
    "discarded",
)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `journal ls` or `show`."""
    config = load(find_file(arguments.config))
    if arguments.action == "show":
        return show(config, arguments.offset, as_json=arguments.json)
    found, replays = overview(config.journal.path), stored_replays(config.journal.path)
    if arguments.json:
        print_json(_as_json(found))
        print_json(map(replay_fields, replays))
        return OK
    print(f"journal {found.id} in {config.journal.path}")
    print(f"offsets {found.oldest} to {found.head}, the next one\n")
    print_table(_SEGMENT_HEADERS, map(_segment_row, found.segments))
    for sink in found.sinks:
        print(f"\nsink {sink.sink}: dead letters {sink.dead_letters}")
        print_table(_LANE_HEADERS, _lane_rows(sink))
    if replays:
        print()
        print_table(_REPLAY_HEADERS, map(_replay_row, replays))
    return OK


def _segment_row(segment: SegmentSummary) -> tuple[object, ...]:
    events = "?" if segment.events is None else segment.events
    if segment.problem is not None:
        return segment.first, events, segment.bytes, segment.problem, ""
    begin, end = _time(segment.oldest_time) or "", _time(segment.newest_time) or ""
    return segment.first, events, segment.bytes, begin, end


def _replay_row(replay: Replay) -> tuple[object, ...]:
    fields = replay_fields(replay)
    return tuple(fields[name] for name in _REPLAY_HEADERS)


def _lane_rows(sink: SinkSummary) -> Iterator[tuple[object, ...]]:
    for account in sink.accounts:
        lane = sink.lanes.get(account.table)
        yield (
            account.table,
            "-" if lane is None else lane.cursor,
            account.pending,
            0 if lane is None else len(lane.waiting),
            account.received,
            account.delivered,
            account.dead_lettered,
            account.discarded,
        )


def _as_json(found: Overview) -> Iterator[dict[str, Any]]:
    for segment in found.segments:
        yield {
            "segment": segment.first,
            "events": segment.events,
            "bytes": segment.bytes,
            "from": _time(segment.oldest_time),
            "to": _time(segment.newest_time),
            "problem": segment.problem,
        }
    for sink in found.sinks:
        for account in sink.accounts:
            lane = sink.lanes.get(account.table)
            yield {
                "sink": sink.sink,
                "table": account.table,
                "cursor": None if lane is None else lane.cursor,
                "waiting": 0 if lane is None else len(lane.waiting),
                "received": account.received,
                "delivered": account.delivered,
                "dead_lettered": account.dead_lettered,
                "discarded": account.discarded,
                "pending": account.pending,
            }


def _time(time: int | None) -> str | None:
    return None if time is None else rfc3339(time)
