"""What the journal keeps in memory for readers at the head."""

from __future__ import annotations

from bridge.events import Block, Column, Schema
from bridge.journal.recent import Recent
from bridge.journal.rows import drafts_of

SCHEMA = Schema("7", (Column("x", "bytes", "bytes"),))


def block(table: str, size: int = 100) -> Block:
    """Return a block of one record."""
    return Block(table, "c", "insert", SCHEMA, bytes(size), 1, ((1, 5),))


def recent(*tables: str, most: int = 10_000) -> Recent:
    """Return the memory of a journal that begins at 10, a commit for each table."""
    kept = Recent(10, most)
    for table in tables:
        kept.add(drafts_of([block(table)]))
    return kept


def test_a_page_is_what_was_committed() -> None:
    """Offsets, entries, and where to go on."""
    page = recent("a", "b").page(10, 2**20, 100, None)

    assert page is not None
    assert [(s.offset, s.count, s.entry) for s in page.entries] == [
        (10, 1, block("a")),
        (11, 1, block("b")),
    ]
    assert (page.next, page.damaged) == (12, [])


def test_a_page_passes_over_other_tables() -> None:
    """A reader of one table gets on where the others have much."""
    page = recent("a", "b", "a").page(10, 2**20, 100, {"b"})

    assert page is not None
    assert [stored.entry.table for stored in page.entries] == ["b"]
    assert page.next == 13


def test_a_page_ends_at_a_limit() -> None:
    """With the entry that reaches the bytes, or after so many entries."""
    kept = recent("a", "a", "a")
    by_bytes, by_entries = kept.page(10, 150, 100, None), kept.page(11, 2**20, 1, None)

    assert by_bytes is not None
    assert by_entries is not None
    assert (by_bytes.next, by_entries.next) == (12, 12)


def test_what_is_not_kept_is_left_to_the_segments() -> None:
    """Before the oldest, and at the head, there is no page."""
    kept = recent("a", "a", "a", most=400)

    assert kept.page(10, 2**20, 100, None) is None
    assert kept.page(13, 2**20, 100, None) is None
    assert kept.page(11, 2**20, 100, None) is not None


def test_entries_go_with_their_segment() -> None:
    """What was pruned is not read from memory either."""
    kept = recent("a", "a")
    kept.forget(11)

    assert kept.page(10, 2**20, 100, None) is None
    assert kept.page(11, 2**20, 100, None) is not None
