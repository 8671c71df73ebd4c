"""Entries as rows of a segment, and back; each row carries checksums over itself.

A checksum has two halves: bits 32 to 62 hold the CRC-32 of the columns, bits 0 to 31 that
of the payload. Schemas are stored as JSON, and reading the same text twice gives the same
object, so that whoever keys a cache by schema finds it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from zlib import crc32

from bridge.events import (
    Alter,
    Block,
    Column,
    Count,
    Drop,
    Entry,
    Gap,
    ReadCause,
    Schema,
    Times,
    Undecodable,
)
from bridge.journal.blocks import MAX_PAYLOAD, MAX_RUNS, join, split
from bridge.journal.moments import between_steps
from bridge.journal.records import StoredEntry

_ROW_BYTES = 64
_COLUMNS_BITS = 0x7FFFFFFF
_CAUSES: dict[str, ReadCause] = {"gap": "gap", "snapshot": "snapshot", "update": "update"}


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
    size: int  # about the bytes that it takes on disk
    block: Block | None  # what it is made of, as it would be read
    after_step: bool = False  # the clock was set back before it


class Origin(NamedTuple):
    """What entries of one source share."""

    table: str
    cluster: str
    schema: Schema | None


def drafts_of(entries: Iterable[Entry]) -> list[Draft]:
    """Turn entries into rows to be, grouped by table, each table's in their order.

    Blocks of one origin that follow each other are joined, large ones split; entries without
    events are left out. What came before and after the clock was set back stays apart.
    """
    drafts: list[Draft] = []
    for run in between_steps(entries):
        more = _grouped(run)
        if drafts and more:
            more[0] = more[0]._replace(after_step=True)
        drafts += more
    return drafts


def _grouped(entries: Iterable[Entry]) -> list[Draft]:
    tables: dict[str, list[Draft]] = {}
    joined: dict[str, _Joined] = {}
    for entry in entries:
        drafts = tables.setdefault(entry.table, [])
        open_now = joined.get(entry.table)
        if isinstance(entry, Block):
            if open_now is None or not open_now.takes(entry):
                if open_now is not None:
                    drafts += open_now.drafts()
                open_now = joined[entry.table] = _Joined()
            open_now.add(entry)
        else:
            if open_now is not None:
                drafts += joined.pop(entry.table).drafts()
            drafts.append(_draft(entry))
    for table, open_now in joined.items():
        tables[table] += open_now.drafts()
    return [draft for drafts in tables.values() for draft in drafts]


class _Joined:
    """Blocks that become one row: it costs as much as many records."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._bytes = 0
        self._runs = 0

    def takes(self, block: Block) -> bool:
        """Whether a block may join."""
        if not self._blocks:
            return True
        first = self._blocks[0]
        return (
            block.schema is first.schema
            and block.type == first.type
            and block.cluster == first.cluster
            and block.cause == first.cause
            and self._bytes + len(block.payload) <= MAX_PAYLOAD
            and self._runs + len(block.times) <= MAX_RUNS
        )

    def add(self, block: Block) -> None:
        """Let a block join; one without records is passed over."""
        if block.count:
            self._blocks.append(block)
            self._bytes += len(block.payload)
            self._runs += len(block.times)

    def drafts(self) -> Iterator[Draft]:
        """Return the row for all of them, or the rows that a large block needs."""
        if self._blocks:
            yield from map(draft_of_block, split(join(self._blocks)))


def draft_of_block(block: Block) -> Draft:
    """Turn a block into the row to be."""
    times: Times | None = block.times if len(block.times) > 1 else None
    detail: str | None = None
    if block.type == "read":
        block = replace(block, cause=block.cause or "gap")
        detail = _json({"cause": block.cause, "times": times})
    elif times is not None:
        detail = _json(times)
    return Draft(
        block.count,
        block.type,
        block.times[0][1],
        block.table,
        block.cluster,
        block.schema,
        detail,
        block.payload,
        _size(detail, block.payload),
        block,
    )


def draft_of(entry: StoredEntry) -> Draft:
    """Turn an entry that was read back into the row to be."""
    return draft_of_block(entry) if isinstance(entry, Block) else _draft(entry)


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
    origin = (entry.table, entry.cluster, None)
    return Draft(1, kind, entry.time, *origin, detail, payload, _size(detail, payload), None)


def _size(detail: str | None, payload: bytes | None) -> int:
    return len(payload or b"") + len(detail or "") + _ROW_BYTES


def stored_draft(draft: Draft) -> StoredEntry:
    """Return the entry that a draft will be read back as."""
    if draft.block is not None:
        return draft.block
    events, kind, time, table, cluster, schema, detail, payload, _, _, _ = draft
    return stored_entry(events, kind, time, Origin(table, cluster, schema), detail, payload)


def stored_entry(
    count: int,
    kind: str,
    time: int,
    origin: Origin,
    detail: str | None,
    payload: bytes | None,
) -> StoredEntry:
    """Build the entry that a row holds.

    Raises:
        ValueError, KeyError, TypeError: the row was not written by this version or an older one.
    """
    table, cluster, _ = origin
    match kind:
        case "insert" | "read":
            return _block(count, kind, time, origin, detail, payload)
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


def _block(
    count: int,
    kind: Literal["insert", "read"],
    time: int,
    origin: Origin,
    detail: str | None,
    payload: bytes | None,
) -> Block:
    table, cluster, schema = origin
    if schema is None or payload is None:
        raise ValueError("records without a schema or a payload")
    found = None if detail is None else json.loads(detail)
    cause: ReadCause | None = None
    if kind == "read":
        cause = "gap"  # what format 1 did not say
        if isinstance(found, dict):
            cause, found = _CAUSES[found["cause"]], found["times"]
    times: Times = ((count, time),)
    if found is not None:
        # Format 1 kept the bytes of each notification as a third number.
        times = tuple((run[0], run[1]) for run in found)
        if sum(records for records, _ in times) != count:
            raise ValueError("the times of a block do not add up")
    return Block(table, cluster, kind, schema, payload, count, times, cause)


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
