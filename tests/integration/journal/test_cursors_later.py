"""A cursor left for later: counted at once, on the disk with whatever is written next."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.errors import JournalError
from bridge.events import Rows
from bridge.journal import DeadLetter, Journal, JournalReader, Settled

MakeRows = Callable[..., Rows]


@pytest.fixture
def journal(tmp_path: Path, rows: MakeRows) -> Iterator[Journal]:
    """An open journal of ten events, whose sink `s` has settled three and not written it."""
    with Journal(tmp_path / "j") as journal:
        journal.register("s", ["t"])
        journal.append([rows("t", 10)])
        journal.advance("s", 3, [Settled("t", 0, 3, "delivered")], later=True)
        yield journal


def on_disk(path: Path) -> tuple[int, int]:
    """Read cursor and delivered events as another process sees them."""
    with JournalReader(path / "j") as reader:
        sink = reader.overview().sinks[0]
    return sink.cursor, sink.accounts[0].delivered


def test_it_is_counted_at_once(journal: Journal, tmp_path: Path) -> None:
    """In memory; a crash now would mean that three events come again."""
    account = journal.accounts()[0]

    assert (journal.cursor("s"), account.delivered, account.pending) == (3, 3, 7)
    assert on_disk(tmp_path) == (0, 0)


def test_asking_for_it_writes_it(journal: Journal, tmp_path: Path) -> None:
    journal.write_cursors()

    assert on_disk(tmp_path) == (3, 3)


def test_whatever_is_written_next_takes_it_along(journal: Journal, tmp_path: Path) -> None:
    """Another sink's registration, a prune, and the end of the journal."""
    journal.register("z", ["t"])
    assert on_disk(tmp_path) == (3, 3)

    journal.advance("s", 5, [Settled("t", 3, 2, "delivered")], later=True)
    journal.prune()
    with JournalReader(tmp_path / "j") as reader:
        assert dict(reader.cursors())["s"] == 5

    journal.advance("s", 7, [Settled("t", 5, 2, "delivered")], later=True)
    journal.close()
    with JournalReader(tmp_path / "j") as reader:
        assert dict(reader.cursors())["s"] == 7


def test_dead_letters_are_never_left_for_later(journal: Journal, tmp_path: Path) -> None:
    """The event set aside and the cursor behind it are on the disk together."""
    letter = DeadLetter("s", "t", 3, "id-3", 1, "bad", b"{}")
    journal.advance("s", 4, [Settled("t", 3, 1, "dead_lettered")], [letter], later=True)

    assert on_disk(tmp_path) == (4, 3)
    with JournalReader(tmp_path / "j") as reader:
        assert [found.offset for found in reader.dead_letters()] == [3]


def test_a_crash_before_it_is_written_moves_it_back(journal: Journal, tmp_path: Path) -> None:
    """The counts go back with it: the sum stays right, and three events come again."""
    shutil.copytree(tmp_path / "j", tmp_path / "crashed" / "j")

    with Journal(tmp_path / "crashed" / "j") as reopened:
        account = reopened.accounts()[0]
        assert reopened.cursor("s") == 0
        assert (account.received, account.delivered, account.pending) == (10, 0, 10)


def test_what_cannot_be_written_is_still_left(journal: Journal, tmp_path: Path) -> None:
    """Once another process lets go of the file, it is written."""
    other = sqlite3.connect(tmp_path / "j" / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError):
        journal.write_cursors()
    other.execute("ROLLBACK")
    other.close()

    journal.write_cursors()

    assert on_disk(tmp_path) == (3, 3)
