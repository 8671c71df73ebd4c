"""Tables that are let go of, or not heard, while a read of them goes on or is asked for."""

from __future__ import annotations

from pathlib import Path

from services.process import wait_until
from services.rig import TABLE, Database, Rig

from bridge.reading import Patience, ReadingOptions, WholeTimes
from kinetica_emulator import Emulator

OTHER = "ki_home.other"
QUICK = ReadingOptions(
    patience=Patience(late=0.5), whole=WholeTimes(every=1.0, idle=1.0, renew=1.0)
)


def missing(folder: Path, cluster: Emulator, database: Database) -> Rig:
    """A bridge that is down, and has missed rows 100 to 109."""
    database.create()
    database.create(OTHER)
    database.insert_ids(range(100))
    rig = Rig(folder, [cluster.url], reading=QUICK)
    rig.tables.append({"name": OTHER})
    with rig:
        rig.wait_known(100)
    database.insert_ids(range(100, 110))
    return rig


def wait_held_up(rig: Rig, cluster: Emulator) -> None:
    """Wait until a read waits for its first page."""
    wait_until(lambda: rig.table().progress is not None, "the table is being read")
    cluster.wait_published()


def test_a_table_changed_while_it_is_read_has_each_gap_closed_once(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The read of before ends; what it would have delivered comes by the one that follows."""
    rig = missing(tmp_path, cluster, database)
    cluster.hang(["/get/records"])
    with rig:
        wait_held_up(rig, cluster)
        before = rig.table()
        rig.tables[0]["inactivity_timeout"] = "19m"
        rig.reload()
        assert rig.table() is not before
        cluster.heal()
        rig.wait_ids(range(100, 110))
        rig.wait_gaps_closed()
        wait_until(lambda: before.progress is None, "the read of before has ended")
    closed = [event["gap"] for event in rig.events("gap") if event["closed"]]
    assert len(closed) == len(set(closed)) == 2


def test_a_table_taken_away_while_it_is_read_misses_nothing_when_it_is_back(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Nobody gets rows of a table without a lane: so they count as missed still."""
    rig = missing(tmp_path, cluster, database)
    cluster.hang(["/get/records"])
    with rig:
        wait_held_up(rig, cluster)
        before, entry = rig.table(), rig.tables.pop(0)
        rig.reload()
        cluster.heal()
        wait_until(lambda: before.progress is None, "the read of before has ended")
        rig.tables.insert(0, entry)
        rig.reload()
        rig.wait_live(TABLE)
        rig.wait_ids(range(100, 110))
        rig.wait_gaps_closed()


def test_a_read_on_request_while_the_cluster_is_away_is_refused_in_words(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The table stays as it is, and its gap is closed once it is heard again."""
    rig = missing(tmp_path, cluster, database)
    cluster.refuse("no reading today", ["/get/records"])
    with rig:
        wait_until(lambda: rig.table().gaps.unclosed, "a gap is over")
        gap = rig.table().gaps.unclosed[0].gap
        rig.wait_live()
        cluster.stop()
        rig.wait_state("deaf")
        assert rig.supervisor is not None
        desk = rig.supervisor.gaps
        desk.close(gap)
        asked = desk.requested(gap)
        assert asked is not None
        assert asked.state == "open"
        assert "not heard" in str(asked.why_open)
        cluster.heal()
        cluster.start()
        rig.wait_ids(range(100, 110))
        rig.wait_gaps_closed()
