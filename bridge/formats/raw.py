"""The bytes of each record as Kinetica sent them: Avro binary, without a header or a schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bridge.errors import Retry
from bridge.formats.base import Carries, Rows
from bridge.formats.shape import form_of
from bridge.formats.singles import RowsAlone
from bridge.lines import Lines

CONTENT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class RawFormat(RowsAlone):
    """Records as received."""

    needs: ClassVar[frozenset[Carries]] = frozenset({Carries.BINARY, Carries.NOTIFICATIONS})

    def rows(self, rows: Rows) -> Lines:
        """See `Format.rows`."""
        block = rows.block
        if rows.shape.stages:
            raise Retry(
                "raw is the record as received, so columns, exclude, rename and mask cannot be "
                "obeyed; choose another format"
            )
        keys, key_ends = None, None
        if rows.keyed:
            form = form_of(rows.codec, block.table, rows.shape, keyed=True)
            if form.key is not None:
                _, _, keys, key_ends = form.lines(
                    rows.payload, rows.count, template=(), first=rows.first, times=rows.times
                )
        return Lines(
            rows.journal_id,
            block.table,
            block.type,
            rows.first,
            rows.times,
            rows.payload,
            rows.codec.ends(rows.payload, rows.count),
            keys,
            key_ends,
            CONTENT_TYPE,
            line_feed=False,
        )
