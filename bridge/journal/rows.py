"""Entries as rows of a segment, and back; each row carries checksums over itself.

A checksum has two halves: bits 32 to 62 hold the CRC-32 of the columns, bits 0 to 31 that
of the payload. Schemas are stored as JSON, and reading the same text twice gives the same
object, so that whoever keys a cache by schema finds it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from zlib import crc32

from bridge.events import Alter, Column, Count, Drop, Entry, Gap, Rows, Schema, Undecodable
from bridge.journal.records import Records, Stored, StoredEntry

# Above this size a notification is stored as several entries, and small ones are not joined:
# a reader's page, and the damage that one bad page does, stay small.
MAX_PAYLOAD = 2**20
MAX_PARTS = 1024
_ROW_BYTES = 64
_COLUMNS_BITS = 0x7FFFFFFF


class Draft(NamedTuple):
    """An entry on its way into a segment, without its offset."""

    events: int
    kind: str
    time: int
    table: str
    cluster: str
    schema: Schema | None
    detail: str | None
    payload: bytes | None


class Origin(NamedTuple):
    """What entries of one source share."""

    table: str
    cluster: str
    schema: Schema | None


def drafts_of(entries: Iterable[Entry]) -> list[Draft]:
    """Turn entries into rows to be: small notifications of one origin joined, large ones split.

    Entries without events are left out.
    """
    drafts: list[Draft] = []
    bundle: _Bundle | None = None
    for entry in entries:
        if not isinstance(entry, Rows):
            if bundle is not None:
                drafts.append(bundle.draft())
                bundle = None
            drafts.append(_draft(entry))
            continue
        for frames, size in _split(entry.frames):
            if bundle is not None and not bundle.takes(entry, size):
                drafts.append(bundle.draft())
                bundle = None
            if bundle is None:
                bundle = _Bundle(entry)
            bundle.add(frames, size, entry.time)
    if bundle is not None:
        drafts.append(bundle.draft())
    return drafts


class _Bundle:
    """Notifications that follow each other and share all but their time: one row for all.

    A row costs as much as a hundred small records, to write and to read. The parts keep their
    own times: `detail` says where each ends.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._frames: list[bytes] = []
        self._parts: list[tuple[int, int, int]] = []
        self._bytes = 0

    def takes(self, rows: Rows, size: int) -> bool:
        """Whether frames of these rows may join, `size` bytes together."""
        mine = self._rows
        return (
            len(self._parts) < MAX_PARTS
            and rows.schema is mine.schema
            and rows.table == mine.table
            and rows.cluster == mine.cluster
            and rows.type == mine.type
            and self._bytes + size <= MAX_PAYLOAD
        )

    def add(self, frames: Sequence[bytes], size: int, time: int) -> None:
        """Join the frames of one notification, `size` bytes together."""
        self._frames.extend(frames)
        self._parts.append((len(frames), time, size))
        self._bytes += size

    def draft(self) -> Draft:
        """Return the row for all of them."""
        rows = self._rows
        return Draft(
            len(self._frames),
            rows.type,
            self._parts[0][1],
            rows.table,
            rows.cluster,
            rows.schema,
            None if len(self._parts) == 1 else _json(self._parts),
            b"".join(self._frames),
        )


def draft_bytes(drafts: Sequence[Draft]) -> int:
    """Return about how many bytes the drafts take on disk."""
    return sum(len(draft.payload or b"") + len(draft.detail or "") + _ROW_BYTES for draft in drafts)


def _split(frames: Sequence[bytes]) -> Iterator[tuple[Sequence[bytes], int]]:
    """Give the frames, cut where they are too large for one row, each part with its bytes."""
    total = sum(map(len, frames))
    if total <= MAX_PAYLOAD:
        if frames:
            yield frames, total
        return
    start = size = 0
    for index, frame in enumerate(frames):
        if index > start and size + len(frame) > MAX_PAYLOAD:
            yield frames[start:index], size
            start, size = index, 0
        size += len(frame)
    yield frames[start:], size


def _draft(entry: Count | Alter | Drop | Gap | Undecodable) -> Draft:
    detail: str | None = None
    payload: bytes | None = None
    match entry:
        case Count():
            kind: str = entry.type
            detail = _json({"count": entry.count})
        case Alter():
            kind = "alter"
            detail = _json({"old": _plain_schema(entry.old), "new": _plain_schema(entry.new)})
        case Drop():
            kind = "drop"
        case Gap():
            kind = "gap"
            gap = asdict(entry)
            detail = _json({name: gap[name] for name in gap.keys() - {"table", "cluster", "time"}})
        case Undecodable():
            kind = "undecodable"
            detail = entry.reason.encode("utf-8", "replace").decode("utf-8")
            payload = entry.payload
    return Draft(1, kind, entry.time, entry.table, entry.cluster, None, detail, payload)


def stored_entries(
    offset: int,
    count: int,
    kind: str,
    time: int,
    origin: Origin,
    detail: str | None,
    payload: bytes | None,
) -> list[Stored]:
    """Build the entries that a row holds.

    Raises:
        ValueError, KeyError, TypeError: the row was not written by this version.
    """
    match kind:
        case "insert" | "read":
            return _records(offset, count, kind, time, origin, detail, payload)
        case _:
            return [Stored(offset, count, _entry(kind, time, origin, detail, payload))]


def _records(
    offset: int,
    count: int,
    kind: Literal["insert", "read"],
    time: int,
    origin: Origin,
    detail: str | None,
    payload: bytes | None,
) -> list[Stored]:
    table, cluster, schema = origin
    if schema is None or payload is None:
        raise ValueError("records without a schema or a payload")
    if detail is None:
        return [Stored(offset, count, Records(table, cluster, time, kind, schema, payload, count))]
    stored: list[Stored] = []
    end, begin, last = offset + count, 0, len(payload)
    for events, received, size in json.loads(detail):
        part = payload[begin : begin + size]
        entry = Records(table, cluster, received, kind, schema, part, events)
        stored.append(Stored(offset, events, entry))
        offset, begin = offset + events, begin + size
    if offset != end or begin != last:
        raise ValueError("the parts of an entry do not add up")
    return stored


def _entry(
    kind: str, time: int, origin: Origin, detail: str | None, payload: bytes | None
) -> StoredEntry:
    table, cluster, _ = origin
    match kind:
        case "update" | "delete":
            return Count(table, cluster, time, kind, json.loads(detail or "")["count"])
        case "alter":
            schemas = json.loads(detail or "")
            old, new = (_schema_from(schemas[name]) for name in ("old", "new"))
            return Alter(table, cluster, time, old, new)
        case "drop":
            return Drop(table, cluster, time)
        case "gap":
            return Gap(table, cluster, time, **json.loads(detail or ""))
        case "undecodable":
            return Undecodable(table, cluster, time, payload or b"", detail or "")
        case _:
            raise ValueError(f"unknown kind of entry {kind!r}")


def row_checksum(
    offset: int,
    count: int,
    kind: str,
    time: int,
    origin_id: int,
    detail: str | None,
    payload: bytes | None,
) -> int:
    """Return both halves of an entry's checksum as one integer of 63 bits."""
    columns = columns_checksum(offset, count, kind, time, origin_id, detail)
    return columns << 32 | crc32(payload or b"")


def columns_checksum(
    offset: int, count: int, kind: str, time: int, origin_id: int, detail: str | None
) -> int:
    """Return the upper half of an entry's checksum."""
    text = f"{offset} {count} {kind} {time} {origin_id} {detail}"
    return crc32(text.encode("utf-8", "surrogatepass")) & _COLUMNS_BITS


def checksum(*fields: object) -> int:
    """Return the CRC-32 of a small row's columns."""
    return crc32(repr(fields).encode("utf-8", "surrogatepass"))


def with_checksums(facts: Mapping[str, object]) -> list[tuple[str, object, int]]:
    """Return name, value and checksum for each fact."""
    return [(name, value, checksum(name, value)) for name, value in facts.items()]


def schema_text(schema: Schema) -> str:
    """Write a schema as the JSON under which it is stored."""
    return _json(_plain_schema(schema))


@lru_cache(maxsize=4096)
def parse_schema_text(text: str) -> Schema:
    """Read a stored schema; the same text gives the same object.

    Raises:
        ValueError, KeyError, TypeError: the text was not written by this version.
    """
    return _schema_from(json.loads(text))


def _plain_schema(schema: Schema) -> dict[str, Any]:
    return {
        "type_id": schema.type_id,
        "columns": [[c.name, c.base, c.type, c.nullable] for c in schema.columns],
        "primary_key": list(schema.primary_key),
    }


def _schema_from(plain: dict[str, Any]) -> Schema:
    columns = tuple(Column(*column) for column in plain["columns"])
    return Schema(plain["type_id"], columns, tuple(plain["primary_key"]))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
