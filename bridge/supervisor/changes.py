"""What a reload finds changed that it does not reach."""

from __future__ import annotations

from operator import attrgetter

from bridge.config import Config

# Settings that are read at the start alone.
FIXED = (
    "instance",
    "kinetica.urls",
    "kinetica.monitor_port",
    "kinetica.timeout",
    "kinetica.probe_interval",
    "kinetica.probe_timeout",
    "kinetica.failback",
    "journal.path",
    "admin.listen",
)


def restart_keys(runs: Config, wanted: Config) -> tuple[str, ...]:
    """Return the keys whose values only a restart takes over.

    Args:
        runs: what the service was started with.
        wanted: what the file says now.
    """
    return tuple(key for key in FIXED if attrgetter(key)(runs) != attrgetter(key)(wanted))
