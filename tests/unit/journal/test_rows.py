"""Entries as rows, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import Alter, Column, Count, Drop, Entry, Gap, Rows, Schema, Undecodable
from bridge.journal import rows as rows_module
from bridge.journal.records import Records, Stored
from bridge.journal.rows import (
    MAX_PARTS,
    MAX_PAYLOAD,
    Origin,
    drafts_of,
    parse_schema_text,
    row_checksum,
    schema_text,
    stored_entries,
)

SCHEMA = Schema(
    "7", (Column("id", "long", "long"), Column("ä", "string", "char16", nullable=True)), ("id",)
)
OTHER = Schema("8", (Column("id", "int", "int"),))


def read_back(entries: Sequence[Entry]) -> list[Stored]:
    stored: list[Stored] = []
    offset = 0
    for draft in drafts_of(entries):
        origin = Origin(draft.table, draft.cluster, draft.schema)
        stored += stored_entries(
            offset, draft.events, draft.kind, draft.time, origin, draft.detail, draft.payload
        )
        offset += draft.events
    return stored


def rows(frames: Sequence[bytes], time: int = 1, schema: Schema = SCHEMA) -> Rows:
    return Rows("t", "c", time, "insert", schema, frames)


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


def test_small_notifications_of_one_origin_share_a_row_and_keep_their_times() -> None:
    entries = [rows([b"a", b"bc"], 1), rows([b"d"], 2)]

    assert len(drafts_of(entries)) == 1
    assert read_back(entries) == [
        Stored(0, 2, Records("t", "c", 1, "insert", SCHEMA, b"abc", 2)),
        Stored(2, 1, Records("t", "c", 2, "insert", SCHEMA, b"d", 1)),
    ]


def test_order_is_kept_where_entries_of_another_kind_or_origin_stand_between() -> None:
    entries: list[Entry] = [rows([b"a"]), Drop("t", "c", 2), rows([b"b"]), rows([b"c"], 3, OTHER)]

    assert [type(stored.entry) for stored in read_back(entries)] == [
        Records,
        Drop,
        Records,
        Records,
    ]


def test_a_row_takes_no_more_parts_than_a_reader_wants_at_once() -> None:
    drafts = drafts_of([rows([b"x"])] * (MAX_PARTS + 1))

    assert [draft.events for draft in drafts] == [MAX_PARTS, 1]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_no_payload_is_above_the_limit_unless_a_record_is(sizes: list[int]) -> None:
    """Any sizes: nothing is lost, and only a record alone may be too large."""
    frames = [bytes([n]) * size for n, size in enumerate(sizes)]
    limit = rows_module.MAX_PAYLOAD
    rows_module.MAX_PAYLOAD = 32
    try:
        drafts = drafts_of([rows(frames), rows(frames, 2)])
    finally:
        rows_module.MAX_PAYLOAD = limit

    assert b"".join(draft.payload or b"" for draft in drafts) == b"".join(frames) * 2
    assert sum(draft.events for draft in drafts) == 2 * len(frames)
    for draft in drafts:
        assert len(draft.payload or b"") <= 32 or draft.events == 1


def test_a_record_above_the_limit_is_stored_alone() -> None:
    frames = [b"a", b"x" * (MAX_PAYLOAD + 1), b"b"]

    assert [draft.events for draft in drafts_of([rows(frames)])] == [1, 1, 1]


def test_an_entry_without_events_is_not_stored() -> None:
    assert drafts_of([rows([])]) == []


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
