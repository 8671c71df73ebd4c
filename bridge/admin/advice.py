"""What is wrong, and what to do about it, in a sentence each."""

from __future__ import annotations

from typing import NamedTuple

from bridge.admin.health import WELL
from bridge.monitor.states import State
from bridge.supervisor import Snapshot

_FULL_SHARE = 0.8


class Problem(NamedTuple):
    """Something that an operator should know of.

    Attributes:
        kind: table, sink, lane, gap or journal.
        name: of the table, the sink or the gap.
        what: what is wrong.
        cure: what to do.
    """

    kind: str
    name: str
    what: str
    cure: str


_TABLES = {
    State.CONNECTING: "Look whether the cluster runs and can be reached from here: `check`.",
    State.DEAF: "Look whether the monitor port (9002) can be reached from here: `check`.",
    State.WAITING_FOR_TABLE: "Create the table, or take it out of `tables` and reload.",
    State.DROPPED: "`on_drop: stop` ended it. Reload once the table is back.",
    State.FAILED: "Mend the cause, then reload.",
    State.FAILING_OVER: "Wait: it moves to another cluster of the ring.",
    State.CATCHING_UP: "Wait: missed rows are being read from the table.",
    State.SNAPSHOTTING: "Wait: the rows that were there are being read.",
}
_SINKS = {
    "connecting": "Look whether the destination runs; events wait in the journal.",
    "retrying": "Mend the destination; events wait in the journal and go out by themselves.",
    "disabled": "The destination is gone for good. Mend its settings, then reload.",
    "failed": "A fault of the sink's own code: the log has its traceback.",
    "paused": "`sinks resume` lets it go on.",
}


def problems(snapshot: Snapshot) -> list[Problem]:
    """Return what is wrong at present, the gravest first."""
    found: list[Problem] = []
    journal = snapshot.journal
    if journal.bytes > _FULL_SHARE * journal.max_bytes:
        share = round(100 * journal.bytes / journal.max_bytes)
        cure = "Mend the sink that lags, or raise `journal.max_size`."
        found.append(Problem("journal", "journal", f"it is {share} % full", cure))
    for name, stats in snapshot.sinks.items():
        if stats.state != "delivering":
            what = f"{stats.state}: {stats.error}" if stats.error else stats.state
            found.append(Problem("sink", name, what, _SINKS.get(stats.state, "")))
            continue
        for table, error in stats.waiting.items():
            cure = f"Mend its cause, or `sinks skip {name} --table {table}`."
            found.append(Problem("lane", f"{name} / {table}", f"waits: {error}", cure))
    for name, monitor in snapshot.tables.items():
        if monitor.state not in WELL:
            what = f"{monitor.state}: {monitor.reason}" if monitor.reason else str(monitor.state)
            found.append(Problem("table", name, what, _TABLES.get(monitor.state, "")))
    for gap in snapshot.gaps:
        what = f"{gap.table} may have missed rows ({gap.reason}): {gap.why_open}"
        cure = f"`gaps show {gap.gap}`; `gaps close {gap.gap}` reads the table again."
        found.append(Problem("gap", gap.gap, what, cure))
    return found
