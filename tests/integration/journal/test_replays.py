"""What replays keep of the journal, and what is known of them after a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.events import Block
from bridge.journal import Journal, LetterFilter, Letters, Move, Replay, Settled, stored_replays

TABLE = "ki_home.t"
Rows = Callable[..., Block]


def fill(journal: Journal, rows: Rows, segments: int) -> None:
    """Append so many segments of about 64 KiB, and settle them for the one sink."""
    for _ in range(segments):
        for _ in range(3):
            journal.append([rows(TABLE, 20, 1000)])
        head, cursor = journal.head, journal.lanes("s")[TABLE].cursor
        settled = (Settled(cursor, head - cursor, "delivered"),)
        journal.settle("s", [Move(TABLE, head, settled)])


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """One of a megabyte, in segments of 64 KiB."""
    return Journal(tmp_path / "j", max_size=2**20, segment_size=2**16)


def upkeep(journal: Journal) -> None:
    while journal.upkeep() == 0.0:
        pass


def test_a_replay_keeps_its_part_of_the_journal_until_it_is_over(
    journal: Journal, rows: Rows
) -> None:
    """Pruning passes it by; what stands behind its end goes."""
    with journal:
        journal.register("s", [TABLE])
        fill(journal, rows, 6)
        end = journal.head
        replay = journal.replays.begin("s", [TABLE], 0, end)
        fill(journal, rows, 12)
        upkeep(journal)
        assert journal.stats().oldest == 0
        journal.replays.finish(replay.number, "stopped")
        fill(journal, rows, 6)
        upkeep(journal)
        assert journal.stats().oldest > 0


def test_what_arrives_goes_before_what_is_replayed(journal: Journal, rows: Rows) -> None:
    """A replay that is stuck never stops the capture."""
    with journal:
        journal.register("s", [TABLE])
        fill(journal, rows, 10)
        replay = journal.replays.begin("s", [TABLE], 0, journal.head)
        fill(journal, rows, 30)
        assert journal.stats().oldest > 0
        assert journal.replays.find(replay.number).state == "running"


def test_a_replay_is_known_after_a_restart(journal: Journal, rows: Rows, tmp_path: Path) -> None:
    """With what it is about, how far it is, and the counts of all time."""
    which = LetterFilter(sink="s", since=17, reason="422", numbers=frozenset((1, 2)))
    with journal:
        journal.register("s", [TABLE])
        fill(journal, rows, 1)
        first = journal.replays.begin("s", [TABLE], 10, 90, rate=5)
        second = journal.replays.begin_letters("s", Letters(which, 9), 2)
        journal.replays.settle(first.number, [Move(TABLE, 30, (Settled(10, 20, "delivered"),))])
        before = journal.replays.all()
    with journal:
        assert journal.replays.all() == before
        assert journal.replays.find(first.number).replayed == 20
        assert journal.replays.find(second.number).letters == Letters(which, 9)
        assert journal.replays.totals() == {("s", TABLE): 20}
        assert journal.replays.begin("s", [TABLE], 0, 10).number == 3
    assert [replay.number for replay in stored_replays(tmp_path / "j")] == [1, 2, 3]


def test_what_was_counted_before_counts_no_more(journal: Journal, rows: Rows) -> None:
    """A move that comes again after a fault changes nothing."""
    with journal:
        journal.register("s", [TABLE])
        fill(journal, rows, 1)
        replay = journal.replays.begin("s", [TABLE], 0, 100)
        move = Move(TABLE, 30, (Settled(0, 30, "delivered"),))
        journal.replays.settle(replay.number, [move])
        journal.replays.settle(replay.number, [move])
        assert journal.replays.find(replay.number).replayed == 30


def test_only_the_latest_that_are_over_are_remembered(journal: Journal, rows: Rows) -> None:
    """Their numbers are not given again."""
    with journal:
        journal.register("s", [TABLE])
        fill(journal, rows, 1)
        begun: list[Replay] = []
        for _ in range(60):
            begun.append(journal.replays.begin("s", [TABLE], 0, 10))
            journal.replays.finish(begun[-1].number, "done")
        known = [replay.number for replay in journal.replays.all()]
        assert known == [replay.number for replay in begun[-50:]]
