"""What the bridge claims of a gap holds, whatever the table does."""

from __future__ import annotations

from pathlib import Path

import pytest
from services.process import wait_until
from services.rig import TABLE, Database, Rig

from kinetica_emulator import Emulator


def test_one_value_far_ahead_hides_no_row(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Ids 1 to 3, one from another world, 4 to 6, an outage: what is missed then lies below it."""
    database.create()
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
        database.insert_ids(range(1, 4))
        database.insert_ids([10**15])
        database.insert_ids(range(4, 7))
        rig.wait_ids([1, 2, 3, 10**15, 4, 5, 6])
    database.insert_ids(range(7, 12))
    with rig:
        rig.wait_gaps_closed()
        rig.wait_ids([*range(1, 12), 10**15])

    read = [event["record"]["id"] for event in rig.events("read")]
    assert sorted(read) == list(range(7, 12))


def test_an_outage_delivers_what_was_missed_and_nothing_again(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """However much there was before it, and however much came just before it."""
    database.create()
    database.insert_ids(range(5000))
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}) as rig:
        rig.wait_live()
        database.insert_ids(range(5000, 9000))
        rig.wait_ids(range(5000, 9000))
    database.insert_ids([9000, 9001])
    with rig:
        rig.wait_gaps_closed()
        database.insert_ids([9002])
        rig.wait_ids(range(5000, 9003))

    (closed,) = [event for event in rig.events("gap") if event["closed"]]
    assert (closed["rows"], closed["by"]) == (2, "read")


@pytest.mark.parametrize("on_drop", ["wait", "stop"])
def test_a_drop_closes_no_gap(
    cluster: Emulator, database: Database, tmp_path: Path, on_drop: str
) -> None:
    """What was missed before it is missed: it stays open until another is read, or is accepted."""
    database.create()
    with Rig(tmp_path, [cluster.url], catch_up={"column": "id"}, on_drop=on_drop) as rig:
        rig.wait_live()
        database.insert_ids(range(5))
        rig.wait_ids(range(5))
    database.drop()
    with rig:
        rig.wait_state("waiting_for_table" if on_drop == "wait" else "dropped")
        wait_until(lambda: rig.events("drop"), "the drop")
        (gap, *_) = rig.snapshot().tables[TABLE].gaps.open
        assert "dropped" in gap.why_open or gap.until is None
        assert not [event for event in rig.events("gap") if event["closed"]]
        if on_drop == "wait":
            database.create()
            database.insert_ids(range(3))
            rig.wait_gaps_closed()
            assert rig.ids().count(0) == 2
            return
        gaps = rig.snapshot().tables[TABLE].gaps
        for gap in gaps.open:
            assert gaps.accept(gap.gap, cluster.url)
        wait_until(lambda: [e for e in rig.events("gap") if e.get("by") == "accepted"], "the event")
        assert rig.snapshot().gaps == []
