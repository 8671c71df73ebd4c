"""Debezium's consumers read what we write: Connect's JsonConverter, and Debezium's own SMT."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
from e2e.every_type import COLUMNS
from services.debezium import read_envelopes
from services.formats import ID, TABLE, TIME, block, write

from bridge.events import Block, Column, ReadCause, Schema
from bridge.formats.debezium import DebeziumFormat
from bridge.formats.json import JsonFormat
from bridge.formats.shape import Shape, Stage
from bridge.types import declared_type

FORM = DebeziumFormat("eu-1", schemas=True)
EVERY = Schema(
    "9",
    tuple(
        Column(name, typed.spec[0], declared_type(typed.spec[0], typed.spec[1:]), name != "id")
        for name, typed in COLUMNS.items()
    ),
    ("id",),
)


def rows(schema: Schema, values: list[list[Any]]) -> Block:
    """Return rows of these wire values."""
    fields = [
        {"name": f"f{at}", "type": [column.base, "null"] if column.nullable else column.base}
        for at, column in enumerate(schema.columns)
    ]
    layout = fastavro.parse_schema({"type": "record", "name": "r", "fields": fields})
    out = BytesIO()
    for row in values:
        fastavro.schemaless_writer(out, layout, {f"f{at}": each for at, each in enumerate(row)})
    count = len(values)
    return replace(
        block(schema=schema), payload=out.getvalue(), count=count, times=((count, TIME),)
    )


def messages(written: Block, shape: Shape) -> list[tuple[bytes | None, bytes]]:
    lines = write(FORM, written, shape)
    return [(lines.event(at).key, lines.event(at).value) for at in range(len(lines))]


def test_every_type_is_read_back_as_it_was_written(debezium: Path) -> None:
    """By the converter, from key and value, and flat after the SMT; nulls too.

    JSON columns are text there, and bytes stay base64.
    """
    given = [[typed.given(n) for typed in COLUMNS.values()] for n in range(3)]
    given.append([3, *[None] * (len(COLUMNS) - 1)])
    written = rows(EVERY, given)
    lines = write(JsonFormat(), written)
    expected = [json.loads(lines.event(at).value)["record"] for at in range(4)]
    for at, row in enumerate(expected):
        row |= {name: given[at][list(COLUMNS).index(name)] for name in ("doc", "list")}

    for at, read in enumerate(read_envelopes(debezium, messages(written, Shape()))):
        assert read["name"] == f"eu-1.{TABLE}.Envelope"
        assert read["key"] == {"id": at}
        assert read["envelope"]["before"] is None
        assert read["envelope"]["after"] == expected[at]
        assert read["row"] == expected[at] | {
            "__op": "c",
            "__source_snapshot": "false",
            "__source_event_id": f"{ID}-{1234 + at}",
        }


def test_the_forms_that_kinetica_sends_are_described_as_well(debezium: Path) -> None:
    """With `values: kinetica` a time is a number, and the schema says so."""
    given = [[typed.given(n) for typed in COLUMNS.values()] for n in range(2)]
    written = rows(EVERY, given)
    shape = Shape(values="kinetica")
    lines = write(JsonFormat(), written, shape)
    for at, read in enumerate(read_envelopes(debezium, messages(written, shape))):
        assert read["envelope"]["after"] == json.loads(lines.event(at).value)["record"]


def test_causes_shapes_and_odd_names_are_read(debezium: Path) -> None:
    """Renamed, masked and with names that need escapes."""
    schema = Schema("9", (Column('a "b"', "long", "long"), Column("é.x", "string", "string")))
    shape = Shape(
        key=("é.x",),
        stages=(Stage(rename=(("é.x", "key"),), mask=(('a "b"', "hash"),), mask_key=b"k"),),
    )
    expected: dict[ReadCause | None, str] = {None: "c", "gap": "r", "snapshot": "r", "update": "u"}
    given = []
    for cause in expected:
        written = replace(rows(schema, [[7, "x"]]), type="read" if cause else "insert", cause=cause)
        given += messages(written, shape)
    for read, operation in zip(read_envelopes(debezium, given), expected.values(), strict=True):
        assert read["key"] == {"key": "x"}
        assert read["row"]["__op"] == operation
        assert len(read["envelope"]["after"]['a "b"']) == 64


def test_numbers_that_json_does_not_have_are_lost_to_the_converter(debezium: Path) -> None:
    """It reads the text of a NaN as 0, its own too: a trap that the documentation names."""
    schema = Schema("9", (Column("d", "double", "double"), Column("f", "float", "float")))
    written = rows(schema, [[float("nan"), float("inf")], [1e300, struct.unpack("f", b"abcd")[0]]])
    first, second = read_envelopes(debezium, messages(written, Shape()))
    assert first["envelope"]["after"] == {"d": 0.0, "f": 0.0}
    assert second["envelope"]["after"]["d"] == 1e300
