"""The thread that looks after all tables: it probes, and has put right what it finds.

Each round asks the cluster a few cheap questions (`probe.observe`) and sees to every table
(`care`). A round comes every `probe_interval`, and at once when a connection changes or a
frame does not fit. Where the cluster itself is of no use, the next one of the ring takes over
(`failover`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from bridge.errors import BridgeError
from bridge.loop import Loop, backoff
from bridge.monitor.care import Care
from bridge.monitor.cluster_monitors import ClusterMonitors
from bridge.monitor.failover import Failover
from bridge.monitor.good_marks import GoodMarks
from bridge.monitor.health import Health
from bridge.monitor.jobs import Jobs, Readers
from bridge.monitor.listing import Discovered, Listing
from bridge.monitor.moment import Moment
from bridge.monitor.naming import prefix
from bridge.monitor.probe import Monitors, observe
from bridge.monitor.route import Route
from bridge.monitor.standbys import Standbys
from bridge.monitor.states import Signal
from bridge.monitor.subscriber import Subscriber
from bridge.monitor.table import TableMonitor
from bridge.monitor.watched import Watched
from bridge.monitor.workers import Workers
from bridge.wire.calls import Cluster
from bridge.wire.client import Access
from bridge.wire.ring import Ring

log = structlog.get_logger()

# Calls that may block, for all tables together.
_WORKERS = 4
# The versions of the server that this protocol was written down from.
_SERVER_LINE = "7.2"
# A cluster that fails to make monitors, or to publish, for so many probes is tried as a whole.
_PATIENCE = 2.0
# So few tables that wait to come into being are looked for every second, whatever the interval.
_FEW = 100

Arrived = Callable[[Monitors], Iterable[str]]


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How the clusters are watched; seconds, and the configuration's names and meanings.

    Attributes:
        monitor_port: overrides what the cluster says of itself.
        timeout: for a call that does something, and for a ZeroMQ handshake.
        failback: how long a primary must be well to be gone back to; None to stay away.
    """

    probe_interval: float = 5.0
    probe_timeout: float = 2.0
    timeout: float = 30.0
    monitor_port: int | None = None
    failback: float | None = 60.0


class Watch:
    """Look after tables on a ring of clusters.

    Owns the ring and the workers; waits for the probe interval; ended by `stop`.

    Args:
        ring: the clusters, primary first.
        tables: the monitors to look after.
        subscriber: the polling thread.
        instance: marks monitors on the server as ours.
        options: how to watch.
        readers: reads tables to close gaps; None where nobody remembers what was received.
        schemas: those of which all tables are to be known.
        discovered: called in the watch's thread with the names of a schema's tables, in each
            round.
        arrived: called in the watch's thread with the monitors of a cluster that is come to;
            returns the ids of those that nobody has any more, which are then cleared.
    """

    def __init__(
        self,
        ring: Ring,
        tables: Sequence[TableMonitor],
        subscriber: Subscriber[Route],
        instance: str,
        options: WatchOptions,
        readers: Readers | None = None,
        *,
        schemas: Collection[str] = (),
        discovered: Discovered | None = None,
        arrived: Arrived | None = None,
    ) -> None:
        self._ring = ring
        self._tables = [Watched(table) for table in tables]
        self._wanted = self._taken = tables
        self._leaving: list[Watched] = []  # not wanted any more, and not done with
        self._subscriber = subscriber
        self._instance = instance
        self._options = options
        self._listing = Listing(discovered or (lambda *_: None), options.probe_timeout)
        self._listing.schemas = schemas
        self._arrived = arrived
        # A handshake is waited for no longer than a call.
        answer = min(options.probe_timeout, options.timeout)
        self._health = Health(subscriber, instance, answer, options.monitor_port)
        self._failover = Failover(ring, self._health, options.failback)
        self._monitors: ClusterMonitors | None = None
        self._attempts = 0
        self._deaf_since: Moment | None = None
        self._wake = threading.Event()
        self._workers = Workers("worker", _WORKERS)
        self._jobs = Jobs(subscriber, self._workers, readers, lambda: self._monitors, self.wake)
        self._good = GoodMarks()
        self._standbys = Standbys(ring, self._workers, options.probe_timeout)
        self._loop = Loop("watch", self._turn)
        self._care = Care(self._jobs, readers, self._loop.note)

    @property
    def loops(self) -> list[Loop]:
        """The threads."""
        return [self._loop, *self._workers.loops]

    @property
    def failovers(self) -> Counter[tuple[str, str]]:
        """How often one cluster was left for another, by their URLs."""
        return self._failover.moves

    @property
    def cluster(self) -> str:
        """The URL of the cluster in use."""
        return self._ring.current.url

    @property
    def clusters(self) -> list[str]:
        """The URLs of the ring, primary first."""
        return [cluster.url for cluster in self._ring.clusters]

    @property
    def tried(self) -> bool:
        """Whether every table was tried once, and every schema looked into."""
        looked = self._listing.asked
        looked |= self._attempts > 0  # a cluster that cannot be asked is no reason to wait
        tried = {watched.table for watched in self._tables if watched.tried}
        return looked and tried.issuperset(self._wanted)  # not taken over yet, perhaps

    def start(self) -> None:
        """Start the watch."""
        self._loop.start()

    def wake(self) -> None:
        """Probe now."""
        self._wake.set()

    def look_after(self, tables: Sequence[TableMonitor], schemas: Collection[str] = ()) -> None:
        """Look after these tables from the next round on, and no longer after others.

        Args:
            tables: all that are wanted.
            schemas: those of which all tables are to be known.
        """
        self._wanted, self._listing.schemas = tables, schemas
        self._wake.set()

    def renew(self, access: Access) -> None:
        """Call the clusters with another access from now on, and probe now."""
        self._ring.renew(access)
        self._wake.set()

    def stop(self, timeout: float) -> None:
        """End the watch and clear our monitors, within about `timeout` seconds."""
        deadline = time.monotonic() + timeout
        self._loop.stop()
        self._wake.set()
        self._loop.join(timeout)
        monitors, self._monitors = self._monitors, None
        now = Moment.now()
        for watched in (*self._tables, *self._leaving):
            made, line = watched.made, watched.line
            if monitors is None or made is None:
                continue
            self._workers.submit(partial(monitors.clear, made.topics))
            whole = line.connected_at is not None and line.losses == made.losses
            if whole and not watched.gone:
                watched.table.prove_good(min(now, line.emptied_at))
        self._good.store([watched.table for watched in self._tables])
        self._workers.stop(max(0.0, deadline - time.monotonic()))
        self._ring.close()

    # The rest runs in the watch's thread.

    def _turn(self) -> bool:
        delay = self._round()
        self._wake.wait(delay)
        self._wake.clear()
        return True

    def _round(self) -> float:
        """Probe once and act; return seconds until the next round."""
        self._take_over_tables()
        self._see_off()
        cluster, asked_at = self._ring.current, Moment.now()
        names = [watched.table.name for watched in self._tables if not watched.table.over]
        waiting = [w.table.name for w in self._tables if w.made is None and not w.table.over]
        try:
            if self._monitors is None:
                self._monitors = self._arrive(cluster)
            seen = observe(cluster, names, waiting, self._options.probe_timeout, asked_at)
            self._listing.ask(cluster)
        except BridgeError as error:
            return self._cluster_failed(error)
        self._attempts = 0
        monitors = self._monitors
        if self._jobs.left_some:
            names = [w.table.name for w in (*self._tables, *self._leaving) if not w.is_done]
            self._jobs.reap_strangers(monitors, seen.monitors, names)
        self._care.see_to(self._tables, monitors, seen)
        self._good.store([watched.table for watched in self._tables])
        self._standbys.ask([watched.table for watched in self._tables])
        if self._is_of_no_use():
            self._try_elsewhere(monitors)
        self._maybe_fail_back(monitors)
        return self._pause()

    def _pause(self) -> float:
        now = time.monotonic()
        waiting = [w for w in self._tables if not (w.made or w.busy or w.table.over)]
        due = [w.tries.at - now for w in waiting if w.absent_at is None]
        if 0 < len(waiting) <= _FEW:
            due.append(1.0)
        return max(0.05, min([self._options.probe_interval, *due]))

    def _take_over_tables(self) -> None:
        """Let go of tables that are not wanted any more, then take on the new ones.

        In that order: a table whose settings changed is both, and its new monitors may have the
        ids of the old ones. So it waits until those are gone, as does one that comes back.
        """
        wanted = self._wanted
        if wanted is self._taken:
            return
        self._taken = wanted
        keep = set(wanted)
        gone = [watched for watched in self._tables if watched.table not in keep]
        known = {watched.table for watched in self._tables}
        for watched in gone:
            watched.gone = True  # a job that is still busy takes away what it makes
        self._leaving += gone
        before = {watched.table.name: watched for watched in self._leaving}
        self._tables = [watched for watched in self._tables if watched.table in keep]
        self._tables += [
            Watched(table, after=before.get(table.name)) for table in wanted if table not in known
        ]

    def _see_off(self) -> None:
        """Have monitors cleared that are not wanted any more, once they have no other job."""
        left = [w for w in self._leaving if w.made is not None and not w.busy]
        if self._monitors is not None:
            self._jobs.retire(left, self._monitors)
        self._leaving = [watched for watched in self._leaving if not watched.is_done]

    def _arrive(self, cluster: Cluster) -> ClusterMonitors:
        """Learn a cluster's monitor port and ring, and clear what we left behind there."""
        found = cluster.properties(self._options.probe_timeout)
        self._ring.extend(found.ring)
        if not found.version.startswith(_SERVER_LINE + "."):
            log.warning(
                "server_version", cluster=cluster.url, version=found.version, made_for=_SERVER_LINE
            )
        endpoint = self._health.find_endpoint(cluster, found)
        listed = Monitors(cluster.monitors(self._options.probe_timeout))
        ours = any(name.startswith(prefix(self._instance)) for name in listed.ids)
        table = self._a_table()
        adopts = not ours or table is None or self._health.try_monitor(cluster, table) is not False
        monitors = ClusterMonitors(
            cluster,
            found.identity,
            endpoint,
            self._subscriber,
            self._instance,
            self._options.timeout,
            alone=len(self._ring.clusters) == 1,
            adopts=adopts,
        )
        monitors.reap_strangers(listed, [watched.table.name for watched in self._tables])
        if self._arrived is not None:
            self._workers.submit(partial(monitors.reap, list(self._arrived(listed))))
        log.info("cluster_connected", cluster=cluster.url, endpoint=endpoint)
        return monitors

    # Clusters.

    def _a_table(self) -> str | None:
        """Return a table to try clusters with, one that is there if there is any."""
        tables = [watched.table for watched in self._tables if not watched.table.over]
        known = [table.name for table in tables if table.schema is not None]
        return next(iter(known or [table.name for table in tables]), None)

    def _cluster_failed(self, error: BridgeError) -> float:
        self._attempts += 1
        self._say_lost(str(error))
        reason = self._failover.leave(self._a_table())
        if reason is not None:
            self._settle_elsewhere(reason)
            return 0.0
        return min(backoff(self._attempts), self._options.probe_interval)

    def _say_lost(self, reason: str) -> None:
        """Say of every table that it may be deaf.

        That alone is no gap: if the connections outlast it and the monitors are still there
        afterwards, nothing was missed.
        """
        for watched in self._tables:
            watched.tried = True
            if not watched.busy:
                self._care.note_loss(watched)
                watched.table.signal(Signal.LOST, reason)

    def _is_of_no_use(self) -> bool:
        """Whether the cluster has made no monitors, or not published, for too long."""
        now, patience = Moment.now(), _PATIENCE * self._options.probe_interval
        made = [watched for watched in self._tables if watched.made is not None]
        deaf = any(watched.line.connected_at is None for watched in made)
        self._deaf_since = (self._deaf_since or now) if deaf else None
        since = [m for m in (self._deaf_since, self._jobs.refused_since) if m is not None]
        return any(now.order - moment.order > patience for moment in since)

    def _try_elsewhere(self, monitors: ClusterMonitors) -> None:
        """Use another address of the cluster, or another cluster, if that is of more use."""
        self._deaf_since = self._jobs.refused_since = None
        reason = self._failover.leave(self._a_table())
        if reason is not None:
            self._settle_elsewhere(reason)
            return
        try:
            found = monitors.cluster.properties(self._options.probe_timeout)
            endpoint = self._health.find_endpoint(monitors.cluster, found)
        except BridgeError as error:
            log.warning("monitor_port_unreachable", cluster=monitors.cluster.url, cause=str(error))
            return
        if endpoint != monitors.endpoint:
            self._let_go(f"the monitor port answers at {endpoint} now")

    def _maybe_fail_back(self, monitors: ClusterMonitors) -> None:
        left = [watched.made for watched in self._tables if watched.made]
        reason = self._failover.return_to_primary(monitors.said, self._a_table())
        if reason is None:
            return
        self._settle_elsewhere(reason)
        for made in left:
            self._jobs.clear(made, monitors)
        self.wake()

    def _settle_elsewhere(self, reason: str) -> None:
        """Let go of all monitors, to be made again on the cluster that is now in use."""
        for watched in self._tables:
            if watched.table.good.wall:
                watched.table.gaps.begin("failover", watched.table.good, reason)
        self._let_go(reason)

    def _let_go(self, reason: str) -> None:
        self._monitors = None
        self._deaf_since = self._jobs.refused_since = None
        for watched in (*self._tables, *self._leaving):
            if not watched.gone:
                self._care.note_loss(watched)
                watched.table.signal(Signal.CLUSTER_CHANGED, reason)
            if watched.made is not None:
                topics = {topic.encode() for topic in watched.made.topics}
                self._subscriber.unsubscribe(topics)
            watched.move()
