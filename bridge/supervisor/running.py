"""What a start has made, and how it goes over from one plan to another.

All of a new plan is built, and every lane of it given its place in the journal, before any of it
is applied; what fails until then leaves the old one as it was.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from operator import attrgetter

import structlog

from bridge.config import Config, files_digest, paths_in
from bridge.journal import Journal
from bridge.monitor.intake import Intake
from bridge.monitor.mark import Mark
from bridge.monitor.moment import Moment
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import TableOptions
from bridge.monitor.watch import Watch
from bridge.reading import Readers
from bridge.sinks.base import Sink
from bridge.supervisor.beginnings import begin_of
from bridge.supervisor.damage import JournalDamage
from bridge.supervisor.discovery import Listed
from bridge.supervisor.found import MARK, Found, schemas
from bridge.supervisor.plan import Plan, access_of, make_plan
from bridge.supervisor.workers import SinkWorkers

log = structlog.get_logger()

# How long a change waits for what is in memory to be stored.
_PATIENCE_SECONDS = 2.0
# What has certificates beside the sinks, whose names have no dot.
_TLS = ("admin.tls", "kinetica.tls")


class Running:
    """Tables, lanes and workers as the present plan wants them.

    Whoever changes them, or narrows them, holds the service's lock.

    Args:
        plan: what runs at first; its lanes are registered.
        found: the tables of it that patterns mean.
        journal: open.
        intake: takes what the tables' monitors post.
        readers: forgets tables that are watched no longer.
        workers: of the sinks, none yet.

    Attributes:
        plan: what runs.
        found: the tables that patterns mean.
        tables: the monitors, by name.
        workers: of the sinks.
        watch: looks after the tables; set once they are made.
    """

    watch: Watch

    def __init__(
        self,
        plan: Plan,
        found: Found,
        journal: Journal,
        intake: Intake,
        readers: Readers,
        workers: SinkWorkers,
    ) -> None:
        self._journal = journal
        self._intake = intake
        self._readers = readers
        self.workers = workers
        self._damage = JournalDamage(journal)
        self.plan = plan
        self._files = _digests(plan)  # of certificates, by what shows or trusts them
        self.found = found
        # Sinks that have lanes which are not configured any more.
        self._too_wide: set[str] = set()
        self.tables: dict[str, TableMonitor] = {}
        self.tables = self._make_tables(plan.tables, {}, journal.marks())
        for name in found.new.keys() & self.tables.keys():
            self.tables[name].was_absent(_moment(found.new[name]))

    def reload(self, config: Config) -> list[str]:
        """Go over to another configuration.

        Returns:
            The sinks of whose settings nothing but secrets and certificates changed; `admin.tls`
            and `kinetica.tls` likewise.

        Raises:
            BridgeError: it cannot be applied; nothing was.
        """
        dropped = [name for name, table in self.tables.items() if table.schema is None]
        found = self.found.within(config, forgotten(dropped, self._journal), ())
        plan, old, stats = make_plan(config, found.names), self.plan.config, self.workers.stats()
        files = _digests(plan)
        renewed = [
            name
            for name, new in config.sinks.items()
            # What is shown of settings has no secrets in it.
            if name in old.sinks and repr(new) == repr(old.sinks[name])
            if new != old.sinks[name] or self._files[name] != files[name]
        ]
        sinks = {
            name: sink.build(name)
            for name, sink in plan.sinks.items()
            if self.plan.sinks.get(name) != sink
            or name in renewed
            or stats[name].waiting
            or stats[name].state != "delivering"
        }
        self._change(plan, sinks, {})
        changed = {key for key in _TLS if self._files[key] != files[key]}
        renewed += [
            key for key in sorted(changed) if attrgetter(key)(old) == attrgetter(key)(config)
        ]
        if access_of(config) != access_of(old) or "kinetica.tls" in changed:
            self.watch.renew(access_of(config))
        self._files = files
        self._keep_found(found)
        return renewed

    def take_found(self, listed: Listed, since: float) -> None:
        """Look after the tables that patterns mean and that were not there before.

        Args:
            listed: what there is.
            since: when it was asked for before, seconds since the epoch.

        Raises:
            BridgeError: it could not be done; nothing was.
        """
        old = self.plan
        heard = [name for name, table in self.tables.items() if table.schema is not None]
        found = self.found.within(old.config, (), heard).look(old.config, listed, since)
        if found.by_pattern == self.found.by_pattern:
            self.found = found
            return
        plan = make_plan(old.config, found.names)
        sinks = {n: s.build(n) for n, s in plan.sinks.items() if old.sinks[n] != s}
        # Stored before anything of the tables is, so that what is new stays so over a kill; known
        # once it is taken over, so that what fails is tried again.
        self._store(found)
        self._change(plan, sinks, found.new)
        self.found = found
        log.info("tables_found", tables=sorted(plan.tables.keys() - old.tables.keys()))

    def note_last_look(self, at: float) -> None:
        """Remember until when it is known what there was, seconds since the epoch."""
        if self.found.by_pattern and at > self.found.looked_at:
            self._keep_found(replace(self.found, looked_at=at))

    def _keep_found(self, found: Found) -> None:
        self.found = found
        self._store(found)

    def _store(self, found: Found) -> None:
        self._intake.post(Mark(MARK, found.to_text()))

    def _change(self, plan: Plan, sinks: Mapping[str, Sink], absent: Mapping[str, float]) -> None:
        """Go over to another plan.

        Args:
            plan: what is wanted from now on.
            sinks: those that are new or changed, or are to try again at once.
            absent: tables that were not there at a look, and when that was, seconds since the
                epoch: all of their rows are to come.

        Raises:
            BridgeError: it cannot be applied; nothing was.
        """
        old = self.plan.tables
        going = [table for name, table in self.tables.items() if plan.tables.get(name) != old[name]]
        for table in going:  # first: what a read closes after the marks were taken is not in them
            self._readers.forget(table)
        try:
            # So that the marks of a changed table are the latest; a full journal holds up nobody.
            self._intake.barrier(_PATIENCE_SECONDS)
            tables = self._make_tables(plan.tables, old, self._journal.marks())
            for name in absent.keys() & tables.keys():
                tables[name].was_absent(_moment(absent[name]))
            self._add_lanes(plan)
            self._apply(plan, sinks, tables)
        except BaseException:
            for table in going:
                self._readers.recall(table)
            raise

    def _make_tables(
        self,
        wanted: Mapping[str, TableOptions],
        before: Mapping[str, TableOptions],
        marks: Mapping[str, str],
    ) -> dict[str, TableMonitor]:
        tables: dict[str, TableMonitor] = {}
        for name, options in wanted.items():
            if before.get(name) == options:
                tables[name] = self.tables[name]
                continue
            tables[name] = TableMonitor(
                options,
                self._intake.post,
                hold=self.plan.config.kinetica.probe_interval,
                closable=True,
            )
            tables[name].restore(marks)
        return tables

    def _add_lanes(self, new: Plan) -> None:
        """Register the lanes that are new, beside all that there are.

        Raises:
            JournalError: one could not be; none was.
        """
        old = self.plan
        done: list[str] = []
        try:
            for name, sink in new.sinks.items():
                known = old.sinks.get(name)
                before = known.tables if known is not None else frozenset()
                if (
                    known is None
                    or sink.tables - before
                    or sink.settings.taken != known.settings.taken
                ):
                    done.append(name)
                    begin = begin_of(self._journal, name, sink.settings)
                    tables = sink.tables | before
                    self._journal.register(name, tables, begin=begin, events=sink.settings.taken)
        except BaseException:
            # What cannot be undone now is undone by the upkeep.
            self._too_wide.update(done)
            raise

    def _apply(
        self, plan: Plan, sinks: Mapping[str, Sink], tables: dict[str, TableMonitor]
    ) -> None:
        old = self.plan
        self._start_workers(plan, {n: s for n, s in sinks.items() if n not in old.sinks})
        for name in sinks.keys() & old.sinks.keys():
            self.workers.configure(name, sinks[name], plan.sinks[name])
        for name in old.sinks.keys() - plan.sinks.keys():
            self.workers.retire(name)
        self._too_wide.update(
            name
            for name, sink in plan.sinks.items()
            if name in old.sinks and old.sinks[name].tables - sink.tables
        )
        self.plan, self.tables = plan, tables
        self.watch.look_after(list(tables.values()), schemas(plan.config))

    def _start_workers(self, plan: Plan, sinks: Mapping[str, Sink]) -> None:
        """Start the workers of sinks that are new; where one cannot be, none is."""
        started: list[str] = []
        try:
            for name, sink in sinks.items():
                self.workers.configure(name, sink, plan.sinks[name])
                started.append(name)
        except BaseException:  # no further thread can be started, say
            for name in started:
                self.workers.retire(name)
            self._too_wide.update(sinks)
            raise

    def tell_damage(self) -> None:
        """Declare gaps for what the journal lost.

        Raises:
            JournalError: it cannot be read; nothing was declared.
        """
        hold = self.plan.config.kinetica.probe_interval
        self._damage.tell(self.tables.values(), self.watch.cluster, hold)

    def narrow(self) -> None:
        """Let the journal forget sinks that have ended, and lanes that are not configured."""
        for name in self.workers.ended():
            self._too_wide.discard(name)
            with contextlib.suppress(KeyError):
                self._journal.unregister(name)
        for replay in self._journal.replays.all():
            if replay.state == "running" and replay.sink not in self.plan.sinks:
                why = f"sink {replay.sink} is not configured any more"
                self._journal.replays.finish(replay.number, "stopped", why)
                log.warning("replay_ended", replay=replay.number, cause=why)
        for name in list(self._too_wide):
            if name in self.plan.sinks:
                sink = self.plan.sinks[name]
                self._journal.register(name, sink.tables, events=sink.settings.taken)
            elif name not in self.workers.stats():
                self._journal.unregister(name)
            self._too_wide.discard(name)


def _digests(plan: Plan) -> dict[str, str]:
    settings = {name: sink.settings.model_dump() for name, sink in plan.sinks.items()}
    settings["admin.tls"] = plan.config.admin.model_dump()
    settings["kinetica.tls"] = plan.config.kinetica.model_dump()
    return {name: files_digest(paths_in(dump)) for name, dump in settings.items()}


def recall_found(config: Config, journal: Journal) -> Found:
    """Return the tables that patterns were seen to mean before, of those still waited for."""
    marks = journal.marks()
    heard = {m.partition("/")[2]: text for m, text in marks.items() if m.startswith("schema/")}
    dropped = [name for name, text in heard.items() if text == "null"]
    return Found.from_text(marks.get(MARK, "")).within(config, forgotten(dropped, journal), heard)


def forgotten(dropped: Iterable[str], journal: Journal) -> Collection[str]:
    """Return which of the tables that were dropped have nothing more to deliver."""
    pending = {account.table for account in journal.accounts() if account.pending}
    return frozenset(dropped) - pending


def _moment(wall: float) -> Moment:
    """Return a moment of which only the wall clock's time is known: long ago, in order."""
    return Moment(-math.inf, wall)
