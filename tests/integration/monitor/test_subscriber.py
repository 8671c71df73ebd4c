"""The polling thread on real sockets: nothing is lost, nobody waits for long, memory is bounded."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import pytest
import zmq
from services.process import wait_until

from bridge.codec import Codec, compile_schema
from bridge.events import Block, Column, Schema
from bridge.monitor.arrivals import Arrival, Damaged, Loss
from bridge.monitor.intake import Intake
from bridge.monitor.moment import Moment
from bridge.monitor.route import Route as TableRoute
from bridge.monitor.route import make_route
from bridge.monitor.subscriber import Subscriber
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import TableOptions

SCHEMA = Schema("7", (Column("n", "long", "long"),))
CODEC = compile_schema(SCHEMA)
SECONDS = 20.0

# Publishes numbers on a topic, each a message, once the topic is subscribed; `for ever` or as
# many as given. Its own queue has no limit, so that what is lost is lost here.
PUBLISHER = """
import sys, zmq
topic, count = sys.argv[1].encode(), int(sys.argv[2])
socket = zmq.Context().socket(zmq.XPUB)
socket.sndhwm = 0 if count else 1000
print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
while socket.recv() != b"\\1" + topic:
    pass
record = bytearray(5)
n = 0
while not count or n < count:
    record[:] = ((n << 1) & 127 | 128, (n >> 6) & 127 | 128, (n >> 13) & 127 | 128,
                 (n >> 20) & 127 | 128, n >> 27)
    socket.send_multipart([topic, record])
    n += 1
print("sent", flush=True)
sys.stdin.read()
"""


@dataclass(eq=False)
class Route:
    """A topic of a table of its own."""

    table: str
    codec: Codec = field(default=CODEC, repr=False)


class Taker:
    """Records what the subscriber hands on."""

    def __init__(self) -> None:
        self.records: dict[str, int] = {}
        self.payloads: list[bytes] = []
        self.lost = 0

    def receive(
        self, items: Sequence[Arrival[Any] | Damaged[Any]], losses: Sequence[Loss[Any]]
    ) -> None:
        for item in items:
            assert isinstance(item, Arrival)
            name = item.route.table
            self.records[name] = self.records.get(name, 0) + item.records
            if len(self.payloads) < 10_000:
                self.payloads.append(item.payload)
        self.lost += sum(loss.records for loss in losses)


class Publisher:
    """A process that publishes."""

    def __init__(self, topic: str, count: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, topic, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.endpoint = f"tcp://127.0.0.1:{int(self.process.stdout.readline())}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def subscriber(taker: Taker) -> Iterator[Subscriber[Route]]:
    made: Subscriber[Route] = Subscriber(taker.receive, lambda: None)
    made.start()
    yield made
    made.stop()
    assert not made.loops[0].dead
    assert made.loops[0].faults == 0


@pytest.fixture
def socket() -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.XPUB) as made:
        made.linger = 0
        yield made


def endpoint(socket: zmq.Socket[bytes]) -> str:
    return f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"


def test_unsubscribing_ends_however_fast_messages_come(
    subscriber: Subscriber[Route], taker: Taker
) -> None:
    """And another channel has its turns meanwhile."""
    with Publisher("busy", 0) as busy, Publisher("other", 0) as other:
        for publisher, topic in ((busy, "busy"), (other, "other")):
            subscriber.subscribe(publisher.endpoint, {topic.encode(): Route(topic)}).result(SECONDS)
        wait_until(lambda: len(taker.records) == 2, "both topics")

        subscriber.unsubscribe({b"busy"}).result(SECONDS)

        told = dict(taker.records)
        wait_until(lambda: taker.records["other"] > told["other"], "more of the other")
        assert taker.records["busy"] == told["busy"]


def test_what_had_arrived_is_handed_on_before_a_topic_is_let_go(
    subscriber: Subscriber[Route], taker: Taker, socket: zmq.Socket[bytes]
) -> None:
    """And after that, nothing; a command that comes later is carried out later."""
    place = endpoint(socket)
    subscriber.subscribe(place, {b"t": Route("t")}).result(SECONDS)
    socket.recv()
    for _ in range(3000):
        socket.send_multipart([b"t", b"\x02"])
    wait_until(lambda: taker.records, "the first of them")

    again = Route("again")
    gone = subscriber.unsubscribe({b"t"})
    subscriber.subscribe(place, {b"t": again}).result(SECONDS)

    assert gone.done()
    assert taker.records["t"] > 0
    wait_until(lambda: socket.poll(0) and socket.recv() == b"\1t", "the subscription is new")
    socket.send_multipart([b"t", b"\x04"])
    wait_until(lambda: taker.records.get("again"), "the new route")


def test_a_topic_that_begins_like_another_is_not_taken_for_it(
    subscriber: Subscriber[Route], taker: Taker, socket: zmq.Socket[bytes]
) -> None:
    """SUBSCRIBE matches prefixes; what nobody asked for is counted."""
    subscriber.subscribe(endpoint(socket), {b"t": Route("t")}).result(SECONDS)
    socket.recv()
    socket.send_multipart([b"t_2", b"\x02"])
    socket.send_multipart([b"t", b"\x04"])

    wait_until(lambda: taker.records == {"t": 1}, "one record")
    assert subscriber.unknown_messages == 1


def test_what_is_held_comes_when_it_is_released(
    subscriber: Subscriber[Route], taker: Taker, socket: zmq.Socket[bytes]
) -> None:
    """In order, and also where its topic was given another meaning meanwhile."""
    place = endpoint(socket)
    first, second = Route("first"), Route("second")
    subscriber.subscribe(place, {b"t": first}, held=True).result(SECONDS)
    socket.recv()
    socket.send_multipart([b"t", b"\x02"])
    socket.send_multipart([b"u", b"\x02"])
    subscriber.subscribe(place, {b"u": Route("u")}).result(SECONDS)
    socket.recv()
    socket.send_multipart([b"u", b"\x02"])
    wait_until(lambda: taker.records.get("u"), "what is not held")
    subscriber.subscribe(place, {b"t": second}, held=True).result(SECONDS)
    assert "first" not in taker.records

    assert subscriber.release({b"t"}).result(SECONDS)
    socket.send_multipart([b"t", b"\x04"])

    wait_until(lambda: taker.records.get("second"), "what came after the release")
    assert taker.records["first"] == 1


def test_where_there_is_no_room_it_reads_on_and_counts(socket: zmq.Socket[bytes]) -> None:
    """The loss is known here, instead of happening unseen at the publisher."""
    taker = Taker()
    room = [0]
    made: Subscriber[Route] = Subscriber(taker.receive, lambda: None, lambda: room[0])
    made.start()
    made.subscribe(endpoint(socket), {b"t": Route("t")}).result(SECONDS)
    socket.recv()
    for _ in range(100):
        socket.send_multipart([b"t", b"\x02"])
    wait_until(lambda: taker.lost == 100, "all are counted")
    room[0] = 10_000
    socket.send_multipart([b"t", b"\x02"])

    wait_until(lambda: taker.records == {"t": 1}, "there is room again")
    made.stop()


def test_what_a_fault_of_ours_loses_is_told_with_what_comes_next(
    socket: zmq.Socket[bytes],
) -> None:
    """Taken from the socket and not handed on, it would be missed by nobody."""
    taker = Taker()
    told: list[Loss[Any]] = []
    faults = [MemoryError()]

    def receive(items: Sequence[Arrival[Any] | Damaged[Any]], losses: Sequence[Loss[Any]]) -> None:
        if faults:
            raise faults.pop()
        taker.receive(items, losses)
        told.extend(losses)

    made: Subscriber[Route] = Subscriber(receive, lambda: None)
    made.start()
    route, begun = Route("t"), time.time()
    made.subscribe(endpoint(socket), {b"t": route}).result(SECONDS)
    socket.recv()
    socket.send_multipart([b"t", b"\x02"])
    wait_until(lambda: told, "the loss is told")
    made.stop()

    assert [loss.route for loss in told] == [route]
    assert begun - 60 <= told[0].time / 1e6 <= time.time()  # it was empty when that was sent
    assert taker.records == {}
    assert made.loops[0].faults == 1


def test_what_waits_in_a_socket_is_not_taken_for_received(socket: zmq.Socket[bytes]) -> None:
    """Until it was read empty, a kill would lose what came since it last was."""
    handing_on, gate = threading.Event(), threading.Event()

    def receive(*_: object) -> None:
        handing_on.set()
        assert gate.wait(SECONDS)

    made: Subscriber[Route] = Subscriber(receive, lambda: None)
    made.start()
    channel = made.subscribe(endpoint(socket), {b"t": Route("t")}).result(SECONDS).channel
    socket.recv()
    socket.send_multipart([b"t", b"\x02"])
    assert handing_on.wait(SECONDS)
    socket.send_multipart([b"t", b"\x04"])
    sent = Moment.now()

    assert channel.line.emptied_at < sent
    gate.set()
    wait_until(lambda: channel.line.emptied_at > sent, "it was read empty")
    made.stop()


def test_a_burst_of_single_rows_is_received_whole_in_little_memory() -> None:
    """In order, through the intake, with a commit that takes as long as a disk does."""
    count = 300_000
    payloads: list[bytes] = []
    largest = 0
    done = threading.Event()

    def emit(entries: Sequence[Any], _: object) -> None:
        nonlocal largest
        largest = max(largest, intake.queued_bytes)
        threading.Event().wait(0.01)
        payloads.extend(entry.payload for entry in entries if isinstance(entry, Block))
        if sum(map(len, payloads)) >= count * 5:
            done.set()

    intake = Intake(emit, lambda: None)
    table = TableMonitor(TableOptions("s.t"), intake.post)
    made: Subscriber[TableRoute] = Subscriber(intake.put, lambda: None, intake.room)
    intake.start()
    made.start()
    with Publisher("t", count) as publisher:
        route = make_route(table, "insert", "http://a", SCHEMA)
        made.subscribe(publisher.endpoint, {b"t": route}).result(SECONDS)
        assert done.wait(60)
    made.stop()
    assert intake.stop(SECONDS)

    records = CODEC.decode(b"".join(payloads), count)
    assert [record["n"] for record in records] == list(range(count))
    assert intake.dropped_notifications == 0
    assert largest < 2**24


def test_a_connection_without_topics_says_whether_anybody_answers(
    subscriber: Subscriber[Route], socket: zmq.Socket[bytes]
) -> None:
    """For who only wants to know that."""
    channel = subscriber.subscribe(endpoint(socket), {}).result(SECONDS).channel

    assert channel.connected


def test_all_topics_of_a_table_are_on_one_channel(
    subscriber: Subscriber[Route], socket: zmq.Socket[bytes]
) -> None:
    """Also those that are known only after its channel was filled by others."""
    place = endpoint(socket)
    mine = subscriber.subscribe(place, {b"mine": Route("mine")}).result(SECONDS)
    others = {b"other-%d" % n: Route(f"other-{n}") for n in range(63)}
    full = subscriber.subscribe(place, others).result(SECONDS)
    elsewhere = subscriber.subscribe(place, {b"next": Route("next")}).result(SECONDS)
    beside = subscriber.subscribe(place, {b"too": Route("mine")}, beside=mine.channel)

    assert full.channel is mine.channel
    assert elsewhere.channel is not mine.channel
    assert beside.result(SECONDS).channel is mine.channel


def test_a_channel_that_cannot_be_handed_on_harms_no_other(socket: zmq.Socket[bytes]) -> None:
    """What one table's rows raise costs the others no turn."""
    taker = Taker()

    def receive(items: Sequence[Arrival[Any] | Damaged[Any]], losses: Sequence[Loss[Any]]) -> None:
        if any(item.route.table == "bad" for item in items):
            raise MemoryError
        taker.receive(items, losses)

    made: Subscriber[Route] = Subscriber(receive, lambda: None)
    made.start()
    with zmq.Context() as context, context.socket(zmq.XPUB) as other:
        other.linger = 0
        made.subscribe(endpoint(socket), {b"bad": Route("bad")}).result(SECONDS)
        made.subscribe(endpoint(other), {b"good": Route("good")}).result(SECONDS)
        for each, topic in ((socket, b"bad"), (other, b"good")):
            each.recv()
            each.send_multipart([topic, b"\x02"])
        wait_until(lambda: taker.records.get("good"), "the other channel's row")
    made.stop()


def test_an_endpoint_where_nothing_is_subscribed_can_be_left(
    subscriber: Subscriber[Route], socket: zmq.Socket[bytes]
) -> None:
    """A connection that was only tried is closed; one in use is not."""
    place = endpoint(socket)
    tried = subscriber.subscribe(place, {}).result(SECONDS).channel
    subscriber.leave(place)
    wait_until(lambda: tried.line.closed, "it is closed")
    used = subscriber.subscribe(place, {b"t": Route("t")}).result(SECONDS).channel
    subscriber.leave(place)
    subscriber.subscribe(place, {b"u": Route("u")}).result(SECONDS)

    assert not used.line.closed
