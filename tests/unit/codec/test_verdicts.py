"""Each kind of damage is found where it is, in the same words by both codecs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from services.codec import objects

from bridge.codec import Codec, Joined, Slot, members
from bridge.errors import DecodeError
from bridge.events import Column, Schema


def one(base: str, declared: str | None = None, *, nullable: bool = False) -> Schema:
    return Schema("7", (Column("x", base, declared or base, nullable),))


BAD = [
    # schema, frame, offset, reason
    (one("int"), b"", 0, "column x: the bytes end within the value"),
    (one("int"), b"\x80\x80", 0, "column x: the bytes end within the value"),
    (one("int"), b"\xff\xff\xff\xff\x10", 0, "column x: a number of more than 32 bits"),
    (one("int"), b"\x80\x80\x80\x80\x80\x00", 0, "column x: a number of more than 32 bits"),
    (one("long"), b"\xff" * 9 + b"\x02", 0, "column x: a number of more than 64 bits"),
    (one("long"), b"\x80" * 10 + b"\x00", 0, "column x: a number of more than 64 bits"),
    (one("int", "int8"), b"\x80\x02", 0, "column x: a number out of the range of int8"),
    (one("int", "int8"), b"\x81\x02", 0, "column x: a number out of the range of int8"),
    (one("int", "int16"), b"\x80\x80\x04", 0, "column x: a number out of the range of int16"),
    (one("float"), b"\0\0\0", 0, "column x: the bytes end within the value"),
    (one("double"), b"\0" * 7, 0, "column x: the bytes end within the value"),
    (one("string"), b"\x01", 0, "column x: a negative length"),
    (one("string"), b"\x04a", 0, "column x: a length of more bytes than are left"),
    (
        one("bytes"),
        b"\xfe" + b"\xff" * 8 + b"\x01",
        0,
        "column x: a length of more bytes than are left",
    ),
    (one("string"), b"\x04a\xe9", 2, "column x: text that is not UTF-8"),
    (one("string"), b"\x06\xed\xa0\x80", 1, "column x: text that is not UTF-8"),  # a surrogate
    (one("string"), b"\x04\xc0\x80", 1, "column x: text that is not UTF-8"),  # overlong
    (one("string"), b"\x08\xf4\x90\x80\x80", 1, "column x: text that is not UTF-8"),  # U+110000
    (one("string", "char1"), b"\x04ab", 0, "column x: text of more bytes than char1 holds"),
    (one("string", "char1"), b"\x04\xc3\xa9", 0, "column x: text of more bytes than char1 holds"),
    (one("int", nullable=True), b"\x04\x02", 0, "column x: neither a value (0) nor null (1)"),
    (one("int", nullable=True), b"\x01\x02", 0, "column x: neither a value (0) nor null (1)"),
    (one("int", nullable=True), b"\x00", 1, "column x: the bytes end within the value"),
    (one("int"), b"\x02\x02", 1, "bytes left over after the last column"),
    (one("string", nullable=True), b"\x02\x00", 1, "bytes left over after the last column"),
]

GOOD = [
    (one("int"), b"\xff\xff\xff\xff\x0f", -(2**31)),
    (one("int"), b"\xfe\xff\xff\xff\x0f", 2**31 - 1),
    (one("int"), b"\x82\x80\x00", 1),  # longer than it need be, yet within 5 bytes
    (one("long"), b"\xff" * 9 + b"\x01", -(2**63)),
    (one("long"), b"\xfe" + b"\xff" * 8 + b"\x01", 2**63 - 1),
    (one("int", "int8"), b"\xfe\x01", 127),
    (one("int", "int8"), b"\xff\x01", -128),
    (one("int", "int16"), b"\xfe\xff\x03", 32767),
    (one("string"), b"\x00", ""),
    (one("string", nullable=True), b"\x00\x00", ""),
    (one("string", nullable=True), b"\x02", None),
    (one("string", nullable=True), b"\x82\x00", None),
    (one("string", "char2"), b"\x04\xc3\xa9", "é"),
    (one("string"), b"\x08\xf4\x8f\xbf\xbf", "\U0010ffff"),
    (one("bytes"), b"\x04\xff\x00", b"\xff\x00"),
    (one("float"), b"\x00\x00\x80\x3f", 1.0),
    (one("double"), b"\0" * 6 + b"\xf0\x3f", 1.0),
]


def takes(codec: Codec) -> list[Callable[[bytes, int], object]]:
    """All that reads a payload."""
    form = codec.form(key=members(["x"]))
    return [
        codec.decode,
        codec.ends,
        lambda payload, count: codec.highest(payload, count, "x"),
        lambda payload, count: codec.lowest(payload, count, "x"),
        lambda payload, count: form.lines(
            payload, count, template=[Slot.RECORD], first=0, times=((count, 0),)
        ),
    ]


@pytest.mark.parametrize(("schema", "frame", "offset", "reason"), BAD)
def test_damage_is_found_where_it_is(
    make_codec: Any, schema: Schema, frame: bytes, offset: int, reason: str
) -> None:
    """Whatever reads a payload names the same byte for the same reason."""
    codec = make_codec(schema)

    [error] = codec.join([frame]).bad
    raised = []
    for take in takes(codec):
        with pytest.raises(DecodeError) as caught:
            take(frame, 1)
        raised.append(caught.value)

    assert [(e.index, e.offset, e.reason) for e in (error, *raised)] == [(0, offset, reason)] * 6


@pytest.mark.parametrize(("schema", "frame", "value"), GOOD)
def test_the_outermost_values_are_good(
    make_codec: Any, schema: Schema, frame: bytes, value: object
) -> None:
    """What lies just within a limit decodes."""
    codec = make_codec(schema)

    assert codec.join([frame]) == Joined(frame, 1, [])
    assert codec.decode(frame, 1) == [{"x": value}]
    assert list(codec.ends(frame, 1)) == [len(frame)]


def test_only_the_bad_frames_of_many_are_named(make_codec: Any) -> None:
    """One bad frame says nothing of its neighbours, which are joined without it."""
    frames = [b"\x02", b"", b"\x04", b"\x02\x02"]

    joined = make_codec(one("int")).join(frames)

    assert [(error.index, error.offset) for error in joined.bad] == [(1, 0), (3, 1)]
    assert (joined.payload, joined.count) == (b"\x02\x04", 2)
    assert make_codec(one("int")).join([]) == Joined(b"", 0, [])


def test_a_payload_is_counted_to_its_last_byte(make_codec: Any) -> None:
    """Too few records, too many, none at all: each is an error at its record."""
    codec = make_codec(one("string"))
    payload = b"\x02a\x00\x04bc"

    assert list(codec.ends(payload, 3)) == [2, 3, 6]
    assert codec.ends(payload, 3).format == "Q"
    assert codec.decode(b"", 0) == list(codec.ends(b"", 0)) == []
    for count, index, offset in [(4, 3, 0), (2, 1, 1), (1, 0, 2), (0, 0, 0), (10**15, 3, 0)]:
        for take in takes(codec):
            with pytest.raises(DecodeError) as caught:
                take(payload, count)
            assert (caught.value.index, caught.value.offset) == (index, offset)


def test_a_negative_count_is_refused(make_codec: Any) -> None:
    """It is a caller's mistake, not damage."""
    for take in takes(make_codec(one("int"))):
        with pytest.raises(ValueError, match="not negative"):
            take(b"", -1)


@pytest.mark.parametrize(
    "columns",
    [
        (),
        (Column("x", "int", "int"),) * 2,
        (Column("x", "boolean", "boolean"),),
        (Column("x\ud800", "int", "int"),),
    ],
    ids=["no columns", "one name twice", "no such base", "a name that is no text"],
)
def test_a_layout_that_cannot_be_is_refused(make_codec: Any, columns: tuple[Column, ...]) -> None:
    """A schema is checked when it is compiled, not when rows arrive."""
    with pytest.raises(ValueError, match=r"type 7 has|column '?x"):
        make_codec(Schema("7", columns))


def test_a_column_may_have_any_name(make_codec: Any) -> None:
    """Names that Avro forbids are no reason to lose rows."""
    schema = Schema("7", (Column('1 "a"\n', "int", "int"), Column("größe", "int", "int", True)))
    codec = make_codec(schema)

    assert codec.decode(b"\x02\x02", 1) == [{'1 "a"\n': 1, "größe": None}]
    assert objects(codec, b"\x02\x02", 1, values="declared") == [
        '{"1 \\"a\\"\\n":1,"größe":null}'.encode()
    ]


def test_frames_must_be_bytes(native_codec: Any) -> None:
    """The C code refuses what could change under it while the GIL is away."""
    codec = native_codec(one("int"))

    with pytest.raises(TypeError, match="frame 1 is no bytes object: bytearray"):
        codec.join([b"\x02", bytearray(b"\x02")])
    for take in takes(codec):
        with pytest.raises(TypeError, match="payload"):
            take(bytearray(b"\x02"), 1)  # type: ignore[arg-type]
