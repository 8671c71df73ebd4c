"""A sink that takes some types of events: the others are not counted for it, at any moment."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import get_args

from bridge.events import Block, Count, Gap, GapReason
from bridge.journal import Account, Journal, Move, Settled

from .conftest import block

GAPS = ("gap", "drop")


def gap(number: int = 1) -> Gap:
    return Gap("t", "c", 5, f"g{number}", 1, 2, get_args(GapReason)[0])


def rows(count: int) -> Block:
    return block("t", [b"x"] * count, 5)


def account(journal: Journal, sink: str = "s") -> Account:
    (found,) = (one for one in journal.accounts() if one.sink == sink)
    return found


def deliver(journal: Journal, *offsets: int, to: int, sink: str = "s") -> None:
    runs = tuple(Settled(offset, 1, "delivered") for offset in offsets)
    journal.settle(sink, [Move("t", to, runs)])


def test_only_what_it_takes_is_received_and_pending(tmp_path: Path) -> None:
    """And once that is settled nothing keeps the rest."""
    with Journal(tmp_path) as journal:
        journal.register("s", ["t"], events=GAPS)
        journal.append([rows(10), gap(), rows(5), Count("t", "c", 5, "update", 3)])
        assert account(journal) == Account("s", "t", 1, 0, 0, 0, 1)

        deliver(journal, 10, to=17)

        assert account(journal) == Account("s", "t", 1, 1, 0, 0, 0)
        journal.append([rows(5)])
        assert account(journal).received == 1
        assert journal.lanes("s")["t"].start == journal.head


def test_it_is_so_over_restarts_and_segments(tmp_path: Path) -> None:
    for turn in range(1, 4):
        with Journal(tmp_path, segment_size=2**16) as journal:
            journal.register("s", ["t"], events=GAPS)
            for _ in range(3):
                journal.append([block("t", [b"x" * 40_000], 5)])
            journal.append([gap(turn)])
            assert account(journal) == Account("s", "t", turn, turn - 1, 0, 0, 1)
            deliver(journal, journal.head - 1, to=journal.head)
            assert account(journal) == Account("s", "t", turn, turn, 0, 0, 0)


def test_what_is_not_taken_keeps_no_segment(tmp_path: Path) -> None:
    """Its cursor stands where it stood, and all of it may go."""
    with Journal(tmp_path, max_size=2**20, segment_size=2**16) as journal:
        journal.register("s", ["t"], events=GAPS)
        for _ in range(100):
            journal.append([block("t", [b"x" * 30_000], 5)])
        journal.append([gap()])

        assert account(journal) == Account("s", "t", 1, 0, 0, 0, 1)
        assert journal.stats().bytes <= 2**20


def test_a_filter_that_becomes_narrower_discards_what_is_pending(tmp_path: Path) -> None:
    """What was received stays received."""
    with Journal(tmp_path) as journal:
        journal.register("s", ["t"])
        journal.append([rows(4), gap(), rows(3), gap(2)])
        journal.settle(
            "s",
            [
                Move(
                    "t",
                    6,
                    (
                        Settled(0, 3, "delivered"),
                        Settled(4, 1, "delivered"),
                        Settled(5, 1, "delivered"),
                    ),
                    (3,),
                )
            ],
        )
        assert account(journal) == Account("s", "t", 9, 5, 0, 0, 4)

        journal.register("s", ["t"], events=GAPS)

        assert account(journal) == Account("s", "t", 9, 5, 0, 3, 1)
        assert journal.lanes("s")["t"].waiting == ()
        deliver(journal, 8, to=9)
        assert account(journal) == Account("s", "t", 9, 6, 0, 3, 0)


def test_a_filter_that_becomes_wider_takes_what_is_ahead_of_its_cursor(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.register("s", ["t"], events=GAPS)
        journal.append([rows(4), gap()])
        deliver(journal, 4, to=5)
        journal.append([rows(3), gap(2)])
        assert account(journal) == Account("s", "t", 2, 1, 0, 0, 1)

        journal.register("s", ["t"])

        assert account(journal) == Account("s", "t", 5, 1, 0, 0, 4)
        journal.settle("s", [Move("t", 9, (Settled(5, 4, "delivered"),))])
        assert account(journal) == Account("s", "t", 5, 5, 0, 0, 0)


def test_a_new_lane_may_begin_with_history(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append([rows(4), gap(), rows(2), gap(2)])

        journal.register("s", ["t"], begin=0, events=GAPS)
        journal.register("late", ["t"], begin=5, events=GAPS)

        assert account(journal) == Account("s", "t", 2, 0, 0, 0, 2)
        assert account(journal, "late") == Account("late", "t", 1, 0, 0, 0, 1)


def test_entries_of_an_older_version_are_counted_too(tmp_path: Path) -> None:
    """They did not say how many there were of each type."""
    data = Path(__file__).parent / "data" / "format-2.tar.xz"
    with tarfile.open(data) as archive:
        archive.extractall(tmp_path, filter="data")
    with Journal(tmp_path / "format-2") as journal:
        journal.register("new", ["a"], begin=0, events=["update"])
        found = account(journal, "new")
        assert (found.received, found.pending) == (1, 1)
        before = next(a for a in journal.accounts() if (a.sink, a.table) == ("hook", "a"))
        assert (before.pending, before.received) == (3, 5)

        journal.register("hook", ["a"], events=["update"])

        after = next(a for a in journal.accounts() if (a.sink, a.table) == ("hook", "a"))
        assert (after.received, after.pending, after.discarded) == (5, 1, 2)
        journal.settle("hook", [Move("a", 7, (Settled(6, 1, "delivered"),))])
        last = next(a for a in journal.accounts() if (a.sink, a.table) == ("hook", "a"))
        assert (last.received, last.pending, last.discarded) == (5, 0, 2)
