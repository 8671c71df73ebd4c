"""Whether a cluster gives a monitor what it needs: calls that work, and a port that shakes hands.

A status that says `running` is not enough: a cluster may answer everything else with errors, or
publish nowhere. So the calls are made, down to a monitor that is made and cleared again.
"""

from __future__ import annotations

import contextlib
import secrets
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

from bridge.errors import BridgeError, ClusterUnavailable, RequestRefused
from bridge.monitor.channel import Subscription
from bridge.monitor.cluster_monitors import MonitorPortUnreachable
from bridge.monitor.naming import prefix, unqualified
from bridge.monitor.route import Route
from bridge.monitor.subscriber import Subscriber
from bridge.wire.calls import DEFAULT_MONITOR_PORT, Cluster, Properties

# How long the address that is preferred is waited for once another one has answered.
_PREFERENCE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Health:
    """Tries clusters. Used by the watch's thread.

    Attributes:
        subscriber: the polling thread.
        instance: marks monitors as made by this bridge.
        timeout: seconds to wait for each answer.
        monitor_port: overrides what a cluster says of itself.
    """

    subscriber: Subscriber[Route]
    instance: str
    timeout: float
    monitor_port: int | None

    def trouble(self, cluster: Cluster, table: str | None) -> str | None:
        """Return why a cluster cannot be used, None where it can.

        Args:
            cluster: which.
            table: one that is watched, of which a monitor is made and cleared; None for none.
        """
        try:
            status = cluster.status(self.timeout)
            if status != "running":
                return f"{cluster.url} says it is {status}"
            cluster.monitors(self.timeout)
            if table is not None:
                cluster.catalogue([table], self.timeout)
                # Its layout is asked for by another call, without which no monitor is made.
                with contextlib.suppress(RequestRefused):
                    cluster.table(table, timeout=self.timeout)
                self.try_monitor(cluster, table)
            self.find_endpoint(cluster, cluster.properties(self.timeout), stay=False)
        except BridgeError as error:
            return str(error)
        return None

    def try_monitor(self, cluster: Cluster, table: str) -> bool | None:
        """Make a monitor and clear it again.

        Returns:
            Whether it publishes under the id it was given; None where the cluster would not make
            one of this table, which says nothing of the cluster.

        Raises:
            WireError: the cluster fails.
        """
        wanted = f"{prefix(self.instance)}trial_{secrets.token_hex(4)}"
        try:
            made = cluster.create_monitor(table, "delete", wanted)
        except RequestRefused:
            return None
        with contextlib.suppress(RequestRefused):
            cluster.clear_monitor(made.topic_id, self.timeout)
        return unqualified(made.topic_id) == wanted

    def find_endpoint(self, cluster: Cluster, found: Properties, *, stay: bool = True) -> str:
        """Return where a cluster publishes: the first of its addresses that shakes hands.

        The address that its HTTP answers at comes first. Where one is to `stay`, its connection is
        kept for who subscribes, and where none shook hands in time, the next try goes on.

        Raises:
            ClusterUnavailable: table monitors are switched off.
            MonitorPortUnreachable: none does.
        """
        port = self.monitor_port or found.monitor_port or DEFAULT_MONITOR_PORT
        if port < 0:
            raise ClusterUnavailable(
                cluster.url,
                "/show/system/properties",
                "table monitors are switched off",
                hint="set_monitor_port in the server's gpudb.conf",
            )
        hosts = (f"[{a}]" if ":" in a else a for a in cluster.http.addresses())
        knocks = {
            endpoint: self.subscriber.subscribe(endpoint, {})
            for endpoint in (f"tcp://{host}:{port}" for host in hosts)
        }
        wait(knocks.values(), self.timeout, FIRST_COMPLETED)
        first = next(iter(knocks))
        wait([knocks[first]], _PREFERENCE_SECONDS)
        chosen = next((e for e, knock in knocks.items() if _answers(knock)), None)
        for endpoint in knocks:
            if not stay or (chosen is not None and endpoint != chosen):
                self.subscriber.leave(endpoint)
        if chosen is None:
            raise MonitorPortUnreachable(first, self.timeout)
        return chosen


def _answers(knock: Future[Subscription]) -> bool:
    return knock.done() and not knock.cancelled() and knock.exception() is None
