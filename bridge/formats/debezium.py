"""The envelope of Debezium: what a row was before and after, where it comes from, what happened.

Kinetica says no more of an update than how many rows it touched, so `before` is always null, and
what is no row has no envelope at all: it goes as a notification.
Source: Debezium 3, `io.debezium.data.Envelope` and `AbstractSourceInfoStructMaker`; the values
of `snapshot` are those of `SnapshotRecord`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import orjson

import bridge
from bridge.codec import Slot
from bridge.errors import Retry
from bridge.events import ReadCause, Schema
from bridge.formats.base import Carries, Rows
from bridge.formats.debezium_schema import CONNECTOR, described_form, envelope_schema, key_schema
from bridge.formats.shape import Shape
from bridge.formats.singles import RowsAlone
from bridge.formats.writing import write
from bridge.lines import Lines

# Of an insert and of each cause of a read: what happened, and which snapshot it belongs to.
_KINDS: dict[ReadCause | None, tuple[bytes, str]] = {
    None: (b"c", "false"),
    "snapshot": (b"r", "true"),
    "gap": (b"r", "incremental"),
    "update": (b"u", "false"),
}


@dataclass(frozen=True, slots=True)
class DebeziumFormat(RowsAlone):
    """Rows as Debezium's connectors write them.

    Attributes:
        instance: the name of this bridge, which stands where connectors have `topic.prefix`.
        schemas: whether each value and key carries its schema, as Connect's JsonConverter wants
            it.
    """

    needs: ClassVar[frozenset[Carries]] = frozenset({Carries.TEXT, Carries.NOTIFICATIONS})
    instance: str
    schemas: bool = False

    def rows(self, rows: Rows) -> Lines:
        """See `Format.rows`."""
        block = rows.block
        envelope = _template(
            rows.journal_id, self.instance, block.table, block.cluster, block.cause
        )
        if not self.schemas:
            return write(rows, envelope)
        schema = envelope_schema(self.instance, block.table, block.schema, rows.shape)
        template = (b'{"schema":%b,"payload":' % schema, *envelope, b"}")
        form = described_form(rows.codec, block.table, rows.shape, keyed=rows.keyed)
        key = None
        if form.key is not None:
            described = key_schema(self.instance, block.table, block.schema, rows.shape)
            key = (b'{"schema":%b,"payload":' % described, Slot.KEY, b"}")
        return write(rows, template, form=form, key_template=key)

    def weight(self, table: str, schema: Schema, shape: Shape) -> int:
        """See `Format.weight`."""
        weight = 0
        if self.schemas:
            with suppress(Retry):  # a shape that does not fit is told when rows are written
                weight = len(envelope_schema(self.instance, table, schema, shape))
        return weight


@lru_cache(maxsize=1024)
def _template(
    journal_id: str, instance: str, table: str, cluster: str, cause: ReadCause | None
) -> Sequence[bytes | Slot]:
    operation, snapshot = _KINDS[cause]
    schema, dot, name = table.partition(".")
    start = {"version": bridge.__version__, "connector": CONNECTOR, "name": instance}
    place = {
        "snapshot": snapshot,
        "db": CONNECTOR,
        "schema": schema if dot else "",
        "table": name if dot else table,
        "cluster": cluster,
    }
    moments = (
        b'"ts_ms":',
        Slot.TIME_MS,
        b',"ts_us":',
        Slot.TIME_US,
        b',"ts_ns":',
        Slot.TIME_NS,
    )
    return (
        b'{"before":null,"after":',
        Slot.RECORD,
        b',"source":' + orjson.dumps(start)[:-1] + b",",
        *moments,
        b"," + orjson.dumps(place)[1:-1] + b',"sequence":"[\\"',
        Slot.OFFSET20,
        b'\\"]","offset":',
        Slot.OFFSET,
        b',"event_id":"%b-' % journal_id.encode(),
        Slot.OFFSET,
        b'"},"op":"%b",' % operation,
        *moments,
        b',"transaction":null}',
    )
