"""A table whose tries take long leaves the sink's time to the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from services.delivery import OTHER, TABLE, Engine
from services.mock_kafka import MockKafka
from services.process import wait_until
from services.webhook import Answer, Request, WebhookReceiver

from bridge.sinks import Batch
from bridge.sinks.kafka import KafkaSettings, KafkaSink
from bridge.sinks.webhook import WebhookSettings, WebhookSink

RETRY = {"initial_backoff": "1ms", "max_backoff": "300ms"}  # so that nothing rests over 3 s


class Steady:
    """Inserts a row of a table every few milliseconds; a context manager.

    Attributes:
        inserted: how many rows so far.
    """

    def __init__(self, rig: Engine, table: str) -> None:
        self._rig = rig
        self._table = table
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.inserted = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.005):
            self._rig.insert(self.inserted, table=self._table)
            self.inserted += 1


class Tries:
    """How long each try of the one table took, and what there was of the other as it began.

    Attributes:
        seen: rows inserted, rows delivered, and seconds.
    """

    def __init__(self, inserted: Callable[[], int], delivered: Callable[[], int]) -> None:
        self._look = inserted, delivered
        self._began = time.monotonic()
        self.seen: list[tuple[int, int, float]] = []

    def note(self, seconds: float = 0.0, before: tuple[int, int] | None = None) -> None:
        """Note a try."""
        self.seen.append((*(before or self.look()), seconds))

    def look(self) -> tuple[int, int]:
        """Return how many rows of the other table were inserted and delivered."""
        inserted, delivered = self._look
        return inserted(), delivered()

    def check(self) -> None:
        """After a try that took long the other table caught up; a tenth of the time or so went."""
        # The first is of a batch of both tables; the second follows as soon as after any failure.
        for (inserted, _, seconds), (_, delivered, _) in pairwise(self.seen[1:]):
            assert seconds < 0.1 or delivered >= inserted
        spent = sum(seconds for _, _, seconds in self.seen[2:-1])
        assert spent < (time.monotonic() - self._began) / 10 + 0.3


def test_a_table_whose_address_hangs_does_not_hold_up_the_others(
    tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    """The steady table is a time-out late at most; the other one has its rows once it is back."""
    url = f"{webhook_receiver.url}/{{table}}"
    options = {"batch": {"max_wait": "1ms"}, "retry": RETRY, "timeout": "300ms"}
    settings = WebhookSettings.model_validate({"type": "webhook", "url": url} | options)
    hangs = threading.Event()
    hangs.set()
    with Engine(tmp_path / "j", (TABLE, OTHER)) as rig, Steady(rig, OTHER) as steady:
        tries = Tries(lambda: steady.inserted, lambda: len(webhook_receiver.accepted))

        def answer(request: Request) -> Answer:
            if not (hangs.is_set() and request.path.endswith(TABLE)):
                return Answer()
            tries.note(0.3)
            return Answer(hang=True)

        webhook_receiver.answer = answer
        rig.insert(*range(5))
        rig.worker.configure(WebhookSink(settings), settings, rig.tables, rig.output)
        rig.worker.start()
        wait_until(lambda: len(tries.seen) > 3, "several tries")
        tries.check()

        def shown() -> tuple[str, list[str]]:
            stats = rig.worker.stats()
            return stats.state, list(stats.waiting)

        # On a busy machine the steady one may have met its time-out once, too.
        wait_until(lambda: shown() == ("delivering", [TABLE]), "one table waits, the other flows")
        hangs.clear()
        rig.wait_settled(TABLE)
    rows = [e["record"]["n"] for e in webhook_receiver.accepted if e["table"] == TABLE]
    assert rows == list(range(5))


class _Watched(KafkaSink):
    """Tells of the calls that have events of the one table."""

    def __init__(self, settings: KafkaSettings, tries: Tries) -> None:
        super().__init__(settings)
        self._tries = tries

    def deliver(self, batch: Batch) -> None:
        began, before = time.monotonic(), self._tries.look()
        super().deliver(batch)
        if TABLE in batch.tables:
            self._tries.note(time.monotonic() - began, before)


def test_a_topic_that_is_missing_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """The client looks for it for a while at each try; all its rows arrive once it is there."""
    with (
        MockKafka() as kafka,
        Engine(tmp_path / "j", (TABLE, OTHER)) as rig,
        Steady(rig, OTHER) as steady,
    ):
        kafka.close_topic(TABLE, 3)
        options: dict[str, Any] = {
            "topic.metadata.propagation.max.ms": 300,
            "message.timeout.ms": 1000,
        }
        settings = KafkaSettings.model_validate(
            {
                "type": "kafka",
                "bootstrap_servers": kafka.bootstrap_servers,
                "options": options,
                "retry": RETRY,
            }
        )
        tries = Tries(lambda: steady.inserted, lambda: rig.account(OTHER).delivered)
        rig.insert(*range(5))
        rig.worker.configure(_Watched(settings, tries), settings, rig.tables, rig.output)
        rig.worker.start()
        wait_until(lambda: len(tries.seen) > 3, "several tries", 60)
        tries.check()
        assert list(rig.worker.stats().waiting) == [TABLE]

        kafka.close_topic(TABLE, 0)
        rig.wait_settled(TABLE)
        assert rig.account(TABLE).delivered == 5
