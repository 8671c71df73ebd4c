"""Records as Avro of another schema: fastavro reads them back, and C equals the fallback."""

from __future__ import annotations

import datetime as dt
import hmac
import math
import struct
import uuid
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.avro import frames, read_back

from bridge.codec import AvroColumn, AvroForm, Codec, Values
from bridge.codec.fallback import FallbackCodec
from bridge.errors import DecodeError, Unwritable
from bridge.events import Column, Schema
from bridge.formats.avro_schema import avro_schema
from bridge.formats.shape import Shape, Stage
from bridge.types import JsonForm, type_of

moment = dt.datetime.fromisoformat
HEADER = b"\0\0\0\x01\x02"
SOME_UUID = uuid.UUID("123e4567-e89b-12d3-a456-426614174000")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INT = st.integers(-(2**31), 2**31 - 1)
LONG = st.integers(-(2**63), 2**63 - 1)
DECIMALS = st.integers(-(10**10) + 1, 10**10 - 1).map(lambda n: Decimal(n).scaleb(-2))
MOMENTS = st.datetimes(moment("1000-01-01"), moment("2900-01-01")).map(
    lambda m: m.replace(microsecond=m.microsecond // 1000 * 1000)
)

# (base, declared type): pairs of what is on the wire and what a reader is to get
PAIRS: dict[tuple[str, str], st.SearchStrategy[tuple[Any, Any]]] = {
    ("int", "int"): INT.map(lambda n: (n, n)),
    ("int", "int8"): st.integers(-128, 127).map(lambda n: (n, n)),
    ("int", "boolean"): st.integers(0, 1).map(lambda n: (n, bool(n))),
    ("long", "long"): LONG.map(lambda n: (n, n)),
    ("long", "timestamp"): MOMENTS.map(
        lambda m: (
            (m - moment("1970-01-01")) // dt.timedelta(milliseconds=1),
            m.replace(tzinfo=dt.UTC),
        )
    ),
    ("float", "float"): st.floats(width=32).map(lambda n: (n, n)),
    ("double", "double"): st.floats().map(lambda n: (n, n)),
    ("string", "string"): TEXT.map(lambda text: (text, text)),
    ("string", "json"): TEXT.map(lambda text: (text, text)),
    ("string", "date"): st.dates().map(lambda day: (day.isoformat(), day)),
    ("string", "time"): st.times().map(
        lambda time: (
            time.isoformat(),
            time.replace(microsecond=time.microsecond // 1000 * 1000),
        )
    ),
    ("string", "datetime"): MOMENTS.map(lambda m: (m.isoformat(" "), m)),
    ("string", "decimal(10,2)"): DECIMALS.map(lambda n: (format(n, "f"), n))
    .filter(lambda pair: abs(pair[1]) < 10**8),
    ("string", "decimal(38,0)"): st.integers(1 - 10**38, 10**38 - 1).map(
        lambda n: (str(n), Decimal(n))
    ),
    ("string", "ulong"): st.integers(0, 2**64 - 1).map(lambda n: (str(n), Decimal(n))),
    ("string", "uuid"): st.uuids().map(lambda each: (str(each).upper(), each)),
    ("bytes", "bytes"): st.binary(max_size=20).map(lambda data: (data, data)),
    ("bytes", "vector(2)"): st.lists(st.floats(width=32), max_size=3).map(
        lambda floats: (_floats(floats), floats)
    ),
}  # fmt: skip


def _floats(floats: list[float]) -> bytes:
    return struct.pack(f"<{len(floats)}f", *floats)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Schema, list[dict[str, Any]], list[dict[str, Any]]]:
    """A layout, rows of it, and what a reader is to get."""
    kinds = draw(
        st.lists(st.tuples(st.sampled_from(sorted(PAIRS)), st.booleans()), min_size=1, max_size=8)
    )
    columns = [Column(f"c{n}", *kind, nullable) for n, (kind, nullable) in enumerate(kinds)]
    row = st.tuples(
        *(
            PAIRS[column.base, column.type] | st.just((None, None))
            if column.nullable
            else PAIRS[column.base, column.type]
            for column in columns
        )
    )
    rows = draw(st.lists(row, max_size=4))
    names = [column.name for column in columns]
    sent = [dict(zip(names, (pair[0] for pair in each), strict=True)) for each in rows]
    wanted = [dict(zip(names, (pair[1] for pair in each), strict=True)) for each in rows]
    return Schema("7", tuple(columns)), sent, wanted


def written(codec: Codec, columns: tuple[AvroColumn, ...], payload: bytes, count: int) -> Any:
    """What writing comes to: values with their ends, or what is wrong where."""
    try:
        values, ends = codec.avro(columns).write(payload, count, HEADER)
    except Unwritable as error:
        return error.bad
    except DecodeError as error:
        return error.index, error.offset, error.reason
    return values, list(ends)


def split(values: bytes, ends: list[int]) -> list[bytes]:
    bounds = [0, *ends]
    return [values[a:b] for a, b in pairwise(bounds)]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


@given(table=tables())
def test_fastavro_reads_back_every_type_and_value(
    native_codec: Any, table: tuple[Schema, list[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    """As the logical types mean it, behind the header; both codecs write the same bytes."""
    schema, sent, wanted = table
    payload = b"".join(frames(schema, sent))
    avro = avro_schema("ki_home.t", schema, Shape())

    one = written(native_codec(schema), avro.columns, payload, len(sent))
    other = written(FallbackCodec(schema), avro.columns, payload, len(sent))

    assert one == other
    found = split(*one)
    assert all(value.startswith(HEADER) for value in found)
    rows = read_back(avro.text, [value[len(HEADER) :] for value in found])
    for row, expected in zip(rows, wanted, strict=True):
        assert {n: row[n] for n in row if not same(row[n], expected[n])} == {}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Schema, bytes, int]:
    schema, sent, _ = draw(tables())
    payload = bytearray(b"".join(frames(schema, sent)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(payload)))
        payload[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return schema, bytes(payload), draw(st.sampled_from([len(sent), 3]))


ANY = (AvroForm.COPY, AvroForm.HASH, AvroForm.REDACT)
FORMS = {
    "string": (
        AvroForm.DATE, AvroForm.TIME, AvroForm.DATETIME, AvroForm.DECIMAL, AvroForm.ULONG,
        AvroForm.UUID, *ANY,
    ),
    "int": (AvroForm.BOOLEAN, *ANY),
    "long": (AvroForm.BOOLEAN, *ANY),
    "bytes": (AvroForm.VECTOR, *ANY),
    "float": ANY,
    "double": ANY,
}  # fmt: skip


@given(data=st.data(), damage=damaged(), values=st.sampled_from(["declared", "kinetica"]))
def test_any_bytes_are_written_equal_by_both(
    native_codec: Any, data: st.DataObject, damage: tuple[Schema, bytes, int], values: Values
) -> None:
    """Damaged records, columns left out and in another order, forms that the text is none of."""
    schema, payload, count = damage
    columns = list(avro_schema("t", schema, Shape(values=values)).columns)
    if data.draw(st.booleans()):
        places = data.draw(st.lists(st.sampled_from(range(len(schema.columns)))))
        columns = [
            AvroColumn(n, form, 9, 3, type_of(schema.columns[n]).declared, b"key")
            for n in places
            for form in [data.draw(st.sampled_from(FORMS[schema.columns[n].base]))]
        ]

    one = written(native_codec(schema), tuple(columns), payload, count)

    assert one == written(FallbackCodec(schema), tuple(columns), payload, count)


ALMOST = st.text(st.sampled_from("0123456789-:. T+eEaAfFgZ\u0660"), max_size=40)
EDGES = [
    "2026-02-29", "2024-02-29", "1900-02-29", "2000-02-29", "0000-01-01", "0001-01-01",
    "9999-12-31", "2026-13-01", "2026-00-01", "2026-01-00", "2026-1-1", "2026-11-23 ",
    "24:00:00", "23:59:59.999999999", "23:59:60", "08:42", "08:42:00.", "08:42:00.1234567890",
    "2026-11-23 08:42:00", "2026-11-23T08:42:00.5", "2026-11-23", "2026-11-23 ",
    "0001-01-01 00:00:00", "", "-", ".", "5.", ".5", "-0", "+1.230", "1.2345", "999999.999",
    "1000000", "-128", "127", "128", "-129", "1e3", "00000000001.1", "18446744073709551615",
    "18446744073709551616",
    "00000000-0000-0000-0000-00000000000", "123e4567-e89b-12d3-a456-426614174000",
    "123E4567E89B12D3A456426614174000", "123e4567-e89b12d3-a456-426614174000-", "ﬀ" * 16,
]  # fmt: skip


@given(text=st.sampled_from(EDGES) | ALMOST, form=st.sampled_from(FORMS["string"]))
def test_text_is_of_a_form_for_both_or_for_none(
    native_codec: Any, text: str, form: AvroForm
) -> None:
    """At the edges of each form."""
    schema = Schema("7", (Column("c", "string", "string", nullable=True),))
    (frame,) = frames(schema, [{"c": text}])
    columns = (AvroColumn(0, form, 9, 3, JsonForm.TEXT),)

    one = written(native_codec(schema), columns, frame, 1)

    assert one == written(FallbackCodec(schema), columns, frame, 1)


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ("date", "2024-02-29", dt.date(2024, 2, 29)),
        ("time", "08:42:00.123456", dt.time(8, 42, 0, 123000)),
        ("datetime", "2026-11-23", moment("2026-11-23")),
        ("datetime", "1066-10-14T09:00:00.5", moment("1066-10-14T09:00:00.500")),
        ("decimal(9,3)", "-0.128", Decimal("-0.128")),
        ("decimal(9,3)", "+000000123456.5000", Decimal("123456.500")),
        ("decimal", "1.5", Decimal("1.5000")),
        ("decimal(5)", "12345", Decimal(12345)),
        ("decimal(99,3)", "1.5", "1.5"),
        ("uuid", SOME_UUID.hex.upper(), SOME_UUID),
    ],
)  # fmt: skip
def test_text_becomes_what_it_means(make_codec: Any, declared: str, text: str, value: Any) -> None:
    """What is finer than a millisecond goes; zeros that change nothing are no trouble."""
    schema = Schema("7", (Column("c", "string", declared),))
    (frame,) = frames(schema, [{"c": text}])
    avro = avro_schema("t", schema, Shape())

    values, _ = make_codec(schema).avro(avro.columns).write(frame, 1, b"")

    assert read_back(avro.text, [values]) == [{"c": value}]


def test_values_without_a_form_are_named_and_the_others_are_not(make_codec: Any) -> None:
    """All of them, each by the first such column; its text is not quoted."""
    schema = Schema(
        "7", (Column("day", "string", "date"), Column("price", "string", "decimal(4,2)"))
    )
    rows = [("2026-11-23", "1.5"), ("secret", "x"), ("2026-11-23", "100"), ("2026-11-24", "99.99")]
    payload = b"".join(frames(schema, [{"day": a, "price": b} for a, b in rows]))
    columns = avro_schema("t", schema, Shape()).columns

    with pytest.raises(Unwritable) as caught:
        make_codec(schema).avro(columns).write(payload, len(rows), b"")

    assert caught.value.bad == [
        (1, "column day: no date of the form 2026-11-23"),
        (2, "column price: no number that decimal(4,2) holds"),
    ]


def test_masked_columns_are_text(make_codec: Any) -> None:
    """A hash is that of the JSON forms, null stays null; stars stand for null too."""
    columns = [Column(name, "string", "decimal(4,2)", nullable=True) for name in "abc"]
    schema = Schema("7", tuple(columns))
    rows = [{"a": "1.50", "b": "x", "c": None}, {"a": None, "b": None, "c": "2"}]
    mask = Stage(mask=(("a", "hash"), ("b", "redact")), mask_key=b"key")
    avro = avro_schema("t", schema, Shape(stages=(mask,)))
    codec = make_codec(schema)

    values, ends = codec.avro(avro.columns).write(b"".join(frames(schema, rows)), 2, b"")

    hashed = hmac.digest(b"key", b"1.50", "sha256").hex()
    assert read_back(avro.text, split(values, list(ends))) == [
        {"a": hashed, "b": "***", "c": None},
        {"a": None, "b": "***", "c": Decimal("2.00")},
    ]
    assert "key" not in repr(avro)


def test_much_is_written_as_little_is(native_codec: Any) -> None:
    """Beyond a few KiB the GIL is released, and buffers grow; the bytes are the same."""
    schema = Schema("7", (Column("a", "long", "long"), Column("b", "string", "decimal(9,3)")))
    payload = b"".join(frames(schema, [{"a": n, "b": f"{n}.5"} for n in range(5000)]))
    columns = avro_schema("t", schema, Shape()).columns

    one = written(native_codec(schema), columns, payload, 5000)

    assert len(one[1]) == 5000
    assert one == written(FallbackCodec(schema), columns, payload, 5000)
