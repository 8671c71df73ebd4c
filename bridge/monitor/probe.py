"""The probe: what a few cheap calls say of all tables at once, and what follows for each.

`observe` asks; `decide` is a function from what a table is and what was seen to what must
be done, without I/O, so that the policy can be read and tested on its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from bridge.errors import ClusterUnavailable
from bridge.events import GapReason
from bridge.monitor.moment import Moment
from bridge.monitor.states import State
from bridge.wire.calls import Cluster, MonitorInfo, TableInfo


@dataclass(frozen=True, slots=True)
class Observation:
    """What a cluster said, all of it asked after `asked_at`."""

    asked_at: Moment
    tables: dict[str, TableInfo]
    monitors: dict[str, MonitorInfo]


def observe(
    cluster: Cluster, schemas: Collection[str], timeout: float, asked_at: Moment
) -> Observation:
    """Ask whether the cluster runs, for its monitors, and for each schema's tables.

    Two calls and one a schema, however many tables there are.

    Raises:
        ClusterUnavailable: it does not answer, or is not running.
        WireError: it answers otherwise.
    """
    status = cluster.status(timeout)
    if status != "running":
        raise ClusterUnavailable(cluster.url, "/show/system/status", f"the cluster is {status}")
    monitors = cluster.monitors(timeout)
    tables: dict[str, TableInfo] = {}
    for schema in schemas:
        tables |= cluster.tables(schema, timeout)
    return Observation(asked_at, tables, monitors)


@dataclass(frozen=True, slots=True)
class View:
    """A table as the decision sees it.

    Attributes:
        established: whether its monitors were made and subscribed on this cluster.
        type_id: of the layout they were made for.
        monitors: the ids they have.
        connected_at: since when its channel stands, None while it does not.
        quiet_for: seconds since the last event.
    """

    name: str
    state: State
    established: bool
    type_id: str
    monitors: frozenset[str]
    connected_at: Moment | None
    quiet_for: float
    inactivity_timeout: float


class Action(Enum):
    """What a table needs."""

    NOTHING = "stopped for good"
    RETIRE = "stopped for good, but its monitors stand"
    ESTABLISH = "make its monitors"
    RENEW = "its monitors are of no use any more: make them again"
    DROPPED = "the table is gone"
    DEAF = "its connection is down"
    GOOD = "all is well"
    QUIET = "all is well, and nothing has happened for long"


def decide(view: View, seen: Observation) -> tuple[Action, GapReason | None]:
    """Return what a table needs, and for RENEW the reason of the gap.

    >>> view = View("s.t", State.LIVE, True, "7", frozenset({"m"}), Moment.now(), 0.0, 60.0)
    >>> decide(view, Observation(Moment.now(), {}, {}))
    (<Action.DROPPED: 'the table is gone'>, None)
    """
    if view.state in (State.FAILED, State.DROPPED):
        return (Action.RETIRE if view.established else Action.NOTHING), None
    if not view.established:
        return Action.ESTABLISH, None
    table = seen.tables.get(view.name)
    if table is None:
        return Action.DROPPED, None
    if table.schema.type_id != view.type_id:
        return Action.RENEW, "altered"
    found = [seen.monitors.get(monitor) for monitor in view.monitors]
    if any(monitor is None or monitor.suspended for monitor in found):
        return Action.RENEW, "monitor_lost"
    return _heard(view, seen), None


def _heard(view: View, seen: Observation) -> Action:
    # What was asked before the connection stood proves nothing of it.
    if view.connected_at is None or view.connected_at > seen.asked_at:
        return Action.DEAF
    return Action.QUIET if view.quiet_for > view.inactivity_timeout else Action.GOOD
