"""The damage that was found since a journal was opened, each span once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import structlog

from bridge.journal.records import Damage

_log = structlog.get_logger(__name__)


class NotedDamage:
    """Damaged spans by their last offset: several readers report the same one.

    Args:
        path: the journal's folder.
        found: those found when it was opened, and said.
    """

    def __init__(self, path: Path, found: Iterable[Damage] = ()) -> None:
        self._path = path
        self._spans = {damage.last: damage for damage in found}

    def __len__(self) -> int:
        return len(self._spans)

    def note(self, damage: Damage) -> None:
        """Note and log a span, unless it is known. Any thread may call."""
        if self._spans.setdefault(damage.last, damage) is damage:
            _log.error(
                "journal_span_damaged",
                path=str(self._path),
                first=damage.first,
                last=damage.last,
                cause=damage.reason,
            )

    def spans(self) -> list[Damage]:
        """Return all of them, in order."""
        spans = list(self._spans.values())  # copied at once: readers note more meanwhile
        return sorted(spans, key=lambda damage: damage.first)
