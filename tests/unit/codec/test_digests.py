"""Equal rows have one digest, however their values are written; C and the fallback agree."""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec import Codec
from bridge.codec.fallback import FallbackCodec
from bridge.events import Column, Schema


def wire(base: str, value: Any) -> bytes:
    """Write a value as a nullable column has it."""
    if value is None:
        return b"\x02"
    if base == "double":
        return b"\0" + struct.pack("<d", value)
    data = value.encode() if isinstance(value, str) else value
    return b"\0" + (zigzag(value) if isinstance(value, int) else zigzag(len(data)) + data)


def zigzag(number: int) -> bytes:
    bits = (number << 1) ^ (number >> 63)
    written = bytearray()
    while bits >= 0x80:
        written.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes(written) + bytes([bits])


def one(base: str, declared: str) -> Schema:
    return Schema("7", (Column("x", base, declared, True),))


@pytest.mark.parametrize(
    ("base", "declared", "equal"),
    [
        ("int", "int", [5]),
        ("double", "double", [0.0, -0.0]),
        ("double", "double", [float("nan"), -float("nan")]),
        ("string", "datetime", ["2026-11-23 08:42:00.5", "2026-11-23T08:42:00.500000"]),
        ("string", "datetime", ["2026-11-23 08:42:00", "2026-11-23T08:42:00.000"]),
        ("string", "time", ["08:42:00", "08:42:00.", "08:42:00.000"]),
        ("string", "decimal(10,2)", ["12.50", "12.5", "+012.500", "1.25E1"]),
        ("string", "decimal(10,2)", ["0", "0.00", ".0", "00."]),
        ("string", "decimal(10,2)", ["100", "100.0", "1e2"]),
        ("string", "uuid", ["AB-CD", "abcd", "a-b-c-d"]),
        ("string", "json", ['{"b": 1, "a": [1.50]}', '{"a":[1.5],"b":1}']),
        ("string", "array(int)", ["[1, 2]", "[1,2]"]),
    ],
)
def test_equal_values_have_one_digest(
    make_codec: Any, base: str, declared: str, equal: list[Any]
) -> None:
    """One value, written in every way that Kinetica might."""
    codec = make_codec(one(base, declared))
    found = {codec.digests(wire(base, value), 1)[0] for value in equal}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("base", "declared", "values"),
    [
        ("long", "long", [None, 0, 1, -1, 2**63 - 1, -(2**63)]),
        ("double", "double", [None, 0.0, 1.0, -1.0, float("inf"), float("nan"), 5e-324]),
        ("string", "string", [None, "", "a", "A", "0", "\0"]),
        ("string", "decimal(10,2)", ["1", "-1", "1.01", "10", "0.1", "x", "-0"]),
        ("string", "datetime", ["2026-11-23 08:42:00", "2026-11-23 08:42:01", "", "T", "TT"]),
        ("bytes", "bytes", [None, b"", b"\0", b"\0\0"]),
    ],
)
def test_other_values_have_others(
    make_codec: Any, base: str, declared: str, values: list[Any]
) -> None:
    """Null among them."""
    codec = make_codec(one(base, declared))
    payload = b"".join(wire(base, value) for value in values)
    assert len(set(codec.digests(payload, len(values)))) == len(values)


def test_only_the_columns_asked_for_count_and_in_that_order(make_codec: Any) -> None:
    """As the digest of a key, or of what two layouts have in common."""
    schema = Schema("7", (Column("a", "int", "int"), Column("b", "string", "string")))
    codec: Codec = make_codec(schema)
    payload = b"\x02\x02x" + b"\x02\x02y"

    assert len(set(codec.digests(payload, 2, ["a"]))) == 1
    assert len(set(codec.digests(payload, 2, ["b"]))) == 2
    assert list(codec.digests(payload, 2, ["b", "a"])) != list(codec.digests(payload, 2))
    with pytest.raises(ValueError, match="no column c"):
        codec.digests(payload, 2, ["c"])


def test_the_digest_is_what_it_says(make_codec: Any) -> None:
    """It is stored: what it is made of does not change."""
    schema = Schema("7", (Column("a", "int", "int8"), Column("b", "string", "char4", True)))
    written = b"\x01" + (7).to_bytes(8, "little") + b"\x03" + (2).to_bytes(8, "little") + b"hi"
    digest = blake2b(written, digest_size=8).digest()

    (found,) = make_codec(schema).digests(b"\x0e\x00\x04hi", 1)
    assert found == int.from_bytes(digest, "little")


def test_long_records_are_digested_whole(make_codec: Any) -> None:
    """Over several blocks of the digest, and up to the last byte of one."""
    codec = make_codec(one("string", "string"))
    for size in [*range(100, 300), 10_000]:
        text = "x" * size
        written = b"\x03" + size.to_bytes(8, "little") + text.encode()
        digest = blake2b(written, digest_size=8).digest()
        assert codec.digests(wire("string", text), 1)[0] == int.from_bytes(digest, "little")


@given(
    data=st.data(),
    text=st.text("0123456789.+-eE_ \u0661", max_size=34)
    | st.decimals(allow_nan=False).map(str)
    | st.from_regex(r"[+-]?[0-9]{0,20}\.?[0-9]{0,20}", fullmatch=True),
    declared=st.sampled_from(["decimal(10,2)", "datetime", "time", "uuid"]),
)
def test_they_agree_on_text_that_is_no_value(
    native_codec: type[Codec], data: st.DataObject, text: str, declared: str
) -> None:
    """Numbers in every writing, and what only looks like one."""
    text = data.draw(st.sampled_from([text, f"{text}T.{text}", text.upper()]))
    schema, payload = one("string", declared), wire("string", text)
    ours = native_codec(schema).digests(payload, 1)
    assert list(ours) == list(FallbackCodec(schema).digests(payload, 1))
