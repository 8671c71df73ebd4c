"""A journal that is damaged on disk costs a span, and that span is a gap like any other."""

from __future__ import annotations

from pathlib import Path

from services.process import wait_until
from services.rig import Database, Rig
from services.webhook import WebhookReceiver

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
