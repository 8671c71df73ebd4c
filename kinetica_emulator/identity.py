"""What a cluster says of itself: version, addresses, ring, whether it is draining."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

# The release whose protocol this follows; clients compare its first two numbers with theirs.
VERSION = "7.2.3.13.20260601000000"
# Most records one read returns, and what a limit of END_OF_SET means.
MAX_GET_RECORDS_SIZE = 20_000


@dataclass(slots=True)
class Identity:
    """The parts of a cluster's description that can change.

    Attributes:
        url: where it is reached.
        follows_host: it listens on every address, so each client is told the one it used.
        monitor_port: the port of its table monitors.
        ring: URLs of all clusters of the ring, primary first; empty without a ring.
        draining: it is catching up with the ring and serves nobody yet.
    """

    url: str
    follows_host: bool
    monitor_port: int
    ring: tuple[str, ...] = ()
    draining: bool = False

    def public_url(self, host_header: str | None) -> str:
        """Return the URL to tell a client that reached us under `host_header`."""
        return f"http://{host_header}" if self.follows_host and host_header else self.url

    def properties(self, host_header: str | None) -> Mapping[str, str]:
        """Return what `/show/system/properties` says. Source: protocol, section 3.1."""
        url = self.public_url(host_header)
        return {
            "version.gpudb_core_version": VERSION,
            "conf.number_of_hosts": "1",
            "conf.host0_public_urls": url,
            "conf.worker_http_server_urls": url,
            "conf.enable_worker_http_servers": "FALSE",
            "conf.use_https": "FALSE",
            "conf.enable_httpd_proxy": "FALSE",
            "conf.set_monitor_port": str(self.monitor_port),
            "conf.max_get_records_size": str(MAX_GET_RECORDS_SIZE),
            "conf.enable_ha": "TRUE" if self.ring else "FALSE",
            **({"conf.ha_ring_head_nodes_full": ";".join(self.ring)} if self.ring else {}),
        }

    def status(self) -> Mapping[str, str]:
        """Return what `/show/system/status` says; JSON texts within the map."""
        drained = "draining" if self.draining else "drained"
        return {
            "system": json.dumps({"status": "running"}),
            "ha_status": json.dumps({"drained": drained}),
        }
