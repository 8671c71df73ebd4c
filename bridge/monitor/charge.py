"""A table in the watch's care: its monitors as they were made, and when to try again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from bridge.monitor.establish import Established
from bridge.monitor.probe import View
from bridge.monitor.table import TableMonitor

_MIN_BACKOFF = 0.2
_MAX_BACKOFF = 10.0


@dataclass(eq=False, slots=True)
class Charge:
    """A table in the watch's care. Written by the watch's thread, or by the one job it has."""

    table: TableMonitor
    made: Established | None = None
    busy: bool = False
    gone: bool = False
    tried: bool = False
    attempts: int = 0
    retry_at: float = 0.0
    absent_at: float = 0.0

    def view(self, now: float) -> View:
        """Return the table as the probe's decision sees it, at `now`."""
        table, made = self.table, self.made
        return View(
            name=table.name,
            state=table.state,
            established=made is not None,
            type_id=made.type_id if made else "",
            monitors=made.topics if made else frozenset(),
            connected_at=made.channel.connected_at if made and made.channel.connected else None,
            quiet_for=now - max(table.counts.last_event, table.changed_at),
            inactivity_timeout=table.options.inactivity_timeout,
        )


def backoff(attempts: int) -> float:
    """Return seconds to wait: doubling, capped, between half and all of it at random."""
    longest = min(_MAX_BACKOFF, _MIN_BACKOFF * 2 ** min(attempts, 10))
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 (jitter is no secret)
