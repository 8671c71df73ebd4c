"""A real Apache Kafka broker on loopback: one KRaft node, its own folder, free ports.

A JDK runs it. `python -m tests.services.kafka` runs a broker until Ctrl-C and prints its address.
"""

from __future__ import annotations

import base64
import logging
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from .maven import fetched, mvn
from .process import free_port
from .server import Server, run_alone

VERSION = "4.1.1"
DEPENDENCIES = (
    ("org.apache.kafka", "kafka_2.13", VERSION),
    ("org.apache.kafka", "kafka-tools", VERSION),
    ("org.slf4j", "slf4j-simple", "1.7.36"),
)
_SILENT = logging.getLogger("tests.services.kafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def jars(
    name: str = f"kafka-{VERSION}",
    dependencies: Sequence[tuple[str, str, str]] = DEPENDENCIES,
) -> Path:
    """Return the folder with jars, the broker's if nothing is said; as `fetched`."""

    def fetch(scratch: Path) -> Path:
        (scratch / "pom.xml").write_text(_pom(dependencies))
        mvn(scratch, "dependency:copy-dependencies", "-DoutputDirectory=libs")
        return scratch / "libs"

    return fetched(name, fetch)


def _pom(dependencies: Sequence[tuple[str, str, str]]) -> str:
    listed = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version></dependency>"
        for group, artifact, version in dependencies
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>local</groupId><artifactId>kafka</artifactId><version>1</version>"
        f"<dependencies>{listed}</dependencies></project>"
    )


class KafkaBroker(Server):
    """One broker."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.controller_port = free_port()
        self.settings = dict(settings or {})
        # The zero byte becomes an A: an id that began with a dash would be taken for an option.
        random = b"\0" + uuid.uuid4().bytes[1:]
        self.cluster_id = base64.urlsafe_b64encode(random).decode().rstrip("=")

    def __str__(self) -> str:
        return self.bootstrap_servers

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """See `Server.command`."""
        return [*java(jars(), "512m"), "kafka.Kafka", str(self.folder / "server.properties")]

    def create_topic(
        self,
        topic: str,
        *,
        partitions: int = 1,
        replicas: int = 1,
        config: Mapping[str, str] | None = None,
    ) -> None:
        """Create a topic and return when it is there."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers}, logger=_SILENT)
        new = NewTopic(topic, partitions, replicas, config=config or {})
        admin.create_topics([new])[topic].result(30)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic and return when it is gone."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers}, logger=_SILENT)
        admin.delete_topics([topic])[topic].result(30)
        end = time.monotonic() + 30
        while topic in admin.list_topics(timeout=30).topics:
            if time.monotonic() > end:
                raise TimeoutError(f"{topic} does not go")

    def config_of(self, topic: str) -> dict[str, str]:
        """Return the settings of a topic."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers}, logger=_SILENT)
        resource = ConfigResource(ResourceType.TOPIC, topic)
        found = admin.describe_configs([resource])[resource].result(30)
        return {name: entry.value for name, entry in found.items()}

    def has_open_transactions(self, topic: str) -> bool:
        """Tell whether readers of what is committed wait in a topic's first partition."""
        ends = []
        for level in ("read_committed", "read_uncommitted"):
            consumer = self._reader(level)
            ends.append(_end_of(consumer, TopicPartition(topic, 0)))
            consumer.close()
        return ends[0] < ends[1]

    def topics(self) -> set[str]:
        """Name the topics there are."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers}, logger=_SILENT)
        return set(admin.list_topics(timeout=30).topics)

    def read(self, topic: str) -> list[Message]:
        """Return every message of a topic up to now, partition by partition."""
        consumer = self._reader("read_committed")
        try:
            partitions = sorted(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
            # Uncommitted ones included: the mark of a commit may come a moment after it.
            uncommitted = self._reader("read_uncommitted")
            ends = {each: _end_of(uncommitted, TopicPartition(topic, each)) for each in partitions}
            uncommitted.close()
            return _read_up_to(consumer, topic, ends)
        finally:
            consumer.close()

    def _reader(self, level: str) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": f"reader-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": level,
            },
            logger=_SILENT,
        )

    def prepare(self) -> None:
        """See `Server.prepare`."""
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.controller_port}",
            "listeners": (
                f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}"
            ),
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            **self.settings,
        }
        path = self.folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        alone = [] if "controller.quorum.voters" in properties else ["--standalone"]
        command = ["kafka.tools.StorageTool", "format", *alone, "-t", self.cluster_id, "-c"]
        run = subprocess.run(
            [*java(jars(), "128m"), *command, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise RuntimeError(f"Kafka could not format its storage: {run.stdout}{run.stderr}")

    def answers(self) -> bool:
        """See `Server.answers`."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers}, logger=_SILENT)
        try:
            return bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False


class KafkaCluster:
    """Three brokers, of which two keep each other's topics whole; a context manager."""

    def __init__(self) -> None:
        self.brokers = [KafkaBroker() for _ in range(3)]
        voters = ",".join(
            f"{node}@127.0.0.1:{broker.controller_port}"
            for node, broker in enumerate(self.brokers, 1)
        )
        for node, broker in enumerate(self.brokers, 1):
            broker.cluster_id = self.brokers[0].cluster_id
            broker.settings |= {
                "node.id": str(node),
                "controller.quorum.voters": voters,
                "controller.quorum.bootstrap.servers": "",
                "min.insync.replicas": "2",
                "default.replication.factor": "3",
                "offsets.topic.replication.factor": "3",
                "transaction.state.log.replication.factor": "3",
                "transaction.state.log.min.isr": "2",
                "transaction.state.log.num.partitions": "3",
            }

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return ",".join(broker.bootstrap_servers for broker in self.brokers)

    def __enter__(self) -> Self:
        try:
            for broker in self.brokers:
                broker.launch()
            for broker in self.brokers:
                broker.wait_until_it_answers()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for broker in self.brokers:
            broker.kill()
            broker.__exit__(kind, error, trace)


def _end_of(consumer: Consumer, partition: TopicPartition) -> int:
    deadline = time.monotonic() + 60
    while True:
        try:
            return int(consumer.get_watermark_offsets(partition, timeout=10)[1])
        except KafkaException:  # just started, it does not yet know that it leads the partition
            if time.monotonic() > deadline:
                raise


def _read_up_to(consumer: Consumer, topic: str, ends: Mapping[int, int]) -> list[Message]:
    messages: list[Message] = []
    wanted = {each: end for each, end in ends.items() if end}
    consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in wanted])
    deadline = time.monotonic() + 60
    while wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic}: {len(messages)} messages read, and not to {wanted}")
        for message in consumer.consume(10_000, timeout=0.2):
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            elif message.offset() >= wanted.get(message.partition(), 0):
                wanted.pop(message.partition(), None)  # the last ones may be marks, not messages
    return sorted(messages, key=lambda message: (message.partition(), message.offset()))


def java(libraries: Path, heap: str) -> list[str]:
    """Return how a Java program is run with these jars."""
    return [
        "java",
        f"-Xmx{heap}",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        f"{libraries}/*",
    ]


if __name__ == "__main__":
    sys.exit(run_alone(KafkaBroker))
