"""The counting behind `make compare`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks is no installed package

from benchmarks.compare.contenders import Told
from benchmarks.compare.measure import Result, result
from benchmarks.compare.watched import encode, is_right, row
from bridge.codec import compile_schema
from bridge.events import Column, Schema

SECOND = 10**9
TROUBLE = 10 * SECOND
# Ten rows, one a second, the trouble between the third and the fourth.
PUBLISHED = {number: TROUBLE + (number - 3) * SECOND + 1 for number in range(10)}


def measured(told: Told, in_table: set[int] | None = None) -> Result:
    table = set(PUBLISHED) if in_table is None else in_table
    return result("someone", told, PUBLISHED, table, {99}, TROUBLE)


def on_time(*numbers: int) -> dict[int, list[int]]:
    return {number: [PUBLISHED[number] + 1000] for number in numbers}


def test_a_stream_without_trouble_is_whole_at_once() -> None:
    """Nothing is lost, late or doubled, so there was nothing to notice either."""
    found = measured(Told(on_time(*range(10))))

    assert (found.published, found.received, found.lost) == (10, 10, 0)
    assert (found.duplicated, found.wrong, found.whole, found.noticed) == (0, 0, 0, None)
    assert found.is_good


def test_lost_rows_make_it_never_whole() -> None:
    """It hears again with the first row after the last that was lost."""
    found = measured(Told(on_time(0, 1, 2, 6, 7, 8, 9)))

    assert (found.received, found.lost, found.lost_of_table) == (7, 3, 3)
    assert found.whole is None
    assert round(found.hears or 0) == 3
    assert not found.is_good


def test_who_hears_no_more_never_hears_again() -> None:
    """The last rows were lost."""
    found = measured(Told(on_time(0, 1, 2)))

    assert (found.lost, found.hears, found.whole) == (7, None, None)


def test_rows_that_arrive_late_make_it_whole_when_the_last_of_them_is_there() -> None:
    """Rows 3 to 5 are read seven seconds after the trouble began."""
    rows = on_time(0, 1, 2, 6, 7, 8, 9) | {n: [TROUBLE + 7 * SECOND] for n in (3, 4, 5)}
    found = measured(Told(rows, said=[(TROUBLE + 2 * SECOND, "deaf")]))

    assert (found.lost, found.whole, found.noticed) == (0, 7, 2)
    assert round(found.hears or 0) == 3


def test_rows_that_the_table_no_longer_has_leave_it_whole() -> None:
    """They are lost all the same, and counted."""
    found = measured(Told(on_time(*range(1, 10))), in_table=set(range(1, 10)))

    assert (found.lost, found.lost_of_table, found.whole) == (1, 0, 0)


def test_doubles_and_strangers_are_counted() -> None:
    """A row told twice, one that nobody published, one that was refused and told all the same."""
    told = Told(on_time(*range(10)) | {1000: [TROUBLE], 99: [TROUBLE]}, wrong=[{"id": 3}])
    told.rows[4].append(TROUBLE)
    found = measured(told)

    assert (found.duplicated, found.wrong) == (1, 2)


def test_a_row_is_right_in_both_forms_and_not_with_another_layout() -> None:
    """The timestamp may be a number or text; a shifted column shows."""
    assert is_right(row(7))
    assert is_right({**row(7), "at": "2023-11-14T22:13:20.007Z", "extra": None})
    assert not is_right({**row(7), "at": 0})
    assert not is_right({"id": 7, "label": "", "at": row(7)["at"]})


def test_a_row_is_encoded_as_the_layout_says() -> None:
    """What the burst publishes by hand decodes to the row."""
    columns = (
        Column("id", "long", "long", nullable=False),
        Column("label", "string", "char32", nullable=False),
        Column("at", "long", "long", nullable=False),
    )
    codec = compile_schema(Schema("1", columns))

    for number in (0, 63, 64, 999_999):
        assert codec.decode(encode(number), 1) == [row(number)]
