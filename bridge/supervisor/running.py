"""What a start has made, and how it goes over from one plan to another.

All of a new plan is built, and every lane of it given its place in the journal, before any of it
is applied; what fails until then leaves the old one as it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from bridge.delivery.encoding import Encoder
from bridge.journal import Journal
from bridge.monitor.intake import Intake
from bridge.monitor.table import TableMonitor, TableOptions
from bridge.monitor.watch import Watch
from bridge.sinks.base import Sink
from bridge.supervisor.damage import JournalDamage
from bridge.supervisor.plan import Plan
from bridge.supervisor.workers import SinkWorkers

# How long a change waits for what is in memory to be stored.
_PATIENCE_SECONDS = 2.0


class Running:
    """Tables, lanes and workers as the present plan wants them.

    Whoever changes them, or narrows them, holds the service's lock.

    Args:
        plan: what runs at first; its lanes are registered.
        journal: open.
        intake: takes what the tables' monitors post.
        encoder: writes rows by the plan's forms.
        workers: of the sinks, none yet.

    Attributes:
        watch: looks after the tables; set once they are made.
        damage: tells what the journal lost.
    """

    watch: Watch

    def __init__(
        self, plan: Plan, journal: Journal, intake: Intake, encoder: Encoder, workers: SinkWorkers
    ) -> None:
        self._journal = journal
        self._intake = intake
        self._encoder = encoder
        self.workers = workers
        self.damage = JournalDamage(journal)
        self.plan = plan
        # Sinks that have lanes which are not configured any more.
        self._too_wide: set[str] = set()
        self.tables: dict[str, TableMonitor] = {}
        self.tables = self._make_tables(plan.tables, {}, journal.marks())

    def change(self, plan: Plan, sinks: Mapping[str, Sink]) -> None:
        """Go over to another plan.

        Args:
            plan: what is wanted from now on.
            sinks: those that are new or changed, or are to try again at once.

        Raises:
            BridgeError: it cannot be applied; nothing was.
        """
        # So that the marks of a changed table are the latest; a full journal holds up nobody.
        self._intake.barrier(_PATIENCE_SECONDS)
        tables = self._make_tables(plan.tables, self.plan.tables, self._journal.marks())
        self._add_lanes(plan)
        self._apply(plan, sinks, tables)

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
            tables[name] = TableMonitor(options, self._intake.post, closable=True)
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
                before = old.sinks[name].tables if name in old.sinks else frozenset()
                if name not in old.sinks or sink.tables - before:
                    done.append(name)
                    self._journal.register(name, sink.tables | before)
        except BaseException:
            # What cannot be undone now is undone by the upkeep.
            self._too_wide.update(done)
            raise

    def _apply(
        self, plan: Plan, sinks: Mapping[str, Sink], tables: dict[str, TableMonitor]
    ) -> None:
        old = self.plan
        self._start_workers(plan, {n: s for n, s in sinks.items() if n not in old.sinks})
        self._encoder.forms = plan.forms
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
        self.watch.look_after(list(tables.values()))

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

    def narrow(self) -> None:
        """Let the journal forget sinks that have ended, and lanes that are not configured."""
        for name in self.workers.ended():
            self._too_wide.discard(name)
            with contextlib.suppress(KeyError):
                self._journal.unregister(name)
        for name in list(self._too_wide):
            if name in self.plan.sinks:
                self._journal.register(name, self.plan.sinks[name].tables)
            elif name not in self.workers.stats():
                self._journal.unregister(name)
            self._too_wide.discard(name)
