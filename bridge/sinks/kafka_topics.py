"""Topics that are missing are made, where that is wanted; what stands in the way is said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from bridge.sinks.base import NotConnected, Retry
from bridge.sinks.kafka_cursors import TOPIC
from bridge.sinks.kafka_log import QuietLog
from bridge.sinks.kafka_settings import CreateTopics

ANSWER_TIMEOUT = 10.0  # seconds for a question to the cluster

# Small segments: only those that are closed are compacted, and all is read at a start.
_CURSORS = {"cleanup.policy": "compact", "segment.bytes": str(16 * 2**20)}

_log = structlog.get_logger(__name__)


class Topics:
    """The topics of a cluster, as far as they were asked for.

    Args:
        connection: librdkafka's settings, as far as they concern connections.
        create: how missing ones are made; None where they are not.
        log: takes librdkafka's lines.
        clean: takes the secrets out of foreign text.
    """

    def __init__(
        self,
        connection: Mapping[str, str],
        create: CreateTopics | None,
        log: QuietLog,
        clean: Callable[[str], str],
    ) -> None:
        self._connection: dict[str, str | int | float | bool] = dict(connection)
        self._create = create
        self._log = log
        self._clean = clean
        self._known: set[str] = set()

    def ensure(self, topics: Iterable[str]) -> dict[str, Retry]:
        """See that topics are there, and make those that are not, if that is wanted.

        Returns:
            Why one could not be made, by its name.

        Raises:
            NotConnected: the cluster does not answer.
        """
        if self._create is None:
            return {}
        wanted = set(topics) - self._known
        missing = self.missing(wanted) if wanted else set()
        self._known |= wanted - missing
        create = self._create
        return self._make([_new(create, topic) for topic in sorted(missing)]) if missing else {}

    def forget(self, topics: Iterable[str]) -> None:
        """Note that topics may be gone."""
        self._known.difference_update(topics)

    def ensure_cursors(self) -> None:
        """See that the topic of cursors is there, compacted.

        Raises:
            NotConnected: it is not, and cannot be made; or the cluster does not answer.
        """
        if not self.missing({TOPIC}):
            return
        factor = -1 if self._create is None else self._create.replication_factor or -1
        refused = self._make([NewTopic(TOPIC, 1, factor, config=_CURSORS)])
        for error in refused.values():
            raise NotConnected(f"{error}; make it by hand with cleanup.policy=compact")

    def missing(self, topics: Collection[str]) -> set[str]:
        """Return those that are not there.

        Raises:
            NotConnected: the cluster does not answer.
        """
        if not topics:
            return set()
        try:
            # Of all topics: asking for one by its name may make it.
            there = self._admin().list_topics(timeout=ANSWER_TIMEOUT).topics
        except KafkaException as error:
            raise NotConnected(f"topics cannot be listed: {self._said(error)}") from error
        return {topic for topic in topics if topic not in there}

    def try_to_make(self, topics: Collection[str]) -> dict[str, str]:
        """Have the broker say whether it would make topics; return why not, by their names."""
        if self._create is None:
            return {}
        new = [_new(self._create, topic) for topic in sorted(topics)]
        admin = self._admin()  # kept until it has answered
        asked = admin.create_topics(new, validate_only=True, request_timeout=ANSWER_TIMEOUT)
        refused = _refused(asked)
        return {topic: self._said(error) for topic, error in refused.items()}

    def makes_topics(self) -> bool | None:
        """Tell whether brokers make a topic that is written to; None where they do not say."""
        try:
            admin = self._admin()
            brokers = admin.list_topics(timeout=ANSWER_TIMEOUT).brokers
            resource = ConfigResource(ResourceType.BROKER, str(min(brokers)))
            asked = admin.describe_configs([resource], request_timeout=ANSWER_TIMEOUT)
            entry = asked[resource].result()["auto.create.topics.enable"]
        except (KafkaException, KeyError, ValueError):  # not everybody may ask
            return None
        return bool(entry.value != "false")

    def limits(self, topics: Collection[str]) -> dict[str, int]:
        """Return how large a request to each topic may be, in bytes, where the cluster says it."""
        return {t: int(value) for t, value in self._setting("max.message.bytes", topics).items()}

    def forgets_cursors(self) -> bool:
        """Tell whether the topic of cursors is known not to be compacted."""
        policies = self._setting("cleanup.policy", {TOPIC}).values()
        return any("compact" not in policy for policy in policies)

    def _setting(self, name: str, topics: Collection[str]) -> dict[str, str]:
        """Return what topics are set to, where the cluster says it: not everybody may ask."""
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in sorted(topics)]
        found = {}
        if resources:
            admin = self._admin()
            asked = admin.describe_configs(resources, request_timeout=ANSWER_TIMEOUT)
            for resource, answer in asked.items():
                with suppress(KafkaException, KeyError):
                    found[resource.name] = str(answer.result()[name].value)
        return found

    def _make(self, new: list[NewTopic]) -> dict[str, Retry]:
        admin = self._admin()
        asked = admin.create_topics(new, request_timeout=ANSWER_TIMEOUT)
        refused = _refused(asked)
        for each in new:
            if each.topic not in refused:
                _log.info("kafka_topic_made", topic=each.topic)
                self._known.add(each.topic)
        return {
            topic: Retry(f"topic {topic} is missing and cannot be made: {self._said(error)}")
            for topic, error in refused.items()
        }

    def _said(self, error: KafkaException) -> str:
        return self._clean(error.args[0].str())

    def _admin(self) -> AdminClient:
        return AdminClient(self._connection, logger=self._log)


def _new(create: CreateTopics, topic: str) -> NewTopic:
    """Return what is asked of the broker; -1 is its own default."""
    partitions, factor = create.partitions or -1, create.replication_factor or -1
    return NewTopic(topic, partitions, factor, config=dict(create.config))


def _refused(asked: Mapping[str, Future[None]]) -> dict[str, KafkaException]:
    refused = {}
    for topic, answer in asked.items():
        try:
            answer.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                refused[topic] = error
    return refused
