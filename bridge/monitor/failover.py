"""Which cluster of the ring is used: when to leave one, and when to return to the primary.

One object decides for all tables, in the watch's thread, so that a failover happens once
however many tables notice (the vendor's client gets this wrong: protocol, section 7, G6).
"""

from __future__ import annotations

import time
from collections import Counter

import structlog

from bridge.errors import WireError
from bridge.monitor.health import Health
from bridge.wire.calls import Cluster
from bridge.wire.ring import Ring

log = structlog.get_logger()


class Failover:
    """Chooses among the clusters of a ring. Used by one thread.

    Args:
        ring: the clusters, primary first.
        health: tries clusters.
        failback: seconds that a primary must be well to be gone back to; None to stay away.

    Attributes:
        moves: how often one cluster was left for another, by their URLs.
    """

    def __init__(self, ring: Ring, health: Health, failback: float | None) -> None:
        self._ring = ring
        self._health = health
        self._failback = failback
        self._primary_well_since: float | None = None
        self.moves: Counter[tuple[str, str]] = Counter()

    def leave(self, table: str | None) -> str | None:
        """Leave the cluster in use if it is really of no use and another one is.

        Args:
            table: one that is watched, to try with.

        Returns:
            Why it was left, None where it was not.
        """
        others = self._ring.others()
        # Tried once more, so that one lost reply moves nobody.
        reason = self._health.trouble(self._ring.current, table) if others else None
        if reason is None:
            return None
        for candidate in others:
            if self._health.trouble(candidate, table) is None:
                self._move_to(candidate, reason)
                return reason
        log.error("no_cluster_left", ring=[c.url for c in self._ring.clusters], cause=reason)
        return None

    def return_to_primary(self, said: str, table: str | None) -> str | None:
        """Return to the primary if it has been well for long enough.

        Args:
            said: what the cluster in use says it is.
            table: one that is watched, to try with.

        Returns:
            Why the present cluster was left, None where it was not.
        """
        primary = self._ring.primary
        if self._failback is None or self._ring.current is primary:
            return None
        if self._health.trouble(primary, None) is not None:
            self._primary_well_since = None
            return None
        now = time.monotonic()
        self._primary_well_since = self._primary_well_since or now
        if now - self._primary_well_since < self._failback:
            return None
        if self._is(primary, said) or self._health.trouble(primary, table) is not None:
            self._primary_well_since = None
            return None
        reason = "the primary is well again"
        self._move_to(primary, reason)
        return reason

    def _is(self, cluster: Cluster, said: str) -> bool:
        """Whether a cluster says that it is the one in use, under another URL."""
        try:
            return bool(said) and cluster.properties().identity == said
        except WireError:
            return True  # to stay is always right

    def _move_to(self, cluster: Cluster, reason: str) -> None:
        left = self._ring.current
        log.error("failover", left=left.url, to=cluster.url, cause=reason)
        self.moves[left.url, cluster.url] += 1
        self._primary_well_since = None
        self._ring.current = cluster
