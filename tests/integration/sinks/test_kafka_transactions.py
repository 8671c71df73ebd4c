"""The Kafka sink in transactions against a real broker: what is committed, undone, read back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from services.batches import batch_of
from services.kafka import KafkaBroker
from services.process import wait_until

from bridge.errors import Reject, Retry
from bridge.events import Event
from bridge.sinks.base import Assignment, Batch, NotConnected, Standing
from bridge.sinks.kafka import KafkaSettings, KafkaSink
from bridge.sinks.kafka_cursors import TOPIC
from bridge.sinks.kafka_errors import Fenced
from bridge.sinks.kafka_fence import Fence
from bridge.testing import make_event, slices_of

MakeSink = Callable[..., KafkaSink]
JOURNAL = "9f86d081884c7d65"


@pytest.fixture
def broker(strict_broker: KafkaBroker) -> KafkaBroker:
    return strict_broker


@pytest.fixture
def forgetful_broker(kafka_jars: Path) -> Iterator[KafkaBroker]:
    """One that soon forgets transactional ids that are not used."""
    forgetful = {
        "transaction.state.log.num.partitions": "1",
        "transactional.id.expiration.ms": "2000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
        "producer.id.expiration.ms": "2000",
        "producer.id.expiration.check.interval.ms": "500",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    }
    with KafkaBroker(forgetful) as broker:
        yield broker


@pytest.fixture
def make_sink(kafka_jars: Path, topic: str) -> Iterator[MakeSink]:
    sinks = []

    def make(
        broker: KafkaBroker, settings: dict[str, Any] | None = None, **options: Any
    ) -> KafkaSink:
        values = {
            "type": "kafka",
            "bootstrap_servers": broker.bootstrap_servers,
            "topic": topic,
            "transactional": True,
            "create_topics": {},
            "options": {key.replace("_", "."): value for key, value in options.items()},
        }
        sink = KafkaSink(KafkaSettings.model_validate(values | (settings or {})))
        sink.assignment = Assignment(topic, JOURNAL)
        sinks.append(sink)
        return sink

    yield make
    for sink in sinks:
        sink.close()


def batch(events: Sequence[Event], **standings: Standing) -> Batch:
    """Return events that move the cursors behind the last of them, if nothing else is said."""
    ends = {event.table: event.offset + 1 for event in events}
    return Batch(
        slices_of(events), lambda table: standings.get(table[-1:]) or Standing(ends[table])
    )


def rows(*offsets: int, table: str = "t", keys: int = 3) -> list[Event]:
    return [make_event(offset, table=table, key={"k": offset % keys}) for offset in offsets]


def offsets(broker: KafkaBroker, topic: str) -> list[int]:
    return [json.loads(message.value())["offset"] for message in broker.read(topic)]


def test_what_was_committed_is_not_sent_again_whatever_the_journal_remembers(
    broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """As after a kill between a commit and the journal's note of it: also beside what waited."""
    first = make_sink(broker)
    first.open()
    first.deliver(batch(rows(*range(10)), t=Standing(10, [(3, 4)])))
    first.deliver(batch(rows(10, 20), t=Standing(10, (), [(15, 17)])))
    second = make_sink(broker)
    second.open()

    again = batch(rows(*range(25)))
    second.deliver(again)

    found = offsets(broker, topic)
    assert not again.failed_events
    assert sorted(found) == [n for n in range(25) if n not in {15, 16}]
    third = make_sink(broker)
    third.open()
    third.deliver(batch(rows(*range(30))))
    assert sorted(offsets(broker, topic)) == [n for n in range(30) if n not in {15, 16}]


def test_what_waits_or_is_refused_goes_out_later_and_nothing_with_it(
    broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """The note says which events of a batch were left out."""
    sink = make_sink(broker, message_max_bytes=2_000)
    sink.open()
    events = rows(*range(20))
    events[7] = make_event(7, table="t", key={"k": 1}, record={"text": "x" * 5_000})
    sent = batch(events)
    sink.deliver(sent)
    assert list(sent.failed_events) == [7]
    assert isinstance(sent.failed_events[7], Reject)

    wider = make_sink(broker)
    wider.open()
    wider.deliver(batch(events))

    found = offsets(broker, topic)
    assert sorted(found) == list(range(20))
    assert found[-1] == 7


def test_a_replay_is_sent_again_and_moves_no_cursor(
    broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """Events that come without a standing are asked for once more."""
    sink = make_sink(broker)
    sink.open()
    sink.deliver(batch(rows(*range(5))))
    sink.deliver(batch_of(rows(2, 3, 9)))
    sink.deliver(batch(rows(*range(12))))

    assert sorted(offsets(broker, topic)) == sorted([*range(12), 2, 3, 9])


def test_one_event_over_the_topics_limit_is_left_out_of_the_transaction(
    broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """The broker refuses a request; the transaction is undone, and all but the guilty committed."""
    broker.create_topic(topic, config={"max.message.bytes": "20000"})
    sink = make_sink(broker)
    sink.open()
    events = rows(*range(60))
    record = {"text": "".join(uuid.uuid4().hex for _ in range(1_500))}
    for offset in (11, 40):
        events[offset] = make_event(offset, table="t", key={"k": offset % 3}, record=record)
    sent = batch(events)

    sink.deliver(sent)

    assert sorted(sent.failed_events) == [11, 40]
    found = offsets(broker, topic)
    assert sorted(found) == [n for n in range(60) if n not in {11, 40}]
    for key in range(3):
        mine = [n for n in found if n % 3 == key]
        assert mine == sorted(mine)


def test_a_topic_that_is_missing_holds_up_its_table_alone(
    broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """It is left out, the other tables are committed."""
    broker.create_topic(f"{topic}.a")
    settings = {"create_topics": None, "topic": f"{topic}.{{table}}"}
    sink = make_sink(broker, settings, topic_metadata_propagation_max_ms=200)
    sink.open()
    sent = batch([*rows(0, 1, table="a"), *rows(2, 3, table="b"), *rows(4, table="a")])

    sink.deliver(sent)

    assert list(sent.failed_tables) == ["b"]
    assert type(sent.failed_tables["b"]) is Retry
    assert offsets(broker, f"{topic}.a") == [0, 1, 4]
    broker.create_topic(f"{topic}.b")
    deliver(sink, rows(2, 3, table="b"))
    assert offsets(broker, f"{topic}.b") == [2, 3]


def test_times_that_the_broker_refuses_are_replaced_in_a_transaction(
    broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """Two hours old where an hour is allowed: each event once all the same."""
    broker.create_topic(topic, config={"message.timestamp.before.max.ms": "3600000"})
    sink = make_sink(broker)
    sink.open()
    sent = batch([make_event(n, table="t", key={"k": n % 3}, time=10**15) for n in range(200)])

    sink.deliver(sent)

    assert not sent.failed_events
    assert sorted(offsets(broker, topic)) == list(range(200))


def test_an_id_that_the_broker_has_forgotten_is_made_anew(
    forgetful_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """Idle past `transactional.id.expiration.ms`, the next batch goes out, once."""
    sink = make_sink(forgetful_broker)
    sink.open()
    sink.deliver(batch(rows(0, 1)))

    def is_forgotten() -> bool:
        states = forgetful_broker.read("__transaction_state")
        return bool(states) and states[-1].value() is None

    wait_until(is_forgotten, "the transactional id is forgotten")

    deliver(sink, rows(2, 3))

    assert offsets(forgetful_broker, topic) == [0, 1, 2, 3]


def test_a_transaction_that_the_broker_ended_is_begun_again(
    forgetful_broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """Longer than `transaction.timeout.ms` the process stood still: nobody else is blamed."""
    sink = make_sink(forgetful_broker, transaction_timeout_ms=1_500, message_timeout_ms=1_000)
    sink.open()
    sink.deliver(batch(rows(0)))
    transactions = sink._sending
    transactions._begin()
    transactions.producer.produce(topic, b'{"offset":99}')
    transactions.producer.flush(5)
    assert forgetful_broker.has_open_transactions(topic)
    wait_until(lambda: not forgetful_broker.has_open_transactions(topic), "it is ended")
    transactions._under_way = False

    deliver(sink, rows(1, 2))

    assert offsets(forgetful_broker, topic) == [0, 1, 2]


def test_who_was_fenced_waits_and_takes_over_from_one_that_is_silent(
    broker: KafkaBroker,
    make_sink: MakeSink,
    topic: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Two bridges with copies of one journal: one writes, the other says why it does not."""
    seconds = [0.0]
    old, new = make_sink(broker), make_sink(broker)
    fence = Fence(old._settings, old.assignment, old.place_of, old._quiet, lambda: seconds[0])
    old._fence = fence
    old.open()
    old.deliver(batch(rows(0)))
    new.open()
    new.deliver(batch(rows(0, 1)))

    with pytest.raises(Fenced):
        old.deliver(batch(rows(1)))
    for _ in range(2):
        with pytest.raises(NotConnected, match="another bridge writes under the transactional id"):
            old.open()
    seconds[0] += 59
    new.deliver(batch(rows(2)))
    with pytest.raises(NotConnected):
        old.open()
    seconds[0] += 61
    old.open()
    old.deliver(batch(rows(1, 2, 3)))
    with pytest.raises(Fenced):
        new.deliver(batch(rows(4)))

    assert offsets(broker, topic) == [0, 1, 2, 3]
    said = capfd.readouterr()
    assert (said.out + said.err).count("kafka_takes_over") == 1
    assert "kafka_fenced" in said.out + said.err


def test_events_of_a_journal_that_is_an_old_copy_are_sent(
    broker: KafkaBroker, make_sink: MakeSink, topic: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """It gives offsets again that were delivered: to other events, which must not be lost."""
    first = make_sink(broker)
    first.open()
    first.deliver(batch(rows(*range(20))))
    restored = make_sink(broker)
    restored.assignment = Assignment(topic, JOURNAL, head=10)
    restored.open()

    restored.deliver(batch(rows(*range(5, 15))))

    assert offsets(broker, topic) == [*range(20), *range(10, 15)]
    said = capfd.readouterr()
    assert "kafka_ahead_of_journal" in said.out + said.err


def test_events_of_an_old_copy_are_sent_where_others_were_delivered_ahead_of_the_cursor(
    broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """The cursor itself is not beyond the copy's head, only what was delivered behind it."""
    first = make_sink(broker)
    first.open()
    first.deliver(batch(rows(*range(5), 12), t=Standing(5)))
    restored = make_sink(broker)
    restored.assignment = Assignment(topic, JOURNAL, head=10)
    restored.open()

    restored.deliver(batch(rows(*range(5, 15))))

    assert offsets(broker, topic) == [*range(5), 12, *range(5, 15)]


def test_what_one_topic_has_is_no_reason_to_keep_it_from_another(
    broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """A sink of the same id that begins anew with another topic, later called otherwise."""
    first = make_sink(broker)
    first.open()
    first.deliver(batch(rows(*range(10))))
    other = make_sink(broker, {"topic": f"{topic}.t"})
    other.open()

    other.deliver(batch(rows(*range(12))))
    again = make_sink(broker, {"topic": f"{topic}.{{table}}"})
    again.open()
    again.deliver(batch(rows(*range(13))))

    assert offsets(broker, topic) == [*range(10)]
    assert offsets(broker, f"{topic}.t") == [*range(13)]


def test_the_topic_of_cursors_is_made_compacted_and_made_again(
    broker: KafkaBroker, make_sink: MakeSink, topic: str
) -> None:
    """Without it nothing is sent; deleted while the sink runs, it comes back."""
    sink = make_sink(broker)
    sink.open()
    sink.deliver(batch(rows(0)))
    assert broker.config_of(TOPIC)["cleanup.policy"] == "compact"
    broker.delete_topic(TOPIC)

    deliver(sink, rows(1, 2))

    assert offsets(broker, topic) == [0, 1, 2]
    assert TOPIC in broker.topics()


def test_a_topic_of_cursors_that_forgets_is_said(
    forgetful_broker: KafkaBroker, make_sink: MakeSink, capfd: pytest.CaptureFixture[str]
) -> None:
    """A broker that makes topics by itself may have made it, with a retention."""
    forgetful_broker.create_topic(TOPIC)
    sink = make_sink(forgetful_broker)

    sink.open()
    sink.open()

    said = capfd.readouterr()
    assert (said.out + said.err).count(f"topic {TOPIC} is not compacted") == 1


def deliver(sink: KafkaSink, events: Sequence[Event]) -> None:
    """Deliver as the engine does: again, and opened anew after a failure, until all is there."""

    def done() -> bool:
        sent = batch(events)
        try:
            sink.deliver(sent)
        except NotConnected:
            sink.close()
            return False
        return not (sent.failed_events or sent.failed_tables)

    wait_until(done, "it is delivered", 90)
