"""What `/readyz` says: which tables and sinks are well, and why the others are not.

A degraded bridge is still ready: its journal is the safest place for what it gets, and
there is nobody else to send it to.
"""

from __future__ import annotations

from typing import Any

from bridge.monitor.states import State
from bridge.supervisor import Snapshot

_WELL = frozenset({State.LIVE, State.IDLE, State.SNAPSHOTTING, State.CATCHING_UP})


def readiness(snapshot: Snapshot) -> dict[str, Any]:
    """Return the body of `/readyz`."""
    tables = {
        name: {"state": str(table.state), "reason": table.reason}
        for name, table in snapshot.tables.items()
    }
    sinks = {
        name: {"state": stats.state, "error": stats.error} for name, stats in snapshot.sinks.items()
    }
    well = all(table.state in _WELL for table in snapshot.tables.values()) and all(
        stats.error is None for stats in snapshot.sinks.values()
    )
    return {"status": "ok" if well else "degraded", "tables": tables, "sinks": sinks}
