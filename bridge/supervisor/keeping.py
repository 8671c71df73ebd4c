"""The journal that a configuration asks for."""

from __future__ import annotations

from bridge.config import Config
from bridge.journal import Journal, LetterLimits


def make_journal(config: Config) -> Journal:
    """Return the journal of a configuration, not open."""
    journal = config.journal
    return Journal(
        journal.path,
        max_size=journal.max_size,
        max_age=journal.max_age,
        on_full=journal.on_full,
        letters=letter_limits(config),
    )


def letter_limits(config: Config) -> LetterLimits:
    """Return what dead letters may take."""
    return LetterLimits(config.dead_letters.max_size, config.dead_letters.max_age)
