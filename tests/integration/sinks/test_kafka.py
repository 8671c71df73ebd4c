"""The Kafka sink against a real broker: what a message is, and what failures do."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from services.batches import batch_of, failures_of
from services.kafka import KafkaBroker

from bridge.errors import Reject, Retry
from bridge.sinks.base import NotConnected
from bridge.sinks.kafka import KafkaSettings, KafkaSink
from bridge.testing import drive, make_event

MakeSink = Callable[..., KafkaSink]


@pytest.fixture
def make_sink(topic: str) -> Iterator[MakeSink]:
    sinks = []

    def make(
        broker: KafkaBroker,
        name: str = topic,
        settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> KafkaSink:
        values = {
            "type": "kafka",
            "bootstrap_servers": broker.bootstrap_servers,
            "topic": name,
            "options": {key.replace("_", "."): value for key, value in options.items()},
        }
        sink = KafkaSink(KafkaSettings.model_validate(values | (settings or {})))
        sink.open()
        sinks.append(sink)
        return sink

    yield make
    for sink in sinks:
        sink.close()


def values(broker: KafkaBroker, topic: str) -> list[bytes]:
    return [message.value() for message in broker.read(topic)]


def noise(size: int) -> dict[str, str]:
    """A record that does not compress."""
    return {"text": random.Random(size).randbytes(size).hex()}


def test_a_message_is_the_event_with_key_headers_and_time(
    kafka_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """All of it as a consumer sees it."""
    row = make_event(
        1234, table="ki_home.größe", key={"order_id": 1234}, time=1_700_000_000_123_456
    )
    keyless = make_event(1235, time=1_700_000_000_999_999)
    drop = make_event(1236, type="drop")
    make_sink(kafka_broker).deliver(batch_of([row, keyless, drop]))

    first, second, third = kafka_broker.read(topic)

    assert first.value() == row.value
    assert first.key() == b'{"order_id":1234}'
    assert first.timestamp() == (1, 1_700_000_000_123)
    assert first.headers() == [
        ("id", b"9f86d081884c7d65-1234"),
        ("type", b"insert"),
        ("table", "ki_home.größe".encode()),
        ("offset", b"1234"),
    ]
    assert second.key() is None
    assert second.timestamp() == (1, 1_700_000_000_999)
    assert third.key() == b'{"table":"ki_home.orders"}'
    assert dict(third.headers())["type"] == b"drop"


def test_without_headers_and_time_a_message_is_key_and_value(
    kafka_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """The broker then has the time at which it was sent."""
    events = [make_event(offset, key={"k": offset}, time=1) for offset in range(2_500)]
    events += [make_event(offset, time=1) for offset in range(2_500, 2_600)]
    sink = make_sink(kafka_broker, settings={"headers": False, "timestamp": "none"})

    batch = batch_of(events)
    sink.deliver(batch)

    found = kafka_broker.read(topic)
    assert not batch.failed_events
    assert sorted((m.value(), m.key()) for m in found) == sorted((e.value, e.key) for e in events)
    assert {message.headers() for message in found} == {None}
    assert all(message.timestamp()[1] > 1_700_000_000_000 for message in found)


@pytest.mark.parametrize(
    "settings", [{"headers": False}, {"timestamp": "none"}], ids=["time", "headers"]
)
def test_headers_and_time_are_left_out_one_by_one(
    kafka_broker: KafkaBroker, make_sink: MakeSink, topic: str, settings: dict[str, Any]
) -> None:
    """Each by a setting of its own."""
    make_sink(kafka_broker, settings=settings).deliver(batch_of([make_event(0, time=10**15)]))

    (message,) = kafka_broker.read(topic)

    assert (message.headers() is None) is ("headers" in settings)
    assert (message.timestamp()[1] == 10**12) is ("timestamp" not in settings)


def test_times_that_the_broker_refuses_are_replaced_and_all_arrive_in_order(
    kafka_broker: KafkaBroker,
    make_sink: MakeSink,
    topic: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Those alone; the others keep theirs. It is said once."""
    kafka_broker.create_topic(topic, config={"message.timestamp.before.max.ms": "3600000"})
    now = int(time.time() * 1_000_000)
    events = [
        make_event(offset, key={"k": offset % 3}, time=now if offset % 7 else 10**15)
        for offset in range(2_000)
    ]
    sink = make_sink(kafka_broker)
    for begin in (0, 1_000):
        batch = batch_of(events[begin : begin + 1_000])
        sink.deliver(batch)
        assert not batch.failed_events

    found = kafka_broker.read(topic)
    assert list(dict.fromkeys(m.value() for m in found)) == [event.value for event in events]
    times = {message.value(): message.timestamp()[1] for message in found}
    kept = [event.offset for event in events if times[event.value] == event.time // 1000]
    assert kept == [event.offset for event in events if event.offset % 7]
    captured = capfd.readouterr()
    assert (captured.out + captured.err).count("kafka_time_refused") == 1


def test_a_missing_topic_waits_and_holds_up_no_other(
    strict_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """Its events are retried with the cause; once it is created they arrive, in order."""
    strict_broker.create_topic(f"{topic}.there")
    sink = make_sink(strict_broker, f"{topic}.{{table}}", topic_metadata_propagation_max_ms=200)
    events = [make_event(offset, table=("there", "missing")[offset % 2]) for offset in range(10)]

    for _ in range(2):
        batch = batch_of(events)
        sink.deliver(batch)
        assert not batch.failed_events
        assert list(batch.failed_tables) == ["missing"]
        error = batch.failed_tables["missing"]
        assert type(error) is Retry
        assert not error.answered
        assert f"{topic}.missing" in str(error)
        assert "create it" in str(error)
    strict_broker.create_topic(f"{topic}.missing")
    result = drive(sink, events[1::2])

    assert [event.offset for event in result.delivered] == [1, 3, 5, 7, 9]
    assert values(strict_broker, f"{topic}.missing") == [event.value for event in events[1::2]]
    assert len(values(strict_broker, f"{topic}.there")) == 10


def test_one_event_over_the_topics_limit_is_rejected_and_its_companions_arrive(
    kafka_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """The broker refuses a request as a whole; the sink finds out who is to blame."""
    kafka_broker.create_topic(topic, config={"max.message.bytes": "20000"})
    events = [make_event(offset, key={"k": offset % 5}) for offset in range(100)]
    for offset in (13, 14, 77):
        events[offset] = make_event(offset, key={"k": offset % 5}, record=noise(30_000))
    batch = batch_of(events)

    make_sink(kafka_broker).deliver(batch)

    assert sorted(failures_of(batch)) == [13, 14, 77]
    assert all(isinstance(error, Reject) for error in failures_of(batch).values())
    assert "too large" in str(failures_of(batch)[13]).lower()
    wanted = [event.value for event in events if event.offset not in failures_of(batch)]
    assert list(dict.fromkeys(values(kafka_broker, topic))) == wanted


def test_requests_larger_than_the_topic_allows_are_sent_in_parts(
    kafka_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """No event is too large, only all of them together: none is rejected."""
    kafka_broker.create_topic(topic, config={"max.message.bytes": "20000"})
    events = [make_event(offset, record=noise(1_000 + offset)) for offset in range(100)]
    batch = batch_of(events)

    make_sink(kafka_broker).deliver(batch)

    assert not failures_of(batch)
    assert sorted(values(kafka_broker, topic)) == sorted(event.value for event in events)


def test_a_compacted_topic_rejects_what_has_no_key(
    kafka_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """Such an event can never be written there; those with a key are."""
    kafka_broker.create_topic(topic, config={"cleanup.policy": "compact"})
    keys = [{"k": offset} if offset != 3 else None for offset in range(8)]
    events = [make_event(offset, key=key) for offset, key in enumerate(keys)]
    batch = batch_of(events)

    make_sink(kafka_broker).deliver(batch)

    assert sorted(failures_of(batch)) == [3]
    assert isinstance(failures_of(batch)[3], Reject)
    held = set(values(kafka_broker, topic))
    assert held == {event.value for event in events if event.offset != 3}


def test_a_broker_that_hangs_is_given_up_in_time_and_then_served_again(
    strict_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """All of the batch goes out again with a new producer, and order is kept."""
    strict_broker.create_topic(topic)
    sink = make_sink(strict_broker, message_timeout_ms=1_000)
    events = [make_event(offset, key={"k": 1}) for offset in range(200)]
    drive(sink, events[:100])  # a new broker may take longer than that to give a producer id
    strict_broker.pause()
    try:
        with pytest.raises(NotConnected, match="timed out") as caught:
            sink.deliver(batch_of(events[100:]))
    finally:
        strict_broker.resume()
    assert not caught.value.answered

    drive(sink, events[100:])

    found = values(strict_broker, topic)
    assert list(dict.fromkeys(found)) == [event.value for event in events]
    assert found[-100:] == [event.value for event in events[100:]]


def test_a_broker_killed_in_mid_stream_loses_nothing(
    strict_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """Batches go on while it dies and comes back; in the end each is there, in order."""
    strict_broker.create_topic(topic)
    sink = make_sink(strict_broker, message_timeout_ms=3_000)
    events = [make_event(offset, key={"k": 1}) for offset in range(60_000)]
    under_way = threading.Event()
    failure: list[Exception] = []

    def deliver() -> None:
        try:
            for begin in range(0, len(events), 1_000):
                drive(sink, events[begin : begin + 1_000], timeout=120)
                if begin == 5_000:
                    under_way.set()
        except Exception as error:  # noqa: BLE001 (shown by the test's own thread)
            failure.append(error)

    thread = threading.Thread(target=deliver)
    thread.start()
    assert under_way.wait(60)
    strict_broker.kill()
    strict_broker.start()
    thread.join()

    assert not failure
    found = values(strict_broker, topic)
    assert list(dict.fromkeys(found)) == [event.value for event in events]
    last = {value: position for position, value in enumerate(found)}
    positions = [last[event.value] for event in events]
    assert positions == sorted(positions)


def test_a_closed_sink_leaves_no_thread(
    kafka_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """A producer owns threads; letting it go ends them, over and over."""

    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    before = threads()
    sink = make_sink(kafka_broker)
    for _ in range(20):
        sink.close()
        sink.open()
        sink.deliver(batch_of([make_event(0)]))
    opened = threads()
    sink.close()

    assert threads() <= before
    assert opened < before + 10
