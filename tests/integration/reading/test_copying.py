"""A snapshot on request is one at a time, can be stopped, and ends with its table."""

from __future__ import annotations

from pathlib import Path

import pytest
from services.process import wait_until
from services.rig import TABLE, Database, Rig

from bridge.errors import BridgeError
from kinetica_emulator import Emulator


def test_one_is_under_way_at_a_time_and_ends_where_it_is_stopped(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """What is heard meanwhile comes all the same."""
    database.create()
    database.insert_ids(range(20))
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        rig.wait_known(20)
        assert rig.supervisor is not None
        desk = rig.supervisor.snapshots
        cluster.hang(["/get/records"])
        desk.begin(TABLE)
        with pytest.raises(BridgeError, match="is under way"):
            desk.begin(TABLE)
        wait_until(lambda: rig.table().progress is not None, "the table is being read")
        database.insert_ids([20])
        rig.wait_ids([20])
        assert desk.shown(TABLE)["state"] == "reading"
        desk.stop(TABLE)
        cluster.heal()
        wait_until(lambda: desk.shown(TABLE)["state"] == "ended", "it ends")
        assert desk.shown(TABLE)["why"] == "stopped by hand after 0 rows"
        desk.begin(TABLE)
        wait_until(lambda: desk.shown(TABLE)["state"] == "done", "the next one is done")
        assert desk.shown(TABLE)["rows"] == 21


def test_it_ends_with_the_table_that_it_is_of(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """One that a reload takes away, or that is not heard."""
    database.create()
    database.insert_ids(range(20))
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.tables.append({"name": "ki_home.absent"})
        rig.reload()
        rig.wait_live()
        rig.wait_known(20)
        assert rig.supervisor is not None
        desk = rig.supervisor.snapshots
        with pytest.raises(BridgeError, match="is not heard"):
            desk.begin("ki_home.absent")
        cluster.hang(["/get/records"])
        desk.begin(TABLE)
        wait_until(lambda: rig.table().progress is not None, "the table is being read")
        del rig.tables[0]
        rig.reload()
        wait_until(lambda: desk.shown(TABLE)["state"] == "ended", "it ends")
        cluster.heal()
        assert "watched no longer" in desk.shown(TABLE)["why"]
