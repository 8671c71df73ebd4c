"""A reader that the open journal made: it is told of segments and head, and looks up neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bridge.events import Block
from bridge.journal import Damage, Journal, JournalReader, Move, Page, Settled
from bridge.journal.layout import list_files, remove_database, segment_path

MakeRows = Callable[..., Block]
MIB = 2**20


def follow(reader: JournalReader, start: int, head: int, **limits: int) -> tuple[list[int], Page]:
    """Read on until the head; the offsets of all events, and the last page."""
    offsets: list[int] = []
    position = start
    while True:
        page = reader.read(position, **limits)
        for stored in page.entries:
            offsets += range(stored.offset, stored.offset + stored.count)
        position = page.next
        if position >= head:
            return offsets, page


def list_firsts(path: Path) -> list[int]:
    """Return where the segments begin."""
    return sorted(first for first, _ in list_files(path))


def test_it_follows_new_segments_and_new_tables(tmp_path: Path, rows: MakeRows) -> None:
    """One reader, kept open while the journal rolls and origins are added, misses nothing."""
    with Journal(tmp_path / "j", max_size=MIB, segment_size=2**16) as journal:
        journal.register("s", ["t0"])
        seen: list[int] = []
        with journal.reader() as reader:
            for i in range(30):
                journal.append([rows(f"t{i % 7}", 3, 5000), rows(f"u{i}", 2)])
                offsets, page = follow(reader, len(seen), (i + 1) * 5)
                seen += offsets
                assert reader.read(page.next) == Page((), page.next, [])
        segments = journal.stats().segments

    assert seen == list(range(150))
    assert segments > 3


def test_it_goes_on_from_within_an_entry(tmp_path: Path, rows: MakeRows) -> None:
    """Any offset in an entry gives the whole of it."""
    with Journal(tmp_path / "j") as journal:
        for i in range(20):
            head = journal.append([rows(count=2, time=i)])
        with journal.reader() as reader:
            offsets, _ = follow(reader, 0, head, max_entries=3)
            again = [reader.read(start, max_entries=1).entries[0].offset for start in (7, 0, 39)]

    assert offsets == list(range(40))
    assert again == [6, 0, 38]


def test_it_goes_on_behind_what_was_pruned(tmp_path: Path, rows: MakeRows) -> None:
    """The segment it has open goes, and nothing is reported damaged."""
    damaged: list[Damage] = []
    with Journal(tmp_path / "j", max_size=MIB, segment_size=2**16) as journal:
        journal.register("s", ["t"])
        for _ in range(30):
            journal.append([rows("t", 2, 10_000)])
        with journal.reader() as reader:
            reader.read(0)
            journal.settle("s", [Move("t", 60, (Settled(0, 60, "delivered"),))])
            for _ in range(20):
                journal.append([rows("t", 2, 10_000)])
            oldest = journal.stats().oldest
            page = reader.read(0)
            damaged += page.damaged

    assert page.entries[0].offset == oldest > 0
    assert damaged == []


def test_a_segment_deleted_under_it_is_a_damaged_span(tmp_path: Path, rows: MakeRows) -> None:
    """What the journal still lists and somebody removed is reported, and reading goes on behind."""
    with Journal(tmp_path / "j", segment_size=2**16, memory=0) as journal:
        for _ in range(40):
            journal.append([rows("t", 2, 10_000)])
        _, second, third, *_ = list_firsts(tmp_path / "j")
        remove_database(segment_path(tmp_path / "j", second))
        with journal.reader() as reader:
            page = reader.read(second)

    assert [(d.first, d.last) for d in page.damaged] == [(second, third - 1)]
    assert page.entries[0].offset == third
    assert second not in list_firsts(tmp_path / "j")  # looking for a file must not make it
