"""The care of each table: what a probe says of it, decided and begun in the watch's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bridge.events import GapReason
from bridge.monitor.channel import Line
from bridge.monitor.cluster_monitors import ClusterMonitors, Established
from bridge.monitor.jobs import Jobs, Readers, absent, good_by
from bridge.monitor.moment import NEVER, Moment
from bridge.monitor.probe import Action, Observation, decide
from bridge.monitor.states import Signal, State
from bridge.monitor.table import TableMonitor
from bridge.monitor.watched import Watched
from bridge.monitor.writes import WriteMark
from bridge.wire.calls import Facts

_CAUSES: dict[GapReason, str] = {
    "disconnected": "the connection's socket failed",
    "monitor_lost": "the server no longer has our monitors",
    "unaccounted": "the server counts writes, and nothing of them was heard",
}
# Every socket is read at least once a second.
_TOGETHER_SECONDS = 2.0
_EVERYTHING = {"insert", "update", "delete"}


class Care:
    """Sees to tables. Used by the watch's thread.

    Args:
        jobs: do what may block.
        readers: reads tables to close gaps; None where nobody remembers what was received.
        failed: told of a fault of ours that concerned one table.
    """

    def __init__(
        self, jobs: Jobs, readers: Readers | None, failed: Callable[[BaseException], None]
    ) -> None:
        self._jobs = jobs
        self._readers = readers
        self._failed = failed

    def see_to(
        self, tables: Sequence[Watched], monitors: ClusterMonitors, seen: Observation
    ) -> None:
        """Do for each table what it needs."""
        for watched in tables:
            watched.forget_former()
        good_at = _good_at(tables, seen.asked_at)
        waiting = [
            (watched, None)
            for watched in tables
            if watched.is_free
            and self._guarded(watched, monitors, seen, good_at) is Action.ESTABLISH
        ]
        self._jobs.make(waiting, monitors, seen)

    def _guarded(
        self, watched: Watched, monitors: ClusterMonitors, seen: Observation, good_at: Moment
    ) -> Action | None:
        """See to one table; a fault is its own, and the others are seen to all the same."""
        try:
            return self._see_to_one(watched, monitors, seen, good_at)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is shown)
            self._failed(error)
            watched.table.signal(Signal.LOST, f"a fault of ours: {type(error).__name__}: {error}")
            return None

    def _see_to_one(
        self, watched: Watched, monitors: ClusterMonitors, seen: Observation, good_at: Moment
    ) -> Action | None:
        """Decide and act; returns what is left to be done."""
        table, made = watched.table, watched.made
        if watched.ended_at > seen.asked_at:
            return None  # what was seen is older than its monitors, or than that they are cleared
        line = self.note_loss(watched)
        action, reason = decide(watched.view(monitors.key, line), seen)
        if watched.suspicion.confirmed and action in (Action.GOOD, Action.QUIET):
            action, reason = Action.RENEW, "unaccounted"
        match action:
            case Action.GOOD | Action.QUIET:
                # What still waited in the socket then is not handed on yet: a kill would lose it.
                good_at = min(good_at, line.emptied_at)
                self._note_good(watched, monitors, seen, good_at, quiet=action is Action.QUIET)
            case Action.DEAF:
                table.signal(Signal.LOST, f"the connection to {monitors.endpoint} is down")
            case Action.LOOK if watched.tries.due:
                self._jobs.look(watched, monitors, seen)
            case Action.RENEW if made is not None and reason is not None:
                self._renew(watched, made, reason, monitors, seen)
            case Action.RETIRE if made is not None:
                self._jobs.retire([watched], monitors)
            case Action.ESTABLISH if watched.may_try(seen):
                return action
            case Action.ESTABLISH if watched.is_still_absent(seen):
                # What was said since, of a cluster that was lost, is over with this probe.
                if table.state is not State.WAITING_FOR_TABLE:
                    table.signal(Signal.MISSING, absent(table, monitors.cluster.url))
        return None

    def note_loss(self, watched: Watched) -> Line:
        """Open a span where the connection was lost since it was last looked at."""
        made, line = watched.made, watched.line
        since = None if made is None else line.missed_since(made.losses)
        if made is not None and since is not None:
            told = f"the connection to {made.channel.endpoint} was lost"
            begun = watched.table.good if since is NEVER else since
            watched.table.gaps.begin("disconnected", begun, told)
            watched.made = replace(made, losses=line.losses)
        return line

    def _note_good(
        self,
        watched: Watched,
        monitors: ClusterMonitors,
        seen: Observation,
        good_at: Moment,
        *,
        quiet: bool,
    ) -> None:
        table, made, url = watched.table, watched.made, monitors.cluster.url
        if made is None:
            return
        watched.note_standing(made)
        facts = seen.facts.get(table.name)
        writes = None if facts is None else _write_mark(facts, seen.asked_at, monitors.key)
        if facts is not None:
            table.note_identity(monitors.key, facts.identity)
        if writes is not None:
            table.writes.note(writes, _heard(table))
            self._suspect(watched, monitors)
        table.gaps.end(seen.asked_at, url)
        table.gaps.settle(seen.asked_at, url, writes)
        if good_at >= made.at:
            table.prove_good(good_at)
        table.counts.last_probe = seen.asked_at.wall
        if not quiet or table.state is not State.IDLE:
            table.signal(Signal.ESTABLISHED)
        if self._readers is not None:
            self._readers.look_after(table, monitors.cluster)
        if quiet:
            minutes = table.options.inactivity_timeout / 60
            table.signal(Signal.QUIET, f"nothing happened for {minutes:g} min")

    def _renew(
        self,
        watched: Watched,
        made: Established,
        reason: GapReason,
        monitors: ClusterMonitors,
        seen: Observation,
    ) -> None:
        """Make monitors again that are of no use; where that does not help, not at every probe."""
        table, cause = watched.table, _CAUSES[reason]
        since = watched.suspicion.since if reason == "unaccounted" else None
        table.gaps.begin(reason, since or good_by(table, seen), cause)
        table.signal(Signal.LOST, cause)
        if watched.renewals.due:
            watched.renewals.back_off()
            watched.suspicion.forget()
            watched.made = None
            self._jobs.make([(watched, made)], monitors, seen)

    def _suspect(self, watched: Watched, monitors: ClusterMonitors) -> None:
        """Have a suspicion confirmed: writes are counted, and nothing is heard."""
        table, suspicion = watched.table, watched.suspicion
        options = table.options
        if not table.writes.unheard or options.filter or set(options.events) != _EVERYTHING:
            suspicion.forget()
        elif suspicion.pace.due:
            suspicion.pace.back_off()
            self._jobs.count_rows(watched, monitors)


def _good_at(tables: Sequence[Watched], asked_at: Moment) -> Moment:
    """Return one moment for all tables whose sockets were read empty about then.

    So that they can be proven good together, which costs one mark.
    """
    emptied = {watched.line.emptied_at for watched in tables if watched.made is not None}
    earliest = asked_at.earlier(_TOGETHER_SECONDS)
    return min([asked_at, *(moment for moment in emptied if moment > earliest)])


def _write_mark(facts: Facts, asked_at: Moment, cluster: str) -> WriteMark | None:
    """Return what a probe said of a table's writes; None where it did not say all there is.

    A table that was never written has no time.
    """
    if facts.write_count is None or (facts.write_count and not facts.last_write_time):
        return None
    identity, count = facts.identity, facts.write_count
    return WriteMark(asked_at, cluster, identity, count, facts.last_write_time)


def _heard(table: TableMonitor) -> int:
    """Return a number that changes with whatever explains that the server counted writes.

    What came counts although the journal does not take it yet.
    """
    counts = table.counts
    return counts.arrived + counts.discarded.total() + counts.gaps.total()
