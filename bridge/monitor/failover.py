"""Which cluster of the ring is used: when to leave one, and when to return to the primary.

One object decides for all tables, in the watch's thread, so that a failover happens once
however many tables notice (the vendor's client gets this wrong: protocol, section 7, G6).
"""

from __future__ import annotations

import time
from collections import Counter

import structlog

from bridge.wire.calls import Cluster
from bridge.wire.ring import Ring, why_unusable

log = structlog.get_logger()


class Failover:
    """Chooses among the clusters of a ring. Used by one thread.

    Args:
        ring: the clusters, primary first.
        timeout: seconds that a cluster has to say that it runs.
        failback: seconds that a primary must be well to be gone back to; None to stay away.

    Attributes:
        moves: how often one cluster was left for another, by their URLs.
    """

    def __init__(self, ring: Ring, timeout: float, failback: float | None) -> None:
        self._ring = ring
        self._timeout = timeout
        self._failback = failback
        self._primary_well_since: float | None = None
        self.moves: Counter[tuple[str, str]] = Counter()

    def leave(self) -> str | None:
        """Leave the cluster in use if it is really gone and another one runs.

        Returns:
            Why it was left, None where it was not.
        """
        others = self._ring.others()
        # Asked once more, so that one lost reply moves nobody.
        reason = why_unusable(self._ring.current, self._timeout) if others else None
        if reason is None:
            return None
        for candidate in others:
            if why_unusable(candidate, self._timeout) is None:
                self._move_to(candidate, reason)
                return reason
        log.error("no_cluster_left", ring=[c.url for c in self._ring.clusters], cause=reason)
        return None

    def return_to_primary(self) -> str | None:
        """Return to the primary if it has been well for long enough.

        Returns:
            Why the present cluster was left, None where it was not.
        """
        primary = self._ring.primary
        if self._failback is None or self._ring.current is primary:
            return None
        if why_unusable(primary, self._timeout) is not None:
            self._primary_well_since = None
            return None
        now = time.monotonic()
        self._primary_well_since = self._primary_well_since or now
        if now - self._primary_well_since < self._failback:
            return None
        reason = "the primary is well again"
        self._move_to(primary, reason)
        return reason

    def _move_to(self, cluster: Cluster, reason: str) -> None:
        left = self._ring.current
        log.error("failover", left=left.url, to=cluster.url, cause=reason)
        self.moves[left.url, cluster.url] += 1
        self._primary_well_since = None
        self._ring.current = cluster
