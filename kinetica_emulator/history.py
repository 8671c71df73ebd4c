"""What a cluster knows of a table's life: which one it is, and when it was read and changed.

`/show/table` tells it as texts on request, `ki_catalog.ki_objects` as columns. Counts are a
cluster's own, and count operations, not rows. Source: protocol, section 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(slots=True)
class Uses:
    """How often something was done to a table, by whom and when last (seconds since 1970)."""

    count: int = 0
    last: float | None = None
    by: str = ""

    def note(self, now: float, user: str) -> None:
        """Count once more."""
        self.count += 1
        self.last, self.by = now, user


@dataclass(slots=True)
class History:
    """The life of one table.

    Attributes:
        oid: its number, never used twice on a cluster.
        created: when it was made, seconds since 1970; a later table has a later one.
        created_by: who made it.
        reads, writes, alters: what was done to it since.
    """

    oid: int
    created: float
    created_by: str
    reads: Uses = field(default_factory=Uses)
    writes: Uses = field(default_factory=Uses)
    alters: Uses = field(default_factory=Uses)

    def access_data(self) -> dict[str, str]:
        """Return the texts that `/show/table` adds to a table's additional information."""
        return {
            "created_time": time_text(self.created),
            "created_by": self.created_by,
            "last_read_time": time_text(self.reads.last),
            "last_read_by": self.reads.by,
            "read_count": str(self.reads.count),
            "last_write_time": time_text(self.writes.last),
            "last_write_by": self.writes.by,
            "write_count": str(self.writes.count),
            "last_alter_time": time_text(self.alters.last),
            "last_alter_by": self.alters.by,
            "alter_count": str(self.alters.count),
        }


def time_text(seconds: float | None) -> str:
    """Return a time as `YYYY-MM-DD HH:MM:SS.mmm` in UTC, empty where there is none.

    >>> time_text(0.5)
    '1970-01-01 00:00:00.500'
    """
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "milliseconds")[:23]
