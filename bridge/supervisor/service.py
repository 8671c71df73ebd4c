"""The running service: everything it is made of, started and stopped in a stated order.

Start, from the sinks back to the source, so that nothing arrives before there is a place for
it: journal, sink workers, intake, polling thread, watch. Stop the other way round: the watch
clears our monitors, the polling thread takes in what is under way, the intake writes it, the
workers deliver it, the journal closes.

A reload builds all of the new configuration, and gives every lane its place in the journal,
before any of it is applied; what fails until then leaves the old one as it was.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from bridge.codec import IMPLEMENTATION as CODEC
from bridge.config import Config
from bridge.delivery.encoding import Encoder
from bridge.delivery.worker import Worker
from bridge.errors import BridgeError, JournalError, JournalUnavailable
from bridge.history import JournalHistory
from bridge.journal import Journal
from bridge.loop import Deadline, Loop, backoff
from bridge.monitor.intake import MAX_QUEUED_BYTES, Intake
from bridge.monitor.receiver import WHY_NOT_C
from bridge.monitor.subscriber import Subscriber
from bridge.monitor.table import Route, TableMonitor
from bridge.monitor.table_options import TableOptions
from bridge.monitor.watch import Watch
from bridge.reading import Readers, ReadingOptions
from bridge.sinks.base import Sink
from bridge.supervisor.damage import JournalDamage
from bridge.supervisor.plan import Plan, make_plan, make_ring, watch_options
from bridge.supervisor.snapshot import Reloads, Snapshot, lags, open_gaps
from bridge.supervisor.workers import SinkWorkers

log = structlog.get_logger()

_UPKEEP_RETRY_SECONDS = 5.0
_RELOAD_PATIENCE = 2.0
# Clearing monitors is a courtesy to the server; delivering is the promise. So of the grace
# period no more than this goes to the former.
_CLEARING_SHARE, _CLEARING_SECONDS = 0.25, 1.0
# How long a stop waits for a start, or for a reload, that is under way.
_START_SECONDS, _RELOAD_SECONDS = 1.0, 3.0
_FIXED = ("kinetica", "journal", "admin", "log", "instance")


@dataclass(frozen=True, slots=True)
class _Running:
    """What a start has made."""

    encoder: Encoder
    workers: SinkWorkers
    watch: Watch
    damage: JournalDamage


class Supervisor:
    """The service.

    `start`, `reload` and `stop` may be called from different threads, and wait for each other.

    Args:
        config: the whole configuration.
        upkeep_pause: most seconds between two looks at the journal's upkeep.
        queue_bytes: what may wait in memory for the journal.
        reading: how tables are read.

    Raises:
        BridgeError: a sink cannot be made.

    Attributes:
        trouble: why a start does not come to its end, None where all is well.
    """

    def __init__(
        self,
        config: Config,
        *,
        upkeep_pause: float = 5.0,
        queue_bytes: int = MAX_QUEUED_BYTES,
        reading: ReadingOptions | None = None,
    ) -> None:
        self._upkeep_pause = upkeep_pause
        self._plan = make_plan(config)
        self._sinks = {name: sink.build(name) for name, sink in self._plan.sinks.items()}
        journal = config.journal
        self._journal = Journal(
            journal.path,
            max_size=journal.max_size,
            max_age=journal.max_age,
            on_full=journal.on_full,
        )
        self._intake = Intake(
            self._journal.append, self._suspect, linger=journal.linger, max_bytes=queue_bytes
        )
        self._subscriber: Subscriber[Route] = Subscriber(
            self._intake.put, self._suspect, self._intake.room, linger=journal.linger
        )
        self._readers = Readers(
            self._intake,
            JournalHistory(journal.path),
            journal.path / "reading",
            self._suspect,
            reading,
        )
        self._upkeep = Loop("upkeep", self._keep_up)
        self._changing = threading.Lock()  # held by whoever starts, reloads or stops
        self._stopping = threading.Event()
        self._tables: dict[str, TableMonitor] = {}
        # Sinks that have lanes which are not configured any more.
        self._too_wide: set[str] = set()
        self._running: _Running | None = None
        self.trouble: str | None = None
        self.reloads = Reloads()

    def start(self) -> None:
        """Start everything; what cannot be reached is waited for, visibly.

        A disk that fails is tried again until `stop`; it then returns with nothing started.

        Raises:
            JournalUnavailable: the journal cannot be opened, and trying again would not help.
        """
        with self._changing:
            if not self._open_journal():
                return
            plan, journal = self._plan, self._journal
            path, receiver = str(plan.config.journal.path), f"pyzmq ({WHY_NOT_C})"
            log.info("starting", journal=path, codec=CODEC, receiver=receiver if WHY_NOT_C else "c")
            # The journal's id is in every event and in the name of every monitor of ours.
            encoder = Encoder(journal.id, plan.forms)
            self._tables = self._make_tables(plan.tables, {}, journal.marks())
            watch = Watch(
                make_ring(plan.config),
                list(self._tables.values()),
                self._subscriber,
                instance=journal.id[:8],
                options=watch_options(plan.config),
                closer=self._readers,
            )
            damage = JournalDamage(journal)
            workers = SinkWorkers(lambda name: Worker(name, journal, encoder))
            for name, sink in plan.sinks.items():
                workers.configure(name, self._sinks[name], sink)
            self._running = _Running(encoder, workers, watch, damage)
            self._upkeep.start()
            self._intake.start()
            self._subscriber.start()
            watch.start()

    def _open_journal(self) -> bool:
        """Open the journal and give every lane its place; False where a stop came first."""
        attempts = 0
        while not self._stopping.is_set():
            try:
                self._journal.open()
                for name in set(self._journal.sinks()) - self._plan.sinks.keys():
                    self._journal.unregister(name)  # else its lanes would keep events for ever
                for name, sink in self._plan.sinks.items():
                    self._journal.register(name, sink.tables)
            except JournalUnavailable:
                raise
            except (JournalError, OSError) as error:
                attempts += 1
                self.trouble = f"the journal cannot be opened: {error}"
                log.error("journal_not_opened", cause=str(error), attempts=attempts)
                self._stopping.wait(backoff(attempts))
            else:
                self.trouble = None
                return True
        return False

    def reload(self, config: Config) -> None:
        """Take over tables and sinks that were added, changed or taken away.

        Those that did not change go on undisturbed, but for sinks that wait, which try again
        at once. What is read only at the start is said.

        Raises:
            BridgeError: it cannot be applied; nothing was.
        """
        plan = make_plan(config)
        with self._changing:
            running, old = self._running, self._plan
            if running is None or self._stopping.is_set():
                raise BridgeError("the service does not run")
            stats = running.workers.stats()
            sinks = {
                name: sink.build(name)
                for name, sink in plan.sinks.items()
                if old.sinks.get(name) != sink
                or stats[name].waiting
                or stats[name].state != "delivering"
            }
            # So that the marks of a changed table are the latest; a full journal holds up nobody.
            self._intake.barrier(_RELOAD_PATIENCE)
            marks = self._journal.marks()
            tables = self._make_tables(plan.tables, old.tables, marks)
            self._add_lanes(old, plan)
            self._apply(running, plan, sinks, tables)
        for part in _FIXED:
            if getattr(old.config, part) != getattr(config, part):
                log.warning(
                    "restart_needed", cause=f"{part} changed, which a reload does not reach"
                )
        log.info("reloaded", tables=len(config.tables), sinks=len(config.sinks))

    def _add_lanes(self, old: Plan, new: Plan) -> None:
        """Register the lanes that are new, beside all that there are.

        Raises:
            JournalError: one could not be; none was.
        """
        done: list[str] = []
        try:
            for name, sink in new.sinks.items():
                before = old.sinks[name].tables if name in old.sinks else frozenset()
                if name not in old.sinks or sink.tables - before:
                    done.append(name)
                    self._journal.register(name, sink.tables | before)
        except BaseException:
            for name in done:
                # What cannot be undone now is undone by the upkeep.
                self._too_wide.add(name)
            raise

    def _apply(
        self,
        running: _Running,
        plan: Plan,
        sinks: Mapping[str, Sink],
        tables: dict[str, TableMonitor],
    ) -> None:
        old = self._plan
        self._start_workers(running, plan, {n: s for n, s in sinks.items() if n not in old.sinks})
        running.encoder.forms = plan.forms
        for name in sinks.keys() & old.sinks.keys():
            running.workers.configure(name, sinks[name], plan.sinks[name])
        for name in old.sinks.keys() - plan.sinks.keys():
            running.workers.retire(name)
        self._too_wide.update(
            name
            for name, sink in plan.sinks.items()
            if name in old.sinks and old.sinks[name].tables - sink.tables
        )
        for name, table in self._tables.items():
            if tables.get(name) is not table:
                self._readers.forget(table)
        self._plan, self._tables = plan, tables
        running.watch.look_after(list(tables.values()))

    def _start_workers(self, running: _Running, plan: Plan, sinks: Mapping[str, Sink]) -> None:
        """Start the workers of sinks that are new; where one cannot be, none is."""
        started: list[str] = []
        try:
            for name, sink in sinks.items():
                running.workers.configure(name, sink, plan.sinks[name])
                started.append(name)
        except BaseException:  # no further thread can be started, say
            for name in started:
                running.workers.retire(name)
            self._too_wide.update(sinks)
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
                tables[name] = self._tables[name]
                continue
            tables[name] = TableMonitor(
                options,
                self._intake.post,
                hold=self._plan.config.kinetica.probe_interval,
                closable=True,
            )
            tables[name].restore(marks)
        return tables

    def stop(self, grace: float) -> bool:
        """Drain and stop within about `grace` seconds; False if not all was delivered by then.

        What was not delivered stays in the journal, for the next start. A disk that hangs can
        hold this up: call it in a thread that may be left behind.
        """
        deadline = Deadline(grace)
        self._stopping.set()
        patience = _START_SECONDS if self._running is None else _RELOAD_SECONDS
        if not self._changing.acquire(timeout=min(patience, grace / 2)):
            log.warning("change_under_way", cause=self.trouble)
            return False
        try:
            running, self._running = self._running, None
            if running is None:
                self._subscriber.stop()
                self._readers.stop(0.0)
                self._journal.close()
                return True
            log.info("draining", grace=grace)
            return self._drain(running, deadline, grace)
        finally:
            self._changing.release()

    def _drain(self, running: _Running, deadline: Deadline, grace: float) -> bool:
        self._upkeep.stop()
        running.watch.stop(min(grace * _CLEARING_SHARE, _CLEARING_SECONDS))
        self._subscriber.stop()
        drained = self._intake.stop(deadline.left)
        if not drained:
            log.error("received_and_not_stored", bytes=self._intake.queued_bytes, cause="no time")
        self._readers.stop(0.0)
        drained &= running.workers.stop(deadline, lambda: bool(self._pending()))
        self._upkeep.join(deadline.left)
        pending = self._pending()
        closed = self._journal.close(deadline.left)
        log.info("stopped", drained=drained, pending=pending)
        return closed and drained and not pending

    def _pending(self) -> int:
        return sum(account.pending for account in self._journal.accounts())

    def snapshot(self) -> Snapshot | None:
        """Return what health and metrics show; None unless it runs."""
        running = self._running
        if running is None:
            return None
        sinks = running.workers.stats()
        # After the workers: what they hold is pending in these.
        accounts = [account for account in self._journal.accounts() if account.sink in sinks]
        tables, watch = self._tables, running.watch
        return Snapshot(
            ready=watch.tried and not self._stopping.is_set(),
            tables=tables,
            gaps=list(open_gaps(tables.values(), self._intake.refused)),
            sinks=sinks,
            lags=lags(self._journal, sinks, accounts, time.time()),
            accounts=accounts,
            journal=self._journal.stats(),
            failovers=dict(watch.failovers),
            ring=watch.clusters,
            cluster=watch.cluster,
            queued_bytes=self._intake.queued_bytes,
            dropped_notifications=self._intake.dropped_notifications,
            unknown_messages=self._subscriber.unknown_messages,
        )

    def loops(self) -> list[Loop]:
        """Return every loop of the service, for health and metrics."""
        running = self._running
        if running is None:
            return []
        journal = self._journal.loop
        return [
            *([journal] if journal is not None else []),
            self._upkeep,
            *self._intake.loops,
            *self._subscriber.loops,
            *self._readers.loops,
            *running.watch.loops,
            *running.workers.loops(),
        ]

    @property
    def grace(self) -> float:
        """Seconds that a stop may take, by the present configuration."""
        return self._plan.config.shutdown.grace

    @property
    def draining(self) -> bool:
        """Whether it is on its way out."""
        return self._stopping.is_set()

    def _suspect(self) -> None:
        running = self._running
        if running is not None:
            running.watch.wake()

    # The upkeep's thread.

    def _keep_up(self) -> bool:
        running = self._running
        if running is None:
            return False
        try:
            seconds = min(self._journal.upkeep(), self._upkeep_pause)
            self._narrow(running)
            running.damage.tell(self._tables.values(), running.watch.cluster)
        except (JournalError, OSError) as error:
            log.warning("upkeep_failed", cause=str(error))
            seconds = _UPKEEP_RETRY_SECONDS
        return not self._upkeep.wait(seconds)

    def _narrow(self, running: _Running) -> None:
        """Let the journal forget sinks that have ended, and lanes that are not configured."""
        if not self._changing.acquire(blocking=False):
            return  # a reload is at it
        try:
            for name in running.workers.ended():
                self._too_wide.discard(name)
                with contextlib.suppress(KeyError):
                    self._journal.unregister(name)
            for name in list(self._too_wide):
                if name in self._plan.sinks:
                    self._journal.register(name, self._plan.sinks[name].tables)
                elif name not in running.workers.stats():
                    self._journal.unregister(name)
                self._too_wide.discard(name)
        finally:
            self._changing.release()
