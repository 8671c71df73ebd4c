"""Entries as rows, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import Alter, Block, Column, Count, Drop, Entry, Gap, Schema, Undecodable
from bridge.journal.blocks import MAX_PAYLOAD, MAX_RUNS, cut, join, split
from bridge.journal.records import Stored
from bridge.journal.rows import (
    Origin,
    drafts_of,
    parse_schema_text,
    row_checksum,
    schema_text,
    stored_entry,
)

SCHEMA = Schema(
    "7", (Column("id", "long", "long"), Column("ä", "string", "char16", nullable=True)), ("id",)
)
OTHER = Schema("8", (Column("id", "int", "int"),))
TEXT = Schema("9", (Column("text", "string", "string"),))


def read_back(entries: Sequence[Entry]) -> list[Stored]:
    stored: list[Stored] = []
    offset = 0
    for draft in drafts_of(entries):
        origin = Origin(draft.table, draft.cluster, draft.schema)
        entry = stored_entry(
            draft.events, draft.kind, draft.time, origin, draft.detail, draft.payload
        )
        stored.append(Stored(offset, draft.events, entry))
        offset += draft.events
    return stored


def rows(payload: bytes, count: int, time: int = 1, schema: Schema = SCHEMA) -> Block:
    return Block("t", "c", "insert", schema, payload, count, ((count, time),))


def texts(sizes: Sequence[int], *times: tuple[int, int]) -> Block:
    """A block of texts of up to 63 bytes, each of its own letter."""
    payload = b"".join(
        bytes([2 * size]) + bytes([65 + n % 26]) * size for n, size in enumerate(sizes)
    )
    count = len(sizes)
    return Block("t", "c", "insert", TEXT, payload, count, times or ((count, 1),))


@pytest.mark.parametrize(
    "entry",
    [
        Count("t", "c", 5, "update", 10**20),
        Count("t", "c", 5, "delete", 0),
        Alter("t", "c", 5, SCHEMA, OTHER),
        Drop("t", "c", 5),
        Gap("t", "c", 5, "g1", 1, 2, "failover"),
        Gap("t", "c", 5, "g1", 1, 2, "unaccounted", closed=True, rows=7),
        Undecodable("t", "c", 5, b"\x00\xff", "not é"),
    ],
    ids=lambda entry: type(entry).__name__,
)
def test_an_entry_without_records_is_one_event_and_comes_back_equal(entry: Entry) -> None:
    assert read_back([entry]) == [Stored(0, 1, entry)]


def test_equal_schemas_are_one_object() -> None:
    again = parse_schema_text(schema_text(replace(SCHEMA)))

    assert again == SCHEMA
    assert again is parse_schema_text(schema_text(SCHEMA))


def test_small_blocks_of_one_origin_share_a_row_and_keep_their_times() -> None:
    entries = [rows(b"abc", 2, 1), rows(b"d", 1, 2), rows(b"e", 1, 2)]

    joined = Block("t", "c", "insert", SCHEMA, b"abcde", 4, ((2, 1), (2, 2)))
    assert read_back(entries) == [Stored(0, 4, joined)]


def test_order_is_kept_where_entries_of_another_kind_or_origin_stand_between() -> None:
    entries: list[Entry] = [
        rows(b"a", 1),
        Drop("t", "c", 2),
        rows(b"b", 1),
        rows(b"c", 1, 3, OTHER),
        replace(rows(b"d", 1, 3, OTHER), type="read", cause="update"),
    ]

    assert [stored.entry for stored in read_back(entries)] == entries


def test_entries_are_grouped_by_table_each_in_its_order() -> None:
    other = replace(rows(b"x", 1), table="u")
    entries: list[Entry] = [rows(b"a", 1), other, rows(b"b", 1), Drop("u", "c", 2), other]

    assert [(stored.entry.table, stored.count) for stored in read_back(entries)] == [
        ("t", 2),
        ("u", 1),
        ("u", 1),
        ("u", 1),
    ]


def test_a_row_keeps_no_more_times_than_a_reader_wants_at_once() -> None:
    drafts = drafts_of([rows(b"x", 1, n) for n in range(MAX_RUNS + 1)])

    assert [draft.events for draft in drafts] == [MAX_RUNS, 1]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), st.integers(1, 200))
def test_no_part_is_above_the_limit_unless_a_record_is(sizes: list[int], most: int) -> None:
    """Any sizes: nothing is lost, and only a record alone may be too large."""
    block = texts(sizes)

    parts = list(split(block, most))

    assert join(parts) == block
    for part in parts:
        assert len(part.payload) <= most or part.count == 1


@given(st.data(), st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=8))
def test_a_cut_takes_records_with_their_times(
    data: st.DataObject, times: list[tuple[int, int]]
) -> None:
    """Against what a list of single records with their times gives."""
    moments = [time for records, time in times for _ in range(records)]
    block = texts([n % 7 for n in range(len(moments))], *times)
    singles = list(cut(block, [(n, 1) for n in range(len(moments))]))
    first = data.draw(st.integers(0, len(moments) - 1))
    count = data.draw(st.integers(1, len(moments) - first))

    (part,) = cut(block, [(first, count)])

    assert part.payload == b"".join(one.payload for one in singles[first : first + count])
    assert [t for n, t in part.times for _ in range(n)] == moments[first : first + count]


def test_a_record_above_the_limit_is_stored_alone() -> None:
    block = texts([1, 1])
    large = replace(block, payload=b"\x82\x80\x80\x01" + b"y" * (MAX_PAYLOAD + 1), count=1)
    large = replace(large, times=((1, 1),))

    assert [draft.events for draft in drafts_of([block, large, block])] == [2, 1, 2]


def test_an_entry_without_events_is_not_stored() -> None:
    assert drafts_of([rows(b"", 0)]) == []


@given(st.integers(0, 7), st.binary(min_size=1, max_size=8), st.data())
def test_a_checksum_tells_any_flipped_bit(bit: int, payload: bytes, data: st.DataObject) -> None:
    """Columns and payload have a half each."""
    at = data.draw(st.integers(0, len(payload) - 1))
    flipped = bytearray(payload)
    flipped[at] ^= 1 << bit
    before = row_checksum(1, 2, "insert", 3, 4, None, payload)

    after = row_checksum(1, 2, "insert", 3, 4, None, bytes(flipped))

    assert before & 0xFFFFFFFF != after & 0xFFFFFFFF
    assert before >> 32 == after >> 32
    assert before >> 32 != row_checksum(1 ^ 1 << bit, 2, "insert", 3, 4, None, payload) >> 32
    assert 0 <= before < 2**63
