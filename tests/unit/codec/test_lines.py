"""Records become lines: what the template says, what each slot is filled with, where lines end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec import Slot, Written, members
from bridge.codec.fallback import FallbackCodec
from bridge.events import Column, Schema

SCHEMA = Schema(
    "1", (Column("id", "int", "int"), Column("note", "string", "string", True)), ("id",)
)
PAYLOAD = b"\x02\x02" + b"\x04\x00\x04hi" + b"\x06\x02"
RECORDS = [b'{"id":1,"note":null}', b'{"id":2,"note":"hi"}', b'{"id":3,"note":null}']
TIMES = ((2, 1_795_423_320_123_456), (1, -1))
EVENT = (
    b'{"id":"9f86d081884c7d65-',
    Slot.OFFSET,
    b'","type":"insert","time":"',
    Slot.TIME,
    b'","offset":',
    Slot.OFFSET,
    b',"record":',
    Slot.RECORD,
    b"}",
)


def pieces(buffer: bytes, ends: Any) -> list[bytes]:
    starts = [0, *ends]
    return [buffer[starts[i] : starts[i + 1]] for i in range(len(ends))]


def test_a_line_is_the_template_filled_for_its_record(make_codec: Any) -> None:
    """An event as its readers know it, a line feed behind it; no keys where none were asked for."""
    written = make_codec(SCHEMA).form().lines(PAYLOAD, 3, template=EVENT, first=99, times=TIMES)

    assert pieces(written.lines, written.ends) == [
        b'{"id":"9f86d081884c7d65-%d","type":"insert","time":"%b","offset":%d,"record":%b}\n'
        % (offset, time, offset, record)
        for offset, time, record in zip(
            (99, 100, 101),
            [b"2026-11-23T08:42:00.123456Z"] * 2 + [b"1969-12-31T23:59:59.999999Z"],
            RECORDS,
            strict=True,
        )
    ]
    assert (written.keys, written.key_ends) == (None, None)
    assert written.ends.format == "Q"


@pytest.mark.parametrize(
    ("slot", "filled"),
    [
        (Slot.OFFSET, [b"41", b"42", b"43"]),
        (
            Slot.OFFSET20,
            [b"00000000000000000041", b"00000000000000000042", b"00000000000000000043"],
        ),
        (Slot.TIME_MS, [b"1795423320123"] * 2 + [b"-1"]),
        (Slot.TIME_US, [b"1795423320123456"] * 2 + [b"-1"]),
        (Slot.TIME_NS, [b"1795423320123456000"] * 2 + [b"-1000"]),
        (Slot.RECORD, RECORDS),
        (Slot.KEY, [b'{"note":null}', b'{"note":"hi"}', b'{"note":null}']),
        (
            Slot.KEY_TEXT,
            [rb'"{\"note\":null}"', rb'"{\"note\":\"hi\"}"', rb'"{\"note\":null}"'],
        ),
    ],
)
def test_each_slot_is_filled(make_codec: Any, slot: Slot, filled: list[bytes]) -> None:
    """Alone, twice, and before and after a record: a slot does not depend on its place."""
    form = make_codec(SCHEMA).form(key=members(["note"]))
    for template, wanted in (
        ((slot,), [b"%b\n" % text for text in filled]),
        ((slot, b" ", slot), [b"%b %b\n" % (text, text) for text in filled]),
        (
            (slot, Slot.RECORD, slot),
            [b"%b%b%b\n" % (t, r, t) for t, r in zip(filled, RECORDS, strict=True)],
        ),
    ):
        written = form.lines(PAYLOAD, 3, template=template, first=41, times=TIMES)

        assert pieces(written.lines, written.ends) == wanted


@pytest.mark.parametrize("template", [(Slot.RECORD,), (Slot.KEY,), (b"x",), ()])
def test_keys_are_written_beside_the_lines(make_codec: Any, template: Any) -> None:
    """Whatever the template, with the columns in the key's order and an end for each."""
    form = make_codec(SCHEMA).form(columns=members(["id"]), key=members(["note", "id"]))

    written = form.lines(PAYLOAD, 3, template=template, first=0, times=TIMES)

    assert pieces(written.keys, written.key_ends) == [
        b'{"note":null,"id":1}',
        b'{"note":"hi","id":2}',
        b'{"note":null,"id":3}',
    ]


def test_the_epoch_itself_is_zero_in_every_unit(make_codec: Any) -> None:
    """No zeros are hung on a zero."""
    template = (Slot.TIME_MS, b" ", Slot.TIME_US, b" ", Slot.TIME_NS)

    written = (
        make_codec(SCHEMA).form().lines(b"\0\2", 1, template=template, first=0, times=((1, 0),))
    )

    assert written.lines == b"0 0 0\n"


def test_the_largest_offset_is_written(make_codec: Any) -> None:
    """63 bits of them."""
    form = make_codec(SCHEMA).form()
    template = (Slot.OFFSET, b" ", Slot.OFFSET20)

    written = form.lines(b"\0\2", 1, template=template, first=2**63 - 2, times=((1, 0),))

    assert written.lines == b"9223372036854775806 09223372036854775806\n"


def test_nothing_makes_nothing(make_codec: Any) -> None:
    """No records, no lines; no columns, an empty object."""
    codec = make_codec(SCHEMA)

    empty = codec.form(key=members(["id"])).lines(b"", 0, template=EVENT, first=0, times=())
    bare = codec.form(columns=[]).lines(
        b"\0\2", 1, template=(Slot.RECORD,), first=0, times=((1, 0),)
    )

    assert (empty.lines, list(empty.ends), empty.keys, list(empty.key_ends)) == (b"", [], b"", [])
    assert bare.lines == b"{}\n"


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(moments=st.lists(st.datetimes(timezones=st.just(UTC)), min_size=1, max_size=20))
def test_times_are_the_calendars(native_codec: Any, moments: list[datetime]) -> None:
    """Of any moment of the years 0001 to 9999, as Python's calendar has it."""
    times = tuple((1, (moment - EPOCH) // timedelta(microseconds=1)) for moment in moments)
    payload = b"\0\2" * len(moments)

    for codec in (native_codec(SCHEMA), FallbackCodec(SCHEMA)):
        written = codec.form().lines(
            payload, len(moments), template=(Slot.TIME,), first=0, times=times
        )
        assert written.lines.decode().splitlines() == [
            moment.isoformat(timespec="microseconds").replace("+00:00", "Z") for moment in moments
        ]


def test_every_day_of_400_years_is_known(native_codec: Any) -> None:
    """After which the calendar begins again."""
    first, days = datetime(1800, 1, 1, tzinfo=UTC), 146_097 + 1
    begin = (first - EPOCH) // timedelta(microseconds=1)
    times = tuple((1, begin + day * 86_400_000_000) for day in range(days))

    lines = (
        native_codec(SCHEMA)
        .form()
        .lines(b"\0\2" * days, days, template=(Slot.TIME,), first=0, times=times)
        .lines
    )

    assert lines.decode().split() == [
        f"{(first + timedelta(days=day)).date()}T00:00:00.000000Z" for day in range(days)
    ]


def test_threads_may_share_a_form(make_codec: Any) -> None:
    """Each gets its own lines while the others' are written."""
    form = make_codec(SCHEMA).form(key=members(["id"]))

    def lines(first: int) -> list[Written]:
        return [
            form.lines(PAYLOAD * 700, 2100, template=EVENT, first=first, times=((2100, 0),))
            for _ in range(5)
        ]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lines, range(4)))

    for first, several in enumerate(results):
        wanted = form.lines(PAYLOAD * 700, 2100, template=EVENT, first=first, times=((2100, 0),))
        assert all(one == wanted for one in several)


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        ({"times": ((2, 0),)}, ValueError, "times of other than 3 records"),
        ({"times": ((4, 0),)}, ValueError, "times of other than 3 records"),
        ({"times": ((4, 0), (-1, 0))}, ValueError, "times of other than 3 records"),
        ({"times": ()}, ValueError, "times of other than 3 records"),
        ({"times": ((3, -62_135_596_800_000_001),)}, ValueError, "years 0001 to 9999"),
        ({"times": ((3, 253_402_300_800_000_000),)}, ValueError, "years 0001 to 9999"),
        ({"first": -1}, ValueError, "63 bits"),
        ({"first": 2**63 - 2}, ValueError, "63 bits"),
        ({"template": (Slot.KEY,)}, ValueError, "no key"),
        ({"template": (Slot.KEY_TEXT,)}, ValueError, "no key"),
        ({"template": ("text",)}, TypeError, "bytes and slots, not str"),
    ],
)
def test_what_no_line_can_be_made_of_is_refused(
    make_codec: Any, change: dict[str, Any], error: type[Exception], reason: str
) -> None:
    """It is a caller's mistake, and both implementations say it in the same words."""
    asked = {"template": (Slot.RECORD,), "first": 0, "times": ((3, 0),)} | change

    with pytest.raises(error, match=reason):
        make_codec(SCHEMA).form().lines(PAYLOAD, 3, **asked)


def test_a_form_is_compiled_once(make_codec: Any) -> None:
    """Asked for again, it is the same."""
    codec = make_codec(SCHEMA)

    assert codec.form(key=members(["id"])) is codec.form(key=members(("id",)))
    assert codec.form(key=[]) is codec.form()
    assert codec.form(values="kinetica") is not codec.form()


def test_large_rows_and_many_of_them_fit(make_codec: Any) -> None:
    """What is written may be many times what was read: control characters, long names, frames."""
    schema = Schema("1", (Column("n" * 3000, "string", "string"),))
    text = b"\x01" * 5000
    payload = (b"\x90\x4e" + text) * 40

    written = (
        make_codec(schema)
        .form(key=members(["n" * 3000]))
        .lines(payload, 40, template=(b"frame " * 500, Slot.RECORD), first=0, times=((40, 0),))
    )

    line = b"frame " * 500 + b'{"%b":"%b"}\n' % (b"n" * 3000, b"\\u0001" * 5000)
    assert written.lines == line * 40
    assert list(written.ends) == [len(line) * n for n in range(1, 41)]
    assert written.keys == b'{"%b":"%b"}' % (b"n" * 3000, b"\\u0001" * 5000) * 40
