"""The Kafka sink keeps the contract, against a real broker."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import pytest
from services.kafka import KafkaBroker

from bridge.events import Event
from bridge.sinks.base import Assignment
from bridge.sinks.kafka import KafkaSettings, KafkaSink
from bridge.testing import SinkConformance, make_event


class KafkaConformance(SinkConformance):
    options: ClassVar[dict[str, Any]] = {}
    settings: ClassVar[dict[str, Any]] = {}
    broker: KafkaBroker
    prefix: str

    def make_sink(self) -> KafkaSink:
        values = {
            "type": "kafka",
            "bootstrap_servers": self.broker.bootstrap_servers,
            "topic": f"{self.prefix}.{{table}}",
            "options": self.options,
        }
        sink = KafkaSink(KafkaSettings.model_validate(values | self.settings))
        sink.assignment = Assignment(self.prefix, "9f86d081884c7d65")
        return sink

    def read_back(self) -> list[bytes]:
        topics = sorted(each for each in self.broker.topics() if each.startswith(self.prefix))
        return [message.value() for topic in topics for message in self.broker.read(topic)]

    def unacceptable(self) -> Event:
        return make_event(5, record={"text": "x" * 2 * 2**20})


class TestKafka(KafkaConformance):
    order = "table"

    @pytest.fixture(autouse=True)
    def destination(self, kafka_broker: KafkaBroker) -> None:
        self.broker = kafka_broker
        self.prefix = f"t{uuid.uuid4().hex}"

    def restart(self) -> bool:
        self.broker.kill()
        self.broker.start()
        return True


class TestKafkaWithoutHeaders(TestKafka):
    """Keys and values alone, which go by another way."""

    settings: ClassVar[dict[str, Any]] = {"headers": False, "timestamp": "none"}


class TestKafkaInTransactions(TestKafka):
    """Each call one transaction, or what it has to be cut into."""

    settings: ClassVar[dict[str, Any]] = {"transactional": True}


class TestKafkaOfManyPartitions(KafkaConformance):
    """Order is kept per key; the broker, and not the client, refuses what is too large."""

    order = "key"
    options: ClassVar[dict[str, Any]] = {
        "message.max.bytes": 10_000_000,
        "compression.type": "none",
    }

    @pytest.fixture(autouse=True)
    def destination(self, kafka_broker: KafkaBroker) -> None:
        self.broker = kafka_broker
        self.prefix = f"t{uuid.uuid4().hex}"
        for table in ("ki_home.orders", "ki_home.weather", "other.t"):
            kafka_broker.create_topic(f"{self.prefix}.{table}", partitions=4)


class TestKafkaOfManyPartitionsInTransactions(TestKafkaOfManyPartitions):
    """What the broker refuses is left out, and order is kept per key."""

    settings: ClassVar[dict[str, Any]] = {"transactional": True}
