"""The damage that was found since a journal was opened, each span once."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import structlog

from bridge.journal.layout import Spans, add_span
from bridge.journal.records import Damage

_log = structlog.get_logger(__name__)


class NotedDamage:
    """Damaged spans: several readers report the same one, or parts of it.

    Args:
        path: the journal's folder.
        found: those found when it was opened, and said.
    """

    def __init__(self, path: Path, found: Iterable[Damage] = ()) -> None:
        self._path = path
        self._lock = threading.Lock()  # guards all below
        self._spans = list(found)
        self._said = {damage.last for damage in self._spans}
        self._covered: Spans = ()
        for damage in self._spans:
            self._covered = add_span(self._covered, damage.first, damage.last + 1)

    def __len__(self) -> int:
        return len(self._spans)

    def note(self, damage: Damage) -> None:
        """Note a span, unless all of it is known, and log one that ends elsewhere.

        Any thread may call.
        """
        with self._lock:
            covered = add_span(self._covered, damage.first, damage.last + 1)
            if covered != self._covered:
                self._covered = covered
                self._spans.append(damage)
            new = damage.last not in self._said
            self._said.add(damage.last)
        if new:
            _log.error(
                "journal_span_damaged",
                path=str(self._path),
                first=damage.first,
                last=damage.last,
                cause=damage.reason,
            )

    def spans(self) -> list[Damage]:
        """Return all of them, in order."""
        with self._lock:
            return sorted(self._spans, key=lambda damage: damage.first)
