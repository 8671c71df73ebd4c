"""What may block for a table: making its monitors, looking at it by itself, counting its rows.

Each is a job in a worker, one at a time for each table; tables whose monitors are to be made go
through that together. A cluster's word that a table is gone, or another one, or altered, is
believed only when the table was asked for by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from functools import partial
from typing import Protocol

import structlog

from bridge.errors import BridgeError, ClusterUnavailable, WireError
from bridge.monitor.cluster_monitors import (
    ClusterMonitors,
    Established,
    TableMadeAgain,
    TableMissing,
)
from bridge.monitor.moment import Moment
from bridge.monitor.probe import Monitors, Observation
from bridge.monitor.route import Route
from bridge.monitor.states import Signal
from bridge.monitor.subscriber import Subscriber
from bridge.monitor.table import TableMonitor
from bridge.monitor.watched import Watched
from bridge.monitor.workers import Workers
from bridge.wire.calls import Cluster, Facts, made_again

log = structlog.get_logger()

# Tables whose monitors are made together: with three topics each they fill one channel.
_TOGETHER = 20
_HAND_ON_SECONDS = 5.0
# A table that is waited for is asked for by itself so often, whatever the catalogue says.
_ABSENT_SECONDS = 30.0


class Readers(Protocol):
    """Whoever reads tables."""

    def look_after(self, table: TableMonitor, cluster: Cluster) -> None:
        """Start what a table that is heard needs: a read, or an audit."""

    def first_level(self, table: TableMonitor, cluster: Cluster) -> None:
        """Note how high a growing column stands when its table is first listened to."""


class Jobs:
    """Has done for tables what may block; any thread may ask.

    Args:
        subscriber: the polling thread.
        workers: run the jobs.
        readers: reads tables to close gaps; None where nobody remembers what was received.
        current: the cluster's monitors that are in use, None while there are none.
        wake: has the watch probe again.

    Attributes:
        refused_since: since when the cluster fails to make any monitors; None where it makes them.
        left_some: whether monitors may stand that were to be cleared.
    """

    def __init__(
        self,
        subscriber: Subscriber[Route],
        workers: Workers,
        readers: Readers | None,
        current: Callable[[], ClusterMonitors | None],
        wake: Callable[[], None],
    ) -> None:
        self._subscriber = subscriber
        self._workers = workers
        self._readers = readers
        self._current = current
        self._wake = wake
        self.refused_since: Moment | None = None
        self.left_some = False

    def make(
        self,
        tables: Sequence[tuple[Watched, Established | None]],
        monitors: ClusterMonitors,
        seen: Observation,
    ) -> None:
        """Make tables' monitors, in the place of old ones if there are any."""
        for watched, _ in tables:
            watched.busy = True
        for i in range(0, len(tables), _TOGETHER):
            some = tables[i : i + _TOGETHER]
            self._workers.submit(partial(self._establish, some, monitors, seen))

    def look(self, watched: Watched, monitors: ClusterMonitors, seen: Observation) -> None:
        """Ask for a table by itself, and do what follows."""
        watched.busy = True
        self._workers.submit(partial(self._look, watched, monitors, seen))

    def count_rows(self, watched: Watched, monitors: ClusterMonitors) -> None:
        """Have a suspicion confirmed, or not, by how many rows a table has."""
        watched.busy = True
        self._workers.submit(partial(self._count_rows, watched, monitors))

    def retire(self, tables: Sequence[Watched], monitors: ClusterMonitors) -> None:
        """Unsubscribe tables' monitors and clear them on the server."""
        for watched in tables:
            watched.busy = True
        for i in range(0, len(tables), _TOGETHER):
            self._workers.submit(partial(self._retire, tables[i : i + _TOGETHER], monitors))

    def reap_strangers(
        self, monitors: ClusterMonitors, listed: Monitors, tables: Collection[str]
    ) -> None:
        """Clear what could not be cleared before: monitors of tables that are none of these."""
        self.left_some = False
        self._workers.submit(partial(self._reap_strangers, monitors, listed, tables))

    def clear(self, made: Established, monitors: ClusterMonitors) -> None:
        """Clear monitors that are heard no more, unless their ids may be in use."""
        self._workers.submit(partial(self._clear, made, monitors))

    # What follows runs in a worker.

    def _retire(self, tables: Sequence[Watched], monitors: ClusterMonitors) -> None:
        try:
            made = [watched.made for watched in tables if watched.made is not None]
            if not monitors.retire([topic for each in made for topic in each.topics]):
                self.left_some = True
        finally:
            for watched in tables:
                watched.made = None
                watched.end_job()
            self._wake()

    def _reap_strangers(
        self, monitors: ClusterMonitors, listed: Monitors, tables: Collection[str]
    ) -> None:
        self.left_some |= not monitors.reap_strangers(listed, tables)

    def _establish(
        self,
        tables: Sequence[tuple[Watched, Established | None]],
        monitors: ClusterMonitors,
        seen: Observation,
    ) -> None:
        """Make tables' monitors, in the place of old ones if there are any."""
        results: dict[TableMonitor, Established | Exception] = {}
        try:
            for _, old in tables:
                if old is not None:
                    self._hand_on(old)  # rows of the old layout come before the alter event
                    monitors.clear(old.topics)
                    # What is cleared must not be adopted.
                    seen = replace(seen, monitors=seen.monitors.without(old.names))
            results = monitors.establish([watched.table for watched, _ in tables], seen)
        finally:
            for watched, _ in tables:
                fault = BridgeError(f"{watched.table.name}: its monitors could not be made")
                self._take(watched, results.get(watched.table, fault), monitors, seen)

    def _take(
        self,
        watched: Watched,
        result: Established | Exception,
        monitors: ClusterMonitors,
        seen: Observation,
    ) -> None:
        """Take what came of making a table's monitors; ends its job."""
        table = watched.table
        try:
            if isinstance(result, Established):
                self._take_made(watched, result, monitors, seen)
            elif isinstance(result, TableMissing):
                self._note_missing(watched, None, monitors, seen)
            elif isinstance(result, TableMadeAgain):
                self._note_missing(watched, None, monitors, seen, again=True)
            else:
                self._take_trouble(watched, result)
        except Exception:
            log.exception("establishing_failed", table=table.name)  # a fault of ours
            watched.tries.back_off()
        finally:
            watched.tried = True
            watched.end_job()
            self._wake()

    def _take_trouble(self, watched: Watched, error: Exception) -> None:
        table = watched.table
        if not isinstance(error, BridgeError):
            log.error("establishing_failed", table=table.name, exc_info=error)  # a fault of ours
        if isinstance(error, ClusterUnavailable):
            self.refused_since = self.refused_since or Moment.now()
        watched.tries.back_off()
        table.signal(Signal.LOST, str(error))

    def _take_made(
        self, watched: Watched, made: Established, monitors: ClusterMonitors, seen: Observation
    ) -> None:
        table, url = watched.table, monitors.cluster.url
        if watched.gone or monitors is not self._current():
            self._let_go(made, monitors)
            return
        self.refused_since = None
        watched.tries.reset()
        watched.expected = seen.facts.get(table.name)
        table.note_identity(monitors.key, made.identity)
        if self._readers is not None:
            self._readers.first_level(table, monitors.cluster)
        if watched.absent_at is not None:
            table.gaps.begin("start", watched.absent_at, "the table was not there")
            watched.absent_at = None
        watched.made = made
        table.gaps.end(made.at, url)
        table.prove_good(made.at)
        table.signal(Signal.ESTABLISHED)
        if self._readers is not None:
            self._readers.look_after(table, monitors.cluster)

    def _let_go(self, made: Established, monitors: ClusterMonitors) -> None:
        self._subscriber.unsubscribe({topic.encode() for topic in made.topics})
        self._clear(made, monitors)

    def _clear(self, made: Established, monitors: ClusterMonitors) -> None:
        if monitors.may_clear(self._current()):
            monitors.clear(made.topics)

    def _look(self, watched: Watched, monitors: ClusterMonitors, seen: Observation) -> None:
        """Ask for a table by itself, and do what follows."""
        table, made, name = watched.table, watched.made, watched.table.name
        try:
            facts = seen.facts.get(name)
            info = monitors.cluster.table(name)
            identity = table.identities.get(monitors.key, "")
            if info is None:
                self._note_missing(watched, made, monitors, seen)
            elif made_again(identity, self._identity(name, monitors, facts)):
                self._note_missing(watched, made, monitors, seen, again=True)
                if not table.over:
                    # Known from now on: should it be gone before it is heard, that is a gap.
                    table.adopt_schema(info.schema, monitors.cluster.url)
                    self._again(watched, None, monitors, seen)
                    return
            elif made is None:
                self._again(watched, None, monitors, seen)
                return
            elif info.facts.type_id != made.type_id:
                table.gaps.begin("altered", good_by(table, seen), "the table's layout changed")
                table.signal(Signal.LOST, "the table's layout changed")
                watched.made = None
                self._again(watched, made, monitors, seen)
                return
            else:
                watched.expected = facts  # it is well, whatever the catalogue says
        except WireError as error:
            watched.tries.back_off()
            table.signal(Signal.LOST, str(error))
        except Exception:
            log.exception("establishing_failed", table=name)  # a fault of ours
            watched.tries.back_off()
        watched.tried = True
        watched.end_job()
        self._wake()

    def _identity(self, name: str, monitors: ClusterMonitors, facts: Facts | None) -> str:
        """Return a table's identity, asked for once more."""
        again = monitors.cluster.catalogue([name], monitors.timeout).get(name) or facts
        return "" if again is None else again.identity

    def _again(
        self,
        watched: Watched,
        old: Established | None,
        monitors: ClusterMonitors,
        seen: Observation,
    ) -> None:
        """Make the monitors of a table that was just looked at; ends its job."""
        name = watched.table.name
        facts = monitors.cluster.catalogue([name], monitors.timeout).get(name)
        # Its layout is asked for after that: what changes in between shows as a change.
        seen = replace(seen, facts={name: facts}, layouts={})
        self._establish([(watched, old)], monitors, seen)

    def _note_missing(
        self,
        watched: Watched,
        made: Established | None,
        monitors: ClusterMonitors,
        seen: Observation,
        *,
        again: bool = False,
    ) -> None:
        """Note that a table is not there, or, `again`, is another one than this cluster had.

        That it is not there is a drop only where it was seen last: elsewhere it is waited for.
        """
        table, url = watched.table, monitors.cluster.url
        if made is not None:
            self._hand_on(made)  # its last rows come before the drop
            monitors.clear(made.topics)
            watched.made = None
        watched.absent_at = watched.absent_at or seen.asked_at
        watched.tries.back_off(_ABSENT_SECONDS)
        reason = f"{table.name} was made again on {url}" if again else absent(table, url)
        if table.schema is None:
            table.gaps.withdraw("the table was not there")
            table.identities.clear()
            table.note_absent()
        elif again or watched.was_seen_on(monitors.key, alone=monitors.alone):
            # An ALTER in between may have silenced the monitors: so there is always a gap.
            told = "what happened between the last good probe and the drop"
            table.gaps.begin("monitor_lost", good_by(table, seen), told)
            table.gaps.end(Moment.now(), url)
            table.gaps.settle(Moment.now(), url, None, force=True)
            table.made_again(url)
            if table.options.on_drop == "stop":
                table.signal(Signal.DROPPED, "the table was dropped")
                return
        table.signal(Signal.MISSING, reason)

    def _count_rows(self, watched: Watched, monitors: ClusterMonitors) -> None:
        table = watched.table
        try:
            info = monitors.cluster.table(table.name, sizes=True)
            if info is not None and info.rows is not None:
                watched.suspicion.note(info.rows, table.writes)
        except WireError as error:
            log.info("rows_not_counted", table=table.name, cause=str(error))
        finally:
            watched.end_job()

    def _hand_on(self, made: Established) -> None:
        with contextlib.suppress(FutureTimeoutError):
            topics = {topic.encode() for topic in made.topics}
            self._subscriber.unsubscribe(topics).result(_HAND_ON_SECONDS)


def good_by(table: TableMonitor, seen: Observation) -> Moment:
    """Return when nothing was missed last, as far as is known."""
    return table.good if table.good.wall else seen.asked_at


def absent(table: TableMonitor, url: str) -> str:
    """Return why a table that is not there is waited for."""
    return f"{table.name} does not exist on {url}"
