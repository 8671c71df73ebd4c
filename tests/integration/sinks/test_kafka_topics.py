"""Topics on a real broker: made, made again, shared by mistake; and what each format puts there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings import kafka
from confluent_kafka import Message
from services.batches import batch_of
from services.delivery import CLUSTER, TABLE, Engine, output
from services.kafka import KafkaBroker
from services.process import wait_until

from bridge.errors import SinkError
from bridge.events import Drop
from bridge.formats.making import make_format
from bridge.sinks.base import Assignment
from bridge.sinks.kafka import KafkaSettings, KafkaSink
from bridge.testing import drive, make_event


@pytest.fixture
def broker(strict_broker: KafkaBroker) -> KafkaBroker:
    return strict_broker


def sink_of(broker: KafkaBroker, topic: str, **more: Any) -> KafkaSink:
    values = {
        "type": "kafka",
        "bootstrap_servers": broker.bootstrap_servers,
        "topic": topic,
        "options": {"topic.metadata.propagation.max.ms": 500},
    }
    return KafkaSink(KafkaSettings.model_validate(values | more))


def test_missing_topics_are_made_as_configured(broker: KafkaBroker, topic: str) -> None:
    """For each table, with partitions and settings."""
    create = {"partitions": 3, "replication_factor": 1, "config": {"retention.ms": 3_600_000}}
    sink = sink_of(broker, f"{topic}.{{table}}", create_topics=create)
    batch = batch_of([make_event(n, table=f"t{n % 2}", key={"k": n}) for n in range(20)])

    sink.deliver(batch)
    sink.close()

    assert not batch.failed_tables
    for name in ("t0", "t1"):
        assert len(broker.read(f"{topic}.{name}")) == 10
        assert broker.config_of(f"{topic}.{name}")["retention.ms"] == "3600000"


def test_a_topic_that_cannot_be_made_holds_up_its_table_with_the_cause(
    broker: KafkaBroker, topic: str
) -> None:
    """More replicas than there are brokers, say."""
    sink = sink_of(broker, f"{topic}.{{table}}", create_topics={"replication_factor": 3})
    broker.create_topic(f"{topic}.a")
    batch = batch_of([make_event(n, table="ab"[n % 2]) for n in range(4)])

    sink.deliver(batch)
    sink.close()

    assert list(batch.failed_tables) == ["b"]
    assert "cannot be made" in str(batch.failed_tables["b"])
    assert len(broker.read(f"{topic}.a")) == 2


@pytest.mark.parametrize("transactional", [False, True])
def test_a_topic_deleted_while_rows_flow_is_made_again(
    broker: KafkaBroker, topic: str, transactional: bool
) -> None:
    """What comes afterwards is all there, in order."""
    sink = sink_of(broker, topic, create_topics={}, transactional=transactional)
    drive(sink, [make_event(n, key={"k": 1}) for n in range(100)])
    broker.delete_topic(topic)

    for begin in range(100, 1_000, 100):
        events = [make_event(n, key={"k": 1}) for n in range(begin, begin + 100)]
        result = drive(sink, events, timeout=90)
        assert not result.rejected
    sink.close()

    found = [json.loads(message.value())["offset"] for message in broker.read(topic)]
    assert list(dict.fromkeys(found)) == list(range(100, 1_000))


def test_check_says_what_is_missing_and_who_could_make_it(broker: KafkaBroker, topic: str) -> None:
    """Without a hand it would wait; with `create_topics` it would not."""
    for more, said in (({}, "auto.create.topics.enable"), ({"create_topics": {}}, None)):
        sink = sink_of(broker, f"{topic}.{{table}}", **more)
        sink.assignment = Assignment("k", tables=frozenset({"ki.missing"}))
        if said is None:
            assert f"makes the missing {topic}.ki.missing" in (sink.check() or "")
        else:
            with pytest.raises(SinkError, match=said):
                sink.check()
    too_many = sink_of(broker, f"{topic}.{{table}}", create_topics={"replication_factor": 3})
    too_many.assignment = Assignment("k", tables=frozenset({"ki.missing"}))
    with pytest.raises(SinkError, match="cannot be made"):
        too_many.check()
    assert topic not in "".join(broker.topics())


def test_check_names_tables_that_share_a_topic_by_replacement(
    broker: KafkaBroker, topic: str
) -> None:
    """`a b`, `a_b` and `a/b` are three tables and one topic."""
    broker.create_topic(f"{topic}.ki.a_b", config={"max.message.bytes": "20000"})
    sink = sink_of(broker, f"{topic}.{{table}}")
    sink.assignment = Assignment("k", tables=frozenset({"ki.a b", "ki.a_b", "ki.a/b"}))

    said = sink.check()

    assert said is not None
    assert "'ki.a b', 'ki.a/b', 'ki.a_b' share the topic" in said
    assert "20000 bytes at most" in said
    one_for_all = sink_of(broker, f"{topic}.ki.a_b")
    one_for_all.assignment = sink.assignment
    assert "share" not in (one_for_all.check() or "")


# Formats


def written(
    broker: KafkaBroker, folder: Path, topic: str, name: str, **more: Any
) -> tuple[list[Message], list[Message]]:
    """Return the messages of two rows and a drop: of the topic, and of its notifications."""
    values = {
        "type": "kafka",
        "bootstrap_servers": broker.bootstrap_servers,
        "topic": topic,
        "format": name,
        "create_topics": {},
    }
    settings = KafkaSettings.model_validate(values | more)
    sink = KafkaSink(settings)
    form = make_format(settings, "default", sink.place_of)
    with Engine(folder, output=output(form=form)) as engine:
        engine.insert(1, 2)
        engine.journal.append([Drop(TABLE, CLUSTER, 1_795_509_720_123_456)])
        engine.worker.configure(sink, settings, engine.tables, engine.output)
        engine.worker.start()
        wait_until(lambda: not engine.account().pending, "all is delivered")
    beside = f"{topic}.notifications"
    return broker.read(topic), broker.read(beside) if beside in broker.topics() else []


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("name", ["debezium", "raw"])
def test_what_a_format_has_no_form_for_goes_to_notifications(
    broker: KafkaBroker, tmp_path: Path, topic: str, name: str, transactional: bool
) -> None:
    """As JSON, with the same headers."""
    rows, beside = written(broker, tmp_path, topic, name, transactional=transactional)

    assert len(rows) == 2
    assert all(message.value()[-1:] != b"\n" for message in rows)
    (drop,) = beside
    assert json.loads(drop.value())["type"] == "drop"
    assert drop.key() == b'{"table":"ki_home.t"}'
    for message in (*rows, drop):
        assert [header for header, _ in message.headers()] == ["id", "type", "table", "offset"]
    if name == "raw":
        assert rows[0].value() == bytes([2, 2])


@pytest.mark.parametrize("headers", [True, False])
@pytest.mark.parametrize("name", ["cloudevents", "cloudevents-binary"])
def test_cloudevents_are_read_by_their_sdk(
    broker: KafkaBroker, tmp_path: Path, topic: str, name: str, headers: bool
) -> None:
    """With the headers that the binding asks for, whatever is said of ours."""
    rows, beside = written(
        broker, tmp_path, topic, name, headers=headers, timestamp="event" if headers else "none"
    )

    assert not beside
    events = []
    for message in rows:
        found = dict(message.headers())
        produced = kafka.KafkaMessage(found, message.key(), message.value())
        events.append(kafka.from_kafka_event(produced))
        assert "id" not in found
        wanted = "application/cloudevents+json; charset=UTF-8"
        assert found["content-type"].decode() == (
            wanted if name == "cloudevents" else "application/json"
        )
    assert [event.get_type() for event in events] == [
        f"com.kinetica.bridge.{type_}" for type_ in ("insert", "insert", "drop")
    ]
    assert [event.get_data() for event in events[:2]] == [{"n": 1, "k": 1}, {"n": 2, "k": 2}]
    assert events[0].get_subject() == '{"k":1}'
