"""A journal of format 1 (cursors by sink, bundled notifications) is read on by the first start.

The one in `data` was written by the release before lanes and left as a kill leaves it, with what
that release read back from it.
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import JournalUnavailable
from bridge.events import Block, Count
from bridge.journal import Journal, JournalReader, Move, Settled

DATA = Path(__file__).parent / "data" / "format-1.tar.xz"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The journal as it was left."""
    with tarfile.open(DATA) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "format-1"


def expected(old: Path) -> dict[str, Any]:
    return json.loads((old / "expected.json").read_text("utf-8"))  # type: ignore[no-any-return]


def open_journal(path: Path) -> Journal:
    return Journal(path, max_size=2**22, segment_size=2**16, max_age=1e9)


def read_all(journal: Journal) -> list[tuple[int, int, Any]]:
    with journal.reader() as reader:
        position, entries = 0, []
        while position < journal.head:
            page = reader.read(position)
            assert page.damaged == []
            entries += page.entries
            position = page.next
    return [(stored.offset, stored.count, stored.entry) for stored in entries]


def test_its_entries_are_read_as_they_were(old: Path) -> None:
    """A bundle is one block now, with a time for each notification that was in it."""
    told = expected(old)
    with open_journal(old) as journal:
        assert (journal.id, journal.head, journal.marks()) == (
            told["id"],
            told["head"],
            told["marks"],
        )
        parts = {offset: rest for offset, *rest in told["entries"]}
        for offset, count, entry in read_all(journal):
            if not isinstance(entry, Block):
                assert parts.pop(offset)[:3] == [count, entry.table, type(entry).__name__]
                continue
            assert entry.cause == ("gap" if entry.type == "read" else None)
            times, payload, at = [], "", offset
            while at < offset + count:
                records, table, kind, time, own = parts.pop(at)
                assert (table, kind) == (entry.table, "Records")
                times.append((records, time))
                payload, at = payload + own, at + records
            assert (entry.times, entry.payload.hex()) == (tuple(times), payload)
        assert parts == {}


def test_each_lane_begins_at_its_sinks_cursor_and_keeps_its_counts(old: Path) -> None:
    told = expected(old)
    with open_journal(old) as journal:
        assert journal.sinks() == sorted(told["cursors"])
        accounts = [
            [
                one.sink,
                one.table,
                one.received,
                one.delivered,
                one.dead_lettered,
                one.discarded,
                one.pending,
            ]
            for one in journal.accounts()
        ]
        assert accounts == told["accounts"]
        pending = {(sink, table): left for sink, table, *_, left in told["accounts"]}
        for sink, cursor in told["cursors"].items():
            for table, lane in journal.lanes(sink).items():
                assert (lane.cursor, lane.waiting) == (cursor, ())
                assert (lane.start == journal.head) == (pending[sink, table] == 0)


def test_dead_letters_stay_and_new_ones_are_numbered_on(old: Path) -> None:
    told = expected(old)
    with open_journal(old), JournalReader(old) as reader:
        letters = reader.dead_letters()

    assert [[one.number, one.offset, one.reason, one.set_aside] for one in letters] == told[
        "dead_letters"
    ]
    assert {(one.attempts, one.answer) for one in letters} == {(0, None)}


def test_it_is_written_on_and_drained(old: Path) -> None:
    """All that was pending is settled, offsets go on, and opened again it is all the same."""
    with open_journal(old) as journal:
        head = journal.head
        assert journal.append([Count("a", "c", 1, "update", 3)]) == head + 1
        for sink in journal.sinks():
            moves = []
            for table, lane in journal.lanes(sink).items():
                runs = [
                    Settled(
                        max(offset, lane.cursor), count - max(0, lane.cursor - offset), "delivered"
                    )
                    for offset, count, entry in read_all(journal)
                    if entry.table == table and offset + count > lane.cursor
                ]
                moves.append(Move(table, head + 1, tuple(runs)))
            journal.settle(sink, moves)
        accounts = journal.accounts()
        assert {one.pending for one in accounts} == {0}

    with open_journal(old) as journal:
        assert (journal.head, journal.accounts()) == (head + 1, accounts)
        assert journal.damaged() == []


def test_a_kill_during_the_upgrade_leaves_the_old_one(old: Path) -> None:
    """It is one transaction: what is seen before it commits is format 1, whole."""
    with sqlite3.connect(old / "state.db") as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert {"cursors", "accounts"} <= tables

    with open_journal(old):
        pass

    with sqlite3.connect(old / "state.db") as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert {"lanes", "sinks", "waiting"} <= tables
    assert not {"cursors", "accounts"} & tables


def test_commands_beside_say_that_it_is_to_be_upgraded(old: Path) -> None:
    with JournalReader(old) as reader, pytest.raises(JournalUnavailable, match="upgrades"):
        reader.read(0)
