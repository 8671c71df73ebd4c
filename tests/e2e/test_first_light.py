"""Rows inserted in Kinetica arrive in a file, at a webhook and in Kafka."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gpudb
import pytest
from services.kafka import KafkaBroker
from services.process import BridgeProcess, EmulatorProcess, wait_until
from services.webhook import WebhookReceiver

sys.path.insert(0, str(Path(__file__).parent))

import every_type

PLAIN = [["id", "long", "primary_key"], ["name", "string", "char32"], ["amount", "double"]]


def plain_row(n: int) -> list[Any]:
    return [n, f"name {n}", n / 3]


def make_plain(db: gpudb.GPUdb, name: str) -> gpudb.GPUdbTable:
    return gpudb.GPUdbTable(PLAIN, name=name, db=db)


def insert(table: gpudb.GPUdbTable, rows: Iterable[list[Any]], batch: int = 2000) -> None:
    pending: list[list[Any]] = []
    for row in rows:
        pending.append(row)
        if len(pending) == batch:
            table.insert_records(pending)
            pending = []
    if pending:
        table.insert_records(pending)


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of events; a torn or empty line fails."""
    if not path.exists():
        return []
    text = path.read_text()
    assert text == "" or text.endswith("\n"), f"torn: {text[-80:]!r}"
    return [json.loads(line) for line in text.splitlines()]


def records(events: Iterable[dict[str, Any]], table: str) -> list[dict[str, Any]]:
    return [e["record"] for e in events if e["table"] == table and e["type"] == "insert"]


def wait_delivered(bridge: BridgeProcess, sink: str, count: int) -> None:
    wait_until(
        lambda: bridge.metric("sink_delivered_events_total", sink=sink) >= count,
        f"{count} events delivered to {sink}",
        timeout=120,
    )


def test_every_row_arrives_once_in_file_webhook_and_kafka(
    db: gpudb.GPUdb,
    kinetica: EmulatorProcess,
    kafka_broker: KafkaBroker,
    webhook_receiver: WebhookReceiver,
    tmp_path: Path,
) -> None:
    """100,000 rows in three tables, one of every column type with nulls: all, each once."""
    sizes = {"ki_home.every": 10_000, "ki_home.orders": 45_000, "ki_home.items": 45_000}
    every = gpudb.GPUdbTable(every_type.columns(), name="ki_home.every", db=db)
    orders, items = make_plain(db, "ki_home.orders"), make_plain(db, "ki_home.items")
    prefix = f"light-{random.randrange(10**9)}."
    config = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": name} for name in sizes],
        "sinks": {
            "file": {"type": "file", "path": str(tmp_path / "{table}.jsonl")},
            "hook": {"type": "webhook", "url": webhook_receiver.url},
            "kafka": {
                "type": "kafka",
                "bootstrap_servers": kafka_broker.bootstrap_servers,
                "topic": prefix + "{table}",
            },
        },
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()

        threads = [
            threading.Thread(target=insert, args=(every, map(every_type.given, range(10_000)))),
            threading.Thread(target=insert, args=(orders, map(plain_row, range(45_000)))),
        ]
        for thread in threads:
            thread.start()
        insert(items, map(plain_row, range(45_000)))
        for thread in threads:
            thread.join()
        for sink in config["sinks"]:
            wait_delivered(bridge, sink, sum(sizes.values()))
        bridge.check_accounts()
        assert bridge.terminate() == 0

    expected = {
        "ki_home.every": [every_type.expected(n) for n in range(10_000)],
        "ki_home.orders": [
            dict(zip(("id", "name", "amount"), plain_row(n), strict=True)) for n in range(45_000)
        ],
    }
    expected["ki_home.items"] = expected["ki_home.orders"]
    hooked = webhook_receiver.accepted
    for name, size in sizes.items():
        filed = lines(tmp_path / f"{name}.jsonl")
        messages = kafka_broker.read(f"{prefix}{name}")
        in_kafka = [json.loads(message.value()) for message in messages]
        for events in (filed, hooked, in_kafka):
            assert records(events, name) == expected[name]
        assert len({event["id"] for event in filed}) == size
        by_id = {event["id"]: event for event in filed}
        for message, event in zip(messages, in_kafka, strict=True):
            headers = {key: value.decode() for key, value in message.headers()}
            assert json.loads(message.key()) == {"id": event["record"]["id"]}
            assert headers == {
                "id": event["id"],
                "type": "insert",
                "table": name,
                "offset": str(event["offset"]),
            }
            assert event == by_id[event["id"]]


def test_what_was_in_the_journal_survives_kill_9(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """Killed in mid-stream three times: no stored event is missing, repeats keep their id."""
    table = make_plain(db, "ki_home.orders")
    config = {
        "kinetica": {"urls": [kinetica.url]},
        # A quick machine writes more rows than are compared by default.
        "tables": [{"name": "ki_home.orders", "catch_up": {"whole_table": 5_000_000}}],
        "sinks": {
            "file": {"type": "file", "path": str(tmp_path / "{table}.jsonl")},
            "hook": {"type": "webhook", "url": webhook_receiver.url},
        },
    }
    stop = threading.Event()
    inserted = Counter[str]()

    def keep_inserting() -> None:
        while not stop.is_set():
            start = inserted["rows"]
            table.insert_records([plain_row(n) for n in range(start, start + 50)])
            inserted["rows"] += 50

    bridge = BridgeProcess(tmp_path, config)
    with bridge:
        bridge.wait_live()
        # Of more than 100,000 rows, a gap from before the baseline stays open.
        wait_until(lambda: "baseline_taken" in {line["event"] for line in bridge.log()}, "baseline")
        inserter = threading.Thread(target=keep_inserting)
        inserter.start()
        try:
            for _ in range(3):
                before = len(webhook_receiver.requests)
                wait_until(lambda n=before: len(webhook_receiver.requests) > n + 5, "more requests")
                bridge.kill()
                bridge.start().wait_live()
        finally:
            stop.set()
            inserter.join()
        wait_until(lambda: bridge.metric("gaps_open") == 0, "every gap is closed")
        wait_until(lambda: bridge.metric("sink_pending_events") == 0, "nothing pending")
        bridge.check_accounts()
        assert bridge.terminate() == 0

    filed = lines(tmp_path / "ki_home.orders.jsonl")
    hooked = webhook_receiver.accepted
    for events in (filed, hooked):
        by_offset = {}
        for event in events:
            assert by_offset.setdefault(event["offset"], event) == event
        # One sequence without a hole: what was stored was delivered.
        assert sorted(by_offset) == list(range(len(by_offset)))
        gaps = [e for e in by_offset.values() if e["type"] == "gap"]
        opened = [gap["gap"] for gap in gaps if not gap["closed"]]
        closed = [gap["gap"] for gap in gaps if gap["closed"]]
        assert {gap["reason"] for gap in gaps} == {"start"}
        # A start that comes before a gap was told continues it.
        assert 1 <= len(opened) <= 3
        assert closed == opened
        # With the gaps closed from the table, not even what came while it was down is missing.
        seen = Counter(
            e["record"]["id"] for e in by_offset.values() if e["type"] in ("insert", "read")
        )
        assert inserted["rows"] > 500
        assert sorted(seen) == list(range(inserted["rows"]))
        assert set(seen.values()) == {1}


def test_a_sink_that_is_down_harms_no_other_and_catches_up(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """With the webhook away for the whole load the file gets all; afterwards so does it."""
    table = make_plain(db, "ki_home.orders")
    url = webhook_receiver.url
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    webhook_receiver.stop()
    config = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": "ki_home.orders"}],
        "sinks": {
            "file": {"type": "file", "path": str(tmp_path / "{table}.jsonl")},
            "hook": {"type": "webhook", "url": url, "retry": {"max_backoff": "500ms"}},
        },
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        insert(table, map(plain_row, range(20_000)))
        wait_delivered(bridge, "file", 20_000)
        ready = bridge.readyz()
        assert ready["status"] == "degraded"
        assert ready["sinks"]["file"] == {"state": "delivering", "error": None, "waiting": {}}
        assert "refused" in ready["sinks"]["hook"]["error"]
        assert bridge.metric("sink_pending_events", sink="hook") == 20_000
        assert bridge.metric("sink_lag_seconds", sink="hook") > 0

        with WebhookReceiver(port=port) as back:
            wait_delivered(bridge, "hook", 20_000)
            events = [event for request in back.requests for event in request.events]
        bridge.check_accounts()
        assert bridge.readyz()["status"] == "ok"

    assert [e["record"]["id"] for e in events] == list(range(20_000))
    assert [e["record"]["id"] for e in lines(tmp_path / "ki_home.orders.jsonl")] == list(
        range(20_000)
    )


def test_a_cluster_that_is_down_at_start_is_waited_for(tmp_path: Path) -> None:
    """The bridge says what it waits for, and goes live once the cluster is there."""
    with EmulatorProcess() as gone:
        port, monitor_port = int(gone.url.rsplit(":", 1)[1]), gone.monitor_port
    config = {
        "kinetica": {"urls": [gone.url], "monitor_port": monitor_port},
        "tables": [{"name": "ki_home.orders"}],
        "sinks": {"file": {"type": "file", "path": str(tmp_path / "{table}.jsonl")}},
    }
    with BridgeProcess(tmp_path, config) as bridge:
        ready = wait_until(
            lambda: (bridge.check_alive(), bridge.readyz())[1].get("tables"), "readyz answers"
        )
        state = wait_until(
            lambda: (
                (t := bridge.readyz()["tables"]["ki_home.orders"])["reason"] != "starting" and t
            ),
            "a reason",
        )
        assert ready
        assert state["state"] == "connecting"
        assert gone.url in state["reason"]
        assert bridge.get_json("/readyz")[0] == 200

        with EmulatorProcess("--port", str(port), "--monitor-port", str(monitor_port)) as there:
            wait_until(
                lambda: bridge.readyz()["tables"]["ki_home.orders"]["state"] == "waiting_for_table",
                "the bridge waits for the table",
            )
            table = make_plain(gpudb.GPUdb(host=there.url), "ki_home.orders")
            bridge.wait_live()
            insert(table, map(plain_row, range(10)))
            wait_until(
                lambda: (
                    len(records(lines(tmp_path / "ki_home.orders.jsonl"), "ki_home.orders")) == 10
                ),
                "ten rows in the file",
            )
        assert bridge.terminate() == 0


@pytest.mark.parametrize("number", [15, 2])
def test_a_signal_drains_and_clears_the_monitors(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, tmp_path: Path, number: int
) -> None:
    """SIGTERM and SIGINT end the bridge with 0 and leave no table monitor on the server."""
    import signal

    make_plain(db, "ki_home.orders")
    config = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": "ki_home.orders"}],
        "sinks": {"file": {"type": "file", "path": str(tmp_path / "{table}.jsonl")}},
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        assert len(db.show_table_monitors([""])["monitor_ids"]) == 3

        bridge.signal(signal.Signals(number))

        assert bridge.wait() == 0
    assert db.show_table_monitors([""])["monitor_ids"] == []
