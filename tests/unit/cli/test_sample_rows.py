"""A made-up row is a record of its table, whatever the columns."""

from __future__ import annotations

import json

import pytest
from e2e.every_type import COLUMNS

from bridge.cli.sample_rows import sample_row
from bridge.codec import compile_schema
from bridge.codec.form import Slot
from bridge.events import Column, Schema
from bridge.types import declared_type


def shown(*columns: Column) -> dict[str, object]:
    codec = compile_schema(Schema("7", columns))
    row = sample_row(codec.schema)
    assert codec.join([row]).bad == []
    times = ((1, 0),)
    form = codec.form()
    read: dict[str, object] = json.loads(
        form.lines(row, 1, template=(Slot.RECORD,), first=0, times=times).lines
    )
    return read


def test_every_type_has_a_value_that_the_codec_takes_for_one() -> None:
    """Nothing is null, and nothing is text that should be more."""
    columns = [
        Column(name, typed.spec[0], declared_type(typed.spec[0], typed.spec[1:]), place % 2 == 0)
        for place, (name, typed) in enumerate(COLUMNS.items())
    ]
    read = shown(*columns)
    assert None not in read.values()
    assert read["flag"] is True
    assert read["unsigned"] == 1234
    assert read["doc"] == {"name": "value"}
    assert read["list"] == [1, 1]
    assert read["stamp"] == "2026-11-23T08:42:00.123Z"


@pytest.mark.parametrize(
    ("base", "type_", "expected"),
    [
        ("string", "char1", "t"),
        ("string", "char2", "te"),
        ("string", "decimal(10,2)", "12.50"),
        ("string", "decimal(5,4)", "1.5000"),
        ("string", "decimal(2,2)", "0.50"),
        ("string", "decimal(3,0)", "12"),
        ("string", "decimal", "12.50"),
        ("string", "array(string,3)", ["text"] * 3),
        ("string", "array(boolean)", [True, True]),
        ("string", "of a release to come(1)", "text"),
        ("bytes", "vector(3)", [0.5, 0.5, 0.5]),
        ("bytes", "bytes", "Ynl0ZXM="),
    ],
)
def test_a_value_fits_what_the_type_says(base: str, type_: str, expected: object) -> None:
    """Length, precision, scale, number of elements."""
    assert shown(Column("c", base, type_)) == {"c": expected}
