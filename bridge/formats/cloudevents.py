"""CloudEvents, structured: one JSON object with the attributes and, as `data`, the row.

The data of a row is its record alone, so that consumers need not know us; why a row was read
is an attribute. An event that has no members of its own (a drop) has no `data`.
Source: CloudEvents 1.0.2, JSON event format, sections 2 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import orjson

from bridge.codec import Slot
from bridge.events import EventType, ReadCause, rfc3339
from bridge.formats.base import Format, Rows, Single
from bridge.formats.cloud_attributes import padded, shared_attributes
from bridge.formats.shape import key_of
from bridge.formats.singles import key_of_single, members_of, one_line
from bridge.formats.writing import write
from bridge.lines import JSON, Lines

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class CloudEvents(Format):
    """Events after CloudEvents 1.0, whole.

    Attributes:
        instance: the name of this bridge.
    """

    keyed: ClassVar[bool] = True  # the subject
    instance: str

    def rows(self, rows: Rows) -> Lines:
        """See `Format.rows`."""
        block = rows.block
        template = _template(
            rows.journal_id,
            self.instance,
            block.type,
            block.table,
            block.cluster,
            block.cause,
            keyed=bool(key_of(block.table, block.schema, rows.shape)),
        )
        return write(rows, template, content_type=CONTENT_TYPE)

    def single(self, journal_id: str, offset: int, entry: Single) -> Lines:
        """See `Format.single`."""
        type_, data = members_of(entry)
        value: dict[str, Any] = {
            "id": f"{journal_id}-{offset}",
            **_shared(shared_attributes(self.instance, type_, entry.table, entry.cluster)),
            "time": rfc3339(entry.time),
            "kineticaoffset": padded(offset),
            "subject": key_of_single(entry).decode(),
        }
        if data:
            value["data"] = data
        lines = one_line(journal_id, offset, entry, orjson.dumps(value))
        return replace(lines, content_type=CONTENT_TYPE)


def _shared(shared: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {**dict(shared), "datacontenttype": JSON}


@lru_cache(maxsize=1024)
def _template(
    journal_id: str,
    instance: str,
    type_: EventType,
    table: str,
    cluster: str,
    cause: ReadCause | None,
    *,
    keyed: bool,
) -> Sequence[bytes | Slot]:
    shared = orjson.dumps(_shared(shared_attributes(instance, type_, table, cluster, cause)))
    subject = (b',"subject":', Slot.KEY_TEXT) if keyed else ()
    return (
        b'{"id":"%b-' % journal_id.encode(),  # first, as in json: so a file knows a torn line
        Slot.OFFSET,
        b'",' + shared[1:-1] + b',"time":"',
        Slot.TIME,
        b'","kineticaoffset":"',
        Slot.OFFSET20,
        b'"',
        *subject,
        b',"data":',
        Slot.RECORD,
        b"}",
    )
