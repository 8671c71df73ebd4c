"""A table in the watch's care: its monitors as they were made, and when to try again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bridge.monitor.establish import Established
from bridge.monitor.moment import Moment
from bridge.monitor.probe import View
from bridge.monitor.table import TableMonitor


@dataclass(eq=False, slots=True)
class Charge:
    """A table in the watch's care. Written by the watch's thread, or by the one job it has.

    Attributes:
        retry_at: not before then, by the monotonic clock.
        absent_at: when it was seen not to be there, None if it is.
    """

    table: TableMonitor
    made: Established | None = None
    busy: bool = False
    gone: bool = False
    tried: bool = False
    attempts: int = 0
    retry_at: float = -math.inf
    absent_at: Moment | None = None

    def view(self) -> View:
        """Return the table as the probe's decision sees it now."""
        table, made = self.table, self.made
        return View(
            name=table.name,
            state=table.state,
            established=made is not None,
            type_id=made.type_id if made else "",
            monitors=made.topics if made else frozenset(),
            connected_at=made.channel.connected_at if made and made.channel.connected else None,
            quiet_for=table.quiet_for,
            inactivity_timeout=table.options.inactivity_timeout,
        )
