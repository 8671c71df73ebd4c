"""Builds the service from its configuration, starts it, and stops it, each in a stated order.

Start, from the sinks back to the source, so that nothing arrives before there is a place for
it: journal, sink workers, intake, polling thread, watch. Stop the other way round: the watch
clears our monitors, the polling thread takes in what is under way, the intake writes it, the
workers deliver it, the journal closes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from bridge.codec import IMPLEMENTATION
from bridge.config import Config, Table
from bridge.delivery.rendering import Renderer, TableForm
from bridge.delivery.standing import SinkStats
from bridge.delivery.worker import Worker
from bridge.history import JournalHistory
from bridge.journal import Account, Journal, JournalStats
from bridge.monitor.closing import Closer
from bridge.monitor.intake import Intake
from bridge.monitor.subscriber import Subscriber
from bridge.monitor.table import Route, TableMonitor, TableOptions
from bridge.monitor.watch import Watch, WatchOptions
from bridge.sinks.registry import find
from bridge.wire.calls import Cluster, qualified
from bridge.wire.client import Access, Http
from bridge.wire.ring import Ring

log = structlog.get_logger()

_UPKEEP_SECONDS = 5.0
_RELOAD_PATIENCE = 2.0
# Clearing monitors is a courtesy to the server; delivering is the promise. So of the grace
# period no more than this goes to the former.
_CLEARING_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that health and metrics show, read in one go.

    Attributes:
        lags: seconds by sink, the age of the oldest event not yet acknowledged.
    """

    ready: bool
    tables: Mapping[str, TableMonitor]
    sinks: Mapping[str, SinkStats]
    lags: Mapping[str, float]
    accounts: list[Account]
    journal: JournalStats
    failovers: Mapping[tuple[str, str], int]
    ring: list[str]
    cluster: str
    queued_bytes: int
    dropped_notifications: int
    unknown_messages: int
    reloads: Reloads


@dataclass(slots=True)
class Reloads:
    """Whether the configuration was last taken over, and when: as Prometheus itself says it."""

    successful: bool = True
    success_at: float = field(default_factory=time.time)


class Supervisor:
    """The running service.

    Args:
        config: the whole configuration.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        journal = config.journal
        self._journal = Journal(
            journal.path,
            max_size=journal.max_size,
            max_age=journal.max_age,
            on_full=journal.on_full,
        )
        self._intake = Intake(self._journal.append, self._suspect)
        self._subscriber: Subscriber[Route] = Subscriber(
            self._intake.put, self._suspect, self._intake.room
        )
        self._closer = Closer(self._intake, JournalHistory(journal.path), self._suspect)
        self._tables: dict[str, TableMonitor] = {}
        self._workers: dict[str, Worker] = {}
        self._renderer: Renderer
        self._watch: Watch
        self._upkeep = threading.Thread(target=self._keep_up, name="upkeep", daemon=True)
        self._stopping = threading.Event()
        self._started = False
        self._told_damage: set[int] = set()
        self.reloads = Reloads()

    def start(self) -> None:
        """Start everything; what cannot be reached is waited for, visibly.

        Raises:
            JournalUnavailable: the journal cannot be opened.
        """
        config, journal = self._config, self._journal
        journal.open()
        log.info("starting", journal=str(config.journal.path), codec=IMPLEMENTATION)
        # The journal's id is in every event and in the name of every monitor of ours.
        self._renderer = Renderer(journal.id, table_forms(config))
        for name in set(journal.sinks()) - config.sinks.keys():
            journal.unregister(name)  # else its cursor would keep events for ever
        settled = min(map(journal.cursor, journal.sinks()), default=0)
        self._told_damage = {d.last for d in journal.damaged() if d.last < settled}
        for name in config.sinks:
            self._workers[name] = self._make_worker(name, config)
            self._workers[name].start()
        marks = journal.marks()
        for table in config.tables:
            self._tables[qualified(table.name)] = self._make_table(table, marks)
        kinetica = config.kinetica
        self._watch = Watch(
            make_ring(config),
            list(self._tables.values()),
            self._subscriber,
            instance=journal.id[:8],
            options=WatchOptions(
                probe_interval=kinetica.probe_interval,
                probe_timeout=kinetica.probe_timeout,
                timeout=kinetica.timeout,
                monitor_port=kinetica.monitor_port,
                failback=kinetica.failback,
            ),
            closer=self._closer,
        )
        self._upkeep.start()
        self._intake.start()
        self._subscriber.start()
        self._watch.start()
        self._started = True

    def reload(self, config: Config) -> None:
        """Take over tables and sinks that were added, changed or taken away.

        Those that did not change go on undisturbed. A sink that is stuck is left behind, and
        replaced once it lets go. What is read only at the start is said.
        """
        old, self._config = self._config, config
        for part in ("kinetica", "journal", "admin", "log"):
            if getattr(old, part) != getattr(config, part):
                log.warning(
                    "restart_needed", cause=f"{part} changed, which a reload does not reach"
                )
        self._renderer.forms = table_forms(config)
        self._reload_sinks(old, config)
        self._reload_tables(old, config)
        log.info("reloaded", tables=len(config.tables), sinks=len(config.sinks))

    def _reload_sinks(self, old: Config, config: Config) -> None:
        workers: dict[str, Worker] = {}
        for name, settings in config.sinks.items():
            same = old.sinks.get(name) == settings and _routed(old, name) == _routed(config, name)
            if same:
                workers[name] = self._workers[name]
                continue
            workers[name] = worker = self._make_worker(name, config)
            before = self._workers.get(name)
            if before is None:
                worker.start()
            else:
                worker.replace(before)
        for name in self._workers.keys() - workers.keys():
            self._workers[name].abandon()
            self._journal.unregister(name)
        self._workers = workers

    def _reload_tables(self, old: Config, config: Config) -> None:
        before = {qualified(table.name): table for table in old.tables}
        # So that the marks of a changed table are the latest; a full journal holds up nobody.
        self._intake.barrier(_RELOAD_PATIENCE)
        marks = self._journal.marks()
        tables: dict[str, TableMonitor] = {}
        for table in config.tables:
            name = qualified(table.name)
            same = name in before and _table_options(before[name]) == _table_options(table)
            tables[name] = self._tables[name] if same else self._make_table(table, marks)
        self._tables = tables
        self._watch.look_after(list(tables.values()))

    def _make_table(self, table: Table, marks: Mapping[str, str]) -> TableMonitor:
        monitor = TableMonitor(_table_options(table), self._intake.post, closable=True)
        monitor.restore(marks)
        return monitor

    def _make_worker(self, name: str, config: Config) -> Worker:
        settings = config.sinks[name]
        return Worker(
            name,
            find(settings.type)(settings),
            settings,
            _routed(config, name),
            self._journal,
            self._renderer,
        )

    def stop(self, grace: float) -> bool:
        """Drain and stop within `grace` seconds; False if not all was delivered by then.

        What was not delivered stays in the journal, for the next start.
        """
        if not self._started:
            self._subscriber.stop()
            self._journal.close()
            return True
        deadline = time.monotonic() + grace
        log.info("draining", grace=grace)
        self._stopping.set()
        self._watch.stop(grace * _CLEARING_SHARE)
        self._subscriber.stop()
        drained = self._intake.stop(_left(deadline))
        self._closer.stop(0.0)
        for worker in self._workers.values():
            worker.stop()
        for worker in self._workers.values():
            drained &= worker.join(_left(deadline))
        pending = sum(account.pending for account in self._journal.accounts())
        self._started = False
        self._journal.close()
        log.info("stopped", drained=drained, pending=pending)
        return drained and not pending

    def snapshot(self) -> Snapshot:
        """Return what health and metrics show."""
        accounts = self._journal.accounts()
        waiting = {a.sink for a in accounts if a.pending}
        sinks = {name: worker.stats() for name, worker in self._workers.items()}
        return Snapshot(
            ready=self._watch.tried and not self._stopping.is_set(),
            tables=self._tables,
            sinks=sinks,
            lags={
                name: self._lag(name, stats) if name in waiting else 0.0
                for name, stats in sinks.items()
            },
            accounts=[account for account in accounts if account.sink in sinks],
            journal=self._journal.stats(),
            failovers=dict(self._watch.failovers),
            ring=self._watch.clusters,
            cluster=self._watch.cluster,
            queued_bytes=self._intake.queued_bytes,
            dropped_notifications=self._intake.dropped_notifications,
            unknown_messages=self._subscriber.unknown_messages,
            reloads=self.reloads,
        )

    @property
    def started(self) -> bool:
        """Whether the journal is open and everything runs."""
        return self._started

    @property
    def draining(self) -> bool:
        """Whether it is on its way out."""
        return self._stopping.is_set()

    def _lag(self, sink: str, stats: SinkStats) -> float:
        oldest = stats.oldest or self._journal.time_of(self._journal.cursor(sink))
        return max(0.0, time.time() - oldest / 1e6) if oldest is not None else 0.0

    def _suspect(self) -> None:
        self._watch.wake()

    def _keep_up(self) -> None:
        while not self._stopping.wait(_UPKEEP_SECONDS):
            try:
                self._journal.prune()
                self._tell_damage()
            except Exception:
                log.exception("upkeep_failed")

    def _tell_damage(self) -> None:
        """Declare a gap for what the journal lost before every sink had it.

        Which tables were hit cannot be read any more, so all of them get one.
        """
        journal = self._journal
        for damage in journal.damaged():
            if damage.last in self._told_damage:
                continue
            self._told_damage.add(damage.last)
            before, after = journal.time_of(damage.first - 1), journal.time_of(damage.last + 1)
            until = after if after is not None else time.time_ns() // 1000
            since = min(before if before is not None else 0, until)
            for table in self._tables.values():
                table.declare_gap("journal_damaged", since, until, self._watch.cluster)


def make_ring(config: Config) -> Ring:
    """Return the ring of the configured clusters; does no I/O."""
    kinetica = config.kinetica
    access = Access(
        username=kinetica.username,
        password=kinetica.password.get_secret_value() if kinetica.password else None,
        token=kinetica.token.get_secret_value() if kinetica.token else None,
        ca_file=str(kinetica.tls.ca_file) if kinetica.tls.ca_file else None,
        verify=kinetica.tls.verify,
    )
    return Ring(kinetica.urls, lambda url: Cluster(Http(url, access, kinetica.timeout)))


def table_forms(config: Config) -> dict[str, TableForm]:
    """Return how the rows of each table are written, by qualified name."""
    return {qualified(t.name): TableForm(t.key, t.values) for t in config.tables}


def _routed(config: Config, sink: str) -> list[str]:
    """Return the tables whose events a sink gets."""
    return [qualified(table.name) for table in config.tables if sink in table.sinks]


def _table_options(table: Table) -> TableOptions:
    return TableOptions(
        name=qualified(table.name),
        events=table.events,
        filter=table.filter,
        inactivity_timeout=table.inactivity_timeout,
        on_decode_failure=table.on_decode_failure,
        on_drop=table.on_drop,
        catch_up_column=table.catch_up.column if table.catch_up else None,
        snapshot=table.snapshot,
    )


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
