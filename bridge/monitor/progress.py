"""How far the reading of a table has come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """Rows looked at, expected in all, and delivered."""

    done: int = 0
    expected: int = 0
    delivered: int = 0
