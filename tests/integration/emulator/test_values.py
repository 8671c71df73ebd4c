"""Values of every column type: what is stored, what is refused, in what form it comes back."""

from __future__ import annotations

import io
import json
import string
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.events import Column
from kinetica_emulator.columns import base_of
from kinetica_emulator.values import bulk_test_of, check_of

FORMS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "int8": st.integers(-128, 127),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "boolean": st.integers(0, 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "timestamp": st.integers(-30610224000000, 29379542399999),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "string": st.text(st.characters(codec="utf-8")),
    "char16": st.text(string.printable, max_size=16),
    "date": st.dates().filter(lambda day: 1000 <= day.year <= 2900).map(str),
    "time": st.times().map(
        lambda each: each.strftime("%H:%M:%S.") + f"{each.microsecond // 1000:03}"
    ),
    "decimal(20,6)": st.decimals(-(10**13), 10**13, places=6).map(lambda each: f"{each:f}"),
    "ulong": st.integers(0, 2**64 - 1).map(str),
    "ipv4": st.ip_addresses(v=4).map(str),
    "uuid": st.uuids().map(str),
    "json": st.text(st.characters(codec="utf-8")),
    "array(int)": st.lists(st.integers()).map(json.dumps),
    "wkt": st.text(string.ascii_letters),
    "bytes": st.binary(),
    "vector(2)": st.binary(min_size=8, max_size=8),
}


@given(data=st.data(), nullable=st.booleans())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_goes_in_comes_out(client: Any, data: st.DataObject, nullable: bool) -> None:
    """Binary records of every type read back with the very bytes they were inserted with."""
    columns = {}
    for number, name in enumerate(FORMS):
        base, declared = base_of(name)
        columns[f"c{number}"] = [base, *declared, *(["nullable"] if nullable else [])]
    fields = [
        {"name": name, "type": [base, "null"] if nullable else base}
        for name, (base, *_) in columns.items()
    ]
    schema = fastavro.parse_schema({"type": "record", "name": "type_name", "fields": fields})
    forms = [st.none() | form if nullable else form for form in FORMS.values()]
    rows = data.draw(st.lists(st.tuples(*forms), min_size=1, max_size=4))
    frames = []
    for row in rows:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, schema, dict(zip(columns, row, strict=True)))
        frames.append(stream.getvalue())
    client("/clear/table", table_name="t", options={"no_error_if_not_exists": "true"})
    client.create_table("t", columns)

    client("/insert/records", binary=True, table_name="t", list=frames, list_encoding="binary")
    read = client(
        "/get/records", binary=True, table_name="t", offset=0, limit=-9999, encoding="binary"
    )

    def decoded(frame: bytes) -> Any:
        return fastavro.schemaless_reader(io.BytesIO(frame), schema, None)

    assert [decoded(each) for each in read["records_binary"]] == [decoded(each) for each in frames]


TEXTS = st.one_of(
    st.text(string.digits + "-+:. TZe\n", max_size=24),
    st.from_regex(
        r"[12]\d{3}-[01]\d-[0-3]\d( [0-2]\d:[0-6]\d:[0-6]\d(\.\d{1,6})?)?", fullmatch=True
    ),
    st.from_regex(r"\d{1,3}(\.\d{1,3}){3}", fullmatch=True),
    st.from_regex(r"-?\d{1,12}(\.\d{1,4})?", fullmatch=True),
    st.text(max_size=20),
)


@pytest.mark.parametrize(
    "type_name",
    [
        "char8",
        "date",
        "time",
        "datetime",
        "decimal",
        "decimal(5,2)",
        "decimal(3,0)",
        "ulong",
        "ipv4",
        "uuid",
    ],
)
@given(values=st.lists(TEXTS, min_size=1, max_size=5))
@example(values=["0\n0"])
@example(values=["1.2.3.4\n1.2.3.4"])
@example(values=["2000-01-01\n2000-01-01"])
def test_the_quick_test_never_lets_through_what_the_slow_one_changes(
    type_name: str, values: list[str]
) -> None:
    """Where the bulk test says yes, each value passes its check unchanged."""
    column = Column("c", "string", type_name)
    check = check_of(column)

    assert check is not None
    if bulk_test_of(column)(values):
        assert [check(value) for value in values] == values


@pytest.mark.parametrize(
    ("type_name", "given_", "kept"),
    [
        ("datetime", "2026-1-2 3:04:05", "2026-01-02 03:04:05.000"),
        ("datetime", "2026-01-02T03:04:05.123456", "2026-01-02 03:04:05.123"),
        ("datetime", "2026-01-02", "2026-01-02 00:00:00.000"),
        ("time", "3:04:05", "03:04:05.000"),
        ("date", "2026-1-2", "2026-01-02"),
        ("uuid", "F47AC10B58CC4372A5670E02B2C3D479", "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
        ("decimal(6,2)", "1.005", "1.01"),
        ("decimal(6,2)", "7", "7"),
    ],
)
def test_other_spellings_are_kept_in_one(
    client: Any, type_name: str, given_: str, kept: str
) -> None:
    """Dates and times are padded, fractions cut to milliseconds, decimals to their scale."""
    client.create_table("t", {"c": ["string", type_name]})

    client.insert("t", {"c": given_})

    assert client.rows("t") == [{"c": kept}]


@pytest.mark.parametrize(
    ("columns", "value"),
    [
        (["int", "int8"], 128),
        (["int", "boolean"], 2),
        (["int"], 2**31),
        (["int"], 1.5),
        (["int"], "five"),
        (["long", "timestamp"], 2**60),
        (["string", "char2"], "abc"),
        (["string", "char2"], "東"),
        (["string", "date"], "2026-02-30"),
        (["string", "time"], "24:00:00"),
        (["string", "datetime"], "yesterday"),
        (["string", "decimal(5,2)"], "1000"),
        (["string", "decimal(5,2)"], "1e3"),
        (["string", "ulong"], "18446744073709551616"),
        (["string", "ulong"], "-1"),
        (["string", "ipv4"], "1.2.3.256"),
        (["string", "uuid"], "not-a-uuid"),
        (["bytes", "vector(2)"], "1234567"),
        (["int"], None),
    ],
)
def test_what_a_column_cannot_hold_is_refused(
    client: Any, refused: Any, columns: list[str], value: Any
) -> None:
    """The error names the record and the column."""
    client.create_table("t", {"c": columns})

    with pytest.raises(refused, match=r"Record 0: Column 'c'"):
        client.insert("t", {"c": value})
    assert client.rows("t") == []


def test_too_long_strings_can_be_cut(client: Any) -> None:
    """With truncate_strings, charN columns take what fits, whole characters."""
    client.create_table("t", {"c": ["string", "char4"]})

    client.insert("t", {"c": "abcdef"}, {"c": "a東京"}, truncate_strings="true")

    assert client.rows("t") == [{"c": "abcd"}, {"c": "a東"}]


def test_numbers_in_text_compare_as_numbers(client: Any) -> None:
    """Decimals and unsigned longs are filtered and sorted by value, beyond a double's digits."""
    client.create_table("t", {"d": ["string", "decimal(27,8)"], "u": ["string", "ulong"]})
    for d, u in (("9.5", "9"), ("10", "18446744073709551615"), ("-3.25", "18446744073709551614")):
        client.insert("t", {"d": d, "u": u})

    assert [row["d"] for row in client.rows("t", sort_by="d")] == ["-3.25", "9.5", "10"]
    assert [row["u"] for row in client.rows("t", sort_by="u", sort_order="descending")] == [
        "18446744073709551615",
        "18446744073709551614",
        "9",
    ]
    assert [row["d"] for row in client.rows("t", expression="d > 9.50 and u > 10")] == ["10"]
    assert len(client.rows("t", expression="u = '18446744073709551614'")) == 1
    assert len(client.rows("t", expression="d = 9.50")) == 1


def test_the_server_fills_in_what_it_was_told_to(client: Any) -> None:
    """Now and random uuids for what was not given, defaults for columns left out."""
    client.create_table(
        "t",
        {
            "id": ["int"],
            "at": ["string", "datetime", "init_with_now", "update_with_now"],
            "stamp": ["long", "timestamp", "init_with_now", "nullable"],
            "key": ["string", "uuid", "init_with_uuid"],
            "n": ["int", "default(7)"],
            "x": ["int", "nullable"],
        },
    )

    client.insert(
        "t", {"id": 1, "at": "", "key": ""}, {"id": 2, "at": "2026-01-01", "key": "0" * 32}
    )
    client.sql("INSERT INTO t (id, at, key) VALUES (3, '', '')")
    rows = client.rows("t")

    assert [row["n"] for row in rows] == [7, 7, 7]
    assert [row["x"] for row in rows] == [None, None, None]
    assert rows[0]["at"] > "2026-01-01"
    assert rows[1]["at"] == "2026-01-01 00:00:00.000"
    assert rows[1]["key"] == "00000000-0000-0000-0000-000000000000"
    assert len({row["key"] for row in rows}) == 3
    assert all(row["stamp"] > 1_767_225_600_000 for row in rows)
    client("/update/records", table_name="t", expressions=["id = 2"], new_values_maps=[{"n": "8"}])
    assert client.rows("t", expression="id = 2")[0]["at"] > "2026-01-01 00:00:00.000"


def test_random_records_fit_their_columns(client: Any) -> None:
    """The server can make up rows of any type, within given bounds."""
    columns = {}
    for number, name in enumerate(FORMS):
        base, declared = base_of(name)
        columns[f"c{number}"] = [base, *declared]
    client.create_table("t", columns)

    client(
        "/insert/records/random",
        table_name="t",
        count=50,
        options={"c0": {"min": 3.0, "max": 4.0}, "seed": {"value": 1.0}},
    )

    assert {row["c0"] for row in client.rows("t")} == {3, 4}
    assert len(client.rows("t")) == 50
