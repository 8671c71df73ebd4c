"""A day in the life of an operator, scaled: every count adds up, at every scrape."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Self

import yaml
from services.process import BridgeProcess, free_port, run_command, wait_until
from services.rig import Database
from services.webhook import Answer, Request, WebhookReceiver

from kinetica_emulator import Emulator

TABLE, OTHER = "ki_home.orders", "ki_home.items"
BAD, USELESS = 130, 140
FAST = {"initial_backoff": "20ms", "max_backoff": "200ms", "max_attempts": 3}


class Scraper:
    """Scrapes without end, and looks whether every count adds up; a context manager."""

    def __init__(self, bridge: BridgeProcess) -> None:
        self._bridge = bridge
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.scrapes = 0
        self.wrong: list[str] = []

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            try:
                self._bridge.check_accounts()
            except AssertionError as error:
                self.wrong.append(str(error))
            except OSError:
                continue
            self.scrapes += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def rows(events: list[dict[str, Any]], table: str = TABLE) -> list[int]:
    return [e["record"]["id"] for e in events if "record" in e and e["table"] == table]


def lines(path: Path, table: str = TABLE) -> list[int]:
    text = path.read_text() if path.exists() else ""
    return rows([json.loads(line) for line in text.splitlines()], table)


def refuse(receiver: WebhookReceiver, *ids: int) -> None:
    """Let a receiver refuse what holds one of these orders."""

    def answer(request: Request) -> Answer:
        bad = set(ids) & set(rows(request.events))
        return Answer(422, body=b"this order cannot be") if bad else Answer()

    receiver.answer = answer


def test_a_day_in_the_life(cluster: Emulator, tmp_path: Path) -> None:
    """A receiver is away for an hour, refuses, is mended; sinks come, and get what was before."""
    port = free_port()
    hook = {"type": "webhook", "url": f"http://127.0.0.1:{port}/hook", "retry": FAST}
    file = {"type": "file", "path": str(tmp_path / "third.jsonl")}
    config = {
        "kinetica": {"urls": [cluster.url], "probe_interval": "200ms"},
        "tables": [{"name": TABLE}, {"name": OTHER}],
        "sinks": {"hook": {**hook, "batch": {"max_events": 25}}, "third": file},
    }
    database = Database(cluster)
    with contextlib.ExitStack() as stack:
        stack.callback(database.close)
        database.create(TABLE, {"id": ["long", "primary_key"]})
        database.create(OTHER, {"id": ["long", "primary_key"]})
        bridge = stack.enter_context(BridgeProcess(tmp_path, config))
        receiver = WebhookReceiver(port=port)
        stack.enter_context(receiver)
        bridge.wait_live()
        scraper = stack.enter_context(Scraper(bridge))

        def command(*arguments: str) -> list[dict[str, Any]]:
            found = run_command(*arguments, "--json", "-c", str(bridge.config_file))
            assert found.returncode == 0, found.stderr + found.stdout
            return [json.loads(line) for line in found.stdout.splitlines()]

        def insert(*ids: int) -> None:
            for table in (TABLE, OTHER):
                database.insert(({"id": n} for n in ids), table)

        def settled(sink: str) -> bool:
            return bridge.metric("sink_pending_events", sink=sink) == 0

        insert(*range(100))
        wait_until(lambda: len(rows(receiver.accepted)) == 100, "the morning's orders are there")

        # The receiver is down for an hour; the other sink flows.
        receiver.stop()
        insert(*range(100, 200))
        wait_until(lambda: bridge.metric("sink_failing", sink="hook") == 1, "that is seen")
        wait_until(lambda: len(lines(tmp_path / "third.jsonl")) == 200, "the other sink flows")
        assert bridge.metric("sink_pending_events", sink="hook") == 200

        # It comes back, and refuses two orders.
        back = WebhookReceiver(port=port)
        refuse(back, BAD, USELESS)
        stack.enter_context(back)
        insert(*range(200, 250))
        wait_until(lambda: settled("hook"), "all but the two is delivered")
        letters = command("deadletters", "ls", "--sink", "hook")
        numbers = {letter["value"]["record"]["id"]: letter["number"] for letter in letters}
        assert numbers.keys() == {BAD, USELESS}
        assert all("this order cannot be" in letter["answer"] for letter in letters)

        # The operator mends it, replays one, and drops the other.
        refuse(back)
        (replayed,) = command("deadletters", "replay", str(numbers[BAD]))[-1:]
        assert (replayed["replayed"], replayed["refused"]) == (1, 0)
        run_command("deadletters", "drop", str(numbers[USELESS]), "-c", str(bridge.config_file))
        assert command("deadletters", "ls") == []
        got = Counter(rows(receiver.accepted) + rows(back.accepted))
        assert got == Counter(set(range(250)) - {USELESS})

        # A second sink begins with what there is.
        path = str(tmp_path / "audit.jsonl")
        audit = {"audit": {"type": "file", "path": path, "from": "oldest"}}
        sinks = {**bridge.config["sinks"], **audit}
        bridge.config_file.write_text(yaml.safe_dump({**bridge.config, "sinks": sinks}))
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: len(lines(tmp_path / "audit.jsonl")) == 250, "it has all of the day")
        wait_until(lambda: settled("audit"), "and nothing is pending")

        # An hour of it goes to a third one again.
        dry = command("journal", "replay", "--sink", "hook", "--to", "third", "--dry-run")
        (again,) = command("journal", "replay", "--sink", "hook", "--to", "third", "--since", "1h")[
            -1:
        ]
        assert (again["state"], again["replayed"], again["gone"]) == ("done", 500, 0)
        assert dry[-1]["events"] == 500
        for table in (TABLE, OTHER):
            assert lines(tmp_path / "third.jsonl", table) == [*range(250), *range(250)]

        insert(*range(250, 260))
        for sink, count in {"hook": 518, "third": 520, "audit": 520}.items():
            wait_until(
                lambda sink=sink, count=count: (
                    bridge.metric("sink_delivered_events_total", sink=sink) == count
                ),
                f"{sink} has the evening's orders",
            )
        assert bridge.metric("sink_dead_lettered_events_total", sink="hook") == 2
        replays = {
            sink: bridge.metric("sink_replayed_events_total", sink=sink)
            for sink in ("hook", "third", "audit")
        }
        assert replays == {"hook": 1, "third": 500, "audit": 0}
        wait_until(lambda: scraper.scrapes > 20, "it was scraped all the time")
    assert scraper.wrong == []
