"""What the journal tells a read of what was received."""

from __future__ import annotations

import time
from pathlib import Path

from bridge.events import Block, Column, Schema
from bridge.history import JournalHistory
from bridge.journal import Journal

SCHEMA = Schema("1", (Column("name", "string", "string"),))
ROW = b"\xa0\x1f" + b"x" * 2000


def block(at: float) -> Block:
    return Block("s.t", "http://a", "insert", SCHEMA, ROW, 1, ((1, round(at * 1e6)),))


def test_what_was_pruned_is_not_kept(tmp_path: Path) -> None:
    """A full journal forgets what all sinks have; what came after that is kept."""
    began = time.time() - 1000
    with Journal(tmp_path, max_size=2**20, segment_size=2**16) as journal:
        history = JournalHistory(journal)
        journal.append([block(began)])
        assert history.kept(began)
        for n in range(1, 900):
            journal.append([block(began + n)])
        while journal.upkeep() == 0:
            pass
        assert not history.kept(began)
        assert not history.kept(0.0)
        assert history.kept(began + 890)


def test_what_came_after_the_clock_was_set_back_is_found(tmp_path: Path) -> None:
    """From a moment before the step on, also after a restart, and however often it steps."""
    noon = 1_795_600_000.0
    walls = [noon, noon + 10, noon + 20, noon - 600, noon - 590, noon + 30, noon - 300, noon - 290]
    with Journal(tmp_path) as journal:
        for wall in walls[:4]:
            journal.append([block(wall)])
    with Journal(tmp_path) as journal:
        for wall in walls[4:]:
            journal.append([block(wall)])
        history = JournalHistory(journal)
        for place, wall in enumerate(walls):
            follow = history.follow("s.t", wall)
            found = [round(row.time / 1e6) for row in follow.more()]
            follow.close()
            later = [round(each) for each in walls[place:]]
            assert found[-len(later) :] == later
            assert history.kept(wall)
