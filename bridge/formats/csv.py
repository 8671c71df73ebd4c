"""Rows as CSV, a line each, the columns' names in the first line of a file.

A null is nothing at all, an empty text two quotes; every other value is the text that it is, or
the JSON that it is in an event. Lines end with a line feed alone.
Source: RFC 4180.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar

from bridge.codec import Slot
from bridge.formats.base import Carries, Rows
from bridge.formats.shape import members_of
from bridge.formats.singles import RowsAlone
from bridge.formats.writing import write
from bridge.lines import Lines

CONTENT_TYPE = "text/csv; charset=utf-8"

_QUOTED = re.compile(r'[",\r\n]|^$')


@dataclass(frozen=True, slots=True)
class CsvFormat(RowsAlone):
    """Rows alone, as lines of text."""

    needs: ClassVar[frozenset[Carries]] = frozenset(
        {Carries.TEXT, Carries.NOTIFICATIONS, Carries.HEADER_LINE}
    )

    def rows(self, rows: Rows) -> Lines:
        """See `Format.rows`."""
        names = [member.name for member in members_of(rows.block.schema, rows.shape)]
        header = ",".join(map(_quoted, names)).encode() + b"\n"
        return replace(write(rows, (Slot.CSV,), content_type=CONTENT_TYPE), header=header)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if _QUOTED.search(name) else name
