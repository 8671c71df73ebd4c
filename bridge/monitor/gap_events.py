"""What others get to know of a table's gaps: events, the mark of those not closed, log lines.

Log lines are kept until whoever changes gaps lets go of the lock: who reads the log may be slow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Literal

import structlog

from bridge.events import Gap, GapReason
from bridge.monitor.counts import Counts
from bridge.monitor.mark import Mark, Post
from bridge.monitor.spans import GAPS, Fate, Unclosed, unclosed_to_json

log = structlog.get_logger()

Ending = Literal["quiet", "read", "accepted"]


class GapEvents:
    """Tells of one table's gaps. Used under its gaps' lock, but for the lines taken.

    Args:
        table: its qualified name.
        post: takes events and marks, in order with the rows.
        counts: kept up to date.
    """

    def __init__(self, table: str, post: Post, counts: Counts) -> None:
        self._table = table
        self._post = post
        self._counts = counts
        self._lines: list[Callable[[], object]] = []

    def say(self, level: Literal["info", "warning", "error"], event: str, **fields: object) -> None:
        """Keep a log line to be written."""
        self._lines.append(partial(getattr(log, level), event, table=self._table, **fields))

    def taken(self) -> list[Callable[[], object]]:
        """Return what writes the lines kept until now."""
        lines, self._lines = self._lines, []
        return lines

    def over(self, gap: str, reason: GapReason, since: int, until: int, cluster: str) -> Gap:
        """Post that a span is over; microseconds since the epoch."""
        self._counts.gaps[reason] += 1
        self._counts.last_gap = time.time()
        # Where the clock was set back meanwhile, the span reaches over both times.
        since, until = min(since, until), max(since, until)
        made = Gap(self._table, cluster, time.time_ns() // 1000, gap, since, until, reason)
        self._post(made)
        seconds = round((until - since) / 1e6, 3)
        self.say("warning", "gap_ended", cause=reason, gap=gap, seconds=seconds)
        return made

    def ended(self, gap: Gap, by: Ending, rows: int | None, cluster: str) -> None:
        """Post that a gap is open no more."""
        closed = GAPS[Fate.UNCLOSED][by] is Fate.CLOSED
        made = replace(gap, cluster=cluster, time=time.time_ns() // 1000)
        self._post(replace(made, closed=closed, rows=rows, by=by))
        event = "gap_closed" if closed else "gap_accepted"
        self.say("info", event, gap=gap.gap, by=by, rows=rows)

    def unclosed(self, gaps: Collection[Unclosed]) -> None:
        """Post which are not closed, for a restart."""
        self._post(Mark(f"gaps/{self._table}", unclosed_to_json(gaps)))
