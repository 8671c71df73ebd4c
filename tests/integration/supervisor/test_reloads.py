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


def test_what_a_reload_has_just_cleared_is_not_adopted(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """A probe that runs meanwhile still sees it: so what it saw says nothing of the table."""
    database.create(TABLE, {"id": ["long"], "name": ["string", "char32"]})
    rig = Rig(tmp_path, [cluster.url])
    rig.tables = [entry(TABLE)]
    with capture_logs() as logs, rig:
        rig.wait_live()
        for number in range(15):
            rig.tables = [entry(TABLE, 21 + number)]
            rig.reload()
            rig.wait_live()
            database.insert_ids([number])
            rig.wait_ids(range(number + 1))
    events = [line["event"] for line in logs]
    assert "monitor_adopted" not in events
    assert "gap_renamed" not in events


@pytest.mark.parametrize("long", [False, True])
def test_monitors_that_could_not_be_cleared_are_cleared_later(
    cluster: Emulator, database: Database, tmp_path: Path, long: bool
) -> None:
    """Of tables that a reload took away; the cluster need not be left for that."""
    gone = [f"ki_home.t{number}" for number in range(5)]
    for name in (STAYS, *gone):
        database.create(name)
    rig = Rig(tmp_path, [cluster.url])
    rig.tables = [entry(name) for name in (STAYS, *gone)]
    with rig:
        for name in (STAYS, *gone):
            rig.wait_live(name)
        cluster.drop_requests(["/clear/tablemonitor"])
        rig.tables = [entry(STAYS)]
        rig.reload()
        if long:
            for _ in range(3):
                probed = rig.table(STAYS).counts.last_probe
                wait_until(
                    lambda probed=probed: rig.table(STAYS).counts.last_probe > probed, "a probe"
                )
        cluster.heal()
        wait_until(lambda: len(database.monitors()) == 3, "those of the table that stays are left")
        assert rig.state(STAYS) == "live"
