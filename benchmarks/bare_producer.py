"""The yardstick of the Kafka sink: a bare loop that sends the messages of a topic once more.

    bare_producer.py SERVERS FROM TO produce|produce_batch

Reads all of FROM, keys, headers and times included, prints one line once it is ready, and at a
line on stdin sends them to TO with the bridge's own producer settings. Prints when it began, when
the last one was confirmed, and the CPU seconds in between. `produce_batch` leaves headers and
times out. Nobody looks at the reports: what came is looked at in the topic.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from bridge.sinks.kafka_settings import KafkaSettings

_BATCH = 1000


def producer_to(servers: str) -> Producer:
    """Return a producer with the settings of the bridge's own."""
    return Producer(KafkaSettings(type="kafka", bootstrap_servers=servers).configuration())


def read(servers: str, topic: str) -> list[Message]:
    """Return all messages of a topic's only partition."""
    settings = {"bootstrap.servers": servers, "group.id": topic, "enable.auto.commit": False}
    consumer = Consumer(settings)
    end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1]
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    messages: list[Message] = []
    while len(messages) < end:
        messages += consumer.consume(_BATCH, timeout=30)
    consumer.close()
    return messages


def single(producer: Producer, topic: str, messages: Sequence[Message]) -> Callable[[], None]:
    prepared = [(m.value(), m.key(), m.headers(), m.timestamp()[1]) for m in messages]

    def send() -> None:
        produce, poll = producer.produce, producer.poll
        for number, (value, key, headers, at) in enumerate(prepared):
            while True:
                try:
                    produce(topic, value, key, headers=headers, timestamp=at)
                except BufferError:
                    poll(0.01)
                else:
                    break
            if not number % _BATCH:
                poll(0)

    return send


def batched(producer: Producer, topic: str, messages: Sequence[Message]) -> Callable[[], None]:
    prepared: list[dict[str, Any]] = [{"value": m.value(), "key": m.key()} for m in messages]

    def send() -> None:
        for start in range(0, len(prepared), _BATCH):
            waiting = prepared[start : start + _BATCH]
            while producer.produce_batch(topic, waiting) < len(waiting):
                waiting = [message for message in waiting if message.pop("_error", None)]
                producer.poll(0.01)
            producer.poll(0)

    return send


def main() -> None:
    servers, source, target, how = sys.argv[1:]
    producer = producer_to(servers)
    producer.list_topics(target, timeout=30)
    send = {"produce": single, "produce_batch": batched}[how](
        producer, target, read(servers, source)
    )
    gc.collect()
    print("{}", flush=True)
    sys.stdin.readline()
    before, begun = _cpu_seconds(), time.monotonic_ns()
    send()
    left = producer.flush(60)
    came, after = time.monotonic_ns(), _cpu_seconds()
    if left:
        raise TimeoutError(f"{left} messages were not confirmed")
    print(json.dumps({"begun": begun, "came": came, "cpu_seconds": after - before}), flush=True)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
