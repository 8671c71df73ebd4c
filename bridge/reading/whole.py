"""Tables that are read whole: gaps closed against a baseline, which is taken, kept up and renewed.

Three reads go from the first row to the last. The one that *takes* the baseline delivers nothing;
it is stored as far as a probe has proven that what came meanwhile was heard, and resumed from
there. One that *closes* gaps delivers what is not known, and what it saw is the new baseline. One
that *renews* follows counted deletes, or a count of rows that does not agree; what it meets and
nobody reported is a gap `unaccounted`, which the next read closes.

Where a gap began before there was a baseline, what was missed cannot be told from what was there:
up to as many rows as are read whole by default may come, beyond that the gap stays open.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog

from bridge.errors import BridgeError
from bridge.monitor.moment import Moment
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import DEFAULT_WHOLE_ROWS, Whole
from bridge.reading.audit import Finding
from bridge.reading.baseline import Baseline, baseline_path
from bridge.reading.comparison import Comparison
from bridge.reading.known import Known, Streams, columns_of, key_of
from bridge.reading.pages import Page, Pages
from bridge.reading.task import MOVED, Outcome, Task
from bridge.wire.calls import Query, TableInfo

log = structlog.get_logger()

# Rows that wait in memory, as two digests each, for a probe to prove them.
_HELD_ROWS = 2_000_000
# Rows that nobody reported, and are looked at again; more are only counted.
_SUSPECTS = 100_000
_PROVE_SECONDS = 0.2


_NO_BASELINE = "it began before the baseline of the table was taken: what it missed is unknown"


class Disturbed(BridgeError):
    """A gap began while the table was read: what was read proves nothing."""


@dataclass(frozen=True, slots=True)
class WholeTimes:
    """When tables that are read whole are looked at, seconds.

    Attributes:
        every: between two looks: what came is taken in, and rows are counted.
        idle: likewise where nothing was heard.
        renew: least time between two renewals that follow deletes.
        told: rows that may come though they may have been there before, where there was no
            baseline when a gap began.
    """

    every: float = 60.0
    idle: float = 150.0
    renew: float = 300.0
    told: int = DEFAULT_WHOLE_ROWS


@dataclass(slots=True)
class _State:
    """What is known in memory of one table.

    Attributes:
        born: since when it is this table.
        due: when to look again, by the monotonic clock.
        read: when the last whole read ended, None where none did in this run.
        heard: what had been heard by the last look.
        warned: whether it was said that the table is too large.
        pending: a read that has ended, and waits for its proof.
    """

    born: float
    due: float = 0.0
    read: Moment | None = None
    heard: tuple[int, ...] = ()
    warned: bool = False
    pending: _Pending | None = None


class _Seen(NamedTuple):
    """A page of the read that takes the baseline, until a probe proves that nothing was missed."""

    at: Moment
    rows: list[tuple[int, int, int, int]]
    low: object


@dataclass(frozen=True, slots=True)
class _Pending:
    """A read that delivered nothing: it counts once a probe proves that nothing was missed.

    Attributes:
        hearing: since before it began.
        ended: when it had seen all.
        begun: the offset that the journal was taken in up to before it began.
        counted: deletes and updates that had been counted by then.
        held: pages that are not stored yet.
        suspects: keys of rows that nobody reported.
        since: when the read before it had ended.
        taken: whether it is the one that takes the baseline.
    """

    hearing: _Hearing
    ended: Moment
    begun: int
    counted: tuple[int, int]
    held: deque[_Seen]
    suspects: frozenset[int]
    since: Moment
    taken: bool


class WholeTables:
    """The tables that are read whole. Any thread may ask what is due; each is read by one.

    Args:
        folder: where baselines lie.
        streams: what was received.
        times: when tables are looked at.
    """

    def __init__(self, folder: Path, streams: Streams, times: WholeTimes | None = None) -> None:
        self._folder = folder
        self._streams = streams
        self._times = times or WholeTimes()
        self._lock = threading.Lock()  # guards the table of states
        self._states: dict[TableMonitor, _State] = {}

    def due(self, table: TableMonitor, now: float) -> bool:
        """Whether it is time to look at a table that has no open gap, by the monotonic clock."""
        return now >= self._state(table).due

    def forget(self, table: TableMonitor) -> None:
        """Forget a table that is not watched any more; its baseline stays on disk."""
        with self._lock:
            self._states.pop(table, None)

    def close(self, task: Task) -> Outcome:
        """Deliver what was missed in the task's gaps.

        Raises:
            BridgeError: it could not be read.
        """
        state = self._state(task.table)
        state.pending = None  # the gaps are older than its proof
        with self._open(task) as (baseline, known):
            return _Close(self._times, state, task, baseline, known).run()

    def look(self, task: Task) -> Finding | None:
        """Take the baseline, keep it up or renew it, and look for losses that nobody reported.

        Returns:
            What was found; None where the look proved nothing.

        Raises:
            BridgeError: it could not be done now.
        """
        state, table = self._state(task.table), task.table
        if state.pending is not None and not state.pending.hearing.is_proven(state.pending.ended):
            return None
        state.due = time.monotonic() + self._times.every
        heard = _heard(table)
        with self._open(task) as (baseline, known):
            try:
                finding = _Look(self._times, state, task, baseline, known).run()
            except Disturbed as error:
                state.pending = None
                log.info("read_disturbed", table=table.name, cause=str(error))
                return None
            state.due = time.monotonic() + self._pause(state, baseline, heard)
            state.heard = heard
            return finding

    def _pause(self, state: _State, baseline: Baseline, heard: tuple[int, ...]) -> float:
        """Return how long nothing is due."""
        if state.pending is not None:
            return 0.0
        if state.read is not None and baseline.facts.deleted_at > baseline.facts.read_at:
            renewal = state.read.order + self._times.renew - time.monotonic()
            return max(0.0, min(renewal, self._times.every))
        return self._times.every if heard != state.heard else self._times.idle

    def _state(self, table: TableMonitor) -> _State:
        with self._lock:
            state = self._states.get(table)
            if state is None or state.born != table.born_at:
                state = self._states[table] = _State(table.born_at)
            return state

    @contextmanager
    def _open(self, task: Task) -> Iterator[tuple[Baseline, Known]]:
        """Yield a table's baseline, brought up to now."""
        table = task.table
        with Baseline(baseline_path(self._folder, table.name), table.name) as baseline:
            facts = baseline.facts
            stream = self._streams.stream(table.name, facts.position)
            with closing(stream):
                if facts.position is None:
                    facts.key = key_of(task.schema)
                    facts.hidden = table.hidden_deletes
                    # What is listened to from its first row on is known from its first row on.
                    facts.complete = table.born_at > 0 or table.snapshot_due
                    log.info("baseline_begun", table=table.name, new=facts.complete)
                lost = [
                    (gap.since, gap.until or gap.since)
                    for gap in task.gaps
                    if gap.reason == "journal_damaged"
                ]
                known = Known(
                    baseline,
                    task.schema,
                    stream,
                    task.tools.intake.barrier,
                    lambda: table.hidden_deletes,
                    lost=lost,
                )
                known.catch_up()
                task.require_same()
                self._fit(task, baseline)
                known.begin()
                yield baseline, known

    def _fit(self, task: Task, baseline: Baseline) -> None:
        """Forget what cannot be held against the table as it is now."""
        key, facts = key_of(task.schema), baseline.facts
        cause = None
        if facts.key not in (None, key):
            cause = "the primary key is another one now"
        elif not key and any(c != columns_of(task.schema) for c in baseline.layouts().values()):
            cause = "the layout changed, and no key tells which row is which"
        with baseline.changing():
            if cause is not None:
                log.warning("baseline_forgotten", table=task.table.name, cause=cause)
                baseline.forget()
                baseline.facts.older |= {gap.gap: cause for gap in task.gaps}
            baseline.facts.key = key


class _Read:
    """What the reads of one table have in common. Used by one thread, once."""

    def __init__(
        self, times: WholeTimes, state: _State, task: Task, baseline: Baseline, known: Known
    ) -> None:
        self._times = times
        self._state = state
        self._task = task
        self._table = task.table
        self._baseline = baseline
        self._known = known
        self._keyed = bool(task.schema.primary_key)
        with baseline.changing():
            self._layout = baseline.layout(columns_of(task.schema))
        self._begun = known.mark()
        self._counted = baseline.facts.deleted, baseline.facts.updated
        self.uncertain = False

    @property
    def _most(self) -> int:
        catch_up = self._table.options.catch_up
        return catch_up.rows if isinstance(catch_up, Whole) else 0

    def _count(self) -> int:
        """Return how many rows the table has."""
        query = Query(self._table.name, self._table.options.filter)
        total = self._task.cluster.read_rows(query, 0, 1).total
        self._task.progress.expected = total
        return total

    def _pages(self) -> Pages:
        return self._task.pages(self._task.schema.primary_key)

    def _compare(self, deliver: Callable[[list[bytes]], None]) -> str | None:
        """Read the table, collect what is seen, and hand on what is not known."""
        known, baseline = self._known, self._baseline
        with baseline.changing():
            baseline.unstage()
        comparison = Comparison(
            self._table.name,
            self._task.schema,
            known,
            lambda: None,  # what is known waits by itself
            deliver,
            self._task.tools.pause,
            self._task.progress,
            self._task.tools.patience,
        )
        pages = self._pages()
        unproven = comparison.run(
            self._collected(pages), lambda where: self._pages().read(where=where)
        )
        self.uncertain = comparison.uncertain
        self._task.require_same()
        return unproven

    def _collected(self, pages: Pages) -> Iterator[Page]:
        mark = self._known.mark()
        for page in pages.read():
            self._task.progress.expected = max(self._task.progress.expected, pages.expected)
            with self._baseline.changing():
                self._baseline.stage(self._rows(page, mark))
            yield page
            mark = self._known.mark()

    def _rows(self, page: Page, mark: int) -> list[tuple[int, int, int, int]]:
        """Return the digests of a page's rows: key, value, how fresh, and how many."""
        payload, count = b"".join(page.frames), len(page.frames)
        keys = self._known.keys(payload, count)
        if self._keyed:
            values = self._known.values(payload, count, self._layout) or keys
            return [(key, value, mark, 1) for key, value in zip(keys, values, strict=True)]
        times: dict[int, int] = {}
        for key in keys:
            times[key] = times.get(key, 0) + page.times
        return [(key, 0, mark, n) for key, n in times.items()]

    def _finish(self, begun: int, counted: tuple[int, int], without: frozenset[int]) -> None:
        """Let what was seen be what is known.

        Args:
            begun: the offset that the journal was taken in up to before the read began.
            counted: deletes and updates that had been counted by then.
            without: keys of what is not to be known.
        """
        baseline, facts = self._baseline, self._baseline.facts
        with baseline.changing():
            baseline.finish(
                begun,
                self._layout,
                keyed=self._keyed,
                without=without,
                arrived=self._known.arrived_since,
            )
            facts.complete, facts.read_at, facts.read_wall = True, begun, time.time()
            facts.deleted -= counted[0]
            facts.updated -= counted[1]
        self._state.read = Moment.now()

    def _is_steady(self, before: _Standing, rows: tuple[int, int]) -> bool:
        """Whether rows that no key tells apart cannot have moved while they were read.

        Nothing was written, or nothing but rows inserted, each of which was heard: those move
        no others.
        """
        now, events = self._standing(), self._table.options.events
        if now.info is None or not set(events) >= {"insert", "update"}:
            return False
        if now == before:
            return True
        if self.uncertain or now.others != before.others:
            return False
        return rows[1] - rows[0] == now.inserted - before.inserted

    def _standing(self) -> _Standing:
        self._task.tools.intake.barrier()
        info = self._task.cluster.table(self._table.name, sizes=True)
        heard = self._table.counts.received
        deleted = self._table.counts.deleted_rows + self._table.hidden_deletes
        return _Standing(info, heard["insert"], (heard["update"], deleted))


class _Standing(NamedTuple):
    """What the server counts of a table, and what was heard of it: inserts, and others."""

    info: TableInfo | None
    inserted: int
    others: tuple[int, int]


class _Close(_Read):
    """A read that closes gaps."""

    def run(self) -> Outcome:
        """Deliver what was missed."""
        facts = self._baseline.facts
        ids = {gap.gap for gap in self._task.gaps}
        facts.older = {gap: why for gap, why in facts.older.items() if gap in ids}
        if len(facts.older) == len(ids):
            return Outcome(0, apart=facts.older)
        rows = self._count()
        if rows > self._most:
            return Outcome(0, self._too_large(rows), apart=facts.older)
        if not facts.complete and rows > self._times.told:
            log.warning("gap_without_baseline", table=self._table.name, gaps=sorted(ids))
            with self._baseline.changing():
                facts.older = dict.fromkeys(ids, _NO_BASELINE) | facts.older
            return Outcome(0, apart=facts.older)
        if self._keyed and facts.begun is not None:
            with self._baseline.changing():
                self._baseline.adopt_collected(self._layout)
        before = None if self._keyed else self._standing()
        unproven = self._compare(self._task.deliver)
        if unproven is None and before is not None:
            unproven = None if self._is_steady(before, (rows, self._count())) else MOVED
        self._known.catch_up()  # what was delivered is on disk from here on
        self._task.require_same()
        if unproven is None:
            self._finish(self._begun, self._counted, frozenset())
        return Outcome(self._task.progress.delivered, unproven, apart=facts.older)

    def _too_large(self, rows: int) -> str:
        why = f"the table has {rows} rows, more than catch_up.whole_table: {self._most}"
        if not self._state.warned:
            self._state.warned = True
            log.warning(
                "table_too_large",
                table=self._table.name,
                rows=rows,
                setting=f"catch_up: {{whole_table: {self._most}}}",
                consequence="its gaps stay open",
            )
        return why


class _Look(_Read):
    """A look at a table whose gaps are closed."""

    def run(self) -> Finding | None:
        """Do what is due."""
        facts, table, state = self._baseline.facts, self._table, self._state
        if table.snapshot_due:
            return None
        if state.pending is not None:
            pending, state.pending = state.pending, None
            return self._settle(pending)
        hearing = _Hearing(table)
        rows = self._count()
        if rows > self._most:
            if self._baseline.count() > 2 * self._most:
                with self._baseline.changing():
                    self._baseline.forget()
            return None
        if not facts.complete:
            return self._take(hearing, rows)
        doubtful = facts.deleted_at > facts.read_at
        due = state.read is None or time.monotonic() >= state.read.order + self._times.renew
        if (doubtful and due) or self._is_suspicious(rows):
            return self._renew(hearing)
        return Finding(0, self._since())

    def _is_suspicious(self, rows: int) -> bool:
        """Whether there are not as many rows as are known."""
        before = self._baseline.count()
        self._task.tools.pause(self._task.tools.patience.settle)
        self._known.catch_up()
        after, deleted = self._baseline.count(), self._baseline.facts.deleted
        return not min(before, after) - deleted <= rows <= max(before, after)

    def _since(self) -> Moment:
        """Return when the last whole read ended."""
        return self._state.read or Moment(-math.inf, self._baseline.facts.read_wall)

    def _renew(self, hearing: _Hearing) -> Finding | None:
        suspects = set[int]()
        audited = self._is_audited()

        def suspect(frames: list[bytes]) -> None:
            if audited and len(suspects) < _SUSPECTS:
                keys = self._known.keys(b"".join(frames), len(frames))
                suspects.update(set(keys) - self._baseline.find(keys).keys())

        log.info("renewing_baseline", table=self._table.name)
        before = None if self._keyed else self._standing()
        rows = self._count()
        if self._compare(suspect) is not None:
            return None
        if before is not None and not self._is_steady(before, (rows, self._count())):
            return None
        return self._conclude(hearing, deque(), suspects, taken=False)

    def _is_audited(self) -> bool:
        """Whether a row that is not known must have been reported as inserted."""
        options, facts = self._table.options, self._baseline.facts
        if "insert" not in options.events:
            return False
        # An update brings a row under the filter, or makes another of a row without a key.
        told = "update" in options.events and facts.updated == 0
        return told or (self._keyed and options.filter is None)

    def _take(self, hearing: _Hearing, rows: int) -> Finding | None:
        """Read what was there before, and resume where an earlier run had come to."""
        baseline, known = self._baseline, self._known
        facts = baseline.facts
        if not self._keyed or facts.begun is None:
            with baseline.changing():
                baseline.unstage()
                facts.begun = self._begun
        if facts.begun is not None:
            self._begun = facts.begun
        log.info("taking_baseline", table=self._table.name, rows=rows, resumed=facts.low)
        before = None if self._keyed else self._standing()
        mark, waiting, held = known.mark(), 0, deque[_Seen]()
        for page in self._pages().read(facts.low):
            held.append(_Seen(Moment.now(), self._rows(page, mark), self._low(page)))
            waiting += len(page.frames)
            self._task.progress.done += page.rows
            waiting -= self._store(hearing, held)
            while waiting > _HELD_ROWS:
                self._task.tools.pause(_PROVE_SECONDS)
                waiting -= self._store(hearing, held)
            known.catch_up()
            self._task.require_same()
            mark = known.mark()
        if before is not None and not self._is_steady(before, (rows, self._count())):
            return None  # another time
        return self._conclude(hearing, held, set(), taken=True)

    def _conclude(
        self, hearing: _Hearing, held: deque[_Seen], suspects: set[int], *, taken: bool
    ) -> Finding | None:
        """Settle a read that has seen all, now or once it is proven."""
        pending = _Pending(
            hearing,
            Moment.now(),
            self._begun,
            self._counted,
            held,
            frozenset(suspects),
            self._since(),
            taken,
        )
        # What has no row adopts none: that needs no proof.
        if hearing.is_proven(pending.ended) or (taken and self._task.progress.done == 0):
            return self._settle(pending)
        self._state.pending = pending
        return None

    def _settle(self, pending: _Pending) -> Finding | None:
        """Let a read count that is proven."""
        with self._baseline.changing():
            for page in pending.held:
                self._baseline.stage(page.rows)
        suspects = pending.suspects
        if suspects:  # the second look
            suspects -= self._baseline.find(list(suspects)).keys()
        self._task.require_same()
        self._finish(pending.begun, pending.counted, suspects)
        log.info(
            "baseline_taken" if pending.taken else "baseline_renewed",
            table=self._table.name,
            rows=self._baseline.count(),
            unreported=len(suspects),
        )
        return None if pending.taken else Finding(len(suspects), pending.since)

    def _store(self, hearing: _Hearing, held: deque[_Seen]) -> int:
        """Collect the pages up to which nothing was missed; return how many rows that are."""
        stored = 0
        with self._baseline.changing():
            while held and hearing.is_proven(held[0].at):
                page = held.popleft()
                self._baseline.stage(page.rows)
                self._baseline.facts.low = page.low
                stored += len(page.rows)
        return stored

    def _low(self, page: Page) -> object:
        """Return the value of the first key column that a page ends with, to resume from."""
        if not self._keyed:
            return None
        (row,) = self._task.codec.decode(page.frames[-1], 1)
        low = row[self._task.schema.primary_key[0]]
        return low if isinstance(low, (int, str)) else None


class _Hearing:
    """Whether a table was heard without a gap since this was made."""

    def __init__(self, table: TableMonitor) -> None:
        self._table = table
        self._gaps = table.counts.gaps.total()

    def is_proven(self, at: Moment) -> bool:
        """Whether a probe has proven that nothing was missed up to a moment.

        Raises:
            Disturbed: a gap began.
        """
        # Read before what disturbs it: a gap that is over may have moved it on.
        good = self._table.good.order
        if self._table.gaps.going_on or self._table.counts.gaps.total() != self._gaps:
            raise Disturbed(f"a gap began while {self._table.name} was read")
        return good >= at.order


def _heard(table: TableMonitor) -> tuple[int, ...]:
    heard = table.counts.received
    return (*(heard[kind] for kind in ("insert", "update", "delete", "read")), table.hidden_deletes)
