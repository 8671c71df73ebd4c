"""Three real brokers restarted one after another while rows flow: leaders and coordinators move."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest
from services.delivery import TABLE, Engine
from services.kafka import KafkaCluster
from services.process import wait_until

from bridge.sinks.kafka import KafkaSettings, KafkaSink

KEYS = 11
A_BLOCK, PAUSE = 50, 0.02  # so 2,500 rows a second into each sink


def start(engine: Engine, cluster: KafkaCluster, topic: str, *, transactional: bool) -> None:
    settings = KafkaSettings.model_validate(
        {
            "type": "kafka",
            "bootstrap_servers": cluster.bootstrap_servers,
            "topic": topic,
            "transactional": transactional,
            "create_topics": {"partitions": 3, "replication_factor": 3},
            "retry": {"max_backoff": "1s"},
        }
    )
    engine.worker.configure(KafkaSink(settings), settings, engine.tables, engine.output)
    engine.worker.start()


@pytest.mark.timeout(600)
def test_brokers_restarted_one_after_another_lose_nothing_and_keep_the_order(
    tmp_path: Path, kafka_jars: Path
) -> None:
    """With `min.insync.replicas=2`, with transactions and without: each key's rows in order."""
    over = threading.Event()
    with ExitStack() as stack:
        cluster = stack.enter_context(KafkaCluster())
        plain = stack.enter_context(Engine(tmp_path / "plain"))
        exact = stack.enter_context(Engine(tmp_path / "exact"))
        start(plain, cluster, "plain", transactional=False)
        start(exact, cluster, "exact", transactional=True)
        inserted = [0]

        def insert() -> None:
            while not over.wait(PAUSE):
                numbers = range(inserted[0], inserted[0] + A_BLOCK)
                for engine in (plain, exact):
                    engine.insert(*numbers, keys=KEYS)
                inserted[0] += A_BLOCK

        thread = threading.Thread(target=insert)
        thread.start()
        try:
            for broker in cluster.brokers:
                before = exact.account().delivered, plain.account().delivered
                broker.restart()
                until_more(exact, before[0])
                until_more(plain, before[1])
        finally:
            over.set()
            thread.join()
        for engine in (plain, exact):
            engine.wait_settled(timeout=120)
            account = engine.account(TABLE)
            assert account.received == account.delivered == inserted[0]
        seen = {topic: read(cluster, topic) for topic in ("plain", "exact")}

    for rows in seen.values():
        for key, numbers in rows.items():
            assert list(dict.fromkeys(numbers)) == list(range(key, inserted[0], KEYS))
    assert sum(map(len, seen["exact"].values())) == inserted[0]


def until_more(engine: Engine, before: int) -> None:
    """Wait until what came meanwhile is delivered."""
    wait_until(lambda: engine.account().delivered > before + 1_000, "rows flow", 120)


def read(cluster: KafkaCluster, topic: str) -> dict[int, list[int]]:
    """Return the numbers of the rows by key, as a reader of what is committed sees them."""
    found: dict[int, list[int]] = defaultdict(list)
    for message in cluster.brokers[0].read(topic):
        number = json.loads(message.value())["record"]["n"]
        found[number % KEYS].append(number)
    return found
