"""The search for the next readable entry, on a tree that is only imagined."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journal.database import is_damage
from bridge.journal.probe import first_readable


@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=40),
    data=st.data(),
)
def test_reading_goes_on_at_the_first_entry_behind_the_bad_page(
    sizes: list[int], data: st.DataObject
) -> None:
    """Any entries, any run of them on a bad page: none behind it is passed over."""
    offsets = [sum(sizes[:index]) for index in range(len(sizes))]
    low = data.draw(st.integers(0, len(offsets) - 1))
    high = data.draw(st.integers(low + 1, len(offsets)))

    def seek(offset: int) -> int | None:
        index = bisect_left(offsets, offset)
        if low <= index < high:
            raise sqlite3.DatabaseError("database disk image is malformed")
        return offsets[index] if index < len(offsets) else None

    found = first_readable(seek, offsets[low], sum(sizes), is_damage)

    if high == len(offsets):
        assert found is None or seek(found) is None
    else:
        assert found is not None
        assert seek(found) == offsets[high]


def test_a_row_that_can_be_found_but_not_read_is_stepped_over() -> None:
    assert first_readable(lambda offset: 12, 5, 100, is_damage) == 13


def test_the_search_ends_where_nothing_follows() -> None:
    def seek(offset: int) -> int | None:
        raise sqlite3.DatabaseError("file is not a database")

    assert first_readable(seek, 0, 10**9, is_damage) is None


def test_a_busy_database_is_not_taken_for_a_damaged_one() -> None:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY

    def seek(offset: int) -> int | None:
        raise error

    with pytest.raises(sqlite3.OperationalError):
        first_readable(seek, 0, 100, is_damage)
