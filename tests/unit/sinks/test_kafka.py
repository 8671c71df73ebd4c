"""The Kafka sink against the broker that librdkafka has inside, and against none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer
from services.batches import batch_of, failures_of
from services.mock_kafka import MockKafka
from services.process import wait_until

from bridge.errors import Reject, Retry
from bridge.sinks.base import NotConnected
from bridge.sinks.kafka import KafkaSettings, KafkaSink
from bridge.sinks.kafka_log import QuietLog
from bridge.testing import drive, make_event

MOCK = {"test.mock.num.brokers": 1}


def make_sink(
    servers: str = "mock", settings: dict[str, Any] | None = None, **options: Any
) -> KafkaSink:
    names = {name.replace("_", "."): value for name, value in options.items()}
    values = {"type": "kafka", "bootstrap_servers": servers, "options": names}
    return KafkaSink(KafkaSettings.model_validate(values | (settings or {})))


BARE = {"headers": False, "timestamp": "none"}


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


@pytest.mark.parametrize("settings", [{}, BARE])
def test_what_does_not_fit_is_rejected_alone_and_all_else_goes_on_in_order(
    settings: dict[str, Any],
) -> None:
    """One over the client's limit, one larger than the whole queue, a queue that fills up."""
    sink = make_sink(
        settings=settings,
        **MOCK,
        queue_buffering_max_messages=100,
        queue_buffering_max_kbytes=100,
        message_max_bytes=1_000_000,
    )
    sink.open()
    events = [make_event(offset) for offset in range(3_000)]
    for offset, size in ((0, 500_000), (1, 2_000_000), (1_500, 2_000_000), (2_999, 500_000)):
        events[offset] = make_event(offset, record={"text": "x" * size})
    batch = batch_of(events)

    sink.deliver(batch)
    sink.close()

    assert sorted(batch.failed_events) == [0, 1, 1_500, 2_999]
    assert all(type(e) is Reject and e.certain for e in batch.failed_events.values())


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


# Errors of a broker


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    with MockKafka() as kafka:
        yield kafka


@pytest.fixture
def opened(kafka: MockKafka) -> Iterator[Callable[..., KafkaSink]]:
    sinks = []

    def make(settings: dict[str, Any] | None = None, **options: Any) -> KafkaSink:
        sink = make_sink(kafka.bootstrap_servers, settings, **options)
        sink.open()
        sinks.append(sink)
        return sink

    yield make
    for sink in sinks:
        sink.close()


@pytest.mark.parametrize("settings", [{}, BARE])
def test_a_time_out_is_reported_though_successes_are_not(
    kafka: MockKafka, opened: Callable[..., KafkaSink], settings: dict[str, Any]
) -> None:
    """An empty queue without a report means confirmed, so that each failure must have one."""
    sink = opened(settings, message_timeout_ms=500)
    sink.deliver(batch_of([make_event(0)]))
    kafka.answer_after(5_000)
    batch = batch_of([make_event(offset) for offset in range(1, 2_000)])

    with pytest.raises(NotConnected, match="timed out"):
        sink.deliver(batch)

    kafka.answer_after(0)
    sink.deliver(batch)
    assert not batch.failed_events


@pytest.mark.parametrize("in_flight", [True, False])
def test_a_purge_is_reported_though_successes_are_not(kafka: MockKafka, in_flight: bool) -> None:
    """The client's library is what the sink builds on: one report for each purged message."""
    reports: list[tuple[int, bytes]] = []
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "delivery.report.only.error": True}
    )

    def report(error: KafkaError, message: Message) -> None:
        reports.append((error.code(), message.value()))

    producer.produce("t", b"fine", None, -1, report)
    producer.flush(30)
    assert reports == []
    kafka.answer_after(60_000) if in_flight else kafka.stop()
    producer.produce("t", b"one", None, -1, report)
    producer.produce_batch("t", [{"value": b"two"}, {"value": b"three"}], -1, report)
    producer.flush(0.3)
    producer.purge()

    assert producer.flush(30) == 0
    assert sorted(value for _, value in reports) == [b"one", b"three", b"two"]
    purged = {KafkaError._PURGE_INFLIGHT, KafkaError._PURGE_QUEUE}
    assert {code for code, _ in reports} <= purged


@pytest.mark.parametrize(
    ("code", "certain"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, True),
        (KafkaError.INVALID_RECORD, False),
        (KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT, False),
    ],
)
def test_what_a_broker_refuses_is_rejected_with_its_answer(
    kafka: MockKafka, opened: Callable[..., KafkaSink], code: int, certain: bool
) -> None:
    """Too large needs no proof; whatever else it refuses does."""
    kafka.answer_produce_with(code)
    batch = batch_of([make_event(0)])

    opened().deliver(batch)

    error = batch.failed_events[0]
    assert isinstance(error, Reject)
    assert error.certain is certain
    assert error.answer.startswith(KafkaError(code).name())


@pytest.mark.parametrize(
    "code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.TOPIC_EXCEPTION]
)
def test_a_topic_in_trouble_holds_up_its_tables_alone(
    kafka: MockKafka, opened: Callable[..., KafkaSink], code: int
) -> None:
    """Those that share it wait, others flow; with one topic for all the sink waits."""
    events = [make_event(offset, table=("a.x", "b.y", "a.z")[offset % 3]) for offset in range(9)]
    kafka.close_topic("t-a", code)
    sink = opened({"topic": "t-{schema}"}, topic_metadata_propagation_max_ms=100)
    batch = batch_of(events)

    sink.deliver(batch)

    assert not batch.failed_events
    assert {table: type(error) for table, error in batch.failed_tables.items()} == {
        "a.x": Retry,
        "a.z": Retry,
    }
    with pytest.raises(Retry):
        opened({"topic": "t-a"}, topic_metadata_propagation_max_ms=100).deliver(batch_of(events))


@pytest.mark.parametrize("settings", [{}, BARE])
def test_a_topic_that_nobody_leads_holds_up_its_table_alone(
    kafka: MockKafka, opened: Callable[..., KafkaSink], settings: dict[str, Any]
) -> None:
    """The cluster answers, so it is not away: also where that table is sent by itself."""
    kafka.take_leader("bad")
    sink = opened(settings, message_timeout_ms=500)
    events = [
        make_event(offset, table=("good", "bad")[offset % 2], key={"k": offset % 3})
        for offset in range(10)
    ]

    for sent in (events, events[1::2]):
        batch = batch_of(sent)
        sink.deliver(batch)
        assert not batch.failed_events
        assert list(batch.failed_tables) == ["bad"]
        assert type(batch.failed_tables["bad"]) is Retry
        assert "timed out" in str(batch.failed_tables["bad"])

    one_for_all = opened(settings | {"topic": "bad"}, message_timeout_ms=500)
    with pytest.raises(NotConnected):
        one_for_all.deliver(batch_of(events))


def test_a_table_whose_topic_cannot_be_waits(opened: Callable[..., KafkaSink]) -> None:
    """It is the table's trouble, and no event's."""
    tables = ("t", "x" * 300)
    batch = batch_of([make_event(offset, table=tables[offset % 2]) for offset in range(4)])

    opened().deliver(batch)

    assert not batch.failed_events
    assert list(batch.failed_tables) == [tables[1]]
    assert type(batch.failed_tables[tables[1]]) is Retry


def test_a_refused_time_is_replaced_by_the_present_one_and_said_once(
    kafka: MockKafka, opened: Callable[..., KafkaSink], capfd: pytest.CaptureFixture[str]
) -> None:
    """The event is worth more than its time."""
    sink = opened()
    for offset in range(3):
        kafka.answer_produce_with(KafkaError.INVALID_TIMESTAMP)
        batch = batch_of([make_event(offset)])
        sink.deliver(batch)
        assert not batch.failed_events

    out = capfd.readouterr()
    assert (out.out + out.err).count("kafka_time_refused") == 1


# Silence


def test_a_minute_without_a_broker_is_a_few_lines(capfd: pytest.CaptureFixture[str]) -> None:
    """The first cause is among them; what follows is counted, over all the producers."""
    seconds = [0.0]
    log = QuietLog(str, lambda: seconds[0])
    for tenth in range(600):
        seconds[0] = tenth / 10
        log.log(40, "%s", "FAIL", "c", f"Connection refused, {tenth}")
        log.log(40, "%s", "ERROR", "c", "1/1 brokers are down")
        log.log(10, "%s", "BROKER", "c", "debug")
    seconds[0] = 60.0
    log.log(40, "%s", "FAIL", "c", "still")

    out = capfd.readouterr()
    lines = [line for line in (out.out + out.err).splitlines() if "warning" in line]
    assert len(lines) == 3
    assert "Connection refused, 0" in lines[0]
    assert "repeated=599" in lines[2]


def test_an_idle_producer_is_served(
    kafka: MockKafka, opened: Callable[..., KafkaSink], capfd: pytest.CaptureFixture[str]
) -> None:
    """What librdkafka has to say while there is nothing to send is heard, and not kept."""
    sink = opened(reconnect_backoff_ms=10)
    sink.deliver(batch_of([make_event(0)]))
    kafka.stop()

    def says_so() -> bool:
        sink.idle()
        captured = capfd.readouterr()
        return "FAIL" in captured.out + captured.err

    wait_until(says_so, "a line of librdkafka")

    kafka.start()
    sink.deliver(batch_of([make_event(1)]))
    sink.close()
    sink.idle()


def test_no_secret_of_the_options_is_in_an_error_or_the_log(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Whatever librdkafka quotes."""
    sink = make_sink(
        "127.0.0.1:1",
        security_protocol="sasl_plaintext",
        sasl_mechanism="OAUTHBEARER",
        sasl_oauthbearer_config="principal=me scope=hunter2",
        enable_sasl_oauthbearer_unsecure_jwt="true",
    )

    with pytest.raises(NotConnected) as caught:
        sink.open()

    assert "hunter2" not in f"{caught.value}{capfd.readouterr()}"
