"""The Kafka sink against the broker that librdkafka has inside, and against none."""

from __future__ import annotations

from typing import Any

import pytest
from services.batches import batch_of, drive, failures_of

from bridge.errors import Reject
from bridge.sinks.base import NotConnected
from bridge.sinks.kafka import KafkaSettings, KafkaSink
from bridge.testing import make_event

MOCK = {"test.mock.num.brokers": 1}


def make_sink(servers: str = "mock", **options: Any) -> KafkaSink:
    names = {name.replace("_", "."): value for name, value in options.items()}
    return KafkaSink(KafkaSettings(type="kafka", bootstrap_servers=servers, options=names))


@pytest.fixture
def sink() -> Any:
    sink = make_sink(**MOCK)
    sink.open()
    yield sink
    sink.close()


def test_deliver_returns_when_every_event_is_confirmed(sink: KafkaSink) -> None:
    """More events than the producer's queue has room for go through it."""
    small = make_sink(**MOCK, queue_buffering_max_messages=100)
    small.open()
    events = [make_event(offset) for offset in range(5_000)]

    assert drive(small, events).delivered == events
    assert drive(sink, events).delivered == events
    small.close()


def test_an_event_over_the_clients_limit_is_rejected_alone(sink: KafkaSink) -> None:
    """librdkafka refuses it at once; those round it are delivered."""
    events = [make_event(offset) for offset in range(10)]
    events[4] = make_event(4, record={"text": "x" * 1_100_000})

    batch = batch_of(events)
    sink.deliver(batch)

    assert list(failures_of(batch)) == [4]
    assert isinstance(failures_of(batch)[4], Reject)
    assert "topic ki_home.orders" in str(failures_of(batch)[4])


def test_an_event_larger_than_the_whole_queue_is_rejected() -> None:
    """It would wait for room for ever."""
    sink = make_sink(**MOCK, queue_buffering_max_kbytes=100, message_max_bytes=10_000_000)
    sink.open()
    events = [make_event(0), make_event(1, record={"text": "x" * 500_000}), make_event(2)]

    result = drive(sink, events)
    sink.close()

    assert [event.offset for event, _ in result.rejected] == [1]
    assert [event.offset for event in result.delivered] == [0, 2]


def test_no_broker_is_said_with_its_cause() -> None:
    """Both when the sink is opened and when it is checked, without waiting out the time limit."""
    sink = make_sink("127.0.0.1:1")
    for attempt in (sink.open, sink.check):
        with pytest.raises(NotConnected, match=r"no answer from 127\.0\.0\.1:1: .*refused"):
            attempt()
    sink.close()


def test_delivery_without_a_broker_fails_as_a_whole() -> None:
    """An unopened sink connects by itself, and says that it cannot."""
    sink = make_sink("127.0.0.1:1")
    batch = batch_of([make_event(0)])

    with pytest.raises(NotConnected, match="refused"):
        sink.deliver(batch)

    assert not failures_of(batch)
