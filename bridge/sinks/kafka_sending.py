"""A batch on its way to Kafka: sent, and sent again in parts, until each event's fate is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import structlog
from confluent_kafka import KafkaError, Producer

from bridge.foreign import Cleaner
from bridge.lines import Slice
from bridge.sinks.base import NotConnected, Reject, Retry
from bridge.sinks.kafka_errors import (
    as_retry,
    broken,
    is_of_topic,
    is_refusal,
    late_among,
    translate,
)
from bridge.sinks.kafka_log import Trouble
from bridge.sinks.kafka_messages import Feeder
from bridge.sinks.kafka_outcome import Outcome, Reports, halves, with_followers
from bridge.sinks.kafka_settings import KafkaSettings

FLUSH = 0.1  # seconds between two looks at what has failed
REPORT_SLACK = 10.0  # seconds over the message time-out until missing reports are given up

_log = structlog.get_logger(__name__)


class Once:
    """Says each thing once in the life of a sink."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, event: str, *, key: str = "", **fields: Any) -> None:
        """Log something, unless it was logged under this key."""
        key = f"{event} {key}"
        if key not in self._said:
            self._said.add(key)
            _log.warning(event, **fields)


class Sending:
    """Sends with one producer, without transactions: what was taken is not sent again.

    Args:
        producer: idempotent.
        settings: of the sink.
        topic_of: gives the topic of a slice that has one.
        trouble: what librdkafka says of its connections.
        clean: takes the secrets out of foreign text.
        once: logs.
    """

    def __init__(
        self,
        producer: Producer,
        settings: KafkaSettings,
        topic_of: Callable[[Slice], str],
        trouble: Trouble,
        clean: Cleaner,
        once: Once,
    ) -> None:
        self.producer = producer
        self._settings = settings
        self._topic_of = topic_of
        self._trouble = trouble
        self._clean = clean
        self._once = once

    def deliver(
        self, slices: Sequence[Slice], outcome: Outcome, present: frozenset[int] = frozenset()
    ) -> None:
        """Send events, those of `present` with the present time.

        A broker that refuses the content of a message refuses its companions in the request
        with it. Where that hits several, they are sent again in halves until the guilty one
        stands alone.
        """
        failed = {} if outcome.is_lost() else self.send(slices, outcome, present)
        if outcome.is_lost():
            again = with_followers(slices, failed) if failed else slices
            outcome.retry(again, outcome.lost)
        elif failed:
            self._again(with_followers(slices, failed), failed, outcome, present)

    def _again(
        self,
        slices: Sequence[Slice],
        refused: dict[int, KafkaError],
        outcome: Outcome,
        present: frozenset[int],
    ) -> None:
        late = self._late(refused, outcome, present)
        if late:
            self.deliver(slices, outcome, present | late)
        elif len(refused) == 1:
            ((offset, error),) = refused.items()
            part = next(each for each in slices if each.offset <= offset < each.end)
            found = translate(error, self._topic_of(part), clean=self._clean)
            self._one_refused(slices, offset, found, outcome, present)
        else:
            self._once.warn(
                "kafka_request_refused",
                cause=self._clean(next(iter(refused.values())).str()),
                hint="sending in smaller parts; set batch.size in options below the topic's limit",
            )
            for half in halves(slices):
                self.deliver(half, outcome, present)

    def _one_refused(
        self,
        slices: Sequence[Slice],
        offset: int,
        found: Retry | Reject,
        outcome: Outcome,
        present: frozenset[int],  # noqa: ARG002 (for who sends the others again)
    ) -> None:
        """Settle what becomes of the one event that a broker refuses, and of those with it."""
        if isinstance(found, Reject):
            outcome.rejected[offset] = found
        else:
            outcome.retry(slices, found)

    def _late(
        self, refused: dict[int, KafkaError], outcome: Outcome, present: frozenset[int]
    ) -> set[int]:
        """Return which of them are refused for their time alone."""
        late = late_among(refused, known=outcome.times_refused) - present
        if late:
            outcome.times_refused = True
            self._once.warn(
                "kafka_time_refused",
                cause=self._clean(refused[min(late)].str()),
                hint="such events are sent with the present time; see message.timestamp.*.max.ms",
            )
        return late

    def send(
        self, slices: Sequence[Slice], outcome: Outcome, present: frozenset[int]
    ) -> dict[int, KafkaError]:
        """Produce and wait; return the errors by offset of those that may go out again."""
        reports = Reports()
        settings = self._settings
        feeder = Feeder(
            self.producer,
            reports.add,
            headers=settings.headers,
            timestamps=settings.timestamp == "event",
        )
        for each in slices:
            topic = self._topic_of(each)
            if topic in outcome.closed:
                continue
            for offset, error in self._fed(feeder, topic, each, present):
                found = translate(error, topic, self._trouble.cause, self._clean)
                if isinstance(found, Reject):
                    outcome.rejected[offset] = found
                elif is_of_topic(error):
                    outcome.closed[topic] = as_retry(found)
                    break
                else:  # the producer has failed for good
                    raise found
        self._wait(reports)
        failed = {}
        for topic, offset, error in reports.found(slices, self._topic_of):
            if is_of_topic(error):
                outcome.closed[topic] = as_retry(translate(error, topic, clean=self._clean))
            else:
                failed[offset] = error
                if not is_refusal(error) and outcome.lost is None:
                    found = translate(error, topic, self._trouble.cause, self._clean)
                    outcome.lost = as_retry(found)
        return failed

    def _is_doomed(self, reports: Reports) -> bool:  # noqa: ARG002 (for transactions)
        """Tell whether what waits in the producer will not be written any more."""
        return False

    def _fed(
        self, feeder: Feeder, topic: str, events: Slice, present: frozenset[int]
    ) -> Iterator[tuple[int, KafkaError]]:
        with broken(f"topic {topic}", self._trouble.cause, self._clean):
            yield from feeder.feed(topic, events, present)

    def _wait(self, reports: Reports) -> None:
        producer = self.producer
        end = time.monotonic() + self._settings.message_timeout() + REPORT_SLACK
        with broken("the producer has failed", self._trouble.cause, self._clean):
            while producer.flush(FLUSH):
                if self._is_doomed(reports):
                    producer.purge()
                if time.monotonic() > end:
                    producer.purge()
                    left = producer.flush(1.0)
                    if left:
                        raise NotConnected(f"librdkafka does not let go of {left} messages")
