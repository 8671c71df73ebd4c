"""What is exactly one event: its members, its JSON form, and the lines of one."""

from __future__ import annotations

from abc import ABC
from dataclasses import replace
from typing import Any

import orjson

from bridge.events import Alter, Count, Drop, EventType, Gap, Schema, rfc3339
from bridge.formats.base import Format, Single
from bridge.lines import Lines


class RowsAlone(Format, ABC):
    """A format that has no form for what is no row: that goes as a notification."""

    def single(self, journal_id: str, offset: int, entry: Single) -> Lines:
        """See `Format.single`."""
        return replace(as_json(journal_id, offset, entry), notification=True)


def as_json(journal_id: str, offset: int, entry: Single) -> Lines:
    """Write an entry as the JSON form of its event."""
    type_, members = members_of(entry)
    value = {
        "id": f"{journal_id}-{offset}",
        "type": type_,
        "table": entry.table,
        "cluster": entry.cluster,
        "time": rfc3339(entry.time),
        "offset": offset,
    } | members
    return one_line(journal_id, offset, entry, orjson.dumps(value))


def one_line(journal_id: str, offset: int, entry: Single, value: bytes) -> Lines:
    """Return an event's value as the lines of it alone, with the key that it has."""
    line, key = value + b"\n", key_of_single(entry)
    times = ((1, entry.time),)
    type_, _ = members_of(entry)
    return Lines(journal_id, entry.table, type_, offset, times, line, _end(line), key, _end(key))


def key_of_single(entry: Single) -> bytes:
    """Return the message key of what is no row."""
    return orjson.dumps({"table": entry.table})


def members_of(entry: Single) -> tuple[EventType, dict[str, Any]]:
    """Return the type of an event that is no row, and what its type adds to it."""
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
