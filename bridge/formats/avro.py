"""Rows as Avro behind Confluent's header: a zero byte and the number of the schema.

The schema is made from the table's layout after shaping (`avro_schema`), and registered when the
first rows of it go out (`avro_registry`). A registry that is away or refuses it makes its table
wait. What is no row goes as JSON to the place for notifications, and message keys are JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from bridge.events import Schema
from bridge.formats.avro_registry import Numbering
from bridge.formats.avro_schema import AvroSchema, avro_schema
from bridge.formats.base import Carries, Rows
from bridge.formats.registry_settings import Subjects
from bridge.formats.shape import Shape, key_of
from bridge.formats.singles import RowsAlone
from bridge.lines import Lines

CONTENT_TYPE = "application/avro"
_MAGIC = b"\0"


class _Unasked:
    """Numbers no schema."""

    def id_of(self, subject: str, text: str) -> int:  # noqa: ARG002
        return 0

    def check(self, subject: str, text: str) -> str:  # noqa: ARG002
        return f"{subject} is not asked for"


@dataclass(frozen=True, slots=True)
class AvroFormat(RowsAlone):
    """Rows in Confluent's wire format.

    Attributes:
        registry: numbers the schemas.
        subjects: what a subject is named after.
        place: gives the name of where a table's rows go; may raise `Retry`.
    """

    registry: Numbering
    subjects: Subjects
    place: Callable[[str], str]

    needs: ClassVar[frozenset[Carries]] = frozenset({Carries.BINARY, Carries.NOTIFICATIONS})

    def rows(self, rows: Rows) -> Lines:
        """See `Format.rows`."""
        block = rows.block
        avro = avro_schema(block.table, rows.codec.schema, rows.shape)
        number = self.registry.id_of(self._subject(block.table, avro), avro.text)
        header = _MAGIC + number.to_bytes(4, "big")
        values, ends = rows.codec.avro(avro.columns).write(rows.payload, rows.count, header)
        keys, key_ends = None, None
        if rows.keyed and (key := key_of(block.table, rows.codec.schema, rows.shape)):
            form = rows.codec.form(values=rows.shape.values, key=key)
            _, _, keys, key_ends = form.lines(
                rows.payload, rows.count, template=(), first=rows.first, times=rows.times
            )
        return Lines(
            rows.journal_id,
            block.table,
            block.type,
            rows.first,
            rows.times,
            values,
            ends,
            keys,
            key_ends,
            CONTENT_TYPE,
            line_feed=False,
        )

    def check(self, table: str, schema: Schema, shape: Shape) -> str:
        """See `Format.check`."""
        avro = avro_schema(table, schema, shape)
        return self.registry.check(self._subject(table, avro), avro.text)

    def trial(self) -> AvroFormat:
        """See `Format.trial`; the number of every schema is 0."""
        return replace(self, registry=_Unasked())

    def _subject(self, table: str, avro: AvroSchema) -> str:
        match self.subjects:
            case "topic":
                return f"{self.place(table)}-value"
            case "record":
                return avro.name
            case "topic-record":
                return f"{self.place(table)}-{avro.name}"
