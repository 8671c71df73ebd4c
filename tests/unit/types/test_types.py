"""What a column type means is read from its name, once, and all that asks is told the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from bridge.events import Column
from bridge.types import (
    DECLARED_TYPES,
    JsonForm,
    Order,
    canonical,
    comparable,
    declared_type,
    literal,
    type_of,
)


@pytest.mark.parametrize(
    ("base", "declared", "family", "parameters", "low", "high"),
    [
        ("int", "int", "int", (), -(2**31), 2**31 - 1),
        ("int", "int8", "int8", (), -128, 127),
        ("int", "int16", "int16", (), -32768, 32767),
        ("long", "timestamp", "timestamp", (), -(2**63), 2**63 - 1),
        ("double", "double", "double", (), 0, 2**63 - 1),
        ("string", "char16", "char", ("16",), 0, 16),
        ("string", "decimal(10,2)", "decimal", ("10", "2"), 0, 2**63 - 1),
        ("string", "array(int,3)", "array", ("int", "3"), 0, 2**63 - 1),
        ("bytes", "vector(4)", "vector", ("4",), 0, 2**63 - 1),
    ],
)
def test_a_type_is_read_from_its_name(
    base: str, declared: str, family: str, parameters: tuple[str, ...], low: int, high: int
) -> None:
    """Family, parameters and bounds."""
    kind = type_of(Column("x", base, declared))

    assert (kind.base, kind.family, kind.parameters) == (base, family, parameters)
    assert (kind.low, kind.high) == (low, high)


def test_every_declared_type_has_a_form_and_an_order() -> None:
    """None that Kinetica has is forgotten; a type that only its base knows is written as that."""
    for base, families in DECLARED_TYPES.items():
        for family in families:
            kind = type_of(Column("x", base, family))
            assert isinstance(kind.order, Order)
            assert kind.kinetica is type_of(Column("x", base, base)).declared

    assert type_of(Column("x", "string", "timestamp")).declared is JsonForm.TEXT


def test_a_base_type_that_kinetica_does_not_have_is_refused() -> None:
    """By the name of its column."""
    with pytest.raises(ValueError, match="column x: unknown base type 'boolean'"):
        type_of(Column("x", "boolean", "boolean"))


@pytest.mark.parametrize(
    ("declared", "one", "other"),
    [
        ("datetime", "2026-11-23 08:42:00.500000", "2026-11-23T08:42:00.5"),
        ("datetime", "2026-11-23 08:42:00.000", "2026-11-23 08:42:00"),
        ("time", "08:42:00.120", "08:42:00.12"),
        ("decimal(10,2)", "12.50", "12.5"),
        ("decimal", "1E+2", "100"),
        ("uuid", "00000000-0000-0000-0000-00000000000A", "0000000000000000000000000000000a"),
        ("json", '{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        ("array(int)", "[1, 2]", "[1,2]"),
    ],
)
def test_equal_values_have_one_canonical_text(declared: str, one: str, other: str) -> None:
    """However they were written."""
    form = canonical(Column("x", "string", declared))

    assert form is not None
    assert form(one) == form(other)


@pytest.mark.parametrize(
    "text", ["", "no number", "1e999999999", "NaN", "Infinity", "{", "[" * 10**5]
)
def test_what_is_no_value_is_its_own_canonical_text(text: str) -> None:
    """Nothing is made of it, and nothing is raised."""
    for declared in ("decimal", "json"):
        form = canonical(Column("x", "string", declared))
        assert form is not None
        assert form(text) == text


def test_a_type_whose_values_are_written_one_way_needs_no_canonical_form() -> None:
    """Numbers are what they are; so is plain text."""
    assert canonical(Column("x", "long", "timestamp")) is None
    assert canonical(Column("x", "string", "char8")) is None


@pytest.mark.parametrize(
    ("declared", "ascending"),
    [
        ("ulong", ["nothing", "9", "10", "18446744073709551615"]),
        ("decimal(5,1)", ["NaN", "-10.5", "-9", "9.50", "10"]),
        ("ipv4", ["300.0.0.1", "9.255.0.0", "10.0.0.0", "10.0.0.200"]),
        ("datetime", ["2026-11-23", "2026-11-23 08:42:00", "2026-11-23T08:42:00.5"]),
        ("uuid", ["0a", "0B", "0c"]),
        ("string", ["10", "9", "é"]),
    ],
)
def test_values_order_as_their_type_does(declared: str, ascending: list[str]) -> None:
    """And what is no value of it stands below all."""
    ranks: list[Any] = [comparable(Column("x", "string", declared), text) for text in ascending]

    assert ranks == sorted(ranks)
    assert all(one < other for one, other in pairwise(ranks))


def test_constants_of_expressions_are_quoted_where_they_are_text() -> None:
    """A number stays bare, whatever carries it."""
    assert literal(Column("x", "string", "char8"), "o'clock") == "'o''clock'"
    assert literal(Column("x", "string", "ulong"), "12") == "12"
    assert literal(Column("x", "string", "decimal(5,1)"), "1.5") == "1.5"
    assert literal(Column("x", "long", "timestamp"), 12) == "12"


@pytest.mark.parametrize("junk", ["decimal(1\ud800)", "decimal(1", "decimal)", "xdecimal", "char3"])
def test_a_property_that_only_looks_like_a_type_is_none(junk: str) -> None:
    """The base type stands, so that no event names what nobody can read."""
    assert declared_type("string", [junk]) == "string"
