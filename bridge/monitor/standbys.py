"""Asking the clusters that are not in use which tables they have, so that they are known there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import structlog

from bridge.errors import BridgeError
from bridge.monitor.cluster_monitors import key_of
from bridge.monitor.table import TableMonitor
from bridge.monitor.workers import Workers
from bridge.wire.calls import Cluster
from bridge.wire.ring import Ring

log = structlog.get_logger()

_SECONDS = 60.0


class Standbys:
    """Learns the identities of tables on other clusters. Used by the watch's thread.

    Args:
        ring: the clusters.
        workers: run the calls.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, ring: Ring, workers: Workers, timeout: float) -> None:
        self._ring = ring
        self._workers = workers
        self._timeout = timeout
        self._due = 0.0

    def ask(self, tables: Sequence[TableMonitor]) -> None:
        """Ask, if it is time for that."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _SECONDS
        known = [table for table in tables if table.schema is not None]
        if not known:
            self._due = 0.0
            return
        for cluster in self._ring.others():
            self._workers.submit(partial(self._ask, cluster, known))

    def _ask(self, cluster: Cluster, tables: Sequence[TableMonitor]) -> None:
        try:
            key = key_of(cluster, cluster.properties(self._timeout).identity)
            facts = cluster.catalogue([table.name for table in tables], self._timeout)
        except BridgeError as error:
            log.debug("standby_not_asked", cluster=cluster.url, cause=str(error))
            return
        for table in tables:
            said = facts.get(table.name)
            # What is another one than before is told when the cluster is used.
            if said is not None and not table.identities.get(key):
                table.note_identity(key, said.identity, in_use=False)
