"""SIGKILL under load: from the journal on every event arrives, and an id is one event."""

from __future__ import annotations

import random
import threading
from functools import partial
from pathlib import Path
from typing import Any

from services.kinetica import KEYED, Program
from services.outside import Service, ids_of, lines_of, until, whole
from services.webhook import WebhookReceiver

BUSY = "ki_home.busy"


def test_killed_under_load_every_row_arrives_and_an_id_is_one_event(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """SIGKILL at three random moments: each row at least once, equal ids are equal events."""
    program.create(BUSY, columns=KEYED)
    path = tmp_path / f"{BUSY}.jsonl"
    settings = {
        "kinetica": {"urls": [program.url], "probe_interval": "300ms"},
        "tables": [{"name": BUSY}],
        "sinks": {
            "out": {"type": "file", "path": str(tmp_path / "{table}.jsonl")},
            "hook": {
                "type": "webhook",
                "url": webhook_receiver.url,
                "batch": {"max_events": 20},
            },
        },
    }
    chance = random.Random(11)
    over = threading.Event()
    inserted = 0

    def load() -> None:
        nonlocal inserted
        while not over.wait(0.002):
            program.insert(BUSY, range(inserted, inserted + 25))
            inserted += 25

    thread = threading.Thread(target=load)
    with Service(tmp_path, settings) as service:
        service.wait_tables(BUSY)
        thread.start()
        try:
            for _ in range(3):
                more = len(webhook_receiver.requests) + chance.randint(1, 25)
                webhook_receiver.wait_for(partial(has_requests, more))
                service.kill()
                service.start().wait_tables(BUSY)
        finally:
            over.set()
            thread.join()
        until(
            lambda: (
                service.metric("gaps_open") == 0
                and service.counted("pending", sink="out") == 0
                and service.counted("pending", sink="hook") == 0
                and set(ids_of(lines_of(path))) == set(range(inserted))
                and set(ids_of(webhook_receiver.accepted)) == set(range(inserted))
            ),
            f"all {inserted} rows in the file and at the receiver, no gap open",
            lambda: (
                f"{len(set(ids_of(lines_of(path))))} in the file, "
                f"{len(set(ids_of(webhook_receiver.accepted)))} received; {service.said()}"
            ),
        )
        service.check_accounts()
        assert service.terminate() == 0
    for name, events in (("file", whole(path)), ("webhook", webhook_receiver.accepted)):
        by_id: dict[str, Any] = {}
        for event in events:
            known = by_id.setdefault(event["id"], event)
            assert known == event, f"{name}: one id, two events\n{known}\n{event}"
        offsets = sorted(event["offset"] for event in by_id.values())
        assert offsets == list(range(len(offsets))), f"{name}: a hole in the sequence"


def has_requests(count: int, receiver: WebhookReceiver) -> bool:
    return len(receiver.requests) >= count
