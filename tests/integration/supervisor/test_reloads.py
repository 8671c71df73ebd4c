"""A reload that takes tables away, changes them or brings them back holds nobody up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from services.process import wait_until
from services.rig import TABLE, Database, Rig
from structlog.testing import capture_logs

from kinetica_emulator import Emulator

STAYS, COMES = "ki_home.stays", "ki_home.comes"


def entry(name: str, minutes: int = 20) -> dict[str, Any]:
    return {"name": name, "inactivity_timeout": f"{minutes}m"}


def test_monitors_of_tables_that_are_taken_away_hold_up_nobody(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Though clearing them hangs: the others are probed, and a new one is heard."""
    gone = [f"ki_home.t{number}" for number in range(5)]
    for name in (STAYS, COMES, *gone):
        database.create(name)
    rig = Rig(tmp_path, [cluster.url])
    rig.tables = [entry(name) for name in (STAYS, *gone)]
    with rig:
        for name in (STAYS, *gone):
            rig.wait_live(name)
        cluster.hang(["/clear/tablemonitor"])
        rig.tables = [entry(STAYS), entry(COMES)]
        rig.reload()
        rig.wait_live(COMES, timeout=4.0)  # less than clearing one monitor takes
        probed = rig.table(STAYS).counts.last_probe
        wait_until(lambda: rig.table(STAYS).counts.last_probe > probed, "a probe", timeout=4.0)
        cluster.heal()
        wait_until(lambda: len(database.monitors()) == 6, "the others are cleared")


@pytest.mark.parametrize("away", [False, True])
def test_a_table_that_changes_while_its_monitors_are_made_keeps_those_made_last(
    cluster: Emulator, database: Database, tmp_path: Path, away: bool
) -> None:
    """What the first job made is cleared before the last one begins: the ids are the same."""
    database.create(TABLE)
    database.create(STAYS)
    rig = Rig(tmp_path, [cluster.url])
    rig.tables = [entry(STAYS)]
    with capture_logs() as logs, rig:
        rig.wait_live(STAYS)

        def reload(*tables: dict[str, Any]) -> None:
            rig.tables = [entry(STAYS), *tables]
            rig.reload()
            probed = rig.table(STAYS).counts.last_probe
            wait_until(lambda: rig.table(STAYS).counts.last_probe > probed, "it is taken over")

        cluster.hang(["/create/tablemonitor"], after=True)
        reload(entry(TABLE))
        for tables in ([], [entry(TABLE)]) if away else ([entry(TABLE, 21)], [entry(TABLE, 22)]):
            reload(*tables)
        cluster.heal()
        rig.wait_live()
        database.insert_ids(range(3))
        rig.wait_ids(range(3))
        probed = rig.table().counts.last_probe
        wait_until(lambda: rig.table().counts.last_probe > probed, "another probe")
        assert rig.state() == "live"
        assert [e for e in rig.events("gap") if e["reason"] == "monitor_lost"] == []
    assert [
        line for line in logs if line["event"] == "gap_opened" and line["cause"] != "start"
    ] == []
