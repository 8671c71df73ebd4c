"""What the watch claims is true: a drop, a gap, `live`, a cluster that is of use."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from services.process import wait_until
from services.rig import FAST, TABLE, Database, Rig

from bridge.monitor.route import Route
from bridge.monitor.subscriber import Subscriber
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import TableOptions
from bridge.monitor.watch import Watch, WatchOptions
from bridge.wire.client import Access
from bridge.wire.ring import Ring
from kinetica_emulator import Emulator
from kinetica_emulator.ring import Ring as EmulatedRing

# What the table of a growing column has, and how its gaps are closed.
BY_COLUMN = {"catch_up": {"column": "id"}}


def gaps(rig: Rig, *, closed: bool = False) -> list[str]:
    """The reasons of the gaps that were posted, or closed."""
    return [gap["reason"] for gap in rig.events("gap") if gap["closed"] is closed]


def kinds(rig: Rig) -> list[str]:
    """What happened to the table, in order, its rows left out."""
    return [event["type"] for event in rig.events() if event["type"] not in ("insert", "read")]


def probes(rig: Rig, count: int, table: str = TABLE) -> None:
    """Wait for so many more good probes."""
    counts = rig.snapshot().tables[table].counts
    for _ in range(count):
        before = counts.last_probe
        wait_until(lambda before=before: counts.last_probe != before, "a probe")


@pytest.fixture
def ring() -> Iterator[EmulatedRing]:
    """Two clusters that replicate."""
    with EmulatedRing(2) as made:
        yield made


# Tables.


def test_a_clock_that_is_set_back_hides_nothing(
    cluster: Emulator, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes back, then an ALTER: it is told, the monitors are made again, rows come."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.insert_ids(range(3))
        rig.wait_ids(range(3))
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() - 600)
        monkeypatch.setattr(time, "time_ns", lambda: round((real() - 600) * 1e9))

        database.alter("add_column", "extra", column_type="int", column_properties="nullable")
        database.insert({"id": n, "name": "x", "extra": 1} for n in range(3, 6))
        wait_until(lambda: rig.events("alter"), "the alter event")
        rig.wait_live()
        database.insert({"id": n, "name": "x", "extra": 1} for n in range(6, 9))
        rig.wait_ids(range(9))

        assert len(database.monitors()) == 3


def test_a_table_recreated_alike_between_two_probes_is_a_drop(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """A gap, the drop, and then all rows of the new one, whatever ids they have."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.insert_ids(range(5))
        rig.wait_ids(range(5))

        cluster.recreate(TABLE)
        database.insert_ids(range(3))
        wait_until(lambda: rig.events("drop"), "the drop")
        rig.wait_live()
        rig.wait_ids([*range(5), *range(3)])

    assert kinds(rig)[:2] == ["gap", "drop"]
    assert len(rig.events("drop")) == 1


@pytest.mark.parametrize("catalogue", [True, False], ids=["by catalogue", "by access data"])
def test_a_table_made_again_while_the_bridge_was_down_is_a_drop(
    cluster: Emulator, database: Database, tmp_path: Path, catalogue: bool
) -> None:
    """A nightly reload with the same ids: no level of the old table counts."""
    cluster.traits.ki_objects = catalogue
    database.create()
    rig = Rig(tmp_path, [cluster.url], **BY_COLUMN)
    with rig:
        rig.wait_live()
        database.insert_ids(range(1, 6))
        rig.wait_ids(range(1, 6))
        rig.wait_gaps_closed()
    cluster.recreate(TABLE)
    database.insert_ids(range(1, 11))

    with rig:
        rig.wait_live()
        rig.wait_ids([*range(1, 6), *range(1, 11)])

    assert kinds(rig)[:2] == ["gap", "drop"]


def test_a_table_dropped_while_the_bridge_was_down_was_tried(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """It is waited for; the service is ready all the same."""
    database.create()
    rig = Rig(tmp_path, [cluster.url])
    with rig:
        rig.wait_live()
    database.drop()

    with rig:
        rig.wait_state("waiting_for_table")
        wait_until(lambda: rig.snapshot().ready, "the service is ready")


def test_what_an_alter_before_a_drop_silenced_is_a_gap(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """ALTER, an insert and DROP between two probes: the insert is lost, and that is said."""
    database.create()
    with Rig(tmp_path, [cluster.url], kinetica={**FAST, "probe_interval": "3s"}) as rig:
        rig.wait_live()
        database.insert_ids(range(3))
        rig.wait_ids(range(3))
        probes(rig, 1)
        database.alter("add_column", "extra", column_type="int", column_properties="nullable")
        database.insert([{"id": 7, "name": "x", "extra": 1}])
        database.drop()
        wait_until(lambda: rig.events("drop"), "the drop")

    assert kinds(rig)[:2] == ["gap", "drop"]


def test_a_table_missing_on_another_cluster_is_waited_for(
    ring: EmulatedRing, tmp_path: Path
) -> None:
    """That is no drop; back on the first cluster nothing comes twice."""
    first = Database(ring[0])
    first.create()
    with Rig(tmp_path, ring.urls, kinetica={**FAST, "failback": "500ms"}) as rig:
        rig.wait_live()
        first.insert_ids(range(10))
        rig.wait_ids(range(10))
        ring[1].drop_here(TABLE)
        ring[0].stop()
        rig.wait_cluster(ring[1].url)
        rig.wait_state("waiting_for_table")
        ring[0].start()
        rig.wait_cluster(ring[0].url)
        rig.wait_live()
        first.insert_ids(range(10, 20))
        rig.wait_ids(range(20))
        rig.wait_gaps_closed()
    first.close()

    assert rig.events("drop") == []
    assert set(gaps(rig)) == {"failover"}


@pytest.mark.parametrize("catalogue", [True, False], ids=["by catalogue", "by listing"])
def test_a_neighbour_that_nobody_understands_harms_no_table(
    cluster: Emulator, database: Database, tmp_path: Path, catalogue: bool
) -> None:
    """An empty layout, a union the other way round, a type nobody knows."""
    cluster.traits.ki_objects = catalogue
    names = [TABLE, *(f"ki_home.t{n}" for n in range(10))]
    for name in names:
        database.create(name)
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.stop()
        rig.tables = [{"name": name} for name in names]
        rig.start()
        for name in names:
            rig.wait_live(name)
        field = '{"type":"record","name":"type_name","fields":[{"name":"a","type":%s}]}'
        cluster.add_neighbour("ki_home.empty", "", ["MATERIALIZED_VIEW"])
        cluster.add_neighbour("ki_home.reversed", field % '["null","int"]')
        cluster.add_neighbour("ki_home.unknown", field % '"hyperlong"')
        probes(rig, 3)

        database.insert_ids(range(3))
        rig.wait_ids(range(3))
        assert {rig.state(name) for name in names} == {"live"}
        assert gaps(rig) == []


def test_a_table_whose_layout_is_not_understood_is_its_own_trouble(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """It says what is wrong; the table after it is live."""
    cluster.add_neighbour("ki_home.a", "", ["MATERIALIZED_VIEW"])
    database.create()
    rig = Rig(tmp_path, [cluster.url])
    rig.tables.insert(0, {"name": "ki_home.a"})
    with rig:
        rig.wait_live()
        wait_until(
            lambda: "not understood" in (rig.snapshot().tables["ki_home.a"].reason or ""),
            "the trouble is told",
        )
        assert rig.state("ki_home.a") == "connecting"


def test_a_crowded_schema_is_not_listed_at_each_probe(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Without a catalogue too: the tables are asked for one by one, and go live."""
    cluster.traits.ki_objects = False
    names = [TABLE, *(f"ki_home.t{n}" for n in range(10))]
    for name in names:
        database.create(name)
    cluster.crowd("ki_home", 1500, 60)
    rig = Rig(tmp_path, [cluster.url], kinetica={**FAST, "probe_timeout": "400ms"})
    rig.tables = [{"name": name} for name in names]
    with rig:
        for name in names:
            rig.wait_live(name, timeout=60)
        probes(rig, 2)
        assert rig.state() == "live"


def test_who_may_not_read_may_listen(cluster: Emulator, database: Database, tmp_path: Path) -> None:
    """With `catch_up` by a column: its rows come, and the table is live."""
    database.create()
    cluster.forbid("table_read")
    with Rig(tmp_path, [cluster.url], **BY_COLUMN) as rig:
        rig.wait_live()
        database.insert_ids(range(3))
        rig.wait_ids(range(3))
        assert rig.state() == "live"


@pytest.mark.parametrize("refused", ["refused", "ignored"])
def test_a_server_that_says_no_access_data_loses_nothing(
    cluster: Emulator, database: Database, tmp_path: Path, refused: str
) -> None:
    """Neither catalogue nor the option: altered and dropped tables are noticed all the same."""
    cluster.traits.ki_objects = False
    cluster.traits.access_data = refused
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.alter("add_column", "extra", column_type="int", column_properties="nullable")
        wait_until(lambda: rig.events("alter"), "the alter event")
        rig.wait_live()
        database.insert({"id": n, "name": "x", "extra": 1} for n in range(5))
        rig.wait_ids(range(5))
        database.drop()
        wait_until(lambda: rig.events("drop"), "the drop")
        rig.wait_state("waiting_for_table")


# Monitors.


@pytest.mark.parametrize("listed", ["topic", "unqualified", "asked"])
@pytest.mark.parametrize("topics", ["qualified", "other"])
def test_topics_other_than_asked_for_are_one_unit(
    cluster: Emulator, database: Database, tmp_path: Path, topics: str, listed: str
) -> None:
    """However they are listed, the monitors count as there; a loss of their channel is a gap."""
    cluster.traits.topics, cluster.traits.listed = topics, listed
    names = [TABLE, *(f"ki_home.t{n:02d}" for n in range(30))]
    for name in names:
        database.create(name)
    rig = Rig(tmp_path, [cluster.url])
    rig.tables = [{"name": name} for name in names]
    with rig:
        for name in names:
            rig.wait_live(name)
        probes(rig, 3)
        assert [name for name in names if rig.events("gap", table=name)] == []
        for name in names:
            database.insert_ids([1], name)
        for name in names:
            rig.wait_ids([1], name)

        cluster.drop_connections()
        wait_until(lambda: all(rig.events("gap", table=name) for name in names), "gaps")
        rig.wait_gaps_closed()
    assert {g["reason"] for name in names for g in rig.events("gap", table=name)} == {
        "disconnected"
    }


def test_monitors_left_under_other_topics_are_made_anew(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """What publishes on a topic that nobody knows cannot be adopted."""
    cluster.traits.topics, cluster.traits.listed = "other", "asked"
    database.create()
    rig = Rig(tmp_path, [cluster.url])
    with rig:
        rig.wait_live()
        left = database.monitors()
    for monitor in left:  # as a crash would have left them
        event = next(e for e in ("insert", "update", "delete") if f"_{e}_" in monitor)
        options = {"event": event, "monitor_id": monitor}
        database.call("/create/tablemonitor", table_name=TABLE, options=options)

    with rig:
        rig.wait_live()
        database.insert_ids(range(3))
        rig.wait_ids(range(3))
        assert len(database.monitors()) == 3


def test_a_job_that_clears_monitors_is_answered_more_and_more_rarely(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Some gaps in some seconds, not one at each probe."""
    database.create()
    stop = threading.Event()

    def clean() -> None:
        while not stop.wait(0.05):
            cluster.forget_monitors()

    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        cleaner = threading.Thread(target=clean)
        cleaner.start()
        renewals = rig.snapshot().tables[TABLE]
        wait_until(lambda: renewals.counts.gaps.total() + renewals.counts.gaps_open, "a gap")
        stop.wait(8.0)
        assert renewals.counts.gaps.total() + renewals.counts.gaps_open <= 6
        stop.set()
        cleaner.join()
        rig.wait_live(timeout=60)
        database.insert_ids(range(3))
        rig.wait_ids(range(3))


def test_writes_that_are_counted_and_not_heard_make_a_table_deaf(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Confirmed by its rows: one gap, the monitors are made again, and all rows come."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.wait_live()
        database.insert_ids([0])
        rig.wait_ids([0])
        cluster.skip_notifications()
        done = threading.Event()

        def insert() -> None:
            n = 1
            while not done.wait(0.2):
                database.insert_ids([n])
                n += 1

        writer = threading.Thread(target=insert)
        writer.start()
        wait_until(lambda: "unaccounted" in gaps(rig) or rig.state() == "deaf", "it is noticed")
        cluster.heal()
        done.set()
        writer.join()
        rig.wait_live()
        rig.wait_gaps_closed()
        total = database.call("/show/table", table_name=TABLE, options={"get_sizes": "true"})
        wait_until(lambda: len(rig.ids()) >= total["total_full_size"], "every row")
        assert sorted(rig.ids()) == list(range(total["total_full_size"]))
    assert set(gaps(rig)) == {"unaccounted"}


def test_a_restart_of_the_bridge_without_writes_reads_nothing(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Where the counts of a minute before are known: the gap is closed as quiet."""
    database.create()
    rig = Rig(tmp_path, [cluster.url])
    with rig:
        rig.wait_live()
        database.insert_ids(range(3))
        rig.wait_ids(range(3))
        table = rig.table()
        wait_until(
            lambda: (mark := table.writes.before(table.good)) is not None and mark.write_count,
            "the counts of a minute ago",
            timeout=90,
        )
    cluster.fail(500, ["/get/records"])
    with rig:
        rig.wait_live()
        rig.wait_gaps_closed()
    closed = [gap for gap in rig.events("gap") if gap["closed"]]
    assert [(gap["reason"], gap["by"], gap["rows"]) for gap in closed] == [("start", "quiet", 0)]
    assert rig.events("read") == []


# Clusters.


@pytest.mark.parametrize(
    "broken",
    [
        ["/show/table"],
        ["/show/table", "/execute/sql"],
        ["/create/tablemonitor"],
        ["/show/table", "/create/tablemonitor"],
    ],
    ids=["layout", "look", "make", "layout and make"],
)
def test_a_primary_that_only_says_it_runs_is_left(
    ring: EmulatedRing, tmp_path: Path, broken: list[str]
) -> None:
    """Its status is good, and what a monitor needs fails; it is not gone back to."""
    second = Database(ring[1])
    second.create()
    ring[0].fail(500, broken)
    with Rig(tmp_path, ring.urls, kinetica={**FAST, "failback": "500ms"}) as rig:
        rig.wait_cluster(ring[1].url)
        rig.wait_live()
        second.insert_ids(range(3))
        rig.wait_ids(range(3))
        probes(rig, 8)
        assert rig.snapshot().cluster == ring[1].url
        ring[0].heal()
        rig.wait_cluster(ring[0].url)
        rig.wait_live()
    second.close()


def test_a_cluster_whose_monitor_port_is_dead_is_left_and_not_gone_back_to(
    ring: EmulatedRing, tmp_path: Path
) -> None:
    """HTTP alone is of no use; the gap is closed by what the other cluster has."""
    first, second = Database(ring[0]), Database(ring[1])
    first.create()
    with Rig(tmp_path, ring.urls, kinetica={**FAST, "failback": "500ms"}) as rig:
        rig.wait_live()
        ring[0].close_monitor_port()
        rig.wait_cluster(ring[1].url)
        rig.wait_live()
        second.insert_ids(range(5))
        rig.wait_ids(range(5))
        probes(rig, 8)
        assert rig.snapshot().cluster == ring[1].url
        ring[0].heal()
        rig.wait_cluster(ring[0].url)
        rig.wait_live()
        rig.wait_gaps_closed()
    first.close()
    second.close()


class Forwarder:
    """Another way to a cluster's HTTP port, which can be cut and opened again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self.start()

    def start(self) -> None:
        if self._listener.fileno() == -1:
            self._listener = socket.create_server(self.address)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open = []
        self._thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(("127.0.0.1", self._port))
                self._open += [here, there]
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_RDWR)


def test_a_cluster_with_two_urls_is_one(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """Nothing that is in use is cleared when the first URL can be reached again."""
    database.create()
    way = Forwarder(int(cluster.url.rpartition(":")[2]))
    with Rig(tmp_path, [way.url, cluster.url], kinetica={**FAST, "failback": "500ms"}) as rig:
        rig.wait_live()
        database.insert_ids(range(3))
        rig.wait_ids(range(3))
        way.cut()
        rig.wait_cluster(cluster.url)
        rig.wait_live()
        way.start()
        probes(rig, 8)
        assert len(database.monitors()) == 3
        database.insert_ids(range(3, 6))
        rig.wait_ids(range(6))
        rig.wait_gaps_closed()
        assert sum(rig.snapshot().failovers.values()) == 1
        assert "monitor_lost" not in gaps(rig)
    way.cut()


@pytest.mark.parametrize("catalogue", [True, False], ids=["by catalogue", "by listing"])
def test_the_names_of_a_schemas_tables_are_told(
    cluster: Emulator, database: Database, catalogue: bool
) -> None:
    """At each round, so that a new one is known within a probe."""
    cluster.traits.ki_objects = catalogue
    database.create()
    told: list[tuple[str, frozenset[str]]] = []
    subscriber: Subscriber[Route] = Subscriber(lambda *_: None, lambda: None)
    watch = Watch(
        Ring([cluster.url], Access(), 5.0),
        [],
        subscriber,
        "0a1b2c3d",
        WatchOptions(probe_interval=0.1),
        schemas=["ki_home"],
        discovered=lambda schema, names: told.append((schema, names)),
    )
    subscriber.start()
    watch.start()
    wait_until(lambda: told and watch.tried, "the first names")
    database.create("ki_home.new")
    wait_until(lambda: "ki_home.new" in told[-1][1], "the new name")
    watch.stop(5.0)
    subscriber.stop()

    assert told[0] == ("ki_home", frozenset({TABLE}))
    assert told[-1] == ("ki_home", frozenset({TABLE, "ki_home.new"}))


def test_what_a_reload_wants_counts_as_untried_from_then_on(
    cluster: Emulator,
) -> None:
    """Not from the watch's next round on, which a cluster that hangs holds up for seconds."""
    subscriber: Subscriber[Route] = Subscriber(lambda *_: None, lambda: None)
    watch = Watch(
        Ring([cluster.url], Access(), 5.0),
        [],
        subscriber,
        "0a1b2c3d",
        WatchOptions(),
        discovered=lambda *_: None,
    )
    subscriber.start()
    assert watch.tried
    watch.look_after([TableMonitor(TableOptions(TABLE), lambda _: None)])
    assert not watch.tried
    watch.look_after([])
    assert watch.tried
    watch.look_after([], ["ki_home"])  # which is not looked into yet
    assert not watch.tried
    watch.stop(5.0)
    subscriber.stop()
