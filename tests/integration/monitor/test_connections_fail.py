"""Clusters and connections that fail, with the service going on."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Self

from services.process import wait_until
from services.rig import FAST, TABLE, Database, Rig

from bridge.errors import BridgeError
from kinetica_emulator import Emulator
from kinetica_emulator.ring import Ring


class Load:
    """Inserts rows in a thread until stopped; rows that were refused are not counted."""

    def __init__(self, database: Database, batch: int = 20) -> None:
        self._database = database
        self._batch = batch
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.accepted: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        n = 0
        while not self._stop.is_set():
            ids = range(n, n + self._batch)
            try:
                self._database.insert_ids(ids)
            except BridgeError:  # the cluster is down
                return
            self.accepted.extend(ids)
            n += self._batch


def test_a_cluster_that_restarts_is_taken_up_again(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Its monitors outlive the restart; what was inserted meanwhile is read."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.insert_ids(range(10))
        rig.wait_ids(range(10))

        cluster.stop()
        rig.wait_state("deaf")
        cluster.start()
        database.insert_ids(range(10, 20))
        rig.wait_live()
        rig.wait_gaps_closed()
        database.insert_ids(range(20, 30))
        rig.wait_ids(range(30))
        assert len(database.monitors()) == 3

    assert {gap["reason"] for gap in rig.events("gap")} == {"disconnected"}


def test_connections_cut_and_made_again_between_two_probes_are_a_gap(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """A reconnect as such proves nothing: what was published in between is read."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        cluster.drop_connections()
        wait_until(lambda: rig.events("gap"), "a gap")
        rig.wait_gaps_closed()
        database.insert_ids(range(10))
        rig.wait_ids(range(10))

    assert {gap["reason"] for gap in rig.events("gap")} == {"disconnected"}


def test_the_next_cluster_takes_over_from_one_killed_under_load(tmp_path: Path) -> None:
    """Every row that reached the ring is delivered, and no monitor stays on the old endpoint."""
    with Ring(2, delay=0.1) as ring:
        first, second = Database(ring[0]), Database(ring[1])
        first.create()
        with Rig(tmp_path, ring.urls) as rig:
            rig.wait_live()
            with Load(first) as load:
                wait_until(lambda: len(load.accepted) > 500, "a load")
                ring[0].stop()
            rig.wait_cluster(ring[1].url)
            rig.wait_live()
            second.insert_ids(range(1_000_000, 1_000_050))
            assert ring.wait_replicated()
            rig.wait_gaps_closed()
            snapshot = rig.snapshot()
            assert snapshot.failovers == {(ring[0].url, ring[1].url): 1}

            def reached() -> bool:
                # Rows that the dead cluster never passed on are not in the ring.
                return len(second.monitors()) == 3 and 1_000_049 in rig.ids()

            wait_until(reached, "the rows of the new cluster")
            total = second.call("/show/table", table_name=TABLE, options={"get_sizes": "true"})
            wait_until(
                lambda: len(set(rig.ids())) >= total["total_full_size"], "every row of the table"
            )
        first.close()
        second.close()

    clusters = [event["cluster"] for event in rig.events("insert")]
    assert clusters.index(ring.urls[1]) > 0
    assert {gap["reason"] for gap in rig.events("gap")} == {"failover"}


def test_a_cluster_that_answers_500_counts_as_bad(tmp_path: Path) -> None:
    """It is left for the next one although its port answers."""
    with Ring(2) as ring:
        database = Database(ring[1])
        database.create()
        with Rig(tmp_path, ring.urls) as rig:
            rig.wait_live()
            ring[0].fail(500)
            rig.wait_cluster(ring[1].url)
            rig.wait_live()
            database.insert_ids(range(5))
            rig.wait_ids(range(5))
        database.close()


def test_the_bridge_returns_to_a_primary_that_is_well_again(tmp_path: Path) -> None:
    """After the time that is set; no row is lost and no monitor left on either cluster."""
    with Ring(2) as ring:
        first, second = Database(ring[0]), Database(ring[1])
        first.create()
        with Rig(tmp_path, ring.urls, kinetica={**FAST, "failback": "500ms"}) as rig:
            rig.wait_live()
            first.insert_ids(range(10))
            ring[0].stop()
            rig.wait_cluster(ring[1].url)
            rig.wait_live()
            second.insert_ids(range(10, 20))
            ring[0].start()
            rig.wait_cluster(ring[0].url)
            rig.wait_live()
            assert ring.wait_replicated()
            first.insert_ids(range(20, 30))
            rig.wait_gaps_closed()
            rig.wait_ids(range(30))
            assert len(first.monitors()) == 3
            wait_until(lambda: second.monitors() == [], "no monitor on the second cluster")
        assert first.monitors() == []
        first.close()
        second.close()


def test_failing_back_can_be_switched_off(tmp_path: Path) -> None:
    """With `off` the bridge stays with the cluster that took over."""
    with Ring(2) as ring:
        database = Database(ring[1])
        database.create()
        with Rig(tmp_path, ring.urls, kinetica={**FAST, "failback": "off"}) as rig:
            rig.wait_live()
            ring[0].fail(500)
            rig.wait_cluster(ring[1].url)
            ring[0].heal()
            rig.wait_live()
            probed = rig.snapshot().tables[TABLE].counts.last_probe
            wait_until(
                lambda: rig.snapshot().tables[TABLE].counts.last_probe > probed + 2, "some probes"
            )
            assert rig.snapshot().cluster == ring[1].url
        database.close()


def test_a_ring_that_only_the_server_names_is_used(tmp_path: Path) -> None:
    """One URL is configured; the others come from the server's own properties."""
    with Ring(2) as ring:
        database = Database(ring[1])
        database.create()
        with Rig(tmp_path, ring.urls[:1]) as rig:
            rig.wait_live()
            ring[0].stop()
            rig.wait_cluster(ring[1].url)
            rig.wait_live()
            database.insert_ids(range(5))
            rig.wait_gaps_closed()
            rig.wait_ids(range(5))
        database.close()


def test_monitors_left_by_a_crash_are_adopted_or_cleared(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Those of a configured table serve on; those of one that is not are taken away."""
    database.create()
    database.create("ki_home.other")
    rig = Rig(tmp_path, [cluster.url])
    rig.tables.append({"name": "ki_home.other"})
    with rig:
        rig.wait_live()
        rig.wait_live("ki_home.other")
        left = database.monitors()
    for monitor in left:  # as a crash would have left them
        table = "ki_home.other" if monitor in rig.monitors_of("ki_home.other", left) else TABLE
        event = next(e for e in ("insert", "update", "delete") if f"_{e}_" in monitor)
        database.call(
            "/create/tablemonitor",
            table_name=table,
            options={"event": event, "monitor_id": monitor},
        )

    with Rig(tmp_path, [cluster.url]) as again:
        again.wait_live()
        wait_until(lambda: len(database.monitors()) == 3, "three monitors")
        assert set(database.monitors()) < set(left)
        database.insert_ids(range(5))
        again.wait_ids(range(5))
    assert database.monitors() == []


def test_a_half_open_connection_is_noticed(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """With default settings, a silent table, and packets that vanish: within 30 seconds."""
    database.create()
    with Rig(tmp_path, [cluster.url], kinetica={}) as rig:
        rig.wait_live()
        cluster.go_silent()
        started = time.monotonic()
        rig.wait_state("deaf", timeout=30)
        noticed = time.monotonic() - started
        cluster.heal()
        database.insert_ids(range(5))
        rig.wait_live(timeout=60)
        rig.wait_gaps_closed()
        rig.wait_ids(range(5))
    assert noticed < 30


def test_two_hundred_tables_take_no_more_threads_than_one(tmp_path: Path) -> None:
    """And all of them recover from a failover."""
    names = [f"ki_home.t{n:03d}" for n in range(200)]
    with Ring(2) as ring:
        database = Database(ring[1])
        for name in names:
            database.create(name)
        counts = []
        for folder, tables in (("one", names[:1]), ("many", names)):
            (tmp_path / folder).mkdir()
            rig = Rig(tmp_path / folder, ring.urls)
            rig.tables = [{"name": name} for name in tables]
            with rig:
                for name in tables:
                    rig.wait_live(name, timeout=60)
                ours = {"subscriber", "intake", "watch", "upkeep", "sink-out"}
                threads = [
                    t.name
                    for t in threading.enumerate()
                    if t.name in ours or t.name.startswith("worker-")
                ]
                counts.append(len(threads))
                if folder == "many":
                    ring[0].stop()
                    rig.wait_cluster(ring[1].url)
                    for name in tables:
                        rig.wait_live(name)
        database.close()
    assert counts[0] == counts[1]
