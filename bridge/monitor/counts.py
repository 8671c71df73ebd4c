"""What a table's monitor counts; plain numbers, which the metrics show."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counts:
    """What a table's monitor has counted since it started.

    Attributes:
        arrived: notifications that came, stored or not yet.
    """

    arrived: int = 0
    received: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)  # records, as there was no room
    bytes: int = 0
    decode_errors: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    gaps_open: int = 0
    last_gap: float = 0.0  # when a gap event came last, seconds since the epoch
    deleted_rows: int = 0
    unaccounted: int = 0
    audits: int = 0
    last_event: float = 0.0
    last_probe: float = 0.0
