"""Gaps for what the journal lost: one for each table and damage, as narrow as what is known."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from services.delivery import zigzag
from structlog.testing import capture_logs

from bridge.errors import JournalDiskError
from bridge.events import Block, Column, Entry, Gap, Schema
from bridge.journal import Journal, JournalReader, Move, Settled
from bridge.monitor.mark import Mark
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import TableOptions
from bridge.supervisor.damage import JournalDamage

TABLES = ("ki_home.a", "ki_home.b")
# Microseconds: when the journal began, and between two entries.
BEGAN, APART = 1_700_000_000_000_000, 1_000_000
HOLD = 5.0
CLUSTER = "http://k:9191"
SCHEMA = Schema("1", (Column("text", "string", "string"),), ())
# So many rows are an entry, of which a page of SQLite has less than one.
ROWS = 10
Damage = Callable[[Path], None]


class Told:
    """The gaps of two tables, the second of which never had an event."""

    def __init__(self, journal: Journal) -> None:
        self.gaps: list[Gap] = []
        self._tables = [TableMonitor(TableOptions(name), self._take) for name in TABLES]
        self._damage = JournalDamage(journal)

    def _take(self, entry: Entry | Mark) -> None:
        if isinstance(entry, Gap):
            self.gaps.append(entry)

    def tell(self, hold: float = HOLD) -> list[tuple[int, int]]:
        """Return the spans declared now, by seconds since the beginning; the same of each table."""
        self.gaps = []
        self._damage.tell(self._tables, CLUSTER, hold)
        spans = [
            [
                ((gap.since - BEGAN) // APART, (gap.until - BEGAN) // APART)
                for gap in self.gaps
                if gap.table == table
            ]
            for table in TABLES
        ]
        assert spans[0] == spans[1]
        return spans[0]


def make(path: Path) -> Journal:
    return Journal(path, clock=lambda: BEGAN / 1e6, segment_size=2**18, memory=0)


def at(seconds: int) -> int:
    return BEGAN + seconds * APART


def fill(path: Path, entries: int, settled: int = 0) -> None:
    """Entries, one a second, and a sink that has the first of them."""
    with make(path) as journal:
        journal.register("s", TABLES)
        for number in range(1, entries + 1):
            payload = (zigzag(500) + b"x" * 500) * ROWS
            stamps = ((ROWS, at(number)),)
            rows = Block(TABLES[0], CLUSTER, "insert", SCHEMA, payload, ROWS, stamps)
            journal.append([rows])
        if settled:
            done = Settled(0, settled * ROWS, "delivered")
            journal.settle("s", [Move(TABLES[0], settled * ROWS, (done,))])


def segments(path: Path) -> list[Path]:
    return sorted((path / "segments").glob("*.db"))


def overwrite(file: Path, begin: int, end: int) -> None:
    content = bytearray(file.read_bytes())
    content[begin:end] = bytes(byte ^ 0x5A for byte in content[begin:end])
    file.write_bytes(content)


def zero(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def read_all(journal: Journal, *tables: str) -> None:
    """Read as a sink does, from its cursor on."""
    with journal.reader() as reader:
        position = 0
        while position < journal.head:
            position = reader.read(position, tables=tables or None).next


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


def test_one_bad_page_of_the_newest_segment_is_one_gap(tmp_path: Path) -> None:
    """It is found when the journal is opened, and its pieces once a sink reads there."""
    fill(tmp_path, 20)
    overwrite(segments(tmp_path)[0], 40_000, 41_000)

    with make(tmp_path) as journal:
        told = Told(journal)
        first = told.tell()
        read_all(journal)
        later = told.tell()
        spans = journal.stats().damaged, [damage.first for damage in journal.damaged()]

    assert [since for since, _ in first] == [0]
    assert later == []
    assert spans == (1, [0]), "a span before the journal's first offset was looked for"


@pytest.mark.parametrize(
    "damage",
    [zero, Path.unlink, lambda file: overwrite(file, 8192, 20_000)],
    ids=["zeros", "deleted", "many pages"],
)
def test_what_is_lost_without_a_trace_came_after_the_journal_was_made(
    tmp_path: Path, damage: Damage
) -> None:
    fill(tmp_path, 20)
    damage(segments(tmp_path)[0])

    with make(tmp_path) as journal:
        told = Told(journal)
        ((since, _),) = told.tell()
        read_all(journal)
        again, spans = told.tell(), journal.stats().damaged

    assert (since, again, spans) == (0, [], 1)


@pytest.mark.parametrize(("settled", "gaps"), [(0, 1), (19, 1), (20, 0)])
def test_a_segment_that_every_sink_had_is_no_gap(tmp_path: Path, settled: int, gaps: int) -> None:
    """What was counted is gone with it: that nothing is pending says nothing by itself."""
    fill(tmp_path, 20, settled)
    zero(segments(tmp_path)[0])

    for expected in (gaps, 0):  # once, however often it is opened
        with make(tmp_path) as journal:
            assert len(Told(journal).tell()) == expected


def test_a_gap_begins_with_the_last_entry_before_it(tmp_path: Path) -> None:
    """A segment is lost: what stands beside it says when its entries came."""
    fill(tmp_path, 200)
    _, lost, after, *_ = segments(tmp_path)
    first, end = int(lost.stem), int(after.stem)
    zero(lost)

    with make(tmp_path) as journal:
        assert Told(journal).tell() == [(first // ROWS, end // ROWS + 1)]


def test_a_gap_whose_neighbour_is_lost_too_begins_before_both(tmp_path: Path) -> None:
    fill(tmp_path, 300)
    one, other, after = segments(tmp_path)[1:4]
    first, end = int(one.stem), int(after.stem)
    zero(one)
    other.unlink()

    with make(tmp_path) as journal:
        told = Told(journal)
        found = told.tell(hold=0.0)
        read_all(journal)
        found += told.tell(hold=0.0)
        with journal.reader() as reader:
            before = reader.time_before(int(other.stem))

    assert (min(since for since, _ in found), max(until for _, until in found)) == (
        first // ROWS,
        end // ROWS + 1,
    )
    assert before == at(first // ROWS), "not a time behind what is lost"


@pytest.mark.parametrize(("hold", "gaps"), [(60.0, 1), (1.0, 2)])
def test_pages_damaged_within_a_probe_interval_are_one_gap(
    tmp_path: Path, hold: float, gaps: int
) -> None:
    """The sink has come to the first of them alone."""
    fill(tmp_path, 200)
    file = segments(tmp_path)[1]
    for begin in (80_000, 150_000):
        overwrite(file, begin, begin + 100)

    with make(tmp_path) as journal:
        told = Told(journal)
        assert told.tell() == []
        with journal.reader() as reader:
            position = 0
            while not journal.damaged():
                position = reader.read(position, max_entries=1).next
        found = told.tell(hold)
        read_all(journal, TABLES[0])
        later, spans = told.tell(), journal.stats().damaged

    assert (len(found), later, spans) == (gaps, [], 2)


def test_damage_is_told_once_the_disk_can_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, 20)
    zero(segments(tmp_path)[0])

    def fail(*_: object) -> int:
        raise JournalDiskError("the disk failed")

    with make(tmp_path) as journal:
        told = Told(journal)
        with monkeypatch.context() as patched:
            patched.setattr(JournalReader, "time_of", fail)
            with pytest.raises(JournalDiskError):
                told.tell()
        assert len(told.tell()) == 1


def test_a_journal_of_an_earlier_version_learns_when_it_began(tmp_path: Path) -> None:
    """From its oldest segment, if nothing before that is lost."""
    fill(tmp_path, 20)
    with sqlite3.connect(tmp_path / "state.db") as state:
        state.execute("DELETE FROM meta WHERE name = 'created'")
    state.close()
    with make(tmp_path):
        pass
    zero(segments(tmp_path)[0])

    with make(tmp_path) as journal:
        ((since, _),) = Told(journal).tell()

    assert since == 0
