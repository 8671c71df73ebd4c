"""Dead letters: kept with their entry, dropped, replayed, and bounded by size and age."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import get_args

import pytest

from bridge.events import Alter, Block, Count, Drop, Entry, Gap, GapReason
from bridge.journal import (
    Account,
    DeadLetter,
    Journal,
    LetterFilter,
    LetterLimits,
    Move,
    Retried,
    Settled,
    StoredEntry,
)
from bridge.journal.queries import QUERIES

from .conftest import SCHEMA, Clock, block

GAP = Gap("t", "c", 5, "g1", 1, 2, get_args(GapReason)[0], closed=True, rows=3, by="read")
ENTRIES: list[StoredEntry] = [
    block("t", [b"row"], 5),
    Count("t", "c", 5, "delete", 7),
    Alter("t", "c", 5, SCHEMA, SCHEMA),
    Drop("t", "c", 5),
    GAP,
]


def letter(
    offset: int, entry: StoredEntry | None = None, *, table: str = "t", **more: object
) -> DeadLetter:
    own = {"reason": "refused", "value": b"{}"} | more
    return DeadLetter("s", table, offset, f"id-{offset}", 5, entry=entry, **own)  # type: ignore[arg-type]


def aside(journal: Journal, *letters: DeadLetter, sink: str = "s") -> None:
    """Set events aside that stand one behind the other."""
    last = letters[-1].offset + 1
    runs = tuple(Settled(each.offset, 1, "dead_lettered") for each in letters)
    journal.settle(sink, [Move(letters[0].table, last, runs, (), letters)])


def fill(journal: Journal, count: int, **more: object) -> None:
    """Set `count` events aside."""
    entries: list[Entry] = [block("t", [b"x"], 5) for _ in range(count)]
    start = journal.head
    journal.append(entries)
    aside(journal, *(letter(start + n, block("t", [b"x"], 5), **more) for n in range(count)))


def test_an_entry_comes_back_as_it_was_whatever_it_is(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal, journal.reader() as reader:
        journal.register("s", ["t"])
        journal.append(ENTRIES)
        aside(journal, *(letter(n, entry) for n, entry in enumerate(ENTRIES)))

        assert [each.entry for each in reader.dead_letters(entries=True)] == ENTRIES
        assert [each.entry for each in reader.dead_letters()] == [None] * len(ENTRIES)


def test_an_entry_that_the_disk_changed_is_not_given(tmp_path: Path) -> None:
    """Else wrong bytes would be delivered again as a row."""
    with Journal(tmp_path) as journal:
        journal.register("s", ["t"])
        fill(journal, 2)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE dead_letters SET payload = x'0279' WHERE number = 1")
    connection.close()

    with Journal(tmp_path) as journal, journal.reader() as reader:
        first, second = reader.dead_letters(entries=True)
    assert first.entry is None
    assert isinstance(second.entry, Block)


def test_those_dropped_are_gone_and_what_was_counted_stays_so(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal, journal.reader() as reader:
        journal.register("s", ["t"])
        fill(journal, 5)
        before = journal.accounts()

        assert journal.letters.drop(LetterFilter(numbers=frozenset((2, 4, 99)))) == 2
        assert [each.number for each in reader.dead_letters()] == [1, 3, 5]
        assert journal.letters.drop(LetterFilter(sink="other")) == 0
        assert journal.letters.drop(LetterFilter(sink="s")) == 3

        assert journal.letters.sums() == {}
        assert journal.accounts() == before == [Account("s", "t", 5, 0, 5, 0, 0)]


def test_a_replay_takes_what_was_delivered_and_notes_why_the_rest_was_not(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal, journal.reader() as reader:
        journal.register("s", ["t"])
        fill(journal, 3)

        journal.letters.settle([1, 3], [Retried(2, "still wrong", "422 no", attempts=2)])

        [left] = reader.dead_letters()
        assert (left.number, left.reason, left.answer) == (2, "still wrong", "422 no")
        assert (left.attempts, left.set_aside) == (2, left.set_aside)
        assert journal.letters.sums()["s", "t"].count == 1


def test_more_than_a_page_is_dropped_in_one_go(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.register("s", ["t"])
        fill(journal, 2500)

        assert journal.letters.drop(LetterFilter(after=10)) == 2490


def prune(journal: Journal, *, max_size: int = 2**40, max_age: float = 1e9, now: int = 0) -> None:
    while journal.letters.prune(LetterLimits(max_size, max_age), now):
        pass


def test_those_too_old_go_and_are_counted_over_a_restart(tmp_path: Path, clock: Clock) -> None:
    with Journal(tmp_path, clock=clock) as journal:
        journal.register("s", ["t"])
        fill(journal, 3)
        clock.seconds += 100
        fill(journal, 2)

        prune(journal, max_age=50.0, now=int(clock.seconds * 1e6))

        assert journal.letters.sums()["s", "t"].count == 2
        assert journal.letters.pruned() == {("s", "age"): 3}
    with Journal(tmp_path, clock=clock) as journal:
        assert journal.letters.pruned() == {("s", "age"): 3}
        assert journal.letters.sums()["s", "t"].count == 2


def test_the_lane_that_takes_most_gives_way_and_the_disk_gets_it_back(tmp_path: Path) -> None:
    """One sink's flood does not push out the one letter of another."""
    with Journal(tmp_path) as journal, journal.reader() as reader:
        journal.register("s", ["t"])
        journal.register("quiet", ["t"])
        journal.append([block("t", [b"x"], 5)])
        only = DeadLetter("quiet", "t", 0, "id-0", 5, "refused", b"{}")
        aside(journal, only, sink="quiet")
        aside(journal, letter(0))
        for _ in range(10):
            fill(journal, 200, value=b"v" * 10_000)
        state, wal = tmp_path / "state.db", tmp_path / "state.db-wal"
        prune(journal)
        full = state.stat().st_size + wal.stat().st_size

        prune(journal, max_size=2**20)

        assert journal.letters.sums()["quiet", "t"].count == 1
        assert sum(each.bytes for each in journal.letters.sums().values()) <= 2**20
        assert reader.dead_letters(LetterFilter("s"))[0].offset > 1000
    assert full > 20 * 10**6
    assert state.stat().st_size < 8 * 10**6


def test_a_page_ends_where_its_bytes_are_used_up(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal, journal.reader() as reader:
        journal.register("s", ["t"])
        fill(journal, 5, value=b"v" * 1000)

        pages, which = [], LetterFilter()
        while page := reader.dead_letters(which, max_bytes=2000):
            pages.append([each.number for each in page])
            which = which._replace(after=page[-1].number)
        assert pages == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize("entry", ENTRIES)
def test_letters_outlive_a_damaged_state(tmp_path: Path, entry: StoredEntry) -> None:
    with Journal(tmp_path) as journal:
        journal.register("s", ["t"])
        journal.append([entry])
        aside(journal, letter(0, entry))
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE lanes SET cursor = 77")
    connection.close()

    with Journal(tmp_path) as journal, journal.reader() as reader:
        assert [each.entry for each in reader.dead_letters(entries=True)] == [entry]


def test_upkeep_prunes_letters_by_itself(tmp_path: Path, clock: Clock) -> None:
    with Journal(tmp_path, clock=clock, letters=LetterLimits(2**30, 60.0)) as journal:
        journal.register("s", ["t"])
        fill(journal, 3)
        clock.seconds += 61

        while journal.upkeep() == 0.0:
            pass

        assert journal.letters.pruned() == {("s", "age"): 3}


def test_a_sink_that_goes_with_a_backlog_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Journal(tmp_path) as journal:
        journal.register("s", ["t"])
        journal.append([block("t", [b"x"] * 7, 5)])
        journal.unregister("s")

    [line] = [one for one in capsys.readouterr().out.splitlines() if "backlog" in one]
    assert "events=7" in line
    assert "warning" in line


def test_an_event_is_looked_for_without_a_look_at_all_letters(tmp_path: Path) -> None:
    """A replay asks for each event that is refused, while cursors wait to be written."""
    with Journal(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "state.db") as connection:
        for name, values in (("find_dead_letter", ("s", 1)), ("letters_of_event", (1, "t"))):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {QUERIES[name]}", values).fetchall()
            assert "dead_letters_of_event" in str(plan), plan
    connection.close()


def test_letters_are_counted_by_lane_and_found_by_event(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal, journal.reader() as reader:
        journal.register("s", ["t"])
        fill(journal, 5)

        assert reader.count_letters(LetterFilter()) == ({("s", "t"): 5}, 5)
        assert reader.count_letters(LetterFilter(after=1), limit=2) == ({("s", "t"): 2}, 3)
        assert reader.count_letters(LetterFilter(sink="x")) == ({}, 0)
        assert reader.letters_of("t", 3) == {"s": 4}
        assert reader.letters_of("u", 3) == {}
