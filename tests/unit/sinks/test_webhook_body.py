"""Events as the bytes of a request, and headers that HTTP allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from bridge.lines import Lines
from bridge.sinks.webhook_body import message_of
from bridge.testing import make_event, slices_of


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same attributes for each event."""

    attributes: tuple[tuple[str, str], ...]

    def of(
        self, lines: Lines, start: int, stop: int, prefix: str = ""
    ) -> Sequence[Sequence[tuple[str, str]]]:
        assert len(lines) >= stop
        return [[(prefix + name, value) for name, value in self.attributes]] * (stop - start)


def binary(value: str) -> dict[str, str]:
    """Return the headers of an event with an attribute of this value."""
    (piece,) = slices_of([make_event(7)])
    lines = replace(piece.lines, attributes=Fixed((("subject", value),)))
    piece = replace(piece, lines=lines)
    return dict(message_of([piece], "cloudevents-binary", alone=True, compressed=False).headers)


def test_attributes_are_percent_encoded_as_the_binding_says() -> None:
    """Its own example, and what else may not stand there."""
    assert binary("Euro € 😀")["ce-subject"] == "Euro%20%E2%82%AC%20%F0%9F%98%80"
    assert binary('{"a":1}')["ce-subject"] == "{%22a%22:1}"
    assert binary("100%")["ce-subject"] == "100%25"
    assert binary("/a/b?c=d&e='(*)!")["ce-subject"] == "/a/b?c=d&e='(*)!"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_attribute_comes_back_from_what_http_allows(value: str) -> None:
    """Printable ASCII, no blank, no quotation mark; a line end cannot make a header of its own."""
    header = binary(value)["ce-subject"]

    assert all("!" <= each <= "~" and each != '"' for each in header)
    assert unquote(header) == value


def test_the_same_events_are_the_same_bytes() -> None:
    """Compressed too: a batch is frozen across its retries."""
    slices = slices_of([make_event(offset) for offset in range(3)])
    first = message_of(slices, "json", alone=False, compressed=True)

    assert message_of(slices, "json", alone=False, compressed=True) == first
    assert first.body[4:8] == b"\0\0\0\0"  # no time
    assert first.id.endswith("-0-3")
