"""Both receivers report the same of any messages, and keep the order of each table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.codec import IMPLEMENTATION as CODEC
from bridge.codec import Codec, compile_schema
from bridge.events import Column, Schema
from bridge.monitor import receiver
from bridge.monitor.arrivals import Arrival, Damaged, Drained, Limits, Receiver
from bridge.monitor.receive_pyzmq import PyzmqReceiver
from bridge.monitor.records import chunks

ROWS = compile_schema(
    Schema("7", (Column("n", "int", "int8"), Column("s", "string", "char4", nullable=True)))
)
COUNTS = compile_schema(Schema("count", (Column("count", "long", "long"),)))
ROOM = 2**20
TOPICS = (b"a", b"ab", b"ab\0", b"b", b"", b"long" * 40)


@dataclass(eq=False)
class Route:
    """A topic's meaning; two tables, one of them with two layouts."""

    name: bytes
    table: str
    codec: Codec


ROUTES = {
    b"a": Route(b"a", "first", ROWS),
    b"ab": Route(b"ab", "first", COUNTS),
    b"ab\0": Route(b"ab\0", "second", ROWS),
    b"long" * 40: Route(b"long", "second", ROWS),
}

GOOD = st.sampled_from([b"\x02\x02", b"\x04\x00\x02x", b"\x06\x00\x08abcd", b"\x08\x00\x00"])
frames = GOOD | st.sampled_from([b"\x02", b"\xff\xff\x01", b""]) | st.binary(max_size=12)
messages = st.lists(
    st.tuples(st.sampled_from(TOPICS), st.lists(frames, max_size=5)).map(lambda m: [m[0], *m[1]]),
    max_size=30,
)
limits = st.builds(
    Limits, st.integers(1, 4000), st.integers(1, 20), st.sampled_from([0, 600, 3000, ROOM])
)


class Line:
    """A publisher, and a subscriber to everything."""

    def __init__(self, context: zmq.Context[Any], name: str) -> None:
        self.publisher = context.socket(zmq.XPUB)
        self.publisher.sndhwm = 0
        self.publisher.bind(f"inproc://{name}")
        self.subscriber = context.socket(zmq.SUB)
        self.subscriber.rcvhwm = 0
        self.subscriber.connect(f"inproc://{name}")
        self.subscriber.subscribe(b"")
        self.publisher.recv()

    def close(self) -> None:
        self.subscriber.close(0)
        self.publisher.close(0)

    def send(self, given: list[list[bytes]]) -> None:
        for message in given:
            self.publisher.send_multipart(message)


@pytest.fixture(scope="module")
def lines() -> Iterator[tuple[Line, Line]]:
    with zmq.Context() as context:
        pair = Line(context, "one"), Line(context, "other")
        yield pair
        for line in pair:
            line.close()


def native() -> Receiver[Route]:
    if CODEC != "c":
        pytest.skip("there is no compiled receiver")
    from bridge.monitor.receive_native import NativeReceiver, load

    load()
    return NativeReceiver()


def passes(make: Receiver[Route], line: Line, given: list[Limits]) -> list[Drained[Route]]:
    """Drain with these limits, in turn and the last one again, until nothing is left."""
    for topic, route in ROUTES.items():
        make.add(topic, route)
    found = []
    while not found or found[-1].more:
        limit = given[min(len(found), len(given) - 1)]
        found.append(make.drain(line.subscriber, limit, len(found)))
    return found


def told(found: list[Drained[Route]]) -> str:
    return repr(
        [
            each._replace(losses=sorted(each.losses, key=lambda loss: loss.route.name))
            for each in found
        ]
    )


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(messages, st.lists(limits, min_size=1, max_size=4))
def test_c_and_pyzmq_report_the_same(
    lines: tuple[Line, Line], given_messages: list[list[bytes]], given_limits: list[Limits]
) -> None:
    """Topics that are prefixes of others, bad frames, empty messages, room that runs out."""
    for line in lines:
        line.send(given_messages)

    in_c = told(passes(native(), lines[0], given_limits))

    assert in_c == told(passes(PyzmqReceiver(), lines[1], given_limits))


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(messages)
def test_nothing_is_lost_or_moved_within_its_table(
    lines: tuple[Line, Line], given_messages: list[list[bytes]]
) -> None:
    """What arrived of a table, one after another, is what was sent to its topics."""
    line = lines[0]
    line.send(given_messages)

    found = passes(receiver.make_receiver(), line, [Limits(500, 5, ROOM)])

    for table in ("first", "second"):
        sent = [
            (topic, frame)
            for topic, *rest in given_messages
            if topic in ROUTES and ROUTES[topic].table == table
            for frame in rest
        ]
        assert arrived(found, table) == [(ROUTES[topic].name, frame) for topic, frame in sent]
    unknown = sum(each.unknown_messages for each in found)
    assert unknown == sum(message[0] not in ROUTES for message in given_messages)


def arrived(found: list[Drained[Route]], table: str) -> list[tuple[bytes, bytes]]:
    rows: list[tuple[bytes, bytes]] = []
    for item in (item for each in found for item in each.arrivals):
        if item.route.table != table:
            continue
        if isinstance(item, Damaged):
            rows.append((item.route.name, item.frame))
        else:
            frames_ = chunks(item.route.codec, item.payload, item.records, 1)
            rows += [(item.route.name, frame) for frame, _ in frames_]
    return rows


def test_a_thousand_single_records_are_one_block(lines: tuple[Line, Line]) -> None:
    """So are those of one message; a block ends where another topic of its table comes."""
    line = lines[0]
    line.send([[b"a", b"\x02\x02"]] * 1000)
    line.send([[b"a", *[b"\x02\x02"] * 1000]])
    line.send([[b"ab", b"\x02"], [b"ab\0", b"\x02\x02"], [b"a", b"\x02\x02"]])

    (found,) = passes(receiver.make_receiver(), line, [Limits(2**22, 5000, ROOM)])

    blocks = [
        (item.route.name, item.records) for item in found.arrivals if isinstance(item, Arrival)
    ]
    assert blocks == [(b"a", 2000), (b"ab", 1), (b"ab\0", 1), (b"a", 1)]
    assert (found.messages, found.more, found.losses) == (1004, False, [])


def test_without_room_it_reads_on_and_counts(lines: tuple[Line, Line]) -> None:
    """What is discarded is known: messages, records and bytes of each topic."""
    line = lines[0]
    line.send([[b"a", b"\x02\x02"], [b"ab\0", b"\x02\x02", b"\x02\x02"], [b"a", b"\x02\x02"]])

    (found,) = passes(receiver.make_receiver(), line, [Limits(2**22, 5000, 0)])

    assert found.arrivals == []
    losses = {loss.route.name: tuple(loss)[1:4] for loss in found.losses}
    assert losses == {b"a": (2, 2, 4), b"ab\0": (1, 2, 4)}


def test_a_topic_can_be_given_another_meaning_or_none(lines: tuple[Line, Line]) -> None:
    """From the next pass on."""
    line = lines[0]
    other = Route(b"other", "first", ROWS)
    drains = receiver.make_receiver()
    drains.add(b"a", ROUTES[b"a"])
    drains.add(b"a", other)
    line.send([[b"a", b"\x02\x02"]])
    first = drains.drain(line.subscriber, Limits(2**20, 100, ROOM), 1)
    drains.remove(b"a")
    drains.remove(b"a")
    line.send([[b"a", b"\x02\x02"]])
    second = drains.drain(line.subscriber, Limits(2**20, 100, ROOM), 1)

    assert [item.route for item in first.arrivals] == [other]
    assert (second.arrivals, second.unknown, second.unknown_messages) == ([], [b"a"], 1)
