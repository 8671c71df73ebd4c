"""C and the fallback are equal: every type, every value, and any bytes whatever."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec import Joined, Member, Slot, Written
from bridge.codec.fallback import FallbackCodec
from bridge.errors import DecodeError
from bridge.events import Column, Schema

INT = st.integers(-(2**31), 2**31 - 1)
LONG = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
FLOAT32 = st.floats(width=32)


def chars(size: int) -> st.SearchStrategy[str]:
    return TEXT.filter(lambda text: len(text.encode()) <= size)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip

# (base, declared type): values on the wire
VALUES: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("int", "int"): INT,
    ("int", "int8"): st.integers(-128, 127),
    ("int", "int16"): st.integers(-32768, 32767),
    ("int", "boolean"): st.integers(0, 1) | INT,
    ("long", "long"): LONG,
    ("long", "timestamp"): LONG | st.integers(-(10**14), 10**15),
    ("float", "float"): FLOAT32,
    ("double", "double"): st.floats(),
    ("string", "string"): TEXT,
    ("string", "char1"): chars(1),
    ("string", "char4"): chars(4),
    ("string", "char256"): TEXT,
    ("string", "date"): st.dates().map(str),
    ("string", "time"): st.times().map(str),
    ("string", "datetime"): st.datetimes().map(str),
    ("string", "decimal(10,2)"): st.decimals(places=2, allow_nan=False).map(str),
    ("string", "ulong"): st.integers(0, 2**64 - 1).map(str) | TEXT,
    ("string", "ipv4"): st.ip_addresses(v=4).map(str),
    ("string", "uuid"): st.uuids().map(str),
    ("string", "json"): TEXT
    | st.text(st.sampled_from('0123456789.eE+-[]{}",: \\nulltrueud83dc0'), max_size=12)
    | st.sampled_from(['{"a": [1.10, null]}', "[", "1e999", "NaN", '"\\ud83d\\ude00"', '"\\udc00"'])
    | JSON.map(json.dumps),
    ("string", "array(int)"): st.lists(INT).map(str),
    ("string", "wkt"): st.just("POINT(1 2)"),
    ("bytes", "bytes"): st.binary(max_size=40),
    ("bytes", "wkt"): st.binary(max_size=40),
    ("bytes", "vector(2)"): st.binary(max_size=12),
}


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    kinds = draw(
        st.lists(st.tuples(st.sampled_from(sorted(VALUES)), st.booleans()), min_size=1, max_size=12)
    )
    return Schema(
        "42",
        tuple(
            Column(f"c{place}", base, declared, nullable)
            for place, ((base, declared), nullable) in enumerate(kinds)
        ),
    )


def rows_of(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            column.name: VALUES[column.base, column.type] | st.none()
            if column.nullable
            else VALUES[column.base, column.type]
            for column in schema.columns
        }
    )


def encode(schema: Schema, rows: list[dict[str, Any]]) -> list[bytes]:
    """Write rows with fastavro: what another implementation makes of the layout."""
    avro = fastavro.parse_schema(
        {
            "type": "record",
            "name": "type_name",
            "fields": [
                {
                    "name": column.name,
                    "type": [column.base, "null"] if column.nullable else column.base,
                }
                for column in schema.columns
            ],
        }
    )
    frames = []
    for row in rows:
        written = io.BytesIO()
        fastavro.schemaless_writer(written, avro, row)
        frames.append(written.getvalue())
    return frames


def same(one: Any, other: Any) -> bool:
    """Equal in type and value; NaN equals NaN, and 0.0 is not -0.0."""
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    return type(one) is type(other) and bool(one == other)


def assert_same_rows(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        assert list(one) == sorted(other, key=lambda name: int(name[1:]))
        differing = {
            name: (one[name], other[name]) for name in one if not same(one[name], other[name])
        }
        assert differing == {}


def plain(value: Any) -> Any:
    if isinstance(value, Written):
        return tuple(map(plain, value))
    return list(value) if isinstance(value, memoryview) else repr(value)


def outcome(codec: Any, call: str, *args: Any, **kwargs: Any) -> Any:
    """What a call comes to: its result, or where and why it failed."""
    try:
        return plain(getattr(codec, call)(*args, **kwargs))
    except DecodeError as error:
        return error.index, error.offset, error.reason


def assert_same_outcomes(
    native: Any, fallback: Any, payload: bytes, count: int, **ways: Any
) -> None:
    """In every call and every form; `ways` are arguments of `form`, and masks by column."""
    masks = ways.pop("masks", {})
    for call in ("decode", "ends"):
        assert outcome(native, call, payload, count) == outcome(fallback, call, payload, count)
    for column in native.schema.columns:
        arguments = ("highest", payload, count, column.name)
        assert outcome(native, *arguments) == outcome(fallback, *arguments)
        arguments = ("lowest", payload, count, column.name)
        assert outcome(native, *arguments) == outcome(fallback, *arguments)
    for columns in (None, ways.get("columns"), ways.get("key")):
        arguments = ("digests", payload, count, columns)
        assert outcome(native, *arguments) == outcome(fallback, *arguments)
    ways = {
        name: tuple(Member(column, column, masks.get(column), b"k") for column in columns)
        for name, columns in ways.items()
    }
    for values in ("declared", "kinetica"):
        for template in TEMPLATES:
            if "key" not in ways and not {Slot.KEY, Slot.KEY_TEXT}.isdisjoint(template):
                continue
            asked = {"template": template, "first": 10**9 + 7, "times": run_times(count)}
            if len(template) % 2:
                asked["key_template"] = (b'{"payload":', Slot.KEY, b"}")
            assert outcome(
                native.form(values=values, **ways), "lines", payload, count, **asked
            ) == outcome(fallback.form(values=values, **ways), "lines", payload, count, **asked)
    one, other = native.join([payload] * 2), fallback.join([payload] * 2)
    assert (one.payload, one.count, repr(one.bad)) == (other.payload, other.count, repr(other.bad))


TEMPLATES: tuple[tuple[bytes | Slot, ...], ...] = (
    (Slot.RECORD,),
    (b'{"id":"x-', Slot.OFFSET, b'","time":"', Slot.TIME, b'",', b'"r":', Slot.RECORD, b"}"),
    (Slot.TIME_MS, b" ", Slot.TIME_US, b" ", Slot.TIME_NS, b" ", Slot.OFFSET20),
    (Slot.KEY, b" ", Slot.RECORD, Slot.TIME, Slot.RECORD, Slot.KEY),
    (Slot.RECORD, Slot.KEY_TEXT),
    (Slot.CSV,),
    (Slot.CSV, b" ", Slot.KEY, Slot.RECORD),
    (),
)


def run_times(count: int) -> tuple[tuple[int, int], ...]:
    """One time for the first record, another for the rest, with an empty run in between."""
    head = min(count, 1)
    return ((head, 0), (0, 5), (count - head, -1_234_567))


@given(data=st.data())
def test_good_records_are_read_equal_by_both(native_codec: Any, data: st.DataObject) -> None:
    """Rows written by another implementation come back, from C and from the fallback."""
    schema = data.draw(schemas())
    rows = data.draw(st.lists(rows_of(schema), max_size=5))
    frames = encode(schema, rows)
    payload = b"".join(frames)

    for codec in (native_codec(schema), FallbackCodec(schema)):
        assert codec.join(frames) == Joined(payload, len(frames), [])
        assert list(codec.ends(payload, len(rows))) == list(accumulate(map(len, frames)))
        assert_same_rows(codec.decode(payload, len(rows)), rows)
    assert_same_outcomes(
        native_codec(schema), FallbackCodec(schema), payload, len(rows), **data.draw(ways(schema))
    )


def ways(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the columns, in any order, and a key likewise, some of them masked."""
    name = st.sampled_from([column.name for column in schema.columns])
    masks = st.dictionaries(name, st.sampled_from(["hash", "redact"]))
    columns = st.lists(name) | st.just([column.name for column in schema.columns])
    return st.fixed_dictionaries(
        {"masks": masks}, optional={"columns": columns, "key": st.lists(name, min_size=1)}
    )


def mutations(payload: bytes) -> st.SearchStrategy[bytes]:
    """Bytes changed, cut, doubled, put in."""

    @st.composite
    def mutate(draw: st.DrawFn) -> bytes:
        mutated = bytearray(payload)
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(mutated)))
            size = draw(st.integers(0, 3))
            mutated[at : at + size] = draw(st.binary(max_size=3))
        return bytes(mutated)

    return mutate()


@given(data=st.data())
def test_any_bytes_give_records_or_an_error_at_an_index(
    native_codec: Any, data: st.DataObject
) -> None:
    """On damaged records both come to the same records, or the same byte and reason."""
    schema = data.draw(schemas())
    rows = data.draw(st.lists(rows_of(schema), min_size=1, max_size=3))
    payload = data.draw(mutations(b"".join(encode(schema, rows))))

    assert_same_outcomes(
        native_codec(schema), FallbackCodec(schema), payload, len(rows), **data.draw(ways(schema))
    )


@given(schema=schemas(), payload=st.binary(max_size=60), count=st.integers(0, 4))
def test_bytes_from_nowhere_are_judged_equal(
    native_codec: Any, schema: Schema, payload: bytes, count: int
) -> None:
    """As above, of bytes that never were a record."""
    assert_same_outcomes(native_codec(schema), FallbackCodec(schema), payload, count)


def utf8_edges() -> Iterator[bytes]:
    """Each lead byte with followers at the edges of what may follow."""
    edges = (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF)
    for lead in range(0x80, 0x100):
        yield bytes([lead])
        for second in edges:
            yield bytes([lead, second])
            for third in (0x7F, 0x80, 0xBF, 0xC0):
                yield bytes([lead, second, third])
                yield bytes([lead, second, third, 0x80])
                yield bytes([lead, second, third, 0xC0])


@pytest.mark.parametrize("before", [b"", b"a", b"eight by", "é".encode() * 5])
def test_utf8_is_judged_as_python_judges_it(native_codec: Any, before: bytes) -> None:
    """The validator in C finds the byte that Python's decoder finds, at every edge."""
    schema = Schema("1", (Column("x", "string", "string"),))
    frames = []
    for edge in utf8_edges():
        text = before + edge + b"tail and more tail"
        frames.append(bytes([2 * len(text)]) + text)

    found = native_codec(schema).join(frames).bad

    wanted = FallbackCodec(schema).join(frames).bad
    assert [(e.index, e.offset) for e in found] == [(e.index, e.offset) for e in wanted]
    asked = {"template": (Slot.RECORD,), "first": 0, "times": run_times(1)}
    codecs = native_codec(schema), FallbackCodec(schema)
    for frame in frames:
        one, other = (
            (outcome(c, "decode", frame, 1), outcome(c.form(), "lines", frame, 1, **asked))
            for c in codecs
        )
        assert one == other


def test_a_batch_that_lets_other_threads_run_is_judged_equal(native_codec: Any) -> None:
    """Beyond a few KiB the GIL is released, and buffers grow; the results stay."""
    schema = Schema("1", (Column("x", "string", "string"),))
    text = b"some text, and then more".ljust(60)
    good = bytes([2 * len(text)]) + text
    frames = [good + b"\0" if place % 1000 == 7 else good for place in range(5000)]

    native, fallback = native_codec(schema), FallbackCodec(schema)

    joined = native.join(frames)

    assert [(e.index, e.offset) for e in joined.bad] == [
        (n, len(good)) for n in (7, 1007, 2007, 3007, 4007)
    ]
    assert joined.payload == good * 4995
    assert_same_outcomes(native, fallback, joined.payload, joined.count, key=["x"])
