"""Marks and gap events are read beside whoever writes the journal, from all of its segments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import JournalUnavailable
from bridge.events import Gap
from bridge.journal import Journal, stored_gaps, stored_marks

from .conftest import block, record

GAP = Gap("s.t", "http://a", 10, "4f1c", 5, 9, "start")


def test_gap_events_and_marks_of_all_segments_come_in_order(memory_path: Path) -> None:
    """Rows between them are not looked at; a mark is the latest of its name."""
    closed = replace(GAP, time=20, closed=True, rows=3, by="read")
    other = replace(GAP, table="s.u", gap="77aa")
    with Journal(memory_path, segment_size=64 * 1024) as journal:
        journal.append([GAP, block("s.t", [record(b"x" * 60_000)])], {"a": "1", "b": "1"})
        journal.append([block("s.t", [record(b"x" * 60_000)])])
        journal.append([other, block("s.t", [record(b"x" * 60_000)])], {"a": "2"})
        journal.append([closed])

        assert journal.stats().segments > 1
        assert list(stored_gaps(memory_path)) == [GAP, other, closed]
        assert list(stored_gaps(memory_path, "s.t")) == [GAP, closed]
        assert stored_marks(memory_path) == {"a": "2", "b": "1"}

    assert list(stored_gaps(memory_path, "s.u")) == [other]
    assert stored_marks(memory_path) == {"a": "2", "b": "1"}


def test_where_there_is_no_journal_that_is_said(tmp_path: Path) -> None:
    """As for every reader."""
    with pytest.raises(JournalUnavailable):
        stored_marks(tmp_path)
    with pytest.raises(JournalUnavailable):
        list(stored_gaps(tmp_path / "nowhere"))
