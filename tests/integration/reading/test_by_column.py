"""Gaps closed by a growing column: where the read begins, and what it proves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from services.rig import TABLE, Database

from bridge.codec import compile_schema
from bridge.events import Block, Entry, Schema
from bridge.monitor.intake import Intake
from bridge.monitor.moment import Moment
from bridge.monitor.starts import Start
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import ByColumn, TableOptions
from bridge.reading.by_column import close_by_column
from bridge.reading.comparison import Patience
from bridge.reading.pages import PageLimits
from bridge.reading.task import Outcome, Task, Tools
from bridge.wire.calls import Cluster, Query
from bridge.wire.client import Access, Http
from kinetica_emulator import Emulator

WALL = 1_700_000_000.0


class Follow:
    def __init__(self, blocks: Sequence[Block], since: float) -> None:
        self._blocks = [b for b in blocks if b.time >= since * 1e6]

    def more(self) -> Iterator[Block]:
        blocks, self._blocks = self._blocks, []
        yield from blocks

    def close(self) -> None:
        pass


class World:
    """A table on an emulated cluster, its monitor, and what the intake has written.

    Time is told: `at` seconds after the beginning, by both clocks.
    """

    def __init__(self, cluster: Emulator, database: Database, folder: Path) -> None:
        self._database = database
        self.cluster = Cluster(Http(cluster.url, Access(), timeout=10.0))
        info = self.cluster.table(TABLE)
        assert info is not None
        assert info.schema is not None
        self.schema: Schema = info.schema
        self.stored: list[Block] = []
        self.intake = Intake(self._emit, lambda: None)
        self.intake.start()
        self.tools = Tools(
            self.intake, self, folder, lambda _: None, Patience(0.0, 0.0), PageLimits()
        )
        options = TableOptions(TABLE, catch_up=ByColumn("id"))
        self.table = TableMonitor(options, self.intake.post, hold=5.0, closable=True)
        self.table.adopt_schema(self.schema, cluster.url)
        codec = compile_schema(self.schema)
        assert self.table.levels is not None
        page = self.cluster.read_rows(_highest(), 0, 100)
        self.table.levels.first(codec, b"".join(page.frames), len(page.frames), self.moment(0))

    def close(self) -> None:
        self.intake.stop(5.0)
        self.cluster.close()

    def _emit(self, entries: Sequence[Entry], marks: Mapping[str, str]) -> None:
        self.stored += [entry for entry in entries if isinstance(entry, Block)]

    def follow(self, table: str, since: float) -> Follow:
        return Follow(self.stored, since)

    def kept(self, since: float) -> bool:
        return True

    @staticmethod
    def moment(at: float) -> Moment:
        return Moment(at, WALL + at)

    def hear(self, at: float, *ids: int) -> None:
        """Insert rows, of which notifications come."""
        self._database.insert_ids(ids)
        codec = compile_schema(self.schema)
        payload = b"".join(_row(n) for n in ids)
        assert self.table.levels is not None
        self.table.levels.note(codec, payload, len(ids), self.moment(at))
        time = round((WALL + at) * 1e6)
        block = Block(
            TABLE, "http://a", "insert", self.schema, payload, len(ids), ((len(ids), time),)
        )
        self.stored.append(block)

    def miss(self, *ids: int) -> None:
        self._database.insert_ids(ids)

    def span(self, since: float, until: float) -> None:
        gaps = self.table.gaps
        gaps.begin("disconnected", self.moment(since), "a test")
        gaps.end(self.moment(until), "http://a")
        gaps.settle(self.moment(until + 10), "http://a", None)

    def close_gaps(self) -> tuple[Outcome, list[int], int]:
        """Read; return what came of it, the ids delivered, and how many rows were looked at."""
        gaps = self.table.gaps.unclosed
        assert gaps
        task = Task(self.table, self.cluster, self.schema, gaps, "gap", self.tools)
        outcome = close_by_column(task)
        self.intake.barrier()
        rows = [
            row["id"]
            for block in self.stored
            if block.type == "read"
            for row in compile_schema(block.schema).decode(block.payload, block.count)
        ]
        return outcome, rows, task.progress.done


def _highest() -> Query:
    return Query(TABLE, None, "id", "descending")


def _row(number: int) -> bytes:
    name = f"n{number}".encode()
    return zigzag(number) + zigzag(len(name)) + name


def zigzag(number: int) -> bytes:
    bits = number << 1
    written = bytearray()
    while bits >= 0x80:
        written.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes(written) + bytes([bits])


@pytest.fixture
def world(cluster: Emulator, database: Database, tmp_path: Path) -> Iterator[World]:
    database.create()
    database.insert_ids(range(1, 1000))
    world = World(cluster, database, tmp_path)
    yield world
    world.close()


def test_a_read_begins_a_minute_before_its_gap_however_late_it_is(world: World) -> None:
    """The table was good again and again between gap and read: the start stays where it was."""
    for at in range(0, 600, 10):
        world.hear(at, *range(1000 + 20 * at, 1000 + 20 * at + 200))
    world.miss(100_001, 100_002)
    world.span(600, 620)
    assert world.table.levels is not None
    for at in range(630, 1200, 10):
        world.hear(at, *range(200_000 + 20 * at, 200_000 + 20 * at + 20))
        world.table.levels.settle(world.moment(at))

    outcome, rows, looked_at = world.close_gaps()

    assert outcome == Outcome(2)
    assert sorted(rows) == [100_001, 100_002]
    assert looked_at < 1_700 + 1_140 + 2  # a minute of the one, all of the other, and the missed


def test_a_column_that_fell_after_more_than_a_minute_proves_nothing(world: World) -> None:
    """What is found from the least of the rows that fell comes, and the gap stays open."""
    world.hear(1, 1001, 1002, 1003, 10**15)
    world.hear(100, 1004, 1005, 1006)
    world.miss(*range(1007, 1012))
    world.span(110, 115)

    outcome, rows, _ = world.close_gaps()

    assert sorted(rows) == list(range(1007, 1012))
    assert outcome.final
    assert "does not grow" in (outcome.unproven or "")


def test_several_gaps_are_closed_by_one_read_from_the_earliest(world: World) -> None:
    """In whatever order their starts lie."""
    world.hear(1, 1001)
    world.miss(1002)
    world.span(100, 105)
    world.hear(300, 1003)
    world.miss(1004)
    world.span(400, 405)

    outcome, rows, _ = world.close_gaps()

    assert outcome == Outcome(2)
    assert sorted(rows) == [1002, 1004]


def test_what_a_read_delivered_answers_for_the_next_one(world: World) -> None:
    """It failed behind it, say: nothing comes twice."""
    world.hear(1, 1001)
    world.miss(1002)
    world.span(100, 105)
    first, rows, _ = world.close_gaps()
    second, again, _ = world.close_gaps()

    assert (first, second) == (Outcome(1), Outcome(0))
    assert rows == again == [1002]


def by_name(world: World, since: float, until: float) -> str:
    """Declare a gap that began when the table was read by its names: `n1` to `n999`, by text."""
    start = Start("n998", WALL + since, column=("name", "string", "char32"))
    begin, end = round((WALL + since) * 1e6), round((WALL + until) * 1e6)
    return world.table.gaps.declare("disconnected", begin, end, "http://a", "a test", start)


def test_gaps_of_two_columns_are_read_by_both(world: World) -> None:
    """Each by the one that was configured when it began."""
    by_name(world, 1, 2)
    world.miss(9990)
    world.hear(100, 100_001)
    world.miss(100_002)
    world.span(200, 205)

    outcome, rows, _ = world.close_gaps()

    assert outcome == Outcome(4)  # a name has no level here that tells what was there
    assert sorted(rows) == [998, 999, 9990, 100_002]


def test_a_column_that_was_disproved_keeps_no_gap_of_another_open(world: World) -> None:
    """What the one cannot prove the other can."""
    old = by_name(world, 1, 2)
    world.miss(9990)
    world.hear(100, 10**15)
    world.hear(300, 100_001)
    world.span(400, 405)
    (new,) = {gap.gap for gap in world.table.gaps.unclosed} - {old}

    outcome, rows, _ = world.close_gaps()

    assert outcome.unproven is None
    assert list(outcome.apart) == [new]
    assert "column id does not grow" in outcome.apart[new]
    assert 9990 in rows
