"""A disk that is full heals by itself as soon as there is something that may go."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from services.disk_fault import DiskMissing, mounted, take_all_space

from bridge.errors import JournalFull
from bridge.events import Block, Column, Schema
from bridge.journal import Journal, JournalReader, Move, Settled

SCHEMA = Schema("1", (Column("text", "string", "string"),))
ROW = Block("t", "c", "insert", SCHEMA, bytes([0xA0, 0x1F]) + b"x" * 2000, 1, ((1, 1),))
MIB = 2**20

KILLED = """
import os, sys
from pathlib import Path
from bridge.journal import Journal

journal = Journal(Path(sys.argv[1]), segment_size=64 * 2**20)
journal.open()
journal.register("s", ["t"])
os._exit(0)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB, where one can be mounted."""
    with ExitStack() as stack:
        try:
            place = stack.enter_context(mounted(tmp_path / "disk", "24m"))
        except DiskMissing as error:
            pytest.skip(str(error))
        yield place


def append_for_ever(journal: Journal, rows: int) -> None:
    while True:
        journal.append([ROW] * rows)


def fill(journal: Journal) -> int:
    """Append until the disk is full, at last row by row; return the head."""
    for rows in (50, 1):
        with pytest.raises(JournalFull, match="the disk is full"):
            append_for_ever(journal, rows)
    return journal.head


def settle(journal: Journal, end: int) -> None:
    start = journal.lanes("s")["t"].cursor
    journal.settle("s", [Move("t", end, (Settled(start, end - start, "delivered"),))])


def read_to(reader: JournalReader, position: int, head: int) -> int:
    """Read on to the head; return how many events were there."""
    events = 0
    while position < head:
        page = reader.read(position)
        assert not page.damaged
        events += sum(stored.count for stored in page.entries)
        position = page.next
    return events


@pytest.mark.parametrize("segment_size", [None, 64 * MIB])
def test_where_all_is_acknowledged_the_next_append_heals_it(
    disk: Path, segment_size: int | None
) -> None:
    """Also where the newest segment is all there is, and a reader that rests has it open."""
    with Journal(disk / "j", segment_size=segment_size) as journal, journal.reader() as reader:
        journal.register("s", ["t"])
        for _ in range(3):
            start = journal.head
            full = fill(journal)
            assert read_to(reader, start, full) == full - start
            take_all_space(disk / "others")
            settle(journal, full)

            assert journal.append([ROW]) == full + 1

            settle(journal, full + 1)
            journal.upkeep()
        assert full > 10_000


@pytest.mark.parametrize("segment_size", [None, 64 * MIB])
def test_a_start_on_a_full_disk_goes_on_once_the_sink_has_caught_up(
    disk: Path, segment_size: int | None
) -> None:
    """However often it is started with not a byte free; nothing is lost."""
    with Journal(disk / "j", segment_size=segment_size) as journal:
        journal.register("s", ["t"])
        fill(journal)
    for _ in range(3):
        take_all_space(disk / "others")
        with Journal(disk / "j", segment_size=segment_size) as journal:
            journal.register("s", ["t"])
            full = fill(journal)
    take_all_space(disk / "others")
    killed = subprocess.run([sys.executable, "-c", KILLED, disk / "j"], check=False)
    assert killed.returncode == 0
    take_all_space(disk / "others")

    with Journal(disk / "j", segment_size=segment_size) as journal, journal.reader() as reader:
        journal.register("s", ["t"])
        assert journal.head == full
        with pytest.raises(JournalFull):
            journal.append([ROW] * 2000)
        assert read_to(reader, 0, full) == full
        settle(journal, full)
        assert journal.append([ROW] * 500) == full + 500
        assert read_to(reader, full, full + 500) == 500


def test_a_start_on_a_full_disk_where_all_is_acknowledged_heals_it(disk: Path) -> None:
    """The newest segment and its log are all there is."""
    with Journal(disk / "j", segment_size=64 * MIB) as journal:
        journal.register("s", ["t"])
        full = fill(journal)
        settle(journal, full)
    take_all_space(disk / "others")

    with Journal(disk / "j", segment_size=64 * MIB) as journal:
        assert journal.append([ROW] * 500) == full + 500


@pytest.mark.parametrize("segment_size", [None, 64 * MIB])
def test_drop_oldest_goes_on_for_ever(disk: Path, segment_size: int | None) -> None:
    """A disk smaller than max_size is the size there is."""
    with Journal(disk / "j", segment_size=segment_size, on_full="drop_oldest") as journal:
        journal.register("s", ["t"])
        for _ in range(1000):
            journal.append([ROW] * 50)

        (account,) = journal.accounts()
        assert account.received == journal.head == 50_000
        assert 0 < account.discarded < 50_000
        assert account.discarded + account.pending == 50_000


def test_the_room_that_is_kept_is_made_again(disk: Path) -> None:
    """After it was given up for a segment, and after somebody deleted it."""
    ballast = disk / "j" / "ballast"
    with Journal(disk / "j", segment_size=64 * MIB) as journal:
        journal.register("s", ["t"])
        before = ballast.stat().st_blocks
        settle(journal, fill(journal))
        journal.append([ROW])
        assert ballast.stat().st_blocks >= before > 0
        ballast.unlink()
        journal.upkeep()
        assert ballast.stat().st_blocks >= before


def test_segments_are_a_small_part_of_the_disk(disk: Path) -> None:
    """Whatever max_size is, so that what is delivered can go while the rest still waits."""
    with Journal(disk / "j") as journal:
        journal.register("s", ["t"])
        full = fill(journal)
        settle(journal, full // 2)

        assert journal.append([ROW] * 500) == full + 500
        assert journal.stats().segments > 2
