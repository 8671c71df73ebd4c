"""A journal that is full does what its policy says, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from services.process import wait_until
from services.rig import TABLE, Database, Rig
from services.webhook import WebhookReceiver
from structlog.testing import capture_logs

from kinetica_emulator import Emulator

ROWS = 24_000
TEXT = "x" * 200


def make_rig(cluster: Emulator, folder: Path, port: int, policy: str) -> Rig:
    """A service whose only sink is a webhook, on a journal of 2 MiB."""
    rig = Rig(folder, [cluster.url], catch_up={"column": "id"})
    url = f"http://127.0.0.1:{port}/"
    rig.sinks = {"hook": {"type": "webhook", "url": url, "retry": {"max_backoff": "100ms"}}}
    rig.journal |= {"max_size": "2MiB", "on_full": policy}
    return rig


def fill(database: Database) -> None:
    for start in range(0, ROWS, 1000):
        database.insert({"id": n, "name": TEXT} for n in range(start, start + 1000))


@pytest.mark.parametrize("policy", ["stop_capture", "drop_oldest"])
def test_what_finds_no_room_is_a_gap_or_counted(
    cluster: Emulator, webhook_receiver: WebhookReceiver, tmp_path: Path, policy: str
) -> None:
    """While the sink is away. When it is back, stop_capture reads from the table what it lost."""
    port = int(webhook_receiver.url.rsplit(":", 1)[1].split("/")[0])
    webhook_receiver.stop()
    database = Database(cluster)
    database.create(columns={"id": ["long", "primary_key"], "name": ["string", "char256"]})
    rig = make_rig(cluster, tmp_path, port, policy)
    if policy == "stop_capture":
        rig.queue_bytes = 2**20
    with capture_logs() as logs, rig:
        rig.wait_live()
        fill(database)

        if policy == "stop_capture":
            table = rig.snapshot().tables[TABLE]
            wait_until(lambda: any(g.reason == "journal_full" for g in table.gaps.open), "the gap")
            wait_until(lambda: rig.snapshot().dropped_notifications, "something is discarded")
        else:
            wait_until(
                lambda: rig.snapshot().tables[TABLE].counts.received["insert"] == ROWS, "all rows"
            )
        with WebhookReceiver(port=port) as back:

            def rows() -> list[int]:
                events = [e for e in back.accepted if e["type"] in ("insert", "read")]
                return sorted(event["record"]["id"] for event in events)

            if policy == "stop_capture":
                # Some twice: a journal this small forgets what it delivered a moment ago.
                wait_until(lambda: set(rows()) == set(range(ROWS)), "every row")
                rig.wait_gaps_closed()
                reasons = {e["reason"] for e in back.accepted if e["type"] == "gap"}
                assert "journal_full" in reasons
            else:

                def settled() -> bool:
                    (account,) = rig.snapshot().accounts
                    return account.received == ROWS and account.pending == 0

                wait_until(settled, "all is delivered, or was dropped")
                (account,) = rig.snapshot().accounts
                assert account.discarded > 0
                assert account.delivered + account.discarded == ROWS
                # That is said and counted, and is no gap: what was received was not missed.
                said = [
                    line["events"] for line in logs if line["event"] == "journal_events_discarded"
                ]
                counts = [sum(n.values()) for each in said for n in each.values()]
                assert sum(counts) == account.discarded
                assert rig.snapshot().gaps == []
                # What the worker had in hand when it was dropped is delivered all the same.
                assert set(range(account.discarded, ROWS)) <= set(rows())
                assert len(rows()) == len(set(rows()))
    database.close()


def test_what_waits_for_a_full_journal_was_heard(
    cluster: Emulator, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """Where nothing is discarded nothing is missed, however long it lasts: no gap, no row twice."""
    port = int(webhook_receiver.url.rsplit(":", 1)[1].split("/")[0])
    webhook_receiver.stop()
    database = Database(cluster)
    database.create(columns={"id": ["long", "primary_key"], "name": ["string", "char256"]})
    rig = make_rig(cluster, tmp_path, port, "stop_capture")
    with rig:
        rig.wait_live()
        fill(database)
        table = rig.snapshot().tables[TABLE]
        wait_until(lambda: rig.snapshot().gaps, "the journal is full")
        written = ROWS
        for _ in range(30):  # probes, each of which sees that the server counts another write
            probed = table.counts.last_probe
            database.insert({"id": written, "name": TEXT} for written in [written])
            written += 1
            wait_until(lambda probed=probed: table.counts.last_probe > probed, "a probe")
            assert rig.state() == "live"
        with WebhookReceiver(port=port) as back:

            def rows() -> list[int]:
                events = [e for e in back.accepted if e["type"] in ("insert", "read")]
                return sorted(event["record"]["id"] for event in events)

            wait_until(lambda: len(rows()) >= written, "every row")
            assert rows() == list(range(written))
            assert [e for e in back.accepted if e["type"] == "gap"] == []
            assert rig.snapshot().gaps == []
    database.close()


def test_what_a_full_journal_did_not_take_before_the_end_lies_in_the_gap_of_the_next_start(
    cluster: Emulator, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """It is said in one line, and read from the table by the next start."""
    port = int(webhook_receiver.url.rsplit(":", 1)[1].split("/")[0])
    webhook_receiver.stop()
    database = Database(cluster)
    database.create(columns={"id": ["long", "primary_key"], "name": ["string", "char256"]})
    rig = make_rig(cluster, tmp_path, port, "stop_capture")
    with capture_logs() as logs, rig:
        rig.wait_live()
        fill(database)
        table = rig.snapshot().tables[TABLE]
        wait_until(lambda: rig.snapshot().gaps, "the journal is full")
        probed = table.counts.last_probe
        wait_until(lambda: table.counts.last_probe > probed, "a probe that must not be believed")
        rig.stop()

    (lost,) = [line for line in logs if line["event"] == "received_and_not_stored"]
    assert 0 < lost["events"] < ROWS + 10
    with WebhookReceiver(port=port) as back, rig:

        def rows() -> set[int]:
            events = [e for e in back.accepted if e["type"] in ("insert", "read")]
            return {event["record"]["id"] for event in events}

        wait_until(lambda: rows() == set(range(ROWS)), "every row")
        rig.wait_gaps_closed()
        (gap,) = [e for e in back.accepted if e["type"] == "gap" and e["reason"] == "start"][:1]
    database.close()
    assert gap["since"] < lost["since"]
