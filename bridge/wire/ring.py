"""The ring: the clusters of an HA set-up in order, primary first.

Clusters are told apart by their whole URL; the vendor's client compares host names by
substring and takes two ports of one host for one cluster (protocol, section 7, G3).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import structlog

from bridge.wire.calls import Cluster
from bridge.wire.client import Access, Http, normal_url

log = structlog.get_logger()


class Ring:
    """The clusters of a ring and which of them is in use. Used by one thread, but for `renew`.

    Args:
        urls: the clusters' URLs, primary first.
        access: credentials and trust.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, urls: Iterable[str], access: Access, timeout: float) -> None:
        self._access = access
        self._timeout = timeout
        self._lock = threading.Lock()  # guards the access of all clusters
        self.clusters = [self._connect(url) for url in dict.fromkeys(map(normal_url, urls))]
        self.current = self.clusters[0]

    @property
    def primary(self) -> Cluster:
        """The cluster that is used while it is well."""
        return self.clusters[0]

    def extend(self, urls: Iterable[str]) -> None:
        """Add the members that a cluster names and the configuration does not."""
        known = {cluster.url for cluster in self.clusters}
        for url in map(normal_url, urls):
            if url not in known:
                known.add(url)
                with self._lock:
                    self.clusters.append(self._connect(url))
                log.info("ring_member_found", cluster=url)

    def renew(self, access: Access) -> None:
        """Call all clusters with another access from now on. Any thread may call."""
        with self._lock:
            self._access = access
            for cluster in self.clusters:
                cluster.http.renew(access)

    def others(self) -> list[Cluster]:
        """Return the other clusters in the order in which they are tried."""
        at = self.clusters.index(self.current)
        return self.clusters[at + 1 :] + self.clusters[:at]

    def close(self) -> None:
        """Close the clients of all clusters."""
        for cluster in self.clusters:
            cluster.close()

    def _connect(self, url: str) -> Cluster:
        return Cluster(Http(url, self._access, self._timeout))
