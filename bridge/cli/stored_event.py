"""One event as the journal has it, and what became of it: `journal show`."""

from __future__ import annotations

import base64
import sys
from typing import Any

import orjson

from bridge.cli.listing import print_json
from bridge.cli.main import OK, RUNTIME
from bridge.config import Config
from bridge.delivery.encoding import Writer
from bridge.delivery.letters import as_json
from bridge.errors import DecodeError
from bridge.events import Block, Undecodable, rfc3339
from bridge.formats.singles import members_of
from bridge.journal import (
    JournalReader,
    Overview,
    Stored,
    StoredEntry,
    one_event,
    overview,
)
from bridge.supervisor import table_shapes


def show(config: Config, offset: int, *, as_json: bool) -> int:
    """Print the event at an offset."""
    found = overview(config.journal.path)
    with JournalReader(config.journal.path) as reader:
        stored = _stored(reader, offset)
        if stored is None:
            held = f"it has offsets {found.oldest} to {found.head - 1}, where nothing was pruned"
            print(f"the journal has no event {offset}: {held}", file=sys.stderr)
            return RUNTIME
        letters = reader.letters_of(stored.entry.table, offset)
    fields = _fields(config, found, stored, offset, letters)
    if as_json:
        print_json([fields])
    else:
        print(orjson.dumps(fields, option=orjson.OPT_INDENT_2).decode())
    return OK


def _stored(reader: JournalReader, offset: int) -> Stored | None:
    page = reader.read(offset, max_bytes=1, max_entries=1)
    found = [each for each in page.entries if each.offset <= offset < each.offset + each.count]
    return found[0] if found else None


def _fields(
    config: Config, found: Overview, stored: Stored, offset: int, letters: dict[str, int]
) -> dict[str, Any]:
    try:
        entry: StoredEntry = one_event(stored, offset)
        problem = None
    except DecodeError as error:
        entry, problem = stored.entry, str(error)
    table = entry.table
    fields: dict[str, Any] = {
        "offset": offset,
        "id": f"{found.id}-{offset}",
        "type": _type(entry),
        "table": table,
        "cluster": entry.cluster,
        "time": rfc3339(entry.time),
        "entry": {"offset": stored.offset, "events": stored.count},
    }
    if isinstance(entry, Undecodable):
        fields |= {"reason": entry.reason, "raw": base64.b64encode(entry.payload).decode()}
    elif problem is not None:
        fields |= {"reason": problem}
    else:
        writer = Writer.of_json(found.id, table_shapes(config, [table]))
        event = as_json(writer, offset, entry)
        fields["event"] = None if event is None else orjson.Fragment(event)
    if isinstance(entry, Block):
        fields["type_id"] = entry.schema.type_id
        fields["layout"] = [
            {"name": column.name, "type": column.type, "nullable": column.nullable}
            for column in entry.schema.columns
        ]
    fields["sinks"] = {
        sink.sink: _fate(sink.sink, sink.lanes[table], offset, letters, found)
        for sink in found.sinks
        if table in sink.lanes
    }
    return fields


def _fate(sink: str, lane: Any, offset: int, letters: dict[str, int], found: Overview) -> Any:
    if sink in letters:
        return {"dead_letter": letters[sink]}
    if offset in lane.waiting:
        return "waiting"
    return "settled" if offset < lane.cursor or lane.start >= found.head else "pending"


def _type(entry: StoredEntry) -> str:
    if isinstance(entry, Undecodable):
        return "undecodable"
    return entry.type if isinstance(entry, Block) else members_of(entry)[0]
