"""A table's layout as an Avro schema: names that Avro allows, defaults for all that may come."""

from __future__ import annotations

import json
from typing import Any

import fastavro
import pytest

from bridge.errors import Retry
from bridge.events import Column, Schema
from bridge.formats.avro_schema import avro_schema, legal
from bridge.formats.shape import Shape, Stage


def schema_of(*columns: Column, key: tuple[str, ...] = (), table: str = "ki_home.t") -> Any:
    avro = avro_schema(table, Schema("7", columns, key), Shape())
    parsed = json.loads(avro.text)
    fastavro.parse_schema(parsed)
    return parsed


def test_a_record_is_named_after_schema_and_table() -> None:
    """Its own name stands beside the one that Avro allows."""
    parsed = schema_of(Column("unit price", "int", "int"), table="my schema.2026-orders")

    assert (parsed["namespace"], parsed["name"]) == ("my_schema", "_2026_orders")
    assert parsed["doc"] == "my schema.2026-orders"
    assert parsed["fields"] == [
        {"name": "unit_price", "doc": "unit price", "type": "int", "default": 0}
    ]


@pytest.mark.parametrize("name", ["", "é", "a.b", "a-b", "9", "\u0660", "a b"])
def test_any_name_becomes_one_that_avro_allows(name: str) -> None:
    """Digits of other scripts are none of Avro's."""
    assert legal(name).isascii()
    assert legal(name).isidentifier()


def test_columns_that_would_have_one_name_are_refused() -> None:
    """With both, and the setting that cures it; a renamed one is well."""
    schema = Schema("7", (Column("a b", "int", "int"), Column("a_b", "int", "int")))

    with pytest.raises(Retry, match="columns a b and a_b would both be a_b in Avro; see rename"):
        avro_schema("t", schema, Shape())
    assert avro_schema("t", schema, Shape(stages=(Stage(rename=(("a b", "c"),)),)))


def test_each_field_has_a_default_but_those_of_the_key() -> None:
    """So that a column that comes later is compatible: null, or what Kinetica fills it with."""
    kinds = [
        ("int", "int"), ("int", "boolean"), ("long", "timestamp"), ("float", "float"),
        ("string", "string"), ("string", "date"), ("string", "decimal(4,2)"),
        ("string", "uuid"), ("bytes", "bytes"), ("bytes", "vector(3)"),
    ]  # fmt: skip
    columns = [Column(f"c{n}", *kind) for n, kind in enumerate(kinds)]
    nulls = [Column(f"n{n}", *kind, nullable=True) for n, kind in enumerate(kinds)]

    fields = schema_of(Column("id", "long", "long"), *columns, *nulls, key=("id",))["fields"]

    assert "default" not in fields[0]
    assert [field["default"] for field in fields[1:11]] == [
        0, False, 0, 0.0, "", 0, "\0", "00000000-0000-0000-0000-000000000000", "", [],
    ]  # fmt: skip
    for field, plain in zip(fields[11:], fields[1:11], strict=True):
        assert field["type"] == ["null", plain["type"]]
        assert field["default"] is None


@pytest.mark.parametrize(
    "declared", ["decimal(39,0)", "decimal(4,5)", "decimal(x)", "decimal(1,2,3)"]
)
def test_a_decimal_that_avro_cannot_have_is_text(declared: str) -> None:
    """More digits than 127 bits hold, or a scale beyond them."""
    (field,) = schema_of(Column("c", "string", declared))["fields"]

    assert field["type"] == "string"
