"""What `/readyz` says: which tables and sinks are well, and why the others are not.

A degraded bridge is still ready: its journal is the safest place for what it gets, and
there is nobody else to send it to.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bridge.events import rfc3339
from bridge.monitor.states import State
from bridge.supervisor import Snapshot

WELL = frozenset({State.LIVE, State.IDLE})


def status(snapshot: Snapshot) -> str:
    """Return `ok`, or `degraded` where a table or a sink is not well, or a gap is open."""
    well = (
        all(table.state in WELL for table in snapshot.tables.values())
        and not snapshot.gaps
        and None not in snapshot.patterns.values()
        and all(s.state == "delivering" and not s.waiting for s in snapshot.sinks.values())
    )
    return "ok" if well else "degraded"


def readiness(snapshot: Snapshot) -> dict[str, Any]:
    """Return the body of `/readyz`."""
    body: dict[str, Any] = {
        "status": status(snapshot),
        "tables": {
            name: {"state": str(table.state), "reason": table.reason}
            for name, table in snapshot.tables.items()
        },
        "sinks": {
            name: {"state": stats.state, "error": stats.error, "waiting": dict(stats.waiting)}
            for name, stats in snapshot.sinks.items()
        },
        "gaps": [
            {
                "gap": gap.gap,
                "table": gap.table,
                "since": rfc3339(gap.since),
                "reason": gap.reason,
                "why_open": gap.why_open,
            }
            for gap in snapshot.gaps
        ],
    }
    if snapshot.patterns:
        body["patterns"] = dict(snapshot.patterns)
    letters = Counter[str]()
    for (sink, _), there in snapshot.letters.items():
        letters[sink] += there.count
    if letters:
        body["dead_letters"] = dict(letters)
    return body
