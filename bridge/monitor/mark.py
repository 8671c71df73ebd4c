"""A small fact that must outlive a restart, and the way on which it travels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.events import Entry


@dataclass(frozen=True, slots=True)
class Mark:
    """A fact, stored in order with the entries."""

    name: str
    text: str


Post = Callable[[Entry | Mark], None]
