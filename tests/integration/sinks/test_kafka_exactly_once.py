"""With transactions a reader of what is committed sees each event once, whatever is killed."""

from __future__ import annotations

import json
import os
import queue
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import exactly_once
from services.kafka import KafkaBroker
from services.python_program import PatientProgram

# KAFKA_KILLS=20 takes three minutes.
KILLS = int(os.environ.get("KAFKA_KILLS", "6"))
SEED = int(os.environ.get("KAFKA_SEED", "1"))


@pytest.fixture
def fast_broker(kafka_jars: Path) -> Iterator[KafkaBroker]:
    """One that notices soon that it was killed."""
    with KafkaBroker({"transaction.state.log.num.partitions": "1"}) as broker:
        yield broker


class Bridge:
    """The child process, started anew as often as it is killed."""

    def __init__(self, folder: Path, broker: KafkaBroker) -> None:
        self._arguments = [str(folder / "journal"), broker.bootstrap_servers, "rows"]
        self._log = (folder / "bridge.log").open("a")
        self._program: PatientProgram | None = None

    def start(self) -> None:
        program = str(Path(exactly_once.__file__))
        self._program = PatientProgram(
            program, *self._arguments, stderr=self._log.fileno(), patience=150
        )

    def delivering(self) -> None:
        self._line("delivering")

    def kill(self) -> None:
        assert self._program is not None
        self._program.end()

    def finish(self) -> dict[str, int]:
        """Have it deliver all; return how many rows of each table there were."""
        assert self._program is not None
        self._program.go_on()
        totals: dict[str, int] = json.loads(self._line("{"))
        self.close()
        return totals

    def close(self) -> None:
        if self._program is not None:
            self._program.end()
        self._log.close()

    def _line(self, beginning: str) -> str:
        assert self._program is not None
        while not (line := self._program.line()).startswith(beginning):
            assert line, "the bridge has ended by itself"
        return line


@pytest.mark.timeout(1200)
def test_each_event_is_seen_once_though_bridge_and_broker_are_killed_in_turn(
    tmp_path: Path, fast_broker: KafkaBroker
) -> None:
    """Under load: none missing, none twice, the rows of each key in order."""
    chance = random.Random(SEED)
    fast_broker.create_topic("rows", partitions=3)
    bridge = Bridge(tmp_path, fast_broker)
    bridge.start()
    try:
        bridge.delivering()
        for kill in range(KILLS):
            # Not a wait for a condition: at whatever moment of a transaction it may be.
            time.sleep(chance.uniform(0.1, 1.5))
            if kill % 2:
                fast_broker.kill()
                fast_broker.start()
            else:
                bridge.kill()
                bridge.start()
                if chance.random() < 0.5:
                    bridge.delivering()
        totals = bridge.finish()
    except queue.Empty:
        pytest.fail(f"the bridge hangs: {(tmp_path / 'bridge.log').read_text()[-4000:]}")
    finally:
        bridge.close()

    seen: dict[str, list[int]] = defaultdict(list)
    by_key: dict[tuple[str, bytes], list[int]] = defaultdict(list)
    for message in fast_broker.read("rows"):
        event = json.loads(message.value())
        seen[event["table"]].append(event["record"]["n"])
        by_key[event["table"], message.key()].append(event["record"]["n"])
    for table, total in totals.items():
        assert total > 1_000
        assert sorted(seen[table]) == list(range(total))
    assert len(by_key) == 2 * exactly_once.KEYS
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
