"""A table's events as they stand in the journal, for whoever looks on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bridge.delivery.encoding import Writer
from bridge.errors import DecodeError, Retry
from bridge.events import Undecodable
from bridge.journal import Damage, JournalReader, Stored
from bridge.lines import Lines, Slice


class Look(NamedTuple):
    """One page of a table's events.

    Attributes:
        slices: in order.
        next: where to go on.
        unreadable: spans that cannot be read or written, each with why.
    """

    slices: list[Slice]
    next: int
    unreadable: list[Damage]


def look(reader: JournalReader, writer: Writer, table: str, start: int) -> Look:
    """Return the events of a table from an offset on, a page of them.

    Raises:
        JournalError: the journal cannot be read.
    """
    page = reader.read(start, tables=[table])
    unreadable = list(page.damaged)
    slices: list[Slice] = []
    for stored in page.entries:
        for lines in _lines(writer, stored, unreadable):
            first = max(0, start - lines.first)
            if first < len(lines):
                slices.append(Slice(lines, first, len(lines)))
    return Look(slices, page.next, unreadable)


def _lines(writer: Writer, stored: Stored, unreadable: list[Damage]) -> Iterator[Lines]:
    if isinstance(stored.entry, Undecodable):
        return
    try:
        for piece in writer.pieces(stored):
            yield writer.lines(stored, piece)
    except (DecodeError, Retry) as error:  # or the shape does not fit the layout
        last = stored.offset + stored.count - 1
        unreadable.append(Damage(stored.offset, last, str(error)))
