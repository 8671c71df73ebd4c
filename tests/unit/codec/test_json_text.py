"""Text is embedded as JSON exactly when it is JSON, and then with every digit."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec.json_text import embed

EMBEDDED = {
    "1.10": "1.10",
    "-0": "-0",
    "123456789012345678901234567890": "123456789012345678901234567890",
    "1e400": "1e400",
    "[1E+999, -2.50e-999]": "[1E+999,-2.50e-999]",
    " \t\r\n{ } ": "{}",
    '{"a b" : "c \\" d" , "e":\n[true,\tfalse, null]}': '{"a b":"c \\" d","e":[true,false,null]}',
    '"\\u0000\\ud83d\\ude00"': '"\\u0000\\ud83d\\ude00"',
    '{"a":1, "a":2}': '{"a":1,"a":2}',
    "[" * 1000 + "]" * 1000: "[" * 1000 + "]" * 1000,
}
LEFT_ALONE = [
    "", " ", "NaN", "[Infinity]", "-Infinity", "01", "1.", ".5", "+1", "--1", "1.5.6", "1 2", "1e",
    "[1,]", "{a:1}", "'a'", '"', '"\\"', '"a\nb"', '"\x00"', '"\\ud800"', '["\\udc00 1e400"]',
    "[1e400,]", "1e400 1", "1e4001.5.6", "nul1", "\ufeff1", "\xa01", "true false",
    "[" * 100_000, "[" * 2000 + "]" * 2000,
]  # fmt: skip


@pytest.mark.parametrize(("text", "written"), EMBEDDED.items())
def test_json_is_embedded_compactly(text: str, written: str) -> None:
    """Space between tokens goes, everything else stays."""
    assert orjson.dumps(embed(text)) == written.encode()


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_is_no_json_stays_text(text: str) -> None:
    """Strictly: a value that only lenient parsers read is none."""
    assert embed(text) == text


@pytest.mark.parametrize("piece", ['"', '\\"', '"\\', "1.", "[", '{"a":', " ", "1e999,"])
def test_long_nonsense_takes_no_longer_than_it_is_long(piece: str) -> None:
    """A megabyte of it is judged without backtracking (the test would run into its timeout)."""
    text = '"\\' + piece * (2**20 // len(piece))

    assert embed(text) == text
    assert embed(text[2:]) == text[2:]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(value=JSON, indent=st.sampled_from([None, 0, 2]))
def test_any_json_is_embedded_as_the_compact_form_of_itself(value: object, indent: int) -> None:
    """What a compact writer writes is what is left of what an airy one wrote."""
    text = json.dumps(value, indent=indent)

    assert orjson.dumps(embed(text)).decode() == json.dumps(value, separators=(",", ":"))


@given(text=st.text(st.sampled_from('0123456789.eE+-[]{}",: \\nulltrue'), max_size=12))
def test_verdicts_are_those_of_a_second_parser(text: str) -> None:
    """Near-JSON is JSON exactly where the standard library's strict parser says so."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        valid = False
    else:
        valid = True

    assert isinstance(embed(text), orjson.Fragment) == valid
