"""A journal that is damaged on disk costs a span, and that span is a gap like any other."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from services.process import wait_until
from services.rig import FAST, TABLE, Database, Rig
from services.webhook import WebhookReceiver

from bridge.journal.segment import LARGE_PAGE_SIZE
from kinetica_emulator import Emulator


def test_what_a_damaged_segment_held_is_read_from_the_table(
    cluster: Emulator, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """A sink was away while its events were lost: it gets the rows all the same."""
    database = Database(cluster)
    database.create()
    port = int(webhook_receiver.url.rsplit(":", 1)[1].split("/")[0])
    webhook_receiver.stop()
    hook = {
        "type": "webhook",
        "url": f"http://127.0.0.1:{port}/",
        "retry": {"max_backoff": "100ms"},
    }
    rig = Rig(tmp_path, [cluster.url], catch_up={"column": "id"})
    rig.sinks["hook"] = hook
    rig.upkeep_pause = 0.001  # so that the damage is found before the table is
    with rig:
        rig.wait_live()
        database.insert_ids(range(20))
        rig.wait_ids(range(20))
    (segment,) = (tmp_path / "journal" / "segments").glob("*.db")
    segment.write_bytes(b"\0" * segment.stat().st_size)

    with WebhookReceiver(port=port) as back, rig:
        rig.wait_live()
        database.insert_ids(range(20, 30))

        def ids() -> list[int]:
            events = [e for e in back.accepted if e["type"] in ("insert", "read")]
            return sorted(event["record"]["id"] for event in events)

        wait_until(lambda: ids() == list(range(30)), "every row at the webhook")
        rig.wait_gaps_closed()
        reasons = {e["reason"] for e in back.accepted if e["type"] == "gap"}
    database.close()
    # Its marks were in that segment too, so this one gap stands for the restart as well.
    assert reasons == {"journal_damaged"}


def test_one_damaged_page_is_one_gap_of_each_table(
    cluster: Emulator, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """Also of a table that had no event at all, as nobody knows whose the page was."""
    database = Database(cluster)
    database.create()
    database.create("ki_home.quiet")
    webhook_receiver.stop()
    rig = Rig(tmp_path, [cluster.url], FAST)
    rig.tables.append({"name": "ki_home.quiet"})
    rig.sinks["hook"] = {"type": "webhook", "url": webhook_receiver.url}
    rig.upkeep_pause = 0.1
    began = datetime.now(UTC)
    with rig:
        rig.wait_live()
        for first in range(0, 4000, 200):
            database.insert([{"id": n, "name": "x" * 30} for n in range(first, first + 200)])
        rig.wait_ids(range(4000))
    (segment,) = (tmp_path / "journal" / "segments").glob("*.db")
    content = bytearray(segment.read_bytes())
    middle = len(content) // 2 // LARGE_PAGE_SIZE * LARGE_PAGE_SIZE  # where SQLite has its own
    content[middle : middle + 1000] = b"\xa5" * 1000
    segment.write_bytes(content)

    with rig:
        rig.wait_live()
        rig.wait_gaps_closed()
        time.sleep(0.5)  # the upkeep has looked again
        rig.wait_gaps_closed()
        assert rig.snapshot().journal.damaged == 1
    database.close()
    for table in (TABLE, "ki_home.quiet"):
        gaps = rig.events("gap", table=table)
        opened, closed = (event for event in gaps if event["reason"] == "journal_damaged")
        assert (opened["gap"], closed["closed"]) == (closed["gap"], True)
        assert datetime.fromisoformat(opened["since"]) >= began
