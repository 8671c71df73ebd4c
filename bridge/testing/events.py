"""Events as the bridge makes them, for tests."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import orjson

from bridge.events import Event, EventType, rfc3339
from bridge.lines import Lines, Slice

JOURNAL = "9f86d081884c7d65"
CLUSTER = "http://kinetica-a:9191"
FIRST_TIME = 1_795_509_720_123_456  # 2026-11-24, in microseconds since the epoch


def make_event(
    offset: int,
    *,
    table: str = "ki_home.orders",
    type: EventType = "insert",  # noqa: A002 (the event's own word for it)
    record: Mapping[str, Any] | None = None,
    key: Mapping[str, Any] | None = None,
    time: int | None = None,
    journal: str = JOURNAL,
    **members: Any,
) -> Event:
    """Build an event with a well-formed value.

    Args:
        offset: its position; its id and, unless given, its time follow from it.
        table: the qualified name of its table.
        type: insert, read, update, delete, alter, drop or gap.
        record: of an insert or read; `{"order_id": offset}` if not given.
        key: the key columns of a row with their values; none if not given. Every other event
            has the key `{"table": …}`.
        time: microseconds since the epoch.
        journal: 16 hex digits, the first part of the id.
        members: what other types have after the offset, such as `count=3`.

    >>> make_event(7, type="update", count=2).value[-21:]
    b'"offset":7,"count":2}'
    """
    if time is None:
        time = FIRST_TIME + offset
    rows = type in {"insert", "read"}
    if rows:
        members = {"record": {"order_id": offset} if record is None else record} | members
    elif type in {"update", "delete"}:
        members = {"count": 1} | members
    identifier = f"{journal}-{offset}"
    value = {
        "id": identifier,
        "type": type,
        "table": table,
        "cluster": CLUSTER,
        "time": rfc3339(time),
        "offset": offset,
    } | members
    if not rows:
        key = {"table": table}
    return Event(
        offset=offset,
        id=identifier,
        type=type,
        table=table,
        time=time,
        key=None if key is None else orjson.dumps(key),
        value=orjson.dumps(value),
    )


def slices_of(events: Sequence[Event]) -> list[Slice]:
    """Put events together as the bridge hands them to a sink: runs of one table as one slice.

    >>> [len(each) for each in slices_of([make_event(1), make_event(2), make_event(5)])]
    [2, 1]
    """
    runs: list[list[Event]] = []
    for event in events:
        last = runs[-1][-1] if runs else None
        if last is not None and _follows(last, event):
            runs[-1].append(event)
        else:
            runs.append([event])
    return [_slice(run) for run in runs]


def _follows(last: Event, event: Event) -> bool:
    same = (event.table, event.type, event.offset, event.key is None)
    return same == (last.table, last.type, last.offset + 1, last.key is None)


def _slice(events: Sequence[Event]) -> Slice:
    first = events[0]
    lines = [event.value + b"\n" for event in events]
    keys = [event.key for event in events if event.key is not None]
    return Slice(
        Lines(
            first.id.rpartition("-")[0],
            first.table,
            first.type,
            first.offset,
            tuple((1, event.time) for event in events),
            b"".join(lines),
            _ends(lines),
            b"".join(keys) if keys else None,
            _ends(keys) if keys else None,
        ),
        0,
        len(events),
    )


def _ends(pieces: Sequence[bytes]) -> memoryview:
    return memoryview(array("Q", accumulate(map(len, pieces))))
