"""Values that must not be seen, rows as CSV, and keys that are framed."""

from __future__ import annotations

import csv
import hmac
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec import Form, Member, Slot, Written, members
from bridge.codec.fallback import FallbackCodec
from bridge.events import Column, Schema
from tests.unit.codec.test_equality import encode

KEY = b"a key of hashes"
SCHEMA = Schema(
    "1", (Column("id", "int", "int"), Column("mail", "string", "string", True)), ("id",)
)
PAYLOAD = b"\x02\x02" + b"\x04\x00\x04hi" + b"\x06\x02"


def hashed(text: str | bytes, key: bytes = KEY) -> str:
    data = text.encode() if isinstance(text, str) else text
    return hmac.digest(key, data, "sha256").hex()


def written(form: Form, payload: bytes, count: int, *template: Any, **more: Any) -> Written:
    return form.lines(payload, count, template=template, first=0, times=((count, 0),), **more)


def test_a_redacted_value_is_stars_and_so_is_null(make_codec: Any) -> None:
    """Whether there is a value is not told either."""
    form = make_codec(SCHEMA).form(
        columns=[Member("id", "id"), Member("mail", "who", "redact")],
        key=[Member("mail", "who", "redact")],
    )

    got = written(form, PAYLOAD, 3, Slot.RECORD, b" ", Slot.KEY_TEXT, b" ", Slot.CSV)

    assert got.lines.splitlines() == [
        b'{"id":%d,"who":"***"} "{\\"who\\":\\"***\\"}" %d,***' % (id_, id_) for id_ in (1, 2, 3)
    ]
    assert got.keys == b'{"who":"***"}' * 3


def test_a_hashed_value_is_its_hmac_and_null_stays(make_codec: Any) -> None:
    """The same in the record, in the key and in CSV, so that they can be joined."""
    mail = Member("mail", "mail", "hash", KEY)
    form = make_codec(SCHEMA).form(columns=[mail], key=[mail])

    got = written(form, PAYLOAD, 3, Slot.RECORD)

    objects = [b'{"mail":null}', b'{"mail":"%b"}' % hashed("hi").encode(), b'{"mail":null}']
    assert got.lines.splitlines() == objects
    assert got.keys == b"".join(objects)
    assert written(form, PAYLOAD, 3, Slot.CSV).lines == b"\n%b\n\n" % hashed("hi").encode()


@pytest.mark.parametrize(
    ("base", "declared", "value", "text"),
    [
        ("string", "string", 'a "quoted"\n line', 'a "quoted"\n line'),
        ("string", "string", "", ""),
        ("string", "datetime", "2026-11-23 08:42:00.123", "2026-11-23T08:42:00.123"),
        ("string", "decimal(10,2)", "12.50", "12.50"),
        ("string", "ulong", "18446744073709551615", "18446744073709551615"),
        ("string", "ulong", "none", "none"),
        ("string", "json", '{ "a" : [1.10] }', '{"a":[1.10]}'),
        ("string", "json", "{ no json", "{ no json"),
        ("int", "int", -17, "-17"),
        ("int", "boolean", 1, "true"),
        ("long", "timestamp", 1_795_423_320_123, "2026-11-23T08:42:00.123Z"),
        ("double", "double", 0.1, "0.1"),
        ("double", "double", float("nan"), "NaN"),
        ("bytes", "bytes", b"\0\1", "AAE="),
        ("bytes", "vector(2)", b"\0\0\x80?\0\0\0@", "[1.0,2.0]"),
    ],
)
def test_a_hash_is_over_the_text_of_the_value(
    make_codec: Any, base: str, declared: str, value: Any, text: str
) -> None:
    """Of a string the text itself, of any other value the JSON that would stand there."""
    schema = Schema("1", (Column("x", base, declared),))
    (payload,) = encode(schema, [{"x": value}])
    form = make_codec(schema).form(columns=[Member("x", "x", "hash", KEY)])

    assert json.loads(written(form, payload, 1, Slot.RECORD).lines) == {"x": hashed(text)}


@pytest.mark.parametrize(
    ("key", "text", "digest"),
    [
        # RFC 4231, test cases 1, 2, 6 and 7: those whose data is text
        (
            b"\x0b" * 20,
            "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            b"\xaa" * 131,
            "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            b"\xaa" * 131,
            (
                "This is a test using a larger than block-size key and a larger than block-size "
                "data. The key needs to be hashed before being used by the HMAC algorithm."
            ),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ],
)
def test_hashes_are_those_of_the_standard(
    make_codec: Any, key: bytes, text: str, digest: str
) -> None:
    """As its test vectors have them."""
    schema = Schema("1", (Column("x", "string", "string"),))
    (payload,) = encode(schema, [{"x": text}])
    form = make_codec(schema).form(columns=[Member("x", "x", "hash", key)])

    assert json.loads(written(form, payload, 1, Slot.RECORD).lines) == {"x": digest}


@given(key=st.binary(max_size=200), texts=st.lists(st.text(max_size=300), min_size=1, max_size=5))
def test_hashes_are_pythons(native_codec: Any, key: bytes, texts: list[str]) -> None:
    """Of any key and any text, over the edges of SHA-256's blocks."""
    schema = Schema("1", (Column("x", "string", "string"),))
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    payload = b"".join(encode(schema, [{"x": text} for text in texts]))
    form = native_codec(schema).form(columns=[Member("x", "x", "hash", key)])

    lines = written(form, payload, len(texts), Slot.RECORD).lines.splitlines()

    assert [json.loads(line)["x"] for line in lines] == [hashed(text, key) for text in texts]


def test_the_key_of_hashes_is_in_no_repr(make_codec: Any) -> None:
    """Neither of a member, as asked for, nor of a column, as compiled."""
    form = make_codec(SCHEMA).form(columns=[Member("mail", "mail", "hash", KEY)])

    assert KEY.decode() not in repr((form, form.record, Member("mail", "mail", "hash", KEY)))


def test_a_mask_that_there_is_not_is_refused(make_codec: Any) -> None:
    """By its name."""
    with pytest.raises(ValueError, match="no mask blur among hash, redact"):
        make_codec(SCHEMA).form(columns=[Member("id", "id", "blur")])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("base", "declared", "value", "text"),
    [
        ("string", "string", "plain text", b"plain text"),
        ("string", "string", "", b'""'),
        ("string", "string", "a,b", b'"a,b"'),
        ("string", "string", 'say "a"', b'"say ""a"""'),
        ("string", "string", '"', b'""""'),
        ("string", "string", "one\ntwo", b'"one\ntwo"'),
        ("string", "string", "one\rtwo", b'"one\rtwo"'),
        ("string", "string", " é\t\0", " é\t\0".encode()),
        ("string", "datetime", "2026-11-23 08:42:00", b"2026-11-23T08:42:00"),
        ("string", "json", '{ "a" : [1, "x"] }', b'"{""a"":[1,""x""]}"'),
        ("string", "json", "17", b"17"),
        ("string", "ulong", "18446744073709551615", b"18446744073709551615"),
        ("int", "int", -5, b"-5"),
        ("int", "boolean", 0, b"false"),
        ("long", "timestamp", 0, b"1970-01-01T00:00:00.000Z"),
        ("float", "float", float("-inf"), b"-Infinity"),
        ("double", "double", 1e300, b"1e+300"),
        ("bytes", "bytes", b"", b'""'),
        ("bytes", "bytes", b"\xff", b"/w=="),
        ("bytes", "vector(2)", b"\0\0\x80?\0\0\0@", b'"[1.0,2.0]"'),
    ],
)
def test_a_value_is_quoted_in_csv_where_it_must_be(
    make_codec: Any, base: str, declared: str, value: Any, text: bytes
) -> None:
    """Where it has what CSV is made of, or is an empty text, since nothing at all is null."""
    schema = Schema("1", (Column("x", base, declared, True), Column("y", "int", "int", True)))
    payload = b"".join(encode(schema, [{"x": value, "y": None}, {"x": None, "y": 1}]))

    assert written(make_codec(schema).form(), payload, 2, Slot.CSV).lines == b"%b,\n,1\n" % text


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    st.sampled_from('a",\r\n'), max_size=6
)


@given(rows=st.lists(st.tuples(TEXT, TEXT | st.none()), max_size=6))
def test_pythons_reader_reads_csv_back(
    native_codec: Any, rows: list[tuple[str, str | None]]
) -> None:
    """Any text, from C and from the fallback alike; the fields of a row stay a row."""
    schema = Schema("1", (Column("x", "string", "string"), Column("y", "string", "string", True)))
    payload = b"".join(encode(schema, [{"x": x, "y": y} for x, y in rows]))

    for codec in (native_codec(schema), FallbackCodec(schema)):
        lines = written(codec.form(), payload, len(rows), Slot.CSV).lines

        read = list(csv.reader(io.StringIO(lines.decode(), newline=""), strict=True))
        assert read == [[x, y or ""] for x, y in rows]


def test_csv_has_the_columns_that_were_asked_for(make_codec: Any) -> None:
    """In their order."""
    form = make_codec(SCHEMA).form(columns=members(["mail", "id"]))

    assert written(form, PAYLOAD, 3, Slot.CSV).lines == b",1\nhi,2\n,3\n"


def test_keys_are_framed_and_lines_have_them_bare(make_codec: Any) -> None:
    """What stands around the keys is no part of a line's own key."""
    form = make_codec(SCHEMA).form(key=members(["id"]))
    template = (b'{"schema":', b"1", b',"payload":', Slot.KEY, b"}")

    got = written(form, PAYLOAD, 3, Slot.KEY, key_template=template)

    wanted = [b'{"schema":1,"payload":{"id":%d}}' % id_ for id_ in (1, 2, 3)]
    assert got.lines == b'{"id":1}\n{"id":2}\n{"id":3}\n'
    assert got.keys == b"".join(wanted)
    assert list(got.key_ends or ()) == [len(wanted[0]) * n for n in (1, 2, 3)]
    unread = written(form, PAYLOAD, 3, b"", key_template=template)
    assert unread.keys == got.keys


def test_a_frame_for_keys_means_nothing_where_there_is_no_key(make_codec: Any) -> None:
    """So that a format need not ask."""
    got = written(make_codec(SCHEMA).form(), PAYLOAD, 3, b"x", key_template=(b"<", Slot.KEY))

    assert (got.keys, got.key_ends) == (None, None)


@pytest.mark.parametrize(
    "template", [(), (b"x",), (Slot.KEY, Slot.KEY), (Slot.OFFSET,), (Slot.KEY, Slot.RECORD)]
)
def test_a_frame_for_keys_has_one_key_and_no_other_slot(make_codec: Any, template: Any) -> None:
    """It is a caller's mistake."""
    with pytest.raises(ValueError, match="bytes around one Slot"):
        written(
            make_codec(SCHEMA).form(key=members(["id"])), PAYLOAD, 3, b"", key_template=template
        )
