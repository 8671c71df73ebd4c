"""The JSON form of an event: one compact UTF-8 object, its keys in a fixed order.

    {"id":…,"type":…,"table":…,"cluster":…,"time":…,"offset":…, and what the type adds}

Rows are written by the codec, a block at a time, along a template: what all events of the block
share is put together here, once. Whatever is one event by itself is `Lines` of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from bridge.codec import Form, Slot
from bridge.events import Alter, Block, Count, Drop, EventType, Gap, Schema, Times, rfc3339
from bridge.lines import Lines

# The entries that are exactly one event.
Single = Count | Alter | Drop | Gap


def template(journal_id: str, block: Block) -> Sequence[bytes | Slot]:
    """Return the pieces of which the line of each of a block's rows is made, in order.

    Args:
        journal_id: 16 hexadecimal digits.
        block: the rows; its payload is not looked at.
    """
    return _template(journal_id, block.type, block.table, block.cluster, block.cause)


@lru_cache(maxsize=1024)  # blocks of a trickle are small, and all alike in this
def _template(
    journal_id: str, type_: str, table: str, cluster: str, cause: str | None
) -> Sequence[bytes | Slot]:
    shared = {"type": type_, "table": table, "cluster": cluster}
    tail = b"}" if cause is None else b',"cause":"%b"}' % cause.encode()
    return (
        b'{"id":"%b-' % journal_id.encode(),
        Slot.OFFSET,
        b'",' + orjson.dumps(shared)[1:-1] + b',"time":"',
        Slot.TIME,
        b'","offset":',
        Slot.OFFSET,
        b',"record":',
        Slot.RECORD,
        tail,
    )


def row_lines(
    journal_id: str,
    first: int,
    block: Block,
    form: Form,
    *,
    payload: bytes,
    count: int,
    times: Times,
) -> Lines:
    """Write rows of a block as events.

    Args:
        journal_id: 16 hexadecimal digits.
        first: offset of the first of them.
        block: what they share.
        form: writes the records of the block's layout.
        payload: their Avro bytes.
        count: how many they are.
        times: when they were received.

    Raises:
        DecodeError: the bytes are no records of the layout.
    """
    pieces = template(journal_id, block)
    buffer, ends, keys, key_ends = form.lines(
        payload, count, template=pieces, first=first, times=times
    )
    return Lines(journal_id, block.table, block.type, first, times, buffer, ends, keys, key_ends)


def single_lines(journal_id: str, offset: int, entry: Single) -> Lines:
    """Write an entry that is exactly one event as that event."""
    type_, members = _members(entry)
    value = {
        "id": f"{journal_id}-{offset}",
        "type": type_,
        "table": entry.table,
        "cluster": entry.cluster,
        "time": rfc3339(entry.time),
        "offset": offset,
    } | members
    line = orjson.dumps(value) + b"\n"
    key = orjson.dumps({"table": entry.table})
    times = ((1, entry.time),)
    ends, key_ends = _end(line), _end(key)
    return Lines(journal_id, entry.table, type_, offset, times, line, ends, key, key_ends)


def key_columns(schema: Schema, key: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns of a row's key.

    Args:
        schema: its layout.
        key: as configured; None for the primary key. Columns that the layout does not have are
            left out, and without any left a row has no key.
    """
    present = {column.name for column in schema.columns}
    return tuple(name for name in (schema.primary_key if key is None else key) if name in present)


def _members(entry: Single) -> tuple[EventType, dict[str, Any]]:
    match entry:
        case Count():
            return entry.type, {"count": entry.count}
        case Alter():
            return "alter", {"old": _columns(entry.old), "new": _columns(entry.new)}
        case Drop():
            return "drop", {}
        case Gap():
            members: dict[str, Any] = {
                "gap": entry.gap,
                "since": rfc3339(entry.since),
                "until": rfc3339(entry.until),
                "reason": entry.reason,
                "closed": entry.closed,
            }
            if entry.closed:
                members["rows"] = entry.rows
            if entry.by is not None:
                members["by"] = entry.by
            return "gap", members


def _columns(schema: Schema) -> list[dict[str, Any]]:
    return [{"name": c.name, "type": c.type, "nullable": c.nullable} for c in schema.columns]


def _end(data: bytes) -> memoryview:
    return memoryview(len(data).to_bytes(8, "little")).cast("Q")
