"""Events are written as promised, key by key."""

from __future__ import annotations

import json

from services.formats import CLUSTER, ID, SCHEMA, TABLE, TIME, write

from bridge.events import Alter, Block, Column, Count, Drop, Gap, ReadCause, Schema
from bridge.formats.json import JsonFormat
from bridge.formats.shape import Shape


def test_a_row_is_one_compact_object_with_its_keys_in_order() -> None:
    """To the letter, id and key included; each has the time of its run."""
    times = ((1, TIME), (1, TIME + 1))
    block = Block(TABLE, CLUSTER, "insert", SCHEMA, b"\x02\x02\x04\x00\x04hi", 2, times)

    lines = write(JsonFormat(), block)
    first, second = lines.event(0), lines.event(1)

    assert first.value == (
        b'{"id":"9f86d081884c7d65-1234","type":"insert","table":"ki_home.orders",'
        b'"cluster":"http://kinetica-a:9191","time":"2026-11-24T08:42:00.123456Z",'
        b'"offset":1234,"record":{"order_id":1,"note":null}}'
    )
    assert (first.key, first.time) == (b'{"order_id":1}', TIME)
    assert (second.offset, second.id, second.time) == (1235, f"{ID}-1235", TIME + 1)
    assert json.loads(second.value)["record"] == {"order_id": 2, "note": "hi"}
    assert json.loads(second.value)["time"] == "2026-11-24T08:42:00.123457Z"


def test_a_row_that_was_read_says_why_at_its_end() -> None:
    """After the record."""
    causes: tuple[ReadCause, ...] = ("gap", "snapshot", "update")
    for cause in causes:
        block = Block(TABLE, CLUSTER, "read", SCHEMA, b"\x02\x02", 1, ((1, TIME),), cause)
        event = write(JsonFormat(), block).event(0)
        assert event.type == "read"
        assert event.value.endswith(b'"note":null},"cause":"%b"}' % cause.encode())
        assert list(json.loads(event.value))[-3:] == ["offset", "record", "cause"]


def test_the_key_is_that_of_the_configuration_else_the_primary_key_else_none() -> None:
    """In the order given; columns that the layout does not have are left out."""
    keyless = Schema("8", SCHEMA.columns)
    for schema, key, expected in (
        (SCHEMA, ("note", "order_id"), b'{"note":null,"order_id":1}'),
        (SCHEMA, ("gone",), None),
        (SCHEMA, None, b'{"order_id":1}'),
        (keyless, None, None),
    ):
        block = Block(TABLE, CLUSTER, "insert", schema, b"\x02\x02", 1, ((1, TIME),))
        assert write(JsonFormat(), block, Shape(key)).event(0).key == expected


def test_the_other_events_have_their_members_after_offset() -> None:
    """Count, layouts, nothing, and the forms of a gap."""
    other = Schema("9", (Column("price", "string", "decimal(10,2)"),))
    gap = Gap(TABLE, CLUSTER, TIME, "g1", TIME - 10**6, TIME, "failover")
    start = (
        '"type":"gap"|,"gap":"g1","since":"2026-11-24T08:41:59.123456Z",'
        '"until":"2026-11-24T08:42:00.123456Z","reason":"failover",'
    )
    shared = tuple(getattr(gap, name) for name in gap.__slots__[:7])
    tails = {
        Count(TABLE, CLUSTER, TIME, "update", 3): '"type":"update"|,"count":3}',
        Drop(TABLE, CLUSTER, TIME): '"type":"drop"|}',
        Alter(TABLE, CLUSTER, TIME, SCHEMA, other): (
            '"type":"alter"|,"old":[{"name":"order_id","type":"long","nullable":false},'
            '{"name":"note","type":"char16","nullable":true}],'
            '"new":[{"name":"price","type":"decimal(10,2)","nullable":false}]}'
        ),
        gap: start + '"closed":false}',
        Gap(*shared, closed=True, rows=9, by="read"): start + '"closed":true,"rows":9,"by":"read"}',
        Gap(*shared, closed=True, rows=0, by="quiet"): (
            start + '"closed":true,"rows":0,"by":"quiet"}'
        ),
        Gap(*shared, closed=False, by="accepted"): start + '"closed":false,"by":"accepted"}',
    }
    for entry, expected in tails.items():
        event = JsonFormat().single(ID, 5, entry).event(0)
        type_, tail = expected.split("|")
        assert event.value.decode().startswith(f'{{"id":"{ID}-5",{type_},"table":"{TABLE}",')
        assert event.value.decode().endswith(f'"offset":5{tail}')
        assert (event.key, event.time) == (b'{"table":"ki_home.orders"}', TIME)
        json.loads(event.value)
