"""The probe: what a few cheap calls say of all tables at once, and what follows for each.

`observe` asks; `decide` is a function from what a table is and what was seen to what must
be done, without I/O, so that the policy can be read and tested on its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from bridge.errors import ClusterUnavailable, WireError
from bridge.events import GapReason
from bridge.monitor.channel import Line
from bridge.monitor.moment import Moment
from bridge.monitor.naming import unqualified
from bridge.monitor.states import State
from bridge.wire.calls import Cluster, Facts, MonitorInfo, TableInfo, made_again
from bridge.wire.catalogue import FEW


class Monitors:
    """The table monitors of a cluster; their ids may come with a schema before them, or not."""

    def __init__(self, found: Mapping[str, MonitorInfo]) -> None:
        self.ids = {unqualified(monitor): monitor for monitor in found}
        self.alive = {unqualified(monitor) for monitor, info in found.items() if not info.suspended}

    def without(self, names: Iterable[Collection[str]]) -> Monitors:
        """Return the same but for some monitors, given by their names."""
        gone = set[str]().union(*names)
        left = Monitors({})
        left.ids = {name: monitor for name, monitor in self.ids.items() if name not in gone}
        left.alive = self.alive - gone
        return left

    def stand(self, names: Sequence[Collection[str]]) -> bool:
        """Whether some monitors are all there, each under one of its names, not suspended."""
        alive = self.alive
        return all(not alive.isdisjoint(each) for each in names)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a cluster said, all of it asked after `asked_at`.

    Attributes:
        facts: of tables; None of those that do not seem to exist. What is not in it was not asked.
        layouts: of tables whose monitors must be made, where many were asked for at once.
    """

    asked_at: Moment
    monitors: Monitors
    facts: Mapping[str, Facts | None]
    layouts: Mapping[str, TableInfo] = field(default_factory=dict)


def observe(
    cluster: Cluster,
    names: Collection[str],
    waiting: Collection[str],
    timeout: float,
    asked_at: Moment,
) -> Observation:
    """Ask whether the cluster runs, for its monitors, and for what its tables are.

    A few calls, however many tables there are.

    Args:
        cluster: whom to ask.
        names: the tables.
        waiting: those of them whose monitors must be made.
        timeout: seconds to wait for each answer.
        asked_at: from before the first question.

    Raises:
        ClusterUnavailable: it does not answer, or is not running.
        WireError: it answers otherwise.
    """
    status = cluster.status(timeout)
    if status != "running":
        raise ClusterUnavailable(cluster.url, "/show/system/status", f"the cluster is {status}")
    monitors = Monitors(cluster.monitors(timeout))
    facts = cluster.catalogue(names, timeout)
    layouts: dict[str, TableInfo] = {}
    by_schema: dict[str, list[str]] = {}
    for name in waiting:
        if facts.get(name) is not None:
            by_schema.setdefault(name.rpartition(".")[0], []).append(name)
    for schema, wanted in by_schema.items():
        if len(wanted) > FEW:
            layouts |= _layouts(cluster, schema, wanted, timeout)
    return Observation(asked_at, monitors, facts, layouts)


def _layouts(
    cluster: Cluster, schema: str, wanted: Sequence[str], timeout: float
) -> Mapping[str, TableInfo]:
    try:
        return cluster.tables(schema, timeout, wanted)
    except WireError:
        return {}  # then each is asked for by itself


@dataclass(frozen=True, slots=True)
class View:
    """A table as the decision sees it.

    Attributes:
        established: whether its monitors were made and subscribed on this cluster.
        expected: what the cluster says of it as far as that was found to be right; None where it
            wrongly says that there is no such table, or where nothing is known.
        identity: of the table as this cluster last said it, "" where it never did.
        known: whether it exists as far as is known.
        monitors: of each of its monitors, the names it may be listed by.
        line: its channel's connection.
        quiet_for: seconds since the last event.
    """

    name: str
    state: State
    established: bool
    expected: Facts | None
    identity: str
    known: bool
    monitors: tuple[frozenset[str], ...]
    line: Line
    quiet_for: float
    inactivity_timeout: float


class Action(Enum):
    """What a table needs."""

    NOTHING = "stopped for good, or nothing new is known"
    RETIRE = "stopped for good, but its monitors stand"
    ESTABLISH = "make its monitors"
    RENEW = "its monitors are of no use any more: make them again"
    LOOK = "it is gone, another one, or altered, it seems: look at it by itself"
    DEAF = "its connection is down"
    GOOD = "all is well"
    QUIET = "all is well, and nothing has happened for long"


def decide(view: View, seen: Observation) -> tuple[Action, GapReason | None]:
    """Return what a table needs, and for RENEW the reason of the gap.

    >>> view = View("s.t", State.CONNECTING, False, None, "", False, (), Line(), 0.0, 60.0)
    >>> decide(view, Observation(Moment.now(), Monitors({}), {}))
    (<Action.ESTABLISH: 'make its monitors'>, None)
    """
    if view.state in (State.FAILED, State.DROPPED):
        return (Action.RETIRE if view.established else Action.NOTHING), None
    asked = view.name in seen.facts
    if asked and _is_news(view, seen.facts[view.name]):
        return Action.LOOK, None
    if not view.established:
        return Action.ESTABLISH, None
    if view.line.closed:
        return Action.RENEW, "disconnected"
    if not seen.monitors.stand(view.monitors):
        return Action.RENEW, "monitor_lost"
    heard = _heard(view, seen)
    return heard if asked or heard is Action.DEAF else Action.NOTHING, None


def _heard(view: View, seen: Observation) -> Action:
    # What was asked before the connection stood proves nothing of it.
    if view.line.connected_at is None or view.line.connected_at > seen.asked_at:
        return Action.DEAF
    return Action.QUIET if view.quiet_for > view.inactivity_timeout else Action.GOOD


def _is_news(view: View, facts: Facts | None) -> bool:
    """Whether what is said of a table is other than what is known to be right."""
    if facts is None:
        # Of a table that is waited for it is none.
        return view.known and (not view.established or view.expected is not None)
    if made_again(view.identity, facts.identity):
        return True
    expected = view.expected
    return view.established and (expected is None or expected.type_id != facts.type_id)
