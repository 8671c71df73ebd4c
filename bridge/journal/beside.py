"""What stands in `state.db` beside the lanes: the little that their owner asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bridge.journal.lane import LaneState


class Beside(Protocol):
    """What is written with the lanes, and keeps a part of the journal as they do."""

    @property
    def dirty(self) -> bool:
        """Whether something is not written yet."""

    def facts(self, *, durable: bool) -> Mapping[str, str]:
        """Return the facts that are to be written now."""

    def written(self, facts: Mapping[str, str]) -> None:
        """Note that facts were written."""

    def pins(self) -> list[tuple[str, LaneState]]:
        """Return what is wanted of the journal, as lanes with their tables."""

    def let_go(self) -> bool:
        """Keep nothing of the journal any more; return whether that was different before."""
