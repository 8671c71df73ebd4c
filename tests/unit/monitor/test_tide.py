"""The height of a growing column is told from blocks: the highest value and who has it."""

from __future__ import annotations

import pytest

from bridge.codec import compile_schema
from bridge.events import Column, Schema
from bridge.monitor.identity import RowReader
from bridge.monitor.tide import Level, Tide

SCHEMA = Schema("7", (Column("n", "int", "int", nullable=True), Column("s", "string", "string")))
CODEC = compile_schema(SCHEMA)
NULL = b"\x02\x02z"


def row(number: int, text: str) -> bytes:
    return b"\x00" + bytes([number * 2, len(text) * 2]) + text.encode()


def identity(*rows: bytes) -> tuple[int, ...]:
    reader = RowReader(SCHEMA)
    return tuple(map(reader.identity, reader.rows(b"".join(rows), len(rows))))


def note(tide: Tide, *rows: bytes) -> None:
    tide.note(CODEC, b"".join(rows), len(rows))


@pytest.fixture
def tide() -> Tide:
    tide = Tide("n")
    tide.start(0.0, CODEC, row(1, "a"), 1)
    return tide


def test_a_level_has_the_highest_value_and_its_ties(tide: Tide) -> None:
    """From all blocks since the last one; nulls and lower values do not count."""
    note(tide, row(3, "b"), NULL, row(5, "c"), row(2, "d"))
    note(tide, row(5, "e"), row(4, "f"))
    note(tide, NULL)
    tide.settle(20.0)

    assert tide.levels[-1] == Level(20.0, 5, identity(row(5, "c"), row(5, "e")))


def test_rows_of_the_same_height_join_those_of_the_level(tide: Tide) -> None:
    """Lower ones change nothing, and nothing new leaves the level as it is."""
    note(tide, row(1, "b"), row(0, "c"))
    tide.settle(20.0)
    tide.settle(40.0)

    ties = identity(row(1, "a"), row(1, "b"))
    assert tide.levels[-2:] == [Level(20.0, 1, ties), Level(40.0, 1, ties)]


def test_what_came_in_an_older_layout_raises_nothing(tide: Tide) -> None:
    """Its rows cannot be told apart from those of the new one."""
    other = compile_schema(Schema("8", (Column("n", "int", "int"),)))
    note(tide, row(9, "b"))
    tide.note(other, b"\x0c", 1)
    tide.settle(20.0)
    assert tide.levels[-1].value == 6

    without = compile_schema(Schema("9", (Column("m", "int", "int"),)))
    tide.note(without, b"\x10", 1)
    tide.settle(40.0)
    assert tide.levels[-1].value == 6


def test_many_ties_take_no_more_room(tide: Tide) -> None:
    """Only so many are remembered: a duplicate is better than memory without bound."""
    for start in range(0, 3000, 100):
        note(tide, *(row(7, str(start + n)) for n in range(100)))
    tide.settle(20.0)

    assert (tide.levels[-1].value, len(tide.levels[-1].ties)) == (7, 1000)
