"""What happened lately: the last log lines about states, gaps, failovers and reloads."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from structlog.typing import EventDict, WrappedLogger

_MOST = 200
_EVENTS = frozenset(
    {
        "cluster_connected",
        "column_does_not_grow",
        "dead_letters_discarded",
        "draining",
        "failover",
        "gap_accepted",
        "gap_closed",
        "gap_ended",
        "gap_without_baseline",
        "journal_events_discarded",
        "journal_events_lost",
        "journal_refuses",
        "journal_span_damaged",
        "kafka_fenced",
        "kafka_takes_over",
        "loop_failed",
        "no_cluster_left",
        "reload_refused",
        "reloaded",
        "replay_ended",
        "restart_needed",
        "rows_unaccounted",
        "sink_failed",
        "sink_paused",
        "sink_recovered",
        "sink_resumed",
        "sink_retrying",
        "starting",
        "table_altered",
        "table_dropped",
        "table_state",
        "tables_found",
    }
)
_FRAME = frozenset({"time", "level", "event", "instance", "exc_info"})


class Recent:
    """Remembers lines as they pass on their way into the log. Any thread may log and ask.

    Args:
        most: lines that are kept.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._lines: deque[Mapping[str, Any]] = deque(maxlen=most)

    def __call__(self, logger: WrappedLogger, name: str, line: EventDict) -> EventDict:  # noqa: ARG002
        """Let a line pass (a structlog processor), and keep it if it tells of such a thing."""
        if line.get("event") in _EVENTS:
            self._lines.append(dict(line))
        return line

    def lines(self) -> list[dict[str, Any]]:
        """Return what was kept, the newest first: time, level, event, and its fields as text."""
        return [
            {
                "time": line.get("time"),
                "level": line.get("level"),
                "event": line["event"],
                "fields": {
                    key: str(value)
                    for key, value in line.items()
                    if key not in _FRAME and value is not None
                },
            }
            for line in reversed(list(self._lines))
        ]
