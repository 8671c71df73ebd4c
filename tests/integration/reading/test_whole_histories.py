"""Whatever becomes of a table: no row is missing at a closed gap, and none comes twice unasked.

The table is the emulator's; what is heard of it, and what is not, is the history's to say.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from services.process import wait_until
from services.rig import Database

from bridge.codec import compile_schema
from bridge.events import Block, Count, Entry, Schema
from bridge.monitor.arrivals import Arrival
from bridge.monitor.intake import Intake
from bridge.monitor.mark import Mark
from bridge.monitor.moment import Moment
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import TableOptions, Whole
from bridge.reading import PageLimits, Patience, WholeTimes
from bridge.reading.audit import Finding
from bridge.reading.task import Task, Tools
from bridge.reading.whole import WholeTables
from bridge.wire.calls import Cluster
from bridge.wire.client import Access, Http
from kinetica_emulator import Emulator

KEYED: dict[str, list[str]] = {"id": ["long", "primary_key"], "name": ["string", "char32"]}
KEYLESS: dict[str, list[str]] = {"id": ["long"], "name": ["string", "char32"]}
TIMES = WholeTimes(every=0.0, idle=0.0, renew=0.0, confirm=0.0)
Row = tuple[int, str]


class Journal:
    """What was received, in order; it is the intake, and what remembers."""

    journal = "of the test"

    def __init__(self) -> None:
        self.entries: list[tuple[int, Entry]] = []
        self.marks: dict[str, str] = {}
        self.head = 0

    def post(self, entry: Entry | Mark) -> None:
        if isinstance(entry, Mark):
            self.marks[entry.name] = entry.text
            return
        self.entries.append((self.head, entry))
        self.head += entry.count if isinstance(entry, Block) else 1

    def deliver(self, received: list[Arrival[Any]]) -> None:
        for item in received:
            route = item.route
            times = ((item.records, item.time),)
            self.post(
                Block(
                    route.table.name,
                    route.cluster,
                    "read",
                    route.schema,
                    item.payload,
                    item.records,
                    times,
                    item.cause,
                )
            )

    def barrier(self) -> bool:
        return True

    def stream(self, table: str, position: int | None) -> Stream:
        return Stream(self, position or 0)


class Stream:
    """A place in it."""

    def __init__(self, journal: Journal, position: int) -> None:
        self._journal = journal
        self.journal = journal.journal
        self.position = position

    def more(self) -> Iterator[tuple[int, Entry | None]]:
        for offset, entry in self._journal.entries:
            if offset >= self.position:
                yield offset, entry
        self.position = self._journal.head

    def close(self) -> None:
        pass


class History:
    """A table, what is heard of it, and what must have come."""

    def __init__(
        self, cluster: Emulator, database: Database, folder: Path, seed: int, keyed: bool
    ) -> None:
        self.random = random.Random(seed)
        self.emulator, self.database, self.folder = cluster, database, folder
        self.keyed = keyed
        self.name = "ki_home.t"
        database.create(self.name, KEYED if keyed else KEYLESS)
        self.there = Cluster(Http(cluster.url, Access(), timeout=10.0))
        self.journal = Journal()
        self.rows: list[Row] = []
        self.missed: Counter[Row] = Counter()  # rows that must come
        self.updated: set[Row] = set()  # rows that may come, as nobody has seen them as they are
        self.doubtful = True  # whether what is known may come again
        self.under_way: list[Row] = []  # rows that are heard while a read waits
        self.gap = False
        self.values = 0
        for _ in range(self.random.randrange(8)):
            self.insert(heard=None)
        self.start()

    def start(self) -> None:
        info = self.there.table(self.name)
        assert info is not None
        assert info.schema is not None
        options = TableOptions(self.name, catch_up=Whole(1000, keyed=self.keyed))
        self.table = TableMonitor(options, self.journal.post, hold=0.0, closable=True)
        self.table.restore(self.journal.marks)
        self.table.adopt_schema(info.schema, self.there.url)
        self.whole = WholeTables(self.folder, self.journal, TIMES)
        if self.journal.marks.get("started"):
            self.gap = True
            self.table.gaps.begin("start", Moment.now(), "the bridge was not running")
        self.journal.marks["started"] = "yes"
        self.prove()

    def prove(self) -> None:
        self.table.prove_good(Moment.now())

    @property
    def schema(self) -> Schema:
        assert self.table.schema is not None
        return self.table.schema

    # What happens to the table.

    def insert(self, *, heard: bool | None) -> None:
        number = self.random.randrange(5)
        if self.keyed and any(row[0] == number for row in self.rows):
            return
        row = (number, f"v{self.random.randrange(2)}")
        self.database.insert([{"id": row[0], "name": row[1]}], self.name)
        self.rows.append(row)
        if heard is None:
            return
        if heard:
            self.hear(row)
        else:
            self.missed[row] += 1

    def hear(self, row: Row) -> None:
        self.journal.post(self.block(row))
        self.table.heard("insert", 1, 0, 0)

    def block(self, row: Row) -> Block:
        text = row[1].encode()
        payload = bytes([row[0] * 2, len(text) * 2]) + text
        assert compile_schema(self.schema).decode(payload, 1) == [{"id": row[0], "name": row[1]}]
        return Block(self.name, self.there.url, "insert", self.schema, payload, 1, ((1, 1),))

    def update(self, *, heard: bool) -> None:
        if not self.rows or not self.keyed:
            return
        old = self.random.choice(self.rows)
        self.values += 1
        new = (old[0], f"u{self.values}")
        self.database.update(f"id = {old[0]}", self.name, name=new[1])
        self.rows[self.rows.index(old)] = new
        del self.missed[old]
        self.updated.discard(old)
        if heard:
            self.count("update")
            self.updated.add(new)
        else:
            self.missed[new] += 1

    def delete(self, *, heard: bool) -> Row | None:
        if not self.rows:
            return None
        old = self.random.choice(self.rows)
        self.database.delete(f"id = {old[0]} and name = '{old[1]}'", self.name)
        gone = [row for row in self.rows if row == old]
        self.rows = [row for row in self.rows if row != old]
        del self.missed[old]
        if heard:
            self.count("delete", len(gone))
            self.doubtful = True
        return old

    def make_again(self) -> None:
        """Drop the table and make it again alike."""
        self.emulator.recreate(self.name)
        self.rows, self.missed, self.updated = [], Counter(), set()
        info = self.there.table(self.name)
        assert info is not None
        self.table.made_again(self.there.url)
        self.table.adopt_schema(info.schema, self.there.url)
        self.gap = True
        self.table.gaps.begin("start", Moment.now(), "the table was not there")

    def lose(self) -> None:
        """Insert a row that is not published; the next look finds it."""
        if self.keyed and self.random.random() < 0.5:
            self.replace()
            return
        self.look()
        self.insert(heard=False)
        if not self.missed:
            return
        self.find_lost()

    def replace(self) -> None:
        """Delete a row, which is heard, and insert its key with other values, which is not."""
        self.delete(heard=True)
        self.look()  # which renews the baseline: no update explains the values from here on
        gone = self.delete(heard=True)
        if gone is None:
            return
        self.values += 1
        row = (gone[0], f"w{self.values}")
        self.database.insert([{"id": row[0], "name": row[1]}], self.name)
        self.rows.append(row)
        self.missed[row] += 1
        self.find_lost()

    def find_lost(self) -> None:
        found = self.look()
        assert found is not None
        assert found.rows == 1
        self.table.gaps.declare("unaccounted", 1, 2, self.there.url, "by the test")
        self.close()

    def count(self, kind: Any, rows: int = 1) -> None:
        self.journal.post(Count(self.name, self.there.url, 1, kind, rows))
        self.table.heard(kind, 1, 0, 0)
        if kind == "delete":
            self.table.counts.deleted_rows += rows

    # What the bridge does.

    def task(self) -> Task:
        tools = Tools(
            cast(Intake, self.journal),
            cast(Any, self.journal),
            self.folder,
            self.pause,
            Patience(settle=0.0, late=0.0),
            PageLimits(rows=4),
        )
        return Task(self.table, self.there, self.schema, self.table.gaps.unclosed, "gap", tools)

    def pause(self, seconds: float) -> None:
        """Let what is under way arrive, and a probe prove that all was heard."""
        while seconds and self.under_way:
            self.hear(self.under_way.pop())
        self.prove()

    def look(self) -> Finding | None:
        """Look at the table, prove that all was heard, and settle it."""
        found = self.whole.look(self.task())
        self.prove()
        found = found or self.whole.look(self.task())
        self.doubtful = False
        return found

    def close(self) -> None:
        """End the gap, and close it."""
        self.table.gaps.end(Moment.now(), self.there.url)
        self.table.gaps.settle(Moment.now(), self.there.url, None, force=True)
        before = len(self.journal.entries)
        task = self.task()
        outcome = self.whole.close(task)
        assert outcome.unproven is None
        assert not outcome.apart
        ids = [gap.gap for gap in task.gaps]
        self.table.gaps.close(ids, "read", outcome.rows, self.there.url)
        self.gap = False
        came = self.came(before)
        assert not self.missed - came, "rows are missing at a closed gap"
        if not self.doubtful:
            again = {row for row in came - self.missed if row not in self.updated}
            assert not again, "rows came again"
        self.missed, self.updated, self.doubtful = Counter(), set(), False
        self.prove()

    def came(self, since: int) -> Counter[Row]:
        rows: list[Row] = []
        for _, entry in self.journal.entries[since:]:
            if isinstance(entry, Block) and entry.type == "read":
                decoded = compile_schema(entry.schema).decode(entry.payload, entry.count)
                rows += [(row["id"], row["name"]) for row in decoded]
        return Counter(rows)


@pytest.fixture
def history(
    cluster: Emulator, database: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[History]:
    seed, keyed = request.param
    history = History(cluster, database, tmp_path / "baselines", seed, keyed)
    yield history
    history.there.close()


def run(history: History, steps: int) -> None:
    choose = history.random
    for _ in range(steps):
        heard = not history.gap
        action = choose.choice(
            ["insert"] * 4
            + ["delete", "lose"] * 2
            + ["update", "look", "gap", "close", "restart", "again"]
        )
        match action:
            case "insert":
                history.insert(heard=heard)
            case "update":
                history.update(heard=heard)
            case "delete" if heard or choose.random() < 0.3:
                history.delete(heard=heard)
                if not heard:
                    history.close()  # an equal row inserted again in this span cannot be told
            case "look" if heard:
                found = history.look()
                assert found is None or not found.rows, "nothing was lost"
            case "gap" if heard:
                history.gap = True
                history.table.gaps.begin("disconnected", Moment.now(), "by the test")
            case "close" if history.gap:
                history.close()
            case "restart":
                history.start()
            case "again" if choose.random() < 0.3:
                history.make_again()
            case "lose" if heard:
                history.lose()
    if history.gap:
        history.close()


CASES: list[tuple[int, bool]] = [(seed, True) for seed in range(30)]
CASES += [(seed, False) for seed in range(30)]


def name_of(case: Mapping[str, Any] | tuple[int, bool]) -> str:
    seed, keyed = cast(tuple[int, bool], case)
    return f"{'keyed' if keyed else 'keyless'}-{seed}"


@pytest.mark.parametrize("history", CASES, indirect=True, ids=name_of)
def test_no_row_is_missing_at_a_closed_gap(history: History) -> None:
    """Inserts, updates and deletes, heard and unheard, losses, restarts, renewals, drops."""
    run(history, 40)


@pytest.mark.parametrize("history", [(0, True), (0, False)], indirect=True, ids=name_of)
def test_a_row_that_comes_after_the_proof_of_a_read_is_no_loss(history: History) -> None:
    """The notification is later than the probe that proves the read, and than what is waited."""
    history.look()
    history.whole = WholeTables(history.folder, history.journal, replace(TIMES, confirm=0.5))
    history.database.insert([{"id": 9, "name": "late"}], history.name)
    history.under_way = [(9, "late")]
    found = history.look()
    history.pause(1.0)
    found = found or wait_until(history.look, "a look that proves something")
    assert found.rows == 0
