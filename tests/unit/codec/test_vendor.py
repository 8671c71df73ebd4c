"""Records of the vendor's own codec read as the vendor reads them."""

from __future__ import annotations

import json
import warnings
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.events import Column, Schema

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the vendor's client warns of on import is not ours
    from gpudb.protocol import Record, RecordType

SCHEMA = Schema(
    "1",
    (
        Column("i", "int", "int"),
        Column("i8", "int", "int8", nullable=True),
        Column("l", "long", "timestamp", nullable=True),
        Column("f", "float", "float", nullable=True),
        Column("d", "double", "double"),
        Column("s", "string", "string", nullable=True),
        Column("c", "string", "char8"),
        Column("b", "bytes", "bytes", nullable=True),
    ),
)
VENDOR = RecordType.from_type_schema(
    "",
    json.dumps(
        {
            "type": "record",
            "name": "type_name",
            "fields": [
                {
                    "name": column.name,
                    "type": [column.base, "null"] if column.nullable else column.base,
                }
                for column in SCHEMA.columns
            ],
        }
    ),
    {
        column.name: [
            *([column.type] if column.type != column.base else []),
            *(["nullable"] if column.nullable else []),
        ]
        for column in SCHEMA.columns
    },
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ROWS = st.tuples(
    st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(-128, 127),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(width=32, allow_nan=False),
    st.floats(allow_nan=False),
    st.none() | TEXT,
    TEXT.filter(lambda text: len(text.encode()) <= 8),
    st.none() | st.binary(max_size=20),
)


@given(rows=st.lists(ROWS, min_size=1, max_size=4))
def test_the_vendors_records_are_read_equal(make_codec: Any, rows: list[tuple[Any, ...]]) -> None:
    """What the vendor encodes, we decode to what the vendor decodes."""
    frames = [bytes(Record(VENDOR, list(row)).encode()) for row in rows]
    vendors = [dict(VENDOR.decode_records(frame)[0].items()) for frame in frames]
    codec = make_codec(SCHEMA)

    assert codec.join(frames).bad == []
    assert codec.decode(b"".join(frames), len(frames)) == vendors
    assert [list(vendor.values()) for vendor in vendors] == [list(row) for row in rows]
