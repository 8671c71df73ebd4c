"""A journal of format 2 (dead letters without their entries) is read on by the first start.

The one in `data` was written by the release before, with what that release said of it.
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bridge.events import Count
from bridge.journal import DeadLetter, Journal, JournalReader, LetterFilter, Move, Settled

DATA = Path(__file__).parent / "data" / "format-2.tar.xz"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The journal as it was left."""
    with tarfile.open(DATA) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "format-2"


def accounts(journal: Journal) -> list[list[Any]]:
    return [
        [a.sink, a.table, a.received, a.delivered, a.dead_lettered, a.discarded, a.pending]
        for a in journal.accounts()
    ]


def test_lanes_counts_and_what_waits_are_as_they_were(old: Path) -> None:
    told = json.loads((old / "expected.json").read_text("utf-8"))
    for _ in range(2):
        with Journal(old) as journal:
            assert (journal.id, journal.head) == (told["id"], told["head"])
            assert accounts(journal) == told["accounts"]
            lanes = {
                sink: {t: [lane.cursor, [*lane.waiting]] for t, lane in journal.lanes(sink).items()}
                for sink in journal.sinks()
            }
            assert lanes == told["lanes"]


def test_its_dead_letters_have_no_entry_and_are_counted(old: Path) -> None:
    with Journal(old) as journal, journal.reader() as reader:
        first, second = reader.dead_letters(entries=True)

        assert (first.value, first.answer, first.attempts) == (b'{"n":2}', "422 no", 3)
        assert (second.raw, first.entry, second.entry) == (b"\x00\x01", None, None)
        [(key, there)] = journal.letters.sums().items()
        assert (key, there.count) == (("audit", "a"), 2)
        assert there.bytes > 512


def test_new_letters_are_numbered_on_and_have_theirs(old: Path) -> None:
    entry = Count("a", "http://k:9191", 1001, "update", 3)
    letter = DeadLetter("audit", "a", 6, "id-6", 1001, "refused", b"{}", entry=entry)
    with Journal(old) as journal, journal.reader() as reader:
        moved = Move("a", 7, (Settled(6, 1, "dead_lettered"),), (), (letter,))
        journal.settle("audit", [moved])

        [found] = reader.dead_letters(LetterFilter(after=2), entries=True)
        assert (found.number, found.entry) == (3, entry)


def test_the_file_gives_disk_back_from_now_on(old: Path) -> None:
    with Journal(old):
        pass

    with sqlite3.connect(old / "state.db") as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    connection.close()


def test_commands_beside_an_older_one_say_what_to_do(old: Path) -> None:
    with JournalReader(old) as reader, pytest.raises(Exception, match="upgrades the journal"):
        reader.dead_letters()
