"""What a table's monitor knows outlives a restart; nothing of a table that is gone counts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.codec import compile_schema
from bridge.events import Alter, Column, Drop, Entry, Gap, Schema
from bridge.monitor.mark import Mark
from bridge.monitor.moment import Moment
from bridge.monitor.starts import BEGINNING, Start
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import ByColumn, CatchUp, Off, TableOptions, Whole
from bridge.monitor.writes import WriteMark

TABLE, CLUSTER = "s.t", "http://a"
KEYED = Schema("7", (Column("n", "int", "int"),), ("n",))
KEYLESS = Schema("8", (Column("n", "int", "int"), Column("m", "int", "int")))
TEXT = Schema("9", (Column("n", "string", "string"),))
CODEC = compile_schema(KEYED)


@dataclass
class Stored:
    """What was posted: entries in order, and each mark as it was last."""

    entries: list[Entry] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    posted: int = 0

    def post(self, entry: Entry | Mark) -> None:
        if isinstance(entry, Mark):
            self.marks[entry.name] = entry.text
            self.posted += 1
        else:
            self.entries.append(entry)


@pytest.fixture
def stored() -> Stored:
    return Stored()


def make(stored: Stored, catch_up: CatchUp, schema: Schema | None = KEYED) -> TableMonitor:
    table = TableMonitor(TableOptions(TABLE, catch_up=catch_up), stored.post, closable=True)
    if schema is not None:
        table.adopt_schema(schema, CLUSTER)
    return table


def restarted(stored: Stored, catch_up: CatchUp) -> TableMonitor:
    table = make(stored, catch_up, None)
    table.restore({**stored.marks, f"good_at/{TABLE}": "1000.0"})
    return table


def lose(table: TableMonitor) -> str:
    now = Moment.now()
    gap = table.gaps.begin("disconnected", now, "a")
    table.gaps.end(now, CLUSTER)
    table.gaps.settle(now, CLUSTER, None, force=True)
    return gap


@pytest.mark.parametrize(
    ("catch_up", "schema", "obstacle"),
    [
        (ByColumn("n"), KEYED, None),
        (ByColumn("x"), KEYED, "the table has no column x to read it by"),
        (Whole(5, keyed=True), KEYED, None),
        (
            Whole(5, keyed=True),
            KEYLESS,
            "the table has no primary key and no catch_up column to read it by",
        ),
        (Off(), KEYED, "catch_up is off"),
        (ByColumn("x"), None, None),
    ],
)
def test_what_is_in_the_way_of_closing_a_gap_is_said(
    stored: Stored, catch_up: CatchUp, schema: Schema | None, obstacle: str | None
) -> None:
    """What is not known yet is not in the way."""
    assert make(stored, catch_up, schema).obstacle() == obstacle


def test_gaps_of_a_table_that_was_dropped_stay_open(stored: Stored) -> None:
    """Nothing proves that its rows came; another table of the name is read from its start."""
    table = make(stored, ByColumn("n"))
    assert table.levels is not None
    table.levels.first(CODEC, b"\x0a", 1, Moment.now())
    table.note_identity("c", "oid:1")
    table.writes.note(WriteMark(Moment.now(), "c", "oid:1", 5, "noon"), 0)
    gap = lose(table)

    table.adopt_schema(None, CLUSTER)

    assert [type(entry) for entry in stored.entries] == [Gap, Drop]
    (shown,) = table.gaps.open
    assert shown.gap == gap
    assert shown.why_open == "the table was dropped before it was read"
    assert shown.start == Start(None, table.born_at)
    assert table.identities == {}
    again = restarted(stored, ByColumn("n"))
    assert again.schema is None
    assert again.identities == {}
    assert again.born_at == table.born_at
    assert [g.gap for g in again.gaps.open if g.until is not None] == [gap]


def test_another_layout_is_an_alter_and_the_same_one_is_nothing(stored: Stored) -> None:
    """Levels go on where the column's type is the same."""
    table = make(stored, ByColumn("n"))
    assert table.levels is not None
    table.levels.first(CODEC, b"\x0a", 1, Moment.now())
    table.adopt_schema(KEYED, CLUSTER)
    assert stored.entries == []
    table.adopt_schema(KEYLESS, CLUSTER)

    assert [type(entry) for entry in stored.entries] == [Alter]
    assert table.levels.start(Moment.now()).value == 5


def test_a_column_that_becomes_another_begins_anew(stored: Stored) -> None:
    """Also for the gaps that are open: their values cannot be compared with its."""
    table = make(stored, ByColumn("n"))
    assert table.levels is not None
    table.levels.first(CODEC, b"\x0a", 1, Moment.now())
    lose(table)
    table.adopt_schema(TEXT, CLUSTER)

    (shown,) = table.gaps.open
    assert shown.start == Start(None, 0.0)


def test_the_gaps_of_a_former_column_keep_it_until_it_becomes_another(stored: Stored) -> None:
    """Also where an earlier version, which named no column, left them."""
    table = make(stored, ByColumn("n"), KEYLESS)
    assert table.levels is not None
    table.levels.first(compile_schema(KEYLESS), b"\x0a\x00", 1, Moment.now())
    lose(table)
    table.prove_good(Moment.now())
    saved = json.loads(stored.marks[f"gaps/{TABLE}"])
    saved["starts"] = [start[:4] for start in saved["starts"]]
    stored.marks[f"gaps/{TABLE}"] = json.dumps(saved)

    again = restarted(stored, ByColumn("m"))
    third = restarted(stored, ByColumn("n"))

    for each in (again, third):
        starts = [gap.start for gap in each.gaps.open]
        assert [start and (start.value, start.name) for start in starts] == [(5, "n")] * 2
    assert json.loads(stored.marks[f"gaps/{TABLE}"])["starts"][0][4] == ["n", "int", "int"]
    again.adopt_schema(TEXT, CLUSTER)
    assert [gap.start for gap in again.gaps.open] == [BEGINNING] * 2
    assert again.gaps.open[0].why_open == "column n is another one now"


def test_what_was_known_outlives_a_restart(stored: Stored) -> None:
    """The layout, identities, writes, levels and gaps; and the time that it was down is a gap."""
    table = make(stored, ByColumn("n"))
    assert table.levels is not None
    table.levels.first(CODEC, b"\x0a", 1, Moment.now().earlier(100))
    table.note_identity("c", "oid:1")
    table.writes.note(WriteMark(Moment.now().earlier(100), "c", "oid:1", 5, "noon"), 0)
    gap = lose(table)
    table.prove_good(Moment.now())

    again = restarted(stored, ByColumn("n"))

    assert again.schema == KEYED
    assert again.identities == {"c": "oid:1"}
    assert again.levels is not None
    assert again.levels.known
    known, start = again.gaps.open
    assert known.gap == gap
    assert (start.reason, start.since, start.until) == ("start", 1_000_000_000, None)
    assert start.start is not None
    assert start.start.value == 5
    now = Moment.now()
    again.gaps.end(now, CLUSTER)
    same = WriteMark(now, "c", "oid:1", 5, "noon")
    again.gaps.settle(now, CLUSTER, same, force=True)
    closed = [e for e in stored.entries if isinstance(e, Gap) and e.closed]
    assert [(gap.by, gap.reason) for gap in closed] == [("quiet", "start")]


def test_a_table_that_was_absent_and_never_proven_good_has_a_gap_after_a_restart(
    stored: Stored,
) -> None:
    """All of its rows are to come, and nothing stored says that they did."""
    make(stored, ByColumn("n"), None).note_absent()
    table = make(stored, ByColumn("n"), None)
    table.restore(stored.marks)
    (gap,) = table.gaps.open
    assert (gap.reason, gap.since) == ("start", round(table.born_at * 1e6))


@pytest.mark.parametrize("again", [False, True])
def test_what_comes_of_an_absent_table_is_its_own_though_the_clock_was_set_back(
    stored: Stored, again: bool
) -> None:
    """Also after a restart. After a drop it is not so: what was queued is the old table's."""
    table = make(stored, Whole(5, keyed=True), None)
    table.note_absent()
    absent_at = table.born_at
    if again:
        table = make(stored, Whole(5, keyed=True), None)
        table.restore(stored.marks)
    came_at = round((absent_at - 600) * 1e6)
    table.heard("insert", 1, 1, came_at)
    table.heard("insert", 1, 1, came_at - 10**8)
    assert table.born_at == came_at / 1e6
    table.made_again(CLUSTER)
    dropped_at = table.born_at
    table.heard("insert", 1, 1, round((dropped_at - 1) * 1e6))
    assert table.born_at == dropped_at


def test_an_idle_table_stores_nothing_however_often_it_is_proven_good(stored: Stored) -> None:
    """A thousand of them must cost next to nothing."""
    table = make(stored, ByColumn("n"))
    assert table.levels is not None
    now = Moment.now()
    table.levels.first(CODEC, b"\x0a", 1, now)
    table.writes.note(WriteMark(now, "c", "oid:1", 5, "noon"), 0)
    table.prove_good(now.earlier(-100))
    before = stored.posted
    for seconds in range(105, 1000, 5):
        table.prove_good(now.earlier(-seconds))

    assert stored.posted == before


def test_nothing_is_proven_good_while_a_span_goes_on(stored: Stored) -> None:
    """Not even once it is over, before its gap is told: a kill would forget it."""
    table = make(stored, ByColumn("n"))
    now = Moment.now()
    table.gaps.begin("disconnected", now, "a")
    table.prove_good(now)
    table.gaps.end(now, CLUSTER)
    table.prove_good(now)
    assert table.good < now
    table.gaps.settle(now, CLUSTER, None, force=True)
    table.prove_good(now)
    assert table.good == now


def test_a_column_that_does_not_grow_is_said_once_and_not_forgotten(stored: Stored) -> None:
    """In the log without a value, and in the mark."""
    table = make(stored, ByColumn("n"))
    assert table.levels is not None
    table.levels.first(CODEC, b"\x0a", 1, Moment.now().earlier(1000))
    with capture_logs() as logs:
        for _ in range(3):
            table.note_rows(CODEC, b"\x02", 1, 5)

    (line,) = [line for line in logs if line["event"] == "column_does_not_grow"]
    assert "fell below what had come a minute before" in line["cause"]
    assert restarted(stored, ByColumn("n")).levels.disproved == line["cause"]  # type: ignore[union-attr]


def test_rows_that_cannot_be_noted_are_no_fault_of_the_table(stored: Stored) -> None:
    """Then nothing is claimed of the column any more."""

    class Broken:
        schema = KEYED

        def highest(self, *_: Any) -> Any:
            raise RuntimeError("a fault of ours")

    table = make(stored, ByColumn("n"))
    assert table.levels is not None
    table.levels.first(CODEC, b"\x0a", 1, Moment.now())
    table.note_rows(Broken(), b"\x02", 1, 5)  # type: ignore[arg-type]

    assert table.levels.disproved is not None
    assert table.levels.start(Moment.now()).value is None
