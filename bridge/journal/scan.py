"""A page on its way: what was read of a segment, and what could not be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from bridge.journal.records import Damage, Stored
from bridge.journal.rows import columns_checksum

_MISSING = "entries are missing"


class Wanted(NamedTuple):
    """What is wanted of one segment.

    Attributes:
        start: an offset; the entry it lies in comes whole.
        limit: where the segment ends, if it is sealed; else an offset up to which entries are
            known to have been written.
        sealed: whether no entry can follow the last one.
        max_bytes: of payloads; the page ends with the entry that reaches it.
        max_entries: most entries given, and most rows looked at.
        tables: names of those wanted, None for all.
    """

    start: int
    limit: int
    sealed: bool
    max_bytes: int = 4 * 2**20
    max_entries: int = 4096
    tables: Collection[str] | None = None


@dataclass(slots=True)
class Scan:
    """How far a page has come."""

    wanted: Wanted
    thin: bool
    entries: list[Stored]
    damaged: list[Damage]
    position: int
    bytes: int = 0
    trouble: str | None = None
    full: bool = False

    def skip_to(self, offset: int) -> None:
        """Go on at an offset: what lies before it is damage, or was thinned away."""
        if not self.thin or self.trouble is not None:
            damage = Damage(self.position, offset - 1, self.trouble or _MISSING)
            self.damaged.append(damage)
        self.position = offset
        self.trouble = None


def columns_intact(row: tuple[Any, ...]) -> bool:
    """Return whether the columns of a row, but its payload, are what was written."""
    offset, count, kind, time, origin_id, check, detail = row[:7]
    return (
        isinstance(check, int)
        and isinstance(count, int)
        and count > 0
        and columns_checksum(offset, count, kind, time, origin_id, detail) == check >> 32
    )
