"""Text is embedded as JSON exactly when every parser takes it for JSON, and with every digit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec import Slot
from bridge.codec.fallback import FallbackCodec
from bridge.codec.json_text import MOST_LEVELS, _compact_long, compact
from bridge.events import Column, Schema

DEEPEST = "[" * MOST_LEVELS + "]" * MOST_LEVELS
GREATEST = "1.7976931348623158079"  # and what follows it is no double any more
FIRST_BEYOND = str(2**1024 - 2**970)

EMBEDDED = {
    "1.10": "1.10",
    "-0": "-0",
    "123456789012345678901234567890": "123456789012345678901234567890",
    f"{GREATEST}e308": f"{GREATEST}e308",
    str(int(FIRST_BEYOND) - 1): str(int(FIRST_BEYOND) - 1),
    "[-2.50e-999, 0e999, 0.00e999]": "[-2.50e-999,0e999,0.00e999]",
    "0." + "0" * 400 + "1e700": "0." + "0" * 400 + "1e700",
    " \t\r\n{ } ": "{}",
    '{"a b" : "c \\" d" , "e":\n[true,\tfalse, null]}': '{"a b":"c \\" d","e":[true,false,null]}',
    '"\\u0000\\ud83d\\ude00\\uD83D\\uDE00\\/"': '"\\u0000\\ud83d\\ude00\\uD83D\\uDE00\\/"',
    '"\x7f\u2028"': '"\x7f\u2028"',
    '{"a":1, "a":2}': '{"a":1,"a":2}',
    DEEPEST: DEEPEST,
}
LEFT_ALONE = [
    "", " ", "NaN", "[Infinity]", "-Infinity", "01", "1.", ".5", "+1", "-", "--1", "1.5.6", "1 2",
    "1e", "1e+", "[1,]", "[,1]", "{a:1}", '{"a"}', '{"a":}', '{"a":1,}', '{"a" 1}', "[1}",
    '{"a":1]', "]", "'a'", '"', '"\\"', '"a\nb"', '"\x00"', '"\\ud800"', '"\\ud800\\u0041"',
    '"\\ud800\\ud800"', '["\\udc00"]', '"\\x41"', '"\\u12g4"', '"\\u12', "1:2", "nul1", "\ufeff1",
    "\xa01", "true false", "1e400", "-1e400", "[1E+999]", FIRST_BEYOND, "1" * 5000, "1" * 400,
    "0.1e310", "1.8e308",
    "0." + "0" * 400 + "1e800", "1e99999999999999999999", f"[{DEEPEST}]", "[" * 100_000,
]  # fmt: skip

SCHEMA = Schema("1", (Column("x", "string", "json"),))


def written(codec: Any, text: str) -> bytes:
    """What a json column with that text is written as."""
    data = text.encode()
    bits, length = 2 * len(data), bytearray()
    while bits >= 0x80:
        length.append(bits & 0x7F | 0x80)
        bits >>= 7
    record = bytes(length) + bytes([bits]) + data
    lines = codec.form().lines(record, 1, template=(Slot.RECORD,), first=0, times=((1, 0),)).lines
    assert isinstance(lines, bytes)
    return lines.removeprefix(b'{"x":').removesuffix(b"}\n")


@pytest.mark.parametrize(("text", "compacted"), EMBEDDED.items())
def test_json_is_embedded_compactly(make_codec: Any, text: str, compacted: str) -> None:
    """Space between tokens goes, everything else stays."""
    assert written(make_codec(SCHEMA), text) == compacted.encode()
    assert compact(text) == _compact_long(text) == compacted


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_is_no_json_stays_text(make_codec: Any, text: str) -> None:
    """Strictly: a value that only lenient parsers read is none."""
    assert written(make_codec(SCHEMA), text) == orjson.dumps(text)
    assert compact(text) is None
    assert _compact_long(text) is None


@pytest.mark.parametrize("text", [DEEPEST, f"{GREATEST}e308"])
def test_what_is_embedded_is_read_by_strict_parsers(make_codec: Any, text: str) -> None:
    """At the limits too, with an event around the record."""
    line = b'{"record":{"x":' + written(make_codec(SCHEMA), text) + b"}}"

    assert json.loads(line) == orjson.loads(line)


@pytest.mark.parametrize("piece", ['"', '\\"', '"\\', "1.", "[", '{"a":', " ", "1e999,"])
def test_long_nonsense_takes_no_longer_than_it_is_long(make_codec: Any, piece: str) -> None:
    """A megabyte of it is judged without backtracking (the test would run into its timeout)."""
    text = '"\\' + piece * (2**20 // len(piece))

    for part in (text, text[2:]):
        assert written(make_codec(SCHEMA), part) == orjson.dumps(part)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(value=JSON, indent=st.sampled_from([None, 0, 2]))
def test_any_json_is_embedded_as_the_compact_form_of_itself(
    native_codec: Callable[[Schema], Any], value: object, indent: int
) -> None:
    """What a compact writer writes is what is left of what an airy one wrote."""
    text = json.dumps(value, indent=indent)
    wanted = json.dumps(value, separators=(",", ":"))

    for codec in (native_codec(SCHEMA), FallbackCodec(SCHEMA)):
        assert written(codec, text).decode() == wanted
    assert _compact_long(text) == wanted


def strict(text: str) -> bool:
    """Whether the standard library's parser takes it, names that are no JSON refused."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    def finite(number: str) -> float:
        if abs(float(number)) == float("inf"):
            refuse(number)
        return float(number)

    try:
        json.loads(text, parse_constant=refuse, parse_float=finite, parse_int=finite)
    except ValueError:
        return False
    return True


NEAR_JSON = st.text(st.sampled_from('0123456789.eE+-[]{}",: \\nulltrue'), max_size=12) | st.lists(
    st.sampled_from(
        ["[", "]", "{", "}", ",", ":", '"a"', '"\\u00e9"', '"\\n"', "1", "-1.5e3", "1e400", " "]
    ),
    max_size=8,
).map("".join)  # fmt: skip


@given(text=NEAR_JSON)
def test_verdicts_are_those_of_a_second_parser(
    native_codec: Callable[[Schema], Any], text: str
) -> None:
    """Near-JSON is JSON exactly where the standard library's strict parser says so."""
    as_text = orjson.dumps(text)
    valid = strict(text)

    for codec in (native_codec(SCHEMA), FallbackCodec(SCHEMA)):
        assert (written(codec, text) != as_text) == (valid and compact(text) != as_text.decode())
    assert (compact(text) is not None) == (_compact_long(text) is not None) == valid
