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
from dataclasses import dataclass

import structlog

from bridge.codec import IMPLEMENTATION
from bridge.config import Config, Table
from bridge.delivery.rendering import Renderer, TableForm
from bridge.delivery.worker import SinkStats, Worker
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
        self._tables = {
            options.name: TableMonitor(options, self._intake.post)
            for options in map(_table_options, config.tables)
        }
        self._subscriber: Subscriber[Route]
        self._closer: Closer
        self._watch: Watch
        self._workers: dict[str, Worker] = {}
        self._upkeep = threading.Thread(target=self._keep_up, name="upkeep", daemon=True)
        self._stopping = threading.Event()
        self._started = False

    def start(self) -> None:
        """Start everything; what cannot be reached is waited for, visibly.

        Raises:
            JournalUnavailable: the journal cannot be opened.
        """
        journal = self._journal
        journal.open()
        log.info("starting", journal=str(self._config.journal.path), codec=IMPLEMENTATION)
        self._build(journal)
        for worker in self._workers.values():
            worker.start()
        self._upkeep.start()
        self._intake.start()
        self._subscriber.start()
        self._watch.start()
        self._started = True

    def _build(self, journal: Journal) -> None:
        """Make what needs the open journal: its id is in every event and monitor."""
        config = self._config
        marks = journal.marks()
        for table in self._tables.values():
            table.restore(marks)
        forms = {qualified(t.name): TableForm(t.key, t.values) for t in config.tables}
        renderer = Renderer(journal.id, forms)
        for name, settings in config.sinks.items():
            tables = [qualified(t.name) for t in config.tables if name in t.sinks]
            sink = find(settings.type)(settings)
            self._workers[name] = Worker(name, sink, settings, tables, journal, renderer)
        self._subscriber = Subscriber(self._intake.put, self._suspect)
        kinetica = config.kinetica
        history = JournalHistory(config.journal.path)
        self._closer = Closer(self._intake, history, self._suspect)
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
            ),
            closer=self._closer,
        )

    def stop(self, grace: float) -> bool:
        """Drain and stop within `grace` seconds; False if not all was delivered by then.

        What was not delivered stays in the journal, for the next start.
        """
        if not self._started:
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
        )

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
            except Exception:
                log.exception("prune_failed")


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
