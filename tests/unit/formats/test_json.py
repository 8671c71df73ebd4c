"""Events are written as promised, key by key."""

from __future__ import annotations

import json

from bridge.codec import compile_schema
from bridge.events import Alter, Column, Count, Drop, Gap, Schema
from bridge.formats.json import row_events, single_event
from bridge.journal import Records

ID = "9f86d081884c7d65"
TIME = 1_795_509_720_123_456  # 2026-11-24T08:42:00.123456Z
SCHEMA = Schema(
    "7",
    (Column("order_id", "long", "long"), Column("note", "string", "char16", nullable=True)),
    ("order_id",),
)
TABLE, CLUSTER = "ki_home.orders", "http://kinetica-a:9191"


def test_a_row_is_one_compact_object_with_its_keys_in_order() -> None:
    """To the letter, id and key included."""
    records = Records(TABLE, CLUSTER, TIME, "insert", SCHEMA, b"\x02\x02\x04\x00\x04hi", 2)

    first, second = row_events(
        ID, 1234, records, compile_schema(SCHEMA), key=None, values="declared"
    )

    assert first.value == (
        b'{"id":"9f86d081884c7d65-1234","type":"insert","table":"ki_home.orders",'
        b'"cluster":"http://kinetica-a:9191","time":"2026-11-24T08:42:00.123456Z",'
        b'"offset":1234,"record":{"order_id":1,"note":null}}'
    )
    assert first.key == b'{"order_id":1}'
    assert (second.offset, second.id) == (1235, f"{ID}-1235")
    assert json.loads(second.value)["record"] == {"order_id": 2, "note": "hi"}


def test_the_key_is_that_of_the_configuration_else_the_primary_key_else_none() -> None:
    """In the order given; columns that the layout does not have are left out."""
    keyless = Schema("8", SCHEMA.columns)
    for schema, key, expected in (
        (SCHEMA, ("note", "order_id"), b'{"note":null,"order_id":1}'),
        (SCHEMA, ("gone",), None),
        (SCHEMA, None, b'{"order_id":1}'),
        (keyless, None, None),
    ):
        records = Records(TABLE, CLUSTER, TIME, "read", schema, b"\x02\x02", 1)
        (event,) = row_events(ID, 0, records, compile_schema(schema), key=key, values="declared")
        assert event.key == expected
        assert event.type == "read"


def test_the_other_events_have_their_members_after_offset() -> None:
    """Count, layouts, nothing, and the two forms of a gap."""
    other = Schema("9", (Column("price", "string", "decimal(10,2)"),))
    gap = Gap(TABLE, CLUSTER, TIME, "g1", TIME - 10**6, TIME, "failover")
    tails = {
        Count(TABLE, CLUSTER, TIME, "update", 3): '"type":"update"|,"count":3}',
        Drop(TABLE, CLUSTER, TIME): '"type":"drop"|}',
        Alter(TABLE, CLUSTER, TIME, SCHEMA, other): (
            '"type":"alter"|,"old":[{"name":"order_id","type":"long","nullable":false},'
            '{"name":"note","type":"char16","nullable":true}],'
            '"new":[{"name":"price","type":"decimal(10,2)","nullable":false}]}'
        ),
        gap: (
            '"type":"gap"|,"gap":"g1","since":"2026-11-24T08:41:59.123456Z",'
            '"until":"2026-11-24T08:42:00.123456Z","reason":"failover","closed":false}'
        ),
        Gap(*(getattr(gap, n) for n in gap.__slots__[:7]), closed=True, rows=9): (
            '"type":"gap"|,"gap":"g1","since":"2026-11-24T08:41:59.123456Z",'
            '"until":"2026-11-24T08:42:00.123456Z","reason":"failover","closed":true,"rows":9}'
        ),
    }
    for entry, expected in tails.items():
        event = single_event(ID, 5, entry)
        type_, tail = expected.split("|")
        assert event.value.decode().startswith(f'{{"id":"{ID}-5",{type_},"table":"{TABLE}",')
        assert event.value.decode().endswith(f'"offset":5{tail}')
        assert event.key == b'{"table":"ki_home.orders"}'
        json.loads(event.value)
