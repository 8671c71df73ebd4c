"""What the reads of a table from its first row to its last have in common.

A read that delivers nothing adopts what it sees without a word. So it counts only once a probe has
proven that nothing was missed since before it began (`Hearing`): else a row that was missed, and
seen, would be taken for known.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

from bridge.errors import BridgeError
from bridge.monitor.moment import Moment
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import DEFAULT_WHOLE_ROWS, Whole
from bridge.reading.baseline import Baseline
from bridge.reading.comparison import Comparison
from bridge.reading.known import Known, columns_of
from bridge.reading.pages import Page, Pages
from bridge.reading.task import TableChanged, Task
from bridge.wire.calls import Query, TableInfo


class Disturbed(BridgeError):
    """A gap began while the table was read: what was read proves nothing."""


@dataclass(frozen=True, slots=True)
class WholeTimes:
    """When tables that are read whole are looked at, seconds.

    Attributes:
        every: between two looks: what came is taken in, and rows are counted.
        idle: likewise where nothing was heard.
        renew: least time between two renewals that follow deletes.
        confirm: until a row that nobody reported is looked for again. A notification that is no
            later than that is no loss.
        told: rows that may come though they may have been there before, where there was no
            baseline when a gap began.
    """

    every: float = 60.0
    idle: float = 150.0
    renew: float = 300.0
    confirm: float = 10.0
    told: int = DEFAULT_WHOLE_ROWS


class Hearing:
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


class Seen(NamedTuple):
    """A page of the read that takes the baseline, until a probe proves that nothing was missed."""

    at: Moment
    keys: array[int]
    values: array[int]
    times: array[int]
    mark: int
    low: object

    def rows(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield what is known of its rows: key, value, how fresh, and how many."""
        return zip(self.keys, self.values, repeat(self.mark), self.times)


@dataclass(frozen=True, slots=True)
class Pending:
    """A read that delivered nothing: it counts once a probe proves that nothing was missed.

    Attributes:
        hearing: since before it began.
        ended: when it had seen all.
        begun: the offset that the journal was taken in up to before it began.
        counted: deletes and updates that had been counted by then.
        held: pages that are not stored yet.
        suspects: rows that nobody reported: their digests, and how many would have to be known.
        changed: likewise rows with other values than are known, and as fresh as those are.
        since: when the read before it had ended.
        taken: whether it is the one that takes the baseline.
    """

    hearing: Hearing
    ended: Moment
    begun: int
    counted: tuple[int, int]
    held: deque[Seen]
    suspects: Mapping[int, int]
    changed: Mapping[int, int]
    since: Moment
    taken: bool

    def is_ripe(self, confirm: float) -> bool:
        """Whether it is proven, and what nobody reported was given time to come.

        Raises:
            Disturbed: a gap began.
        """
        late = confirm if self.suspects or self.changed else 0.0
        proven = self.hearing.is_proven(self.ended)
        return proven and time.monotonic() >= self.ended.order + late


@dataclass(slots=True)
class State:
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
    pending: Pending | None = None


class Standing(NamedTuple):
    """What the server counts of a table, and what was heard of it: inserts, and others."""

    info: TableInfo | None
    inserted: int
    others: tuple[int, int]


class Read:
    """What the reads of one table have in common. Used by one thread, once."""

    def __init__(
        self, times: WholeTimes, state: State, task: Task, baseline: Baseline, known: Known
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

    def _require_same(self) -> None:
        self._task.require_same()
        if self._known.dropped:
            raise TableChanged(f"{self._table.name} was dropped while it was read")

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
            self._task.tools.room,
        )
        pages = self._pages()
        unproven = comparison.run(
            self._collected(pages), lambda where: self._pages().read(where=where)
        )
        self.uncertain = comparison.uncertain
        self._require_same()
        return unproven

    def _collected(self, pages: Pages) -> Iterator[Page]:
        mark = self._known.mark()
        for page in pages.read():
            self._task.progress.expected = max(self._task.progress.expected, pages.expected)
            with self._baseline.changing():
                self._baseline.stage(self._seen(page, mark).rows())
            yield page
            mark = self._known.mark()

    def _seen(self, page: Page, mark: int) -> Seen:
        """Return the digests of a page's rows; of equal ones without a key, how many."""
        payload, count = b"".join(page.frames), len(page.frames)
        keys = self._known.keys(payload, count)
        times: list[int] = [1] * count
        values = keys
        if self._keyed:
            values = self._known.values(payload, count, self._layout) or keys
        else:
            counted = Counter(keys)
            keys, values = list(counted), [0] * len(counted)
            times = [n * page.times for n in counted.values()]
        at, low = Moment.now(), self._low(page)
        return Seen(at, array("q", keys), array("q", values), array("q", times), mark, low)

    def _low(self, page: Page) -> object:
        """Return the value of the first key column that a page ends with, to resume from."""
        if not self._keyed:
            return None
        (row,) = self._task.codec.decode(page.frames[-1], 1)
        low = row[self._task.schema.primary_key[0]]
        return low if isinstance(low, (int, str)) else None

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

    def _is_steady(self, before: Standing, rows: tuple[int, int]) -> bool:
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

    def _standing(self) -> Standing:
        self._task.tools.intake.barrier()
        info = self._task.cluster.table(self._table.name, sizes=True)
        heard = self._table.counts.received
        deleted = self._table.counts.deleted_rows + self._table.hidden_deletes
        return Standing(info, heard["insert"], (heard["update"], deleted))
