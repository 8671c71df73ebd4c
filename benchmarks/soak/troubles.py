"""One trouble after the other, in rounds of another order each, until it is told to stop."""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from benchmarks.soak.arrivals import Receiver
from benchmarks.soak.cluster import Cluster
from tests.services.kafka import KafkaBroker
from tests.services.process import BridgeProcess, run_command

# From the beginning of one trouble to that of the next, at least; most of it is trouble.
STEP_SECONDS = 10.0
_LASTS_SECONDS = 6.0
_LOST_CHANGES = 200
_BATCH = {"max_events": 400}


class Troubles:
    """Makes trouble on a thread of its own, from `start` to `stop`.

    Args:
        cluster: the ring.
        bridge: the service.
        receiver: of its webhook.
        broker: of its Kafka sink, None where there is none.
        tables: that are altered.
        spare: a table that nobody writes, watched or not as reloads will have it.

    Attributes:
        made: how often there was which trouble.
        now: what the present trouble is, or the last one was.
        failed: what went wrong in making trouble.
    """

    def __init__(
        self,
        cluster: Cluster,
        bridge: BridgeProcess,
        receiver: Receiver,
        broker: KafkaBroker | None,
        tables: Sequence[str],
        spare: str,
    ) -> None:
        self.made: Counter[str] = Counter()
        self.now = "none yet"
        self.failed = ""
        self._cluster = cluster
        self._bridge = bridge
        self._receiver = receiver
        self._broker = broker
        self._altered = itertools.cycle(tables)
        self._paused = itertools.cycle(bridge.config["sinks"])
        self._settings = itertools.cycle(_variants(bridge.config, spare))
        self._chance = random.Random(0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="troubles")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the present trouble and make no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def kinds(self) -> Mapping[str, Callable[[], None]]:
        """All troubles there are."""
        cluster = self._cluster
        kinds = {
            "messages lost": lambda: cluster.tell("lose", changes=_LOST_CHANGES),
            "connections cut": lambda: cluster.fault("drop_connections"),
            "monitor port closed": self._for_a_while(
                lambda: cluster.fault("close_monitor_port"), lambda: cluster.fault("heal")
            ),
            "monitors forgotten": lambda: cluster.fault("forget_monitors"),
            "primary down": self._for_a_while(
                lambda: cluster.fault("stop"), lambda: cluster.fault("start")
            ),
            "table altered": lambda: cluster.tell("alter", table=next(self._altered)),
            "receiver answers 500": self._mood(lambda: self._receiver.refuse(500)),
            "receiver answers 400": self._mood(lambda: self._receiver.refuse(400)),
            "receiver hangs": self._mood(self._receiver.hang),
            "reload": self._reload,
            "sink paused": self._pause,
        }
        if self._broker is not None:
            kinds["broker killed"] = self._for_a_while(self._broker.kill, self._broker.start)
        return kinds

    def _run(self) -> None:
        while True:
            for name in self._chance.sample(sorted(self.kinds), len(self.kinds)):
                self.now = name
                until = time.monotonic() + STEP_SECONDS
                try:
                    self.kinds[name]()
                except Exception:  # noqa: BLE001 (the soak ends with it)
                    self.failed = f"{name}: {traceback.format_exc()}"
                    return
                self.made[name] += 1
                if self._stopping.wait(max(until - time.monotonic(), 0.0)):
                    return

    def _mood(self, begin: Callable[[], None]) -> Callable[[], None]:
        return self._for_a_while(begin, self._receiver.recover)

    def _for_a_while(self, begin: Callable[[], Any], end: Callable[[], Any]) -> Callable[[], None]:
        def trouble() -> None:
            begin()
            self._stopping.wait(_LASTS_SECONDS)
            end()

        return trouble

    def _pause(self) -> None:
        sink = next(self._paused)
        self._command("sinks", "pause", sink)
        self._stopping.wait(_LASTS_SECONDS)
        self._command("sinks", "resume", sink)

    def _reload(self) -> None:
        self._bridge.config_file.write_text(yaml.safe_dump(next(self._settings), sort_keys=False))
        self._bridge.signal(signal.SIGHUP)

    def _command(self, *arguments: str) -> None:
        done = run_command(*arguments, "-c", str(self._bridge.config_file))
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")


def _variants(config: Mapping[str, Any], spare: str) -> list[dict[str, Any]]:
    """Return configurations that reloads go through: another batch, another table, and back."""
    hook = {**config["sinks"]["hook"], "batch": _BATCH}
    batched = {**config, "sinks": {**config["sinks"], "hook": hook}}
    more = {**batched, "tables": [*config["tables"], {"name": spare}]}
    return [batched, more, dict(config)]
