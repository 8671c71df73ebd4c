"""The service under load and in trouble for a long time: `make soak`.

Six tables on a ring of two emulated clusters are written at 3,000 rows a second in all. The real
command carries them to files, to a webhook and to Kafka, while one trouble follows the other. Once
a second its /metrics must add up. In the end every row that a cluster confirmed must have arrived
everywhere, or be a dead letter, and memory, descriptors and threads must not have grown.

    python -m benchmarks.soak [--seconds N] [--rate N] [--folder PATH]

Exits with 1, and leaves its folder, where anything is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.soak.arrivals import Arrived, Files, Receiver, Topics, is_poison
from benchmarks.soak.cluster import Cluster
from benchmarks.soak.figures import Look, growths, look
from benchmarks.soak.troubles import Troubles
from tests.services.kafka import KafkaBroker
from tests.services.process import BridgeProcess, run_command, wait_until
from tests.services.server import ServiceMissing

BY_COLUMN = [f"ki_home.soak_{number}" for number in range(5)]
BY_KEY = "ki_home.soak_keyed"  # read whole where it had a gap, so it is written less
TABLES = [*BY_COLUMN, BY_KEY]
SPARE = "ki_home.soak_spare"
_ROWS, _FEW_ROWS = 50, 4  # an insert
# What is written is kept so long in the tables, as reads and audits look back for minutes.
_KEEP_SECONDS = 240
_FORGET_EVERY, _SAY_EVERY = 10, 30
_MOST_MEMORY = 300  # MiB, whatever the load and the length of an outage
_PATIENCE_SECONDS = 300.0  # for the rest to arrive; what nobody reported takes two audits


class Failed(Exception):
    """What must hold does not; the message says what."""


class Soak:
    """Everything there is while it lasts.

    Args:
        stack: closes it all.
        folder: for configuration, journal, log and files.
        rate: rows a second.
    """

    def __init__(self, stack: contextlib.ExitStack, folder: Path, rate: float) -> None:
        self._rate = rate
        self._cluster = stack.enter_context(Cluster())
        self._cluster.tell("create", names=BY_COLUMN, each=_ROWS)
        self._cluster.tell("create", names=[BY_KEY], each=_FEW_ROWS)
        self._cluster.tell("create", names=[SPARE], each=0)
        self._files = Files(folder)
        stack.callback(self._files.close)
        receiver = stack.enter_context(Receiver())
        self._arrived: dict[str, Arrived] = {
            "files": self._files.arrived,
            "hook": receiver.arrived,
        }
        sinks: dict[str, Any] = {
            "files": {
                "type": "file",
                "path": str(folder / "{table}.jsonl"),
                "rotate": {"max_size": "16MiB"},
            },
            "hook": {"type": "webhook", "url": receiver.url, "timeout": "3s"},
        }
        broker = _broker(stack)
        if broker is not None:
            topics = stack.enter_context(Topics(broker, TABLES))
            self._arrived["topics"] = topics.arrived
            sinks["topics"] = {
                "type": "kafka",
                "bootstrap_servers": broker.bootstrap_servers,
                "topic": "{table}",
            }
        config = {
            "kinetica": {"urls": self._cluster.urls, "probe_interval": "1s", "failback": "10s"},
            "tables": [
                *({"name": name, "catch_up": {"column": "id"}} for name in BY_COLUMN),
                {"name": BY_KEY},
            ],
            "sinks": sinks,
            "journal": {"path": str(folder / "journal"), "max_size": "32MiB"},
        }
        self._bridge = stack.enter_context(BridgeProcess(folder, config)).wait_live()
        self._troubles = Troubles(self._cluster, self._bridge, receiver, broker, BY_COLUMN, SPARE)
        stack.callback(self._troubles.stop)
        self._looks: list[Look] = []
        self._begun = time.monotonic()

    def run(self, seconds: float) -> None:
        """Write and make trouble for so long, and hold the service to all that must hold.

        Raises:
            Failed: it does not.
        """
        self._begun = time.monotonic()
        self._cluster.tell("write", per_second=self._rate)
        self._troubles.start()
        for number in range(1, int(seconds) + 1):
            self._look()
            if number % _FORGET_EVERY == 0:
                self._forget()
            if number % _SAY_EVERY == 0:
                self._say()
        loaded = list(self._looks)
        self._troubles.stop()
        written = self._cluster.tell("rest")
        _print(f"{sum(written['next'].values()):,} rows written; the rest arrives")
        upto = {table: end for table, end in written["next"].items() if table != SPARE}
        self._wait_for_the_rest(upto)
        self._tell(written["behind"])
        found = growths(loaded)
        print(*found, sep="\n")
        wrong = [f"{growth.name} grows" for growth in found if not growth.is_flat]
        if found[0].most >= _MOST_MEMORY:
            wrong.append(f"{found[0].name}: {found[0].most:.0f}, and {_MOST_MEMORY} are promised")
        if wrong:
            raise Failed("; ".join(wrong))
        code = self._bridge.terminate()
        if code:
            raise Failed(f"the service ended with {code}")

    def _look(self) -> None:
        """Await the next second, and see that all is as it must be."""
        time.sleep(max(self._begun + len(self._looks) + 1 - time.monotonic(), 0.0))
        if self._troubles.failed:
            raise Failed(f"the soak itself: {self._troubles.failed}")
        try:
            self._bridge.check_alive()
            found = look(self._bridge.pid, self._bridge.metrics())
        except (AssertionError, OSError) as error:
            raise Failed(f"the service does not answer: {error}") from error
        self._looks.append(found)
        if found.wrong:
            raise Failed(f"an account does not add up: {'; '.join(found.wrong)}")
        self._files.follow(TABLES)

    def _forget(self) -> None:
        """Delete rows that were delivered long ago: the clusters keep them in memory."""
        shares = dict.fromkeys(BY_COLUMN, _ROWS) | {BY_KEY: _FEW_ROWS}
        kept = self._rate * _KEEP_SECONDS / sum(shares.values())
        written = self._cluster.tell("written")["next"]
        below = {
            table: min(written[table] - round(kept * share), self._arrived["files"].whole(table))
            for table, share in shares.items()
        }
        self._cluster.tell("forget", below={t: end for t, end in below.items() if end > 0})

    def _say(self) -> None:
        last = self._looks[-1]
        arrived = ", ".join(f"{name} {came.events:,}" for name, came in self._arrived.items())
        pending = ", ".join(f"{name} {count:,.0f}" for name, count in last.pending.items())
        figures = ", ".join(f"{name} {value:.0f}" for name, value in last.figures.items())
        status = self._bridge.readyz().get("status")
        _print(
            f"{time.monotonic() - self._begun:5.0f} s, {status} | events at {arrived} | "
            f"pending {pending} | {figures} | {self._troubles.now}"
        )

    def _wait_for_the_rest(self, upto: Mapping[str, int]) -> None:
        def lacking() -> list[str]:
            return [f"{name}: {rows[:10]}" for name, rows in self._lacking(upto)]

        def whole() -> bool:
            self._look()
            well = self._bridge.readyz().get("status") == "ok"
            return well and not any(self._looks[-1].pending.values()) and not lacking()

        try:
            wait_until(whole, "the rest arrives", _PATIENCE_SECONDS)
        except AssertionError as error:
            readyz = json.dumps(self._bridge.readyz())
            raise Failed(f"{error}; lacking: {lacking()}; {readyz}") from error

    def _lacking(self, upto: Mapping[str, int]) -> Iterator[tuple[str, list[tuple[str, int]]]]:
        for name, arrived in self._arrived.items():
            rows = arrived.lacking(upto)
            if rows and name == "hook":
                rows -= self._dead_letters()
            if rows:
                yield name, sorted(rows)

    def _dead_letters(self) -> set[tuple[str, int]]:
        """Return the rows that the receiver's sink set aside: poison alone."""
        command = ("deadletters", "ls", "--json", "--sink", "hook")
        listed = run_command(*command, "-c", str(self._bridge.config_file))
        letters = [json.loads(line) for line in listed.stdout.splitlines()]
        rows = {(letter["table"], letter["value"]["record"]["id"]) for letter in letters}
        innocent = sorted(row for row in rows if not is_poison(row[1]))
        if innocent:
            raise Failed(f"set aside though the receiver takes them: {innocent[:10]}")
        return rows

    def _tell(self, behind: float) -> None:
        made = ", ".join(f"{name} {times}" for name, times in sorted(self._troubles.made.items()))
        print(f"\ntroubles: {made}")
        print(f"the writer was at most {behind:.1f} s late")
        for what, metric, label in (
            ("gaps", "gaps_total", "reason"),
            ("failovers", "failovers_total", "to"),
            ("attempts in vain", "sink_retries_total", "sink"),
            ("dead letters", "sink_dead_lettered_events_total", "sink"),
        ):
            print(f"{what}: {self._counted(metric, label)}")
        again = ", ".join(f"{name} {came.again:,}" for name, came in self._arrived.items())
        print(f"rows that came again: {again}")
        print(f"{len(self._looks):,} scrapes, every account added up")

    def _counted(self, metric: str, label: str) -> str:
        counts: dict[str, float] = {}
        for (name, labels), value in self._bridge.metrics().items():
            if name == f"kinetica_bridge_{metric}" and value:
                key = dict(labels)[label]
                counts[key] = counts.get(key, 0.0) + value
        return ", ".join(f"{key} {value:,.0f}" for key, value in counts.items()) or "none"


def _broker(stack: contextlib.ExitStack) -> KafkaBroker | None:
    try:
        return stack.enter_context(KafkaBroker())
    except ServiceMissing as missing:
        _print(f"Kafka is left out: {missing}")
        return None


def _print(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1200, help="under load and in trouble")
    parser.add_argument("--rate", type=float, default=3000, help="rows written a second")
    parser.add_argument("--folder", type=Path, default=harness.ROOT / "out/soak")
    chosen = parser.parse_args()
    print(harness.machine(), flush=True)
    folder: Path = chosen.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with contextlib.ExitStack() as stack:
            Soak(stack, folder.resolve(), chosen.rate).run(chosen.seconds)
    except Failed as failed:
        print(f"FAILED: {failed}\nits configuration, journal and log are in {folder}")
        return 1
    shutil.rmtree(folder)
    print("all well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
