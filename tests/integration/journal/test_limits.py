"""Limits that change while a journal is open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import JournalFull
from bridge.events import Block
from bridge.journal import Journal, LetterLimits, Move, Settled

from .conftest import Clock

MIB = 2**20
MakeRows = Callable[..., Block]


def limit(journal: Journal, **changed: Any) -> None:
    limits: dict[str, Any] = {
        "max_size": MIB,
        "max_age": 1e6,
        "on_full": "stop_capture",
        "letters": LetterLimits(),
    }
    journal.limit(**limits | changed)


def fill(journal: Journal, rows: MakeRows) -> None:
    def append() -> None:
        while True:
            journal.append([rows(size=100_000)])

    with pytest.raises(JournalFull):
        append()


def test_a_full_journal_takes_entries_again_once_it_may_be_larger(
    tmp_path: Path, rows: MakeRows
) -> None:
    """Its segments grow with it, and it says how large it may be."""
    with Journal(tmp_path / "j", max_size=MIB) as journal:
        journal.register("s", ["t"])
        fill(journal, rows)

        limit(journal, max_size=16 * MIB)
        before = journal.stats().segments
        for _ in range(20):
            journal.append([rows(size=100_000)])

        assert journal.stats().max_bytes == 16 * MIB
        assert journal.stats().segments <= before + 2


def test_a_full_journal_that_may_drop_its_oldest_does(tmp_path: Path, rows: MakeRows) -> None:
    """Though nothing has moved since it was full; and back."""
    with Journal(tmp_path / "j", max_size=MIB) as journal:
        journal.register("s", ["t"])
        fill(journal, rows)

        limit(journal, on_full="drop_oldest")
        journal.append([rows(size=100_000)])
        assert journal.stats().discarded > 0

        limit(journal)
        fill(journal, rows)


def test_what_is_older_than_a_new_age_goes(tmp_path: Path, rows: MakeRows, clock: Clock) -> None:
    """By the upkeep after the change."""
    with Journal(tmp_path / "j", max_age=1e6, clock=clock) as journal:
        journal.register("s", ["t"])
        journal.append([rows(size=1000, time=int(clock() * 1e6))])
        journal.settle("s", [Move("t", 1, (Settled(0, 1, "delivered"),))])
        clock.seconds += 100.0
        while journal.upkeep() == 0.0:
            pass
        assert journal.stats().oldest == 0

        limit(journal, max_age=50.0)
        while journal.upkeep() == 0.0:
            pass
        assert journal.stats().oldest == 1
