"""Every declared type's JSON form, in both settings of `values`."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from services.codec import objects

from bridge.codec import members
from bridge.events import Column, Schema


def zigzag(number: int) -> bytes:
    bits = (number << 1) ^ (number >> 63)
    written = bytearray()
    while bits >= 0x80:
        written.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes(written) + bytes([bits])


def wire(base: str, value: Any) -> bytes:
    match base:
        case "int" | "long":
            return zigzag(value)
        case "float":
            return struct.pack("<f", value)
        case "double":
            return struct.pack("<d", value)
        case "string":
            return zigzag(len(value.encode())) + value.encode()
    return zigzag(len(value)) + bytes(value)


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


UUID = "00000000-0000-0000-0000-000000000001"
DAY = "2026-11-23"
SAME = object()  # the form that Kinetica sends is the declared one

FORMS = [
    # base, declared type, value on the wire, declared form, Kinetica's form
    ("int", "int", -(2**31), "-2147483648", SAME),
    ("int", "int8", -128, "-128", SAME),
    ("int", "int16", 32767, "32767", SAME),
    ("int", "boolean", 0, "false", "0"),
    ("int", "boolean", 1, "true", "1"),
    ("int", "boolean", -7, "true", "-7"),
    ("long", "long", 2**63 - 1, "9223372036854775807", SAME),
    ("long", "long", -(2**63), "-9223372036854775808", SAME),
    ("string", "ulong", "18446744073709551615", "18446744073709551615", '"18446744073709551615"'),
    ("string", "ulong", "0", "0", '"0"'),
    ("string", "ulong", "18446744073709551616", '"18446744073709551616"', SAME),
    ("string", "ulong", "99999999999999999999999", '"99999999999999999999999"', SAME),
    ("string", "ulong", "-1", '"-1"', SAME),
    ("string", "ulong", "", '""', SAME),
    ("string", "ulong", "٣", '"٣"', SAME),
    ("float", "float", 0.1, "0.1", SAME),
    ("float", "float", 16777216.0, "16777216.0", SAME),
    ("float", "float", 3.4028234663852886e38, "3.4028235e+38", SAME),
    ("float", "float", float("nan"), '"NaN"', SAME),
    ("float", "float", float("-inf"), '"-Infinity"', SAME),
    ("double", "double", 0.1, "0.1", SAME),
    ("double", "double", 1.0, "1.0", SAME),
    ("double", "double", 5e-324, "5e-324", SAME),
    ("double", "double", 0.30000000000000004, "0.30000000000000004", SAME),
    ("double", "double", float("nan"), '"NaN"', SAME),
    ("double", "double", float("inf"), '"Infinity"', SAME),
    ("double", "double", float("-inf"), '"-Infinity"', SAME),
    ("string", "string", 'a"b\\c\n\0ü€\U0001f600', '"a\\"b\\\\c\\n\\u0000ü€\U0001f600"', SAME),
    ("string", "string", '{"a":1}', '"{\\"a\\":1}"', SAME),
    ("string", "char16", "sixteen", '"sixteen"', SAME),
    ("string", "ipv4", "10.0.0.1", '"10.0.0.1"', SAME),
    ("string", "uuid", UUID, f'"{UUID}"', SAME),
    ("string", "wkt", "POINT(1 2)", '"POINT(1 2)"', SAME),
    ("string", "decimal", "12.50", '"12.50"', SAME),
    ("string", "decimal(10,2)", "12.50", '"12.50"', SAME),
    ("long", "timestamp", 1795423320123, '"2026-11-23T08:42:00.123Z"', "1795423320123"),
    ("long", "timestamp", 0, '"1970-01-01T00:00:00.000Z"', "0"),
    ("long", "timestamp", -1, '"1969-12-31T23:59:59.999Z"', "-1"),
    ("long", "timestamp", -62135596800000, '"0001-01-01T00:00:00.000Z"', "-62135596800000"),
    ("long", "timestamp", 253402300799999, '"9999-12-31T23:59:59.999Z"', "253402300799999"),
    ("long", "timestamp", -62135596800001, "-62135596800001", SAME),
    ("long", "timestamp", 253402300800000, "253402300800000", SAME),
    ("string", "date", "2026-11-23", '"2026-11-23"', SAME),
    ("string", "time", "08:42:00.123", '"08:42:00.123"', SAME),
    ("string", "datetime", f"{DAY} 08:42:00.123", f'"{DAY}T08:42:00.123"', f'"{DAY} 08:42:00.123"'),
    ("string", "datetime", f"{DAY} 08:42:00.5", f'"{DAY}T08:42:00.5"', f'"{DAY} 08:42:00.5"'),
    ("string", "datetime", "2026-11-23", '"2026-11-23"', SAME),
    ("string", "json", '[1.10,\n "b c", { } ]', '[1.10,"b c",{}]', '"[1.10,\\n \\"b c\\", { } ]"'),
    ("string", "json", "no json", '"no json"', SAME),
    ("string", "json", "", '""', SAME),
    ("string", "array(int,3)", "[1, 2, 3]", "[1,2,3]", '"[1, 2, 3]"'),
    ("string", "array(string)", '["a b", null]', '["a b",null]', '"[\\"a b\\", null]"'),
    ("string", "array(int)", "[1, 2", '"[1, 2"', SAME),
    ("bytes", "vector(3)", floats(0.1, 1, float("nan")), '[0.1,1.0,"NaN"]', '"zczMPQAAgD8AAMB/"'),
    ("bytes", "vector(0)", b"", "[]", '""'),
    ("bytes", "vector(1)", b"abcde", '"YWJjZGU="', SAME),
    ("bytes", "bytes", b"\x00\xfb\xff", '"APv/"', SAME),
    ("bytes", "wkt", b"\x01", '"AQ=="', SAME),
]  # fmt: skip


@pytest.mark.parametrize("row", FORMS)
def test_a_value_takes_its_declared_types_form(make_codec: Any, row: tuple[Any, ...]) -> None:
    """The table of forms, to the letter, whether or not the column is nullable."""
    base, declared, value, form, kinetica = row
    for nullable in (False, True):
        codec = make_codec(Schema("1", (Column("x", base, declared, nullable),)))
        record = (b"\0" if nullable else b"") + wire(base, value)

        for values, wanted in (("declared", form), ("kinetica", kinetica)):
            text = form if wanted is SAME else wanted
            assert objects(codec, record, 1, values=values) == [f'{{"x":{text}}}'.encode()]


@pytest.mark.parametrize(("base", "declared"), sorted({(form[0], form[1]) for form in FORMS}))
def test_null_is_null_in_every_type(make_codec: Any, base: str, declared: str) -> None:
    """No rewrite touches a null."""
    codec = make_codec(Schema("1", (Column("x", base, declared, True),)))

    for values in ("declared", "kinetica"):
        assert objects(codec, b"\x02\x02", 2, values=values) == [b'{"x":null}'] * 2


SCHEMA = Schema(
    "1",
    (
        Column("id", "long", "long"),
        Column("at", "long", "timestamp"),
        Column("note", "string", "string", nullable=True),
    ),
)
RECORD = wire("long", 5) + wire("long", 0) + b"\x02"


def test_columns_stand_in_wire_order_or_in_the_order_asked_for(make_codec: Any) -> None:
    """A message key holds just its columns, in the order of the key."""
    codec = make_codec(SCHEMA)

    [whole] = objects(codec, RECORD, 1, values="declared")
    [key] = objects(codec, RECORD, 1, values="declared", columns=members(["at", "id"]))
    [other] = objects(codec, RECORD, 1, values="kinetica", columns=members(("at", "id")))

    assert whole == b'{"id":5,"at":"1970-01-01T00:00:00.000Z","note":null}'
    assert key == b'{"at":"1970-01-01T00:00:00.000Z","id":5}'
    assert other == b'{"at":0,"id":5}'


def test_an_unknown_column_or_form_is_refused(make_codec: Any) -> None:
    """The error names what there is."""
    codec = make_codec(SCHEMA)

    with pytest.raises(ValueError, match="no column nope among id, at, note"):
        objects(codec, RECORD, 1, values="declared", columns=members(["id", "nope"]))
    with pytest.raises(ValueError, match=r"declared.*kinetica.*'raw'"):
        objects(codec, RECORD, 1, values="raw")


def test_a_record_is_one_line_that_any_parser_reads(make_codec: Any) -> None:
    """No newline stands in a record, and no NaN."""
    schema = Schema("1", tuple(Column(f"c{n}", form[0], form[1]) for n, form in enumerate(FORMS)))
    payload = b"".join(wire(form[0], form[2]) for form in FORMS)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    for values in ("declared", "kinetica"):
        [line] = objects(make_codec(schema), payload, 1, values=values)

        assert b"\n" not in line
        assert list(json.loads(line, parse_constant=refuse)) == [c.name for c in schema.columns]
