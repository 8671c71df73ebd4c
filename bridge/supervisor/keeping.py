"""The journal that a configuration asks for."""

from __future__ import annotations

from typing import Literal, TypedDict

from bridge.config import Config
from bridge.journal import Journal, LetterLimits


class _Limits(TypedDict):
    max_size: int
    max_age: float
    on_full: Literal["stop_capture", "drop_oldest"]
    letters: LetterLimits


def make_journal(config: Config) -> Journal:
    """Return the journal of a configuration, not open."""
    return Journal(config.journal.path, **_limits(config))


def limit(journal: Journal, config: Config) -> None:
    """Let a journal keep within what a configuration says now."""
    journal.limit(**_limits(config))


def _limits(config: Config) -> _Limits:
    journal, letters = config.journal, config.dead_letters
    return {
        "max_size": journal.max_size,
        "max_age": journal.max_age,
        "on_full": journal.on_full,
        "letters": LetterLimits(letters.max_size, letters.max_age),
    }
