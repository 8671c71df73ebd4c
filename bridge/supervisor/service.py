"""The running service: everything it is made of, started and stopped in a stated order.

Start, from the sinks back to the source, so that nothing arrives before there is a place for
it: journal, sink workers, intake, polling thread, watch. Stop the other way round: the watch
clears our monitors, the polling thread takes in what is under way, the intake writes it, the
workers deliver it, the journal closes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping

import structlog

from bridge.codec import IMPLEMENTATION as CODEC
from bridge.config import Config
from bridge.delivery.encoding import Encoder
from bridge.delivery.worker import Worker
from bridge.errors import BridgeError, JournalError, JournalUnavailable, cause_of
from bridge.history import JournalHistory
from bridge.loop import Deadline, Loop, backoff
from bridge.monitor.capture import Capture
from bridge.monitor.intake import MAX_QUEUED_BYTES
from bridge.monitor.receiver import WHY_NOT_C
from bridge.monitor.table import TableMonitor
from bridge.monitor.watch import Watch
from bridge.reading import Readers, ReadingOptions
from bridge.supervisor.beginnings import begin_of
from bridge.supervisor.changes import restart_keys
from bridge.supervisor.discovery import Discovery, Listed
from bridge.supervisor.found import Found, schemas
from bridge.supervisor.gaps import GapDesk
from bridge.supervisor.keeping import limit, make_journal
from bridge.supervisor.onlooker import Onlooker
from bridge.supervisor.plan import Plan, make_plan, make_ring, watch_options
from bridge.supervisor.replays import ReplayDesk
from bridge.supervisor.running import Running, recall_found
from bridge.supervisor.sinks import SinkDesk
from bridge.supervisor.snapshot import Reloads, Snapshot, lags
from bridge.supervisor.snapshots import SnapshotDesk
from bridge.supervisor.token import leave_token
from bridge.supervisor.workers import SinkWorkers

log = structlog.get_logger()

_UPKEEP_RETRY_SECONDS = 5.0
# Clearing monitors is a courtesy to the server; delivering is the promise. So of the grace
# period no more than this goes to the former.
_CLEARING_SHARE, _CLEARING_SECONDS = 0.25, 1.0
# How long a stop waits for a start, or for a reload, that is under way.
_START_SECONDS, _RELOAD_SECONDS = 1.0, 3.0


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
        readers: read tables; to be asked for a read that closes a gap.
        trouble: why a start does not come to its end, None where all is well.
        gaps: the open gaps, and requests to close them.
        replays: what is delivered again, and requests for it.
        snapshots: all rows of a table, on request.
        onlooker: what went through lately, and events as they come.
        sinks: how each stands, and requests to pause, resume or skip.
        journal: open while it runs.
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
        self._config = self._begun_with = config
        self._sinks = {name: sink.build(name) for name, sink in make_plan(config).sinks.items()}
        journal = config.journal
        self.journal = self._journal = make_journal(config)
        self._capture = Capture(
            self._journal.append, self._suspect, linger=journal.linger, max_bytes=queue_bytes
        )
        self._intake = self._capture.intake
        self.readers = Readers(
            self._intake,
            JournalHistory(self._journal),
            journal.path / "reading",
            self._suspect,
            reading,
        )
        self._upkeep = Loop("upkeep", self._keep_up)
        self._discovery = Discovery(self._take_found)
        self.gaps = GapDesk(self._tables, self._cluster, lambda: self._intake.refused, self.readers)
        self.replays = ReplayDesk(
            self._journal, self._running_config, self._tables, self._running_workers
        )
        self.sinks = SinkDesk(self._journal, self.snapshot, self._worker)
        self._changing = threading.Lock()  # held by whoever starts, reloads or stops
        self._stopping = threading.Event()
        self._running: Running | None = None
        self._token: str | None = None
        self.trouble: str | None = None
        self.reloads = Reloads()
        self.snapshots = SnapshotDesk(self._tables, self.readers.copies)
        self.onlooker = Onlooker(lambda: self._running, self._journal)

    def start(self) -> None:
        """Start everything; what cannot be reached is waited for, visibly.

        A disk that fails is tried again until `stop`; it then returns with nothing started.

        Raises:
            JournalUnavailable: the journal cannot be opened, and trying again would not help.
        """
        with self._changing:
            opened = self._open_journal()
            if opened is None:
                return
            self._token = leave_token(self._config.journal.path)
            (plan, found), journal = opened, self._journal
            path, receiver = str(plan.config.journal.path), f"pyzmq ({WHY_NOT_C})"
            log.info("starting", journal=path, codec=CODEC, receiver=receiver if WHY_NOT_C else "c")
            # The journal's id is in every event and in the name of every monitor of ours.
            encoder = Encoder(journal.id)
            workers = SinkWorkers(lambda name: Worker(name, journal, encoder))
            running = Running(plan, found, journal, self._intake, self.readers, workers)
            running.watch = Watch(
                make_ring(plan.config),
                list(running.tables.values()),
                self._capture.subscriber,
                instance=journal.id[:8],
                options=watch_options(plan.config),
                readers=self.readers,
                schemas=schemas(plan.config),
                discovered=self._discovery.note,
            )
            for name, sink in plan.sinks.items():
                workers.configure(name, self._sinks[name], sink)
            self._running = running
            self._upkeep.start()
            self.onlooker.loop.start()
            self._discovery.loop.start()
            self._capture.start()
            running.watch.start()

    def _open_journal(self) -> tuple[Plan, Found] | None:
        """Open the journal and give every lane its place; None where a stop came first."""
        attempts = 0
        while not self._stopping.is_set():
            try:
                self._journal.open()
                found = recall_found(self._config, self._journal)
                plan = make_plan(self._config, found.names)
                for name in set(self._journal.sinks()) - plan.sinks.keys():
                    self._journal.unregister(name)  # else its lanes would keep events for ever
                for name, sink in plan.sinks.items():
                    begin = begin_of(self._journal, name, sink.settings)
                    self._journal.register(
                        name, sink.tables, begin=begin, events=sink.settings.taken
                    )
            except JournalUnavailable:
                raise
            except (JournalError, OSError) as error:
                attempts += 1
                self.trouble = f"the journal cannot be opened: {cause_of(error)}"
                log.error("journal_not_opened", cause=cause_of(error), attempts=attempts)
                self._stopping.wait(backoff(attempts))
            else:
                self.trouble = None
                return plan, found
        return None

    def reload(self, config: Config, digest: str = "") -> None:
        """Take over tables and sinks that were added, changed or taken away.

        Those that did not change go on undisturbed, but for sinks that wait, which try again
        at once, and those whose certificates have changed. What lets us into the clusters and
        limits are taken over too; what is read only at the start is said.

        Args:
            config: what is wanted now.
            digest: of the file that it was read from, for the log.

        Raises:
            BridgeError: it cannot be applied; nothing was.
        """
        with self._changing:
            running = self._running
            if running is None or self._stopping.is_set():
                raise BridgeError("the service does not run")
            old = running.plan.config
            # Another pattern may mean other tables of what was seen: taken over after this.
            self._discovery.again()
            renewed = running.reload(config)
            self._config = config
            limit(self._journal, config)
            self._capture.pace(config.journal.linger)
        # Compared with what runs: the last file may have wanted a restart that never came.
        keys = self.reloads.restart_needed = restart_keys(self._begun_with, config)
        if keys:
            what = ", ".join(keys)
            log.warning("restart_needed", keys=keys, cause=f"a reload does not reach {what}")
        if old == config and not renewed:
            log.info("reloaded_unchanged", file=digest)
        else:
            of = {"tables": len(config.tables), "sinks": len(config.sinks)}
            log.info("reloaded", **of, renewed=renewed, file=digest)

    def _take_found(self, listed: Listed, since: float) -> None:
        with self._changing:
            if self._running is not None and not self._stopping.is_set():
                self._running.take_found(listed, since)

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
            running = self._running
            if running is None:
                self._capture.subscriber.stop()
                self.readers.stop(0.0)
                self._journal.close()
                return True
            log.info("draining", grace=grace)
            return self._drain(running, deadline, grace)
        finally:
            self._running = None
            self._changing.release()

    def _drain(self, running: Running, deadline: Deadline, grace: float) -> bool:
        self._upkeep.stop()
        self.onlooker.loop.stop()
        self._discovery.stop()
        running.watch.stop(min(grace * _CLEARING_SHARE, _CLEARING_SECONDS))
        self._capture.subscriber.stop()
        running.note_last_look(self._discovery.looked_at)
        drained = self._intake.stop(deadline.left)
        if not drained:
            log.error("received_and_not_stored", bytes=self._intake.queued_bytes, cause="no time")
        self.readers.stop(0.0)
        drained &= running.workers.stop(deadline, lambda: bool(self._pending()))
        self._upkeep.join(deadline.left)
        self.onlooker.loop.join(deadline.left)
        pending, self._running = self._pending(), None  # until here it is shown how it drains
        closed = self._journal.close(deadline.left)
        drained &= closed and not pending
        log.info("stopped", drained=drained, pending=pending)
        return drained

    def _pending(self) -> int:
        return sum(account.pending for account in self._journal.accounts())

    def snapshot(self) -> Snapshot | None:
        """Return what health and metrics show; None unless it runs."""
        running = self._running
        try:
            return None if running is None else self._snapshot(running)
        except JournalUnavailable:  # it was closed meanwhile
            return None

    def _snapshot(self, running: Running) -> Snapshot:
        sinks = running.workers.stats()
        # After the workers: what they hold is pending in these.
        accounts = [account for account in self._journal.accounts() if account.sink in sinks]
        tables, watch = running.tables, running.watch
        return Snapshot(
            ready=self._is_ready(watch),
            tables=tables,
            patterns=running.found.counts(running.plan.config),
            gaps=self.gaps.open(),
            sinks=sinks,
            lags=lags(self._journal, sinks, accounts, time.time()),
            accounts=accounts,
            journal=self._journal.stats(),
            replayed=self._journal.replays.totals(),
            letters=self._journal.letters.sums(),
            letters_pruned=self._journal.letters.pruned(),
            failovers=dict(watch.failovers),
            ring=watch.clusters,
            cluster=watch.cluster,
            queued_bytes=self._intake.queued_bytes,
            dropped_notifications=self._intake.dropped_notifications,
            unknown_messages=self._capture.subscriber.unknown_messages,
        )

    def _is_ready(self, watch: Watch) -> bool:
        # What the watch lists is taken over by another thread, and then tried by the watch.
        return (watch.tried and self._discovery.settled and watch.tried) and not self.draining

    def loops(self) -> list[Loop]:
        """Return every loop of the service, for health and metrics."""
        running = self._running
        if running is None:
            return []
        journal = self._journal.loop
        return [
            *([journal] if journal is not None else []),
            self._upkeep,
            self.onlooker.loop,
            self._discovery.loop,
            *self._capture.loops,
            *self.readers.loops,
            *running.watch.loops,
            *running.workers.loops(),
        ]

    @property
    def instance(self) -> str:
        """The name of this bridge, one of several."""
        return self._config.instance

    @property
    def tokens(self) -> Collection[str]:
        """What actions may be asked for with."""
        configured = self._config.admin.token
        given = [configured.get_secret_value()] if configured else []  # an empty one is none
        return [*given, *([self._token] if self._token is not None else [])]

    @property
    def grace(self) -> float:
        """Seconds that a stop may take, by the present configuration."""
        return self._config.shutdown.grace

    @property
    def draining(self) -> bool:
        """Whether it is on its way out."""
        return self._stopping.is_set()

    def _tables(self) -> Mapping[str, TableMonitor]:
        running = self._running
        return {} if running is None else running.tables

    def _running_config(self) -> Config | None:
        running = self._running
        return None if running is None else running.plan.config

    def _running_workers(self) -> SinkWorkers | None:
        running = self._running
        return None if running is None else running.workers

    def _worker(self, sink: str) -> Worker:
        running = self._running
        if running is None:
            raise KeyError(sink)
        return running.workers.of(sink)

    def _cluster(self) -> str:
        running = self._running
        return "" if running is None else running.watch.cluster

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
            running.tell_damage()
        except (JournalError, OSError) as error:
            log.warning("upkeep_failed", cause=cause_of(error))
            seconds = _UPKEEP_RETRY_SECONDS
        return not self._upkeep.wait(seconds)

    def _narrow(self, running: Running) -> None:
        if not self._changing.acquire(blocking=False):
            return  # a reload is at it
        try:
            running.narrow()
        finally:
            self._changing.release()
