"""The JSON form of an event: one compact UTF-8 object, its keys in a fixed order.

    {"id":…,"type":…,"table":…,"cluster":…,"time":…,"offset":…, and what the type adds}

The part before a record is the same for all records of an entry but for its offset, so it
is written once. Rows come by the hundred thousand a second: what is done for each of them is
done by iterators, one step for all rows, without a line of Python in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any

import orjson

from bridge.codec import Codec, Values
from bridge.events import Alter, Count, Drop, Event, EventType, Gap, Schema, rfc3339
from bridge.journal import Records

# What `Event` itself does, without its arguments' names.
_make_event: Callable[[tuple[Any, ...]], Event] = partial(tuple.__new__, Event)

# The entries that are exactly one event.
Single = Count | Alter | Drop | Gap


def row_events(
    journal_id: str,
    first: int,
    records: Records,
    codec: Codec,
    *,
    key: Sequence[str] | None,
    values: Values,
    keyed: bool = True,
) -> list[Event]:
    """Turn the rows of one entry into events.

    Args:
        journal_id: 16 hexadecimal digits.
        first: offset of the first row.
        records: the rows.
        codec: of the rows' schema.
        key: columns of the message key; None for the table's primary key. Columns that the
            layout does not have are left out, and without any left a row has no key.
        values: the form of the values, `declared` or `kinetica`.
        keyed: whether somebody wants the keys; else every row's key is None.

    Raises:
        DecodeError: the bytes are no records of the schema.
    """
    columns = _key_columns(records.schema, key) if keyed else ()
    count, type_, table, time = records.count, records.type, records.table, records.time
    bodies = codec.transcode(records.payload, count, values=values)
    keys: Iterable[bytes | None] = (
        codec.transcode(records.payload, count, values=values, columns=columns)
        if columns
        else repeat(None, count)
    )
    head, middle = _frame(journal_id, type_, table, records.cluster, time)
    offsets = range(first, first + count)
    digits = list(map(str, offsets))
    in_bytes = " ".join(digits).encode().split()  # a call for all, not one a number
    rows = zip(
        offsets,
        map(f"{journal_id}-".__add__, digits),
        repeat(type_, count),
        repeat(table, count),
        repeat(time, count),
        keys,
        map(
            b"".join,
            zip(
                repeat(head, count),
                in_bytes,
                repeat(middle, count),
                in_bytes,
                repeat(b',"record":', count),
                bodies,
                repeat(b"}", count),
                strict=True,
            ),
        ),
        strict=True,
    )
    return list(map(_make_event, rows))


def single_event(journal_id: str, offset: int, entry: Single) -> Event:
    """Turn an entry that is exactly one event into that event."""
    type_, members = _members(entry)
    head, middle = _frame(journal_id, type_, entry.table, entry.cluster, entry.time)
    tail = orjson.dumps(members)[1:]  # what follows the opening brace
    separator = b"," if members else b""
    value = b"%b%d%b%d%b%b" % (head, offset, middle, offset, separator, tail)
    key = orjson.dumps({"table": entry.table})
    return Event(offset, f"{journal_id}-{offset}", type_, entry.table, entry.time, key, value)


def _frame(journal_id: str, type_: str, table: str, cluster: str, time: int) -> tuple[bytes, bytes]:
    """Return what stands before an event's id ends, and what between id and offset."""
    shared = orjson.dumps(
        {"type": type_, "table": table, "cluster": cluster, "time": rfc3339(time)}
    )
    return f'{{"id":"{journal_id}-'.encode(), b'",' + shared[1:-1] + b',"offset":'


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
            return "gap", members | ({"rows": entry.rows} if entry.closed else {})


def _columns(schema: Schema) -> list[dict[str, Any]]:
    return [{"name": c.name, "type": c.type, "nullable": c.nullable} for c in schema.columns]


def _key_columns(schema: Schema, key: Sequence[str] | None) -> list[str]:
    present = {column.name for column in schema.columns}
    return [name for name in (schema.primary_key if key is None else key) if name in present]
