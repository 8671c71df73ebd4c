"""The thread that looks after all tables: it probes, and puts right what it finds.

Each round asks the cluster a few cheap questions (`probe.observe`), decides for every table
(`probe.decide`), and hands what may block to the workers, so that one stuck table holds up
no other. A round comes every `probe_interval`, and at once when a connection changes or a
frame does not fit. Where the cluster itself is gone, the next one of the ring takes over.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import structlog

from bridge.errors import BridgeError, ClusterUnavailable, WireError
from bridge.loop import Loop, backoff
from bridge.monitor.charge import Charge
from bridge.monitor.establish import Established, Site, TableMissing
from bridge.monitor.failover import Failover
from bridge.monitor.moment import Moment
from bridge.monitor.probe import Action, Observation, decide, observe
from bridge.monitor.states import Signal, State
from bridge.monitor.subscriber import Subscriber
from bridge.monitor.table import Route, TableMonitor
from bridge.monitor.workers import Workers
from bridge.wire.calls import DEFAULT_MONITOR_PORT, Cluster
from bridge.wire.ring import Ring

log = structlog.get_logger()

# Calls that may block, for all tables together.
_WORKERS = 4
_HAND_ON_SECONDS = 5.0
# The versions of the server that this protocol was written down from.
_SERVER_LINE = "7.2"


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


class Readers(Protocol):
    """Whoever reads tables."""

    def look_after(self, table: TableMonitor, cluster: Cluster) -> None:
        """Start what a table that is heard needs: a read, or an audit."""

    def first_level(self, table: TableMonitor, cluster: Cluster) -> None:
        """Note how high a growing column stands when its table is first listened to."""


class Watch:
    """Look after tables on a ring of clusters.

    Owns the ring and the workers; waits for the probe interval; ended by `stop`.

    Args:
        ring: the clusters, primary first.
        tables: the monitors to look after.
        subscriber: the polling thread.
        instance: marks monitors on the server as ours.
        closer: reads tables to close gaps; None where nobody remembers what was received.
    """

    def __init__(
        self,
        ring: Ring,
        tables: Sequence[TableMonitor],
        subscriber: Subscriber[Route],
        instance: str,
        options: WatchOptions,
        closer: Readers | None = None,
    ) -> None:
        self._ring = ring
        self._charges = [Charge(table) for table in tables]
        self._wanted: Sequence[TableMonitor] | None = None
        self._subscriber = subscriber
        self._instance = instance
        self._options = options
        self._closer = closer
        self._failover = Failover(ring, options.probe_timeout, options.failback)
        self._site: Site | None = None
        self._attempts = 0
        self._wake = threading.Event()
        self._workers = Workers("worker", _WORKERS)
        self._loop = Loop("watch", self._turn)

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
        """Whether every table was tried once."""
        return all(charge.tried for charge in self._charges)

    def start(self) -> None:
        """Start the watch."""
        self._loop.start()

    def wake(self) -> None:
        """Probe now."""
        self._wake.set()

    def look_after(self, tables: Sequence[TableMonitor]) -> None:
        """Look after these tables from the next round on, and no longer after others."""
        self._wanted = tables
        self._wake.set()

    def stop(self, timeout: float) -> None:
        """End the watch and clear our monitors, within about `timeout` seconds."""
        deadline = time.monotonic() + timeout
        self._loop.stop()
        self._wake.set()
        self._loop.join(timeout)
        site = self._site
        now = Moment.now()
        if site is not None:
            for charge in self._charges:
                if charge.made is None:
                    continue
                self._workers.submit(partial(site.clear, charge.made))
                if charge.made.channel.connected:
                    charge.table.prove_good(now)
        self._workers.stop(max(0.0, deadline - time.monotonic()))
        self._ring.close()

    # The rest runs in the watch's thread, but for the jobs that say so.

    def _turn(self) -> bool:
        delay = self._round()
        self._wake.wait(delay)
        self._wake.clear()
        return True

    def _round(self) -> float:
        """Probe once and act; return seconds until the next round."""
        self._take_over_tables()
        cluster = self._ring.current
        schemas = sorted({charge.table.name.rpartition(".")[0] for charge in self._charges})
        asked_at = Moment.now()
        try:
            if self._site is None:
                self._site = self._arrive(cluster)
            seen = observe(cluster, schemas, self._options.probe_timeout, asked_at)
        except WireError as error:
            return self._cluster_failed(error)
        self._attempts = 0
        for charge in self._charges:
            self._look_after(charge, self._site, seen)
        self._maybe_fail_back()
        now = time.monotonic()
        waiting = [
            c.retry_at - now for c in self._charges if not (c.made or c.busy or c.table.over)
        ]
        return max(0.05, min([self._options.probe_interval, *waiting]))

    def _take_over_tables(self) -> None:
        """Let go of tables that are not wanted any more, then take on the new ones.

        In that order, and waiting for it: a table whose settings changed is both, and its
        new monitors may have the ids of the old ones.
        """
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        gone = [charge for charge in self._charges if charge.table not in wanted]
        known = {charge.table for charge in self._charges}
        self._charges = [charge for charge in self._charges if charge.table in wanted]
        for charge in gone:
            charge.gone = True  # a job that is still busy takes away what it makes
            if charge.made is not None and self._site is not None:
                self._site.retire(charge.made)
        self._charges += [Charge(table) for table in wanted if table not in known]

    def _arrive(self, cluster: Cluster) -> Site:
        """Learn a cluster's monitor port and ring, and clear what we left behind there."""
        found = cluster.properties()
        self._ring.extend(found.ring)
        if not found.version.startswith(_SERVER_LINE + "."):
            log.warning(
                "server_version", cluster=cluster.url, version=found.version, made_for=_SERVER_LINE
            )
        port = self._options.monitor_port or found.monitor_port or DEFAULT_MONITOR_PORT
        if port < 0:
            raise ClusterUnavailable(
                cluster.url,
                "/show/system/properties",
                "table monitors are switched off",
                hint="set_monitor_port in the server's gpudb.conf",
            )
        host = f"[{cluster.http.host}]" if ":" in cluster.http.host else cluster.http.host
        site = Site(
            cluster,
            f"tcp://{host}:{port}",
            self._subscriber,
            self._instance,
            self._options.timeout,
        )
        site.reap_strangers([charge.table.name for charge in self._charges])
        log.info("cluster_connected", cluster=cluster.url, endpoint=site.endpoint)
        return site

    def _look_after(self, charge: Charge, site: Site, seen: Observation) -> None:
        if charge.busy:
            return
        table, made = charge.table, charge.made
        if made is not None and made.at > seen.asked_at:
            return  # what was seen is older than these monitors
        _note_loss(charge)
        action, reason = decide(charge.view(), seen)
        match action:
            case Action.GOOD | Action.QUIET if made is not None:
                self._note_good(charge, made, seen, quiet=action is Action.QUIET)
            case Action.DEAF:
                table.signal(Signal.LOST, f"the connection to {site.endpoint} is down")
            case Action.DROPPED:
                self._hand_on(made)  # its last rows come before the drop
                self._renounce(charge, site)
                self._note_missing(charge, seen.asked_at)
            case Action.RENEW if reason is not None:
                table.gaps.begin(reason, table.good, _CAUSES[reason])
                table.signal(Signal.LOST, _CAUSES[reason])
                charge.made = None
                self._submit(charge, site, seen, made)
            case Action.RETIRE:
                self._renounce(charge, site)
            case Action.ESTABLISH if time.monotonic() >= charge.retry_at:
                self._submit(charge, site, seen)

    def _note_good(
        self, charge: Charge, made: Established, seen: Observation, *, quiet: bool
    ) -> None:
        table = charge.table
        if made.channel.losses != made.losses:
            charge.made = replace(made, losses=made.channel.losses)
        table.gaps.end(seen.asked_at, self.cluster)
        table.gaps.settle(seen.asked_at, self.cluster, None)
        # What still waited in the socket then is not handed on yet: a kill would lose it.
        good_at = min(seen.asked_at, made.channel.emptied_at)
        if good_at >= made.at:
            table.prove_good(good_at)
        table.counts.last_probe = seen.asked_at.wall
        if not quiet or table.state is not State.IDLE:
            table.signal(Signal.ESTABLISHED)
        if self._closer is not None and self._site is not None:
            self._closer.look_after(table, self._site.cluster)
        if quiet:
            minutes = table.options.inactivity_timeout / 60
            table.signal(Signal.QUIET, f"nothing happened for {minutes:g} min")

    def _hand_on(self, made: Established | None) -> None:
        if made is None:
            return
        with contextlib.suppress(FutureTimeoutError):
            topics = {topic.encode() for topic in made.topics}
            self._subscriber.unsubscribe(topics).result(_HAND_ON_SECONDS)

    def _renounce(self, charge: Charge, site: Site) -> None:
        if charge.made is not None:
            self._workers.submit(partial(site.retire, charge.made))
            charge.made = None

    def _note_missing(self, charge: Charge, asked_at: Moment) -> None:
        table = charge.table
        existed = table.schema is not None
        charge.absent_at = asked_at
        if existed:  # what the table lost before it went is said
            table.gaps.end(Moment.now(), self.cluster)
            table.gaps.settle(asked_at, self.cluster, None, force=True)
        else:
            table.gaps.withdraw("the table was not there")
        table.adopt_schema(None, self.cluster)
        if existed and table.options.on_drop == "stop":
            table.signal(Signal.DROPPED, "the table was dropped")
        else:
            table.signal(Signal.MISSING, f"{table.name} does not exist")

    def _submit(
        self, charge: Charge, site: Site, seen: Observation, old: Established | None = None
    ) -> None:
        charge.busy = True
        self._workers.submit(partial(self._establish, charge, site, seen, old))

    def _establish(
        self, charge: Charge, site: Site, seen: Observation, old: Established | None
    ) -> None:
        """Make a table's monitors, in the place of old ones if there are any; in a worker."""
        table = charge.table
        try:
            if old is not None:
                self._hand_on(old)  # rows of the old layout come before the alter event
                site.clear(old)
                left = {m: info for m, info in seen.monitors.items() if m not in old.topics}
                seen = replace(seen, monitors=left)  # what is cleared must not be adopted
            made = site.establish(table, seen)
            if self._closer is not None:
                self._closer.first_level(table, site.cluster)
        except TableMissing:
            charge.retry_at = time.monotonic() + min(self._options.probe_interval, 1.0)
            self._note_missing(charge, seen.asked_at)
        except Exception as error:
            if not isinstance(error, BridgeError):
                log.exception("establishing_failed", table=table.name)  # a fault of ours
            charge.attempts += 1
            charge.retry_at = time.monotonic() + backoff(charge.attempts)
            table.signal(Signal.LOST, str(error))
        else:
            if site is not self._site or charge.gone or self._loop.stopping:
                site.retire(made)
                return
            charge.made, charge.attempts = made, 0
            if charge.absent_at is not None:
                table.gaps.begin("start", charge.absent_at, "the table was not there")
                charge.absent_at = None
            table.gaps.end(made.at, site.cluster.url)
            table.prove_good(made.at)
            table.signal(Signal.ESTABLISHED)
            if self._closer is not None:
                self._closer.look_after(table, site.cluster)
        finally:
            charge.tried = True
            charge.busy = False
            self.wake()

    # Clusters.

    def _cluster_failed(self, error: WireError) -> float:
        self._attempts += 1
        self._site_lost(str(error))
        reason = self._failover.leave() if isinstance(error, ClusterUnavailable) else None
        if reason is not None:
            self._settle_elsewhere(reason)
            return 0.0
        return min(backoff(self._attempts), self._options.probe_interval)

    def _site_lost(self, reason: str) -> None:
        """Say of every table that it may be deaf.

        That alone is no gap: if the connections outlast it and the monitors are still there
        afterwards, nothing was missed.
        """
        for charge in self._charges:
            charge.tried = True
            if not charge.busy:
                _note_loss(charge)
                charge.table.signal(Signal.LOST, reason)

    def _maybe_fail_back(self) -> None:
        old, left = self._site, [charge.made for charge in self._charges if charge.made]
        reason = self._failover.return_to_primary()
        if reason is None:
            return
        self._settle_elsewhere(reason)
        if old is not None:
            for made in left:
                self._workers.submit(partial(old.retire, made))
        self.wake()

    def _settle_elsewhere(self, reason: str) -> None:
        """Let go of all monitors, to be made again on the cluster that is now in use."""
        self._site = None
        for charge in self._charges:
            if charge.table.good.wall:
                charge.table.gaps.begin("failover", charge.table.good, reason)
            if charge.made is not None:
                self._subscriber.unsubscribe({t.encode() for t in charge.made.topics})
                charge.made = None
            charge.retry_at = -math.inf
            charge.table.signal(Signal.CLUSTER_CHANGED, reason)


_CAUSES = {
    "altered": "the table's layout changed",
    "monitor_lost": "the server no longer has our monitors",
}


def _note_loss(charge: Charge) -> None:
    """Open a span where the connection was lost since the monitors were made, or last good."""
    made = charge.made
    if made is not None and made.channel.losses != made.losses:
        evidence = f"the connection to {made.channel.endpoint} was lost"
        charge.table.gaps.begin("disconnected", made.channel.whole_until, evidence)
