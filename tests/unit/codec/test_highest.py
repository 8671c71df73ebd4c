"""The greatest and the least value of a column are found by what its type means."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from bridge.errors import DecodeError
from bridge.events import Column, Schema

NAN = float("nan")


def zigzag(number: int) -> bytes:
    bits = (number << 1) ^ (number >> 63)
    written = bytearray()
    while bits >= 0x80:
        written.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes(written) + bytes([bits])


def wire(base: str, value: Any) -> bytes:
    if value is None:
        return b"\x02"
    if base in {"int", "long"}:
        return b"\0" + zigzag(value)
    if base in {"float", "double"}:
        return b"\0" + struct.pack("<f" if base == "float" else "<d", value)
    data = value.encode() if isinstance(value, str) else value
    return b"\0" + zigzag(len(data)) + data


@pytest.mark.parametrize(
    ("base", "declared", "values", "value", "places"),
    [
        ("int", "int8", [-3, None, 7, 7, 1], 7, [2, 3]),
        ("long", "long", [-(2**63), 2**63 - 1], 2**63 - 1, [1]),
        ("long", "timestamp", [5, 6, 6, 4], 6, [1, 2]),
        ("float", "float", [0.5, -math.inf, NAN, 0.5], 0.5, [0, 3]),
        ("double", "double", [-1.0, NAN, -0.5], -0.5, [2]),
        ("double", "double", [-0.0, 0.0], -0.0, [0, 1]),
        ("double", "double", [math.inf, 1e308], math.inf, [0]),
        ("string", "char4", ["a", "é", "b", "é"], "é", [1, 3]),
        ("string", "string", ["ab", "a", ""], "ab", [0]),
        ("string", "string", ["\uffff", "\U00010000"], "\U00010000", [1]),
        ("bytes", "bytes", [b"\x7f", b"\xff", b""], b"\xff", [1]),
        ("string", "date", ["2026-11-23", "2026-02-01"], "2026-11-23", [0]),
        (
            "string",
            "datetime",
            ["2026-11-23 08:42:00.5", "2026-11-23T08:42:00.500000", "2026-11-23 08:42:00"],
            "2026-11-23 08:42:00.5",
            [0, 1],
        ),
        ("string", "datetime", ["2026-11-23 08:42:00.000", "2026-11-23 08:42:00"], None, [0, 1]),
        (
            "string",
            "time",
            ["08:42:00.12", "08:42:00.123", "08:42:00.1230"],
            "08:42:00.123",
            [1, 2],
        ),
        ("string", "ulong", ["9", "10", "no number", "010"], "10", [1, 3]),
        ("string", "ulong", ["18446744073709551615", "18446744073709551616"], None, [0]),
        ("string", "ulong", ["x", "y"], "x", [0, 1]),
        ("string", "decimal(10,2)", ["-1.5", "9.50", "9.5", "NaN", "?"], "9.50", [1, 2]),
        ("string", "ipv4", ["9.0.0.1", "10.0.0.0", "10.0.0.0", "300.1.1.1"], "10.0.0.0", [1, 2]),
        ("string", "uuid", ["AB-CD", "abcd", "ab00"], "AB-CD", [0, 1]),
    ],
)
def test_the_greatest_value_and_its_records_are_found(
    make_codec: Any, base: str, declared: str, values: list[Any], value: Any, places: list[int]
) -> None:
    """By number, by bytes, by moment, as the type has it; what is no value stands below all."""
    columns = (Column("a", "string", "string"), Column("x", base, declared, True))
    payload = b"".join(b"\x02." + wire(base, each) for each in values)

    found = make_codec(Schema("1", columns)).highest(payload, len(values), "x")

    expected = values[places[0]] if value is None else value
    assert found == (expected, places)
    assert type(found[0]) is type(expected)


def test_nulls_alone_have_no_highest(make_codec: Any) -> None:
    """Nor has nothing at all."""
    codec = make_codec(Schema("1", (Column("x", "long", "long", True),)))

    assert codec.highest(b"\x02\x02", 2, "x") is None
    assert codec.highest(b"", 0, "x") is None


def test_a_value_that_is_no_number_is_still_somebodys(make_codec: Any) -> None:
    """A column of nothing but NaN has NaN for its highest."""
    codec = make_codec(Schema("1", (Column("x", "double", "double"),)))

    value, places = codec.highest(struct.pack("<2d", NAN, -math.inf), 2, "x")

    assert math.isnan(value)
    assert places == [0, 1]


def test_many_records_have_it(make_codec: Any) -> None:
    """As many as there are, and the GIL away meanwhile."""
    codec = make_codec(Schema("1", (Column("x", "long", "long"),)))

    assert codec.highest(b"\x04\x06" * 5000, 10_000, "x") == (3, list(range(1, 10_000, 2)))


def test_an_unknown_column_is_refused_and_a_bad_record_found(make_codec: Any) -> None:
    """The caller's mistake is a ValueError, damage a DecodeError at its record."""
    codec = make_codec(Schema("1", (Column("x", "long", "long"), Column("y", "int", "int8"))))

    with pytest.raises(ValueError, match="no column z among x, y"):
        codec.highest(b"", 0, "z")
    with pytest.raises(DecodeError) as caught:
        codec.highest(b"\x02\x02\x02\xff\xff\x03", 2, "x")
    assert (caught.value.index, caught.value.offset) == (1, 1)


@pytest.mark.parametrize(
    ("base", "declared", "values", "value"),
    [
        ("int", "int8", [-3, None, 7, -3], -3),
        ("long", "long", [2**63 - 1, -(2**63)], -(2**63)),
        ("float", "float", [0.5, -math.inf, 0.5], -math.inf),
        ("double", "double", [-1.0, NAN], NAN),
        ("double", "double", [0.0, -0.0], 0.0),
        ("string", "char4", ["b", "a", "é"], "a"),
        ("string", "datetime", ["2026-11-23T08:42:00.5", "2026-11-23 08:42:00.50"], None),
        ("string", "ulong", ["9", "10", "010"], "9"),
        ("string", "ulong", ["9", "no number"], "no number"),
        ("string", "decimal(10,2)", ["9.5", "-1.50", "-1.5"], "-1.50"),
        ("string", "ipv4", ["10.0.0.0", "9.0.0.1"], "9.0.0.1"),
        ("bytes", "bytes", [b"\x7f", b""], b""),
    ],
)
def test_the_least_value_is_found_and_whether_there_are_nulls(
    make_codec: Any, base: str, declared: str, values: list[Any], value: Any
) -> None:
    """In the same order as the greatest; of equal ones the first."""
    columns = (Column("a", "string", "string"), Column("x", base, declared, True))
    payload = b"".join(b"\x02." + wire(base, each) for each in values)

    found, nulls = make_codec(Schema("1", columns)).lowest(payload, len(values), "x")

    expected = values[0] if value is None else value
    assert repr(found) == repr(expected)
    assert nulls is (None in values)


def test_nulls_alone_have_no_lowest(make_codec: Any) -> None:
    """Nor has nothing at all; a column that is not there is the caller's mistake."""
    codec = make_codec(Schema("1", (Column("x", "long", "long", True),)))

    assert codec.lowest(b"\x02\x02", 2, "x") is None
    assert codec.lowest(b"", 0, "x") is None
    with pytest.raises(ValueError, match="no column z among x"):
        codec.lowest(b"", 0, "z")
