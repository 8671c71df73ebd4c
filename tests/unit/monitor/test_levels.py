"""Where a read begins meets every row that was missed, and no row is delivered twice for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.codec import compile_schema
from bridge.events import Column, Schema
from bridge.monitor.levels import MARGIN_SECONDS, Levels
from bridge.monitor.moment import Moment
from bridge.monitor.starts import BEGINNING, Start

SCHEMA = Schema("7", (Column("n", "int", "int", nullable=True), Column("s", "int", "int")))
CODEC = compile_schema(SCHEMA)
N = ("n", "int", "int")
EPOCH = 1_000_000.0


def ended(wall: float) -> Moment:
    """A moment of an earlier run, of which the stored time alone is known."""
    return Moment(float("-inf"), wall)


def zigzag(number: int) -> bytes:
    bits, written = number << 1, bytearray()
    while bits >= 0x80:
        written.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes(written) + bytes([bits])


def row(number: int | None, serial: int = 0) -> bytes:
    return (b"\x02" if number is None else b"\x00" + zigzag(number)) + zigzag(serial)


def at(order: float, ahead: float = EPOCH) -> Moment:
    return Moment(order, order + ahead)


def note(levels: Levels, order: float, *rows: bytes, ahead: float = EPOCH) -> bool:
    return levels.note(CODEC, b"".join(rows), len(rows), at(order, ahead))


def digests(*rows: bytes) -> tuple[int, ...]:
    return tuple(CODEC.digests(b"".join(rows), len(rows)))


@pytest.fixture
def levels() -> Levels:
    """Of a table whose highest row was 1 when it was first listened to."""
    made = Levels("n")
    made.adopt(SCHEMA)
    made.first(CODEC, row(1), 1, at(0))
    return made


def test_a_read_begins_a_minute_before_the_span(levels: Levels) -> None:
    """At the least value of that minute; what came before is told by the time it came."""
    for second in range(10, 200, 10):
        note(levels, second, row(second))
    note(levels, 200, row(195), row(205))

    start = levels.start(at(210))

    assert start.value == 150
    assert start.since <= EPOCH + 100
    assert start.nulls


def test_where_nothing_came_it_is_the_last_minute_in_which_something_did(levels: Levels) -> None:
    """Hours of silence move it nowhere."""
    note(levels, 100, row(10))
    note(levels, 150, row(20))
    note(levels, 200, row(30))

    assert levels.start(at(10_000)).value == 10
    assert levels.start(at(10_000)) == levels.start(at(20_000))


def test_it_is_fixed_for_a_moment_that_is_past(levels: Levels) -> None:
    """What came after the span began changes nothing of where to begin."""
    for second in range(100, 200, 10):
        note(levels, second, row(second))
    before = levels.start(at(200)).value

    for second in range(201, 440, 10):
        note(levels, second, row(second))
        levels.settle(at(200))

    assert levels.start(at(200)).value == before


def test_rows_of_the_value_that_came_long_before_are_ties(levels: Levels) -> None:
    """They are read again and must not be delivered again."""
    note(levels, 100, row(7, 1), row(7, 2), row(3, 3))
    for second in range(300, 400, 10):
        note(levels, second, row(7, second))

    start = levels.start(at(400))

    assert start.value == 7
    assert set(digests(row(7, 1), row(7, 2))) <= set(start.ties)
    assert digests(row(3, 3))[0] not in start.ties


def test_many_ties_take_no_more_room(levels: Levels) -> None:
    """Only so many are remembered: a duplicate is better than memory without bound."""
    for start in range(0, 3000, 100):
        note(levels, 10.0, *(row(7, start + n) for n in range(100)))
    note(levels, 200.0, row(7, 9999))

    assert len(levels.start(at(1000)).ties) == 1000


def test_one_value_far_ahead_is_not_believed_at_once(levels: Levels) -> None:
    """Ids 1 to 3, then 10^9 from somewhere, 4 to 6: the next ones lie above 6, not above that."""
    note(levels, 10, row(1), row(2), row(3))
    note(levels, 100, row(10**9), row(4), row(5), row(6))

    assert levels.start(at(110)).value <= 4
    assert levels.start(at(10_000)).value <= 4
    assert levels.disproved is None


def test_a_row_below_what_came_a_minute_before_disproves_the_column(levels: Levels) -> None:
    """A read then begins at the least of such rows, and whatever was received counts."""
    note(levels, 100, row(10**9))
    note(levels, 300, row(5), row(6))
    note(levels, 400, row(4), row(7))

    assert levels.disproved == "column n does not grow: it fell below what had come a minute before"
    assert levels.start(at(500)) == Start(4, EPOCH, (), True, N)


def test_a_null_disproves_the_column(levels: Levels) -> None:
    """It stands nowhere in the order by which the table is read."""
    note(levels, 100, row(5), row(None))

    assert levels.disproved == "column n has nulls, which have no place in its order"
    assert levels.start(at(500)).nulls


def test_a_new_table_is_read_from_its_beginning_until_something_has_settled() -> None:
    """And where nothing is known, so it is."""
    unknown = Levels("n")
    assert unknown.start(at(5)) == Start(None, 0.0)
    unknown.adopt(SCHEMA)
    assert unknown.start(at(5)) == Start(None, 0.0)
    assert not unknown.known

    unknown.empty(at(10))
    note(unknown, 20, row(3))
    assert unknown.known
    assert unknown.start(at(30)) == Start(None, EPOCH + 10)


def test_what_came_before_its_height_was_read_may_be_below_it() -> None:
    """The table could not be read when it was first listened to; then it could."""
    levels = Levels("n")
    levels.adopt(SCHEMA)
    note(levels, 0, row(5))
    levels.first(CODEC, row(9), 1, at(30))

    assert levels.start(at(10)).value == 5
    assert levels.start(at(40)).value == 5
    assert levels.known


def test_what_is_asked_for_a_moment_long_past_begins_at_the_origin(levels: Levels) -> None:
    """What was known then is not known any more, and nothing is taken for it."""
    for second in range(100, 5000, 50):
        note(levels, second, row(second))
        levels.settle(at(second))

    assert levels.start(at(200)).value == 1
    assert 3800 <= levels.start(at(4000)).value <= 3940


def test_a_column_of_another_type_starts_over(levels: Levels) -> None:
    """Values that cannot be compared say nothing of each other."""
    note(levels, 100, row(5))
    other = Schema("8", (Column("n", "string", "char8"), Column("s", "int", "int")))

    assert not levels.adopt(other)
    assert levels.start(at(200)) == Start(None, 0.0)
    levels.note(compile_schema(other), b"\x02a\x00", 1, at(210))
    assert levels.disproved is None


def test_another_layout_with_the_same_column_changes_nothing(levels: Levels) -> None:
    """Rows of both are compared by their values."""
    other = Schema("8", (Column("n", "int", "int"),))
    note(levels, 100, row(5))

    assert levels.adopt(other)
    levels.note(compile_schema(other), b"\x0c", 1, at(200))
    assert levels.start(at(10_000)).value == 5


def test_a_clock_set_back_is_told_and_moves_what_is_remembered(levels: Levels) -> None:
    """Rows received after it have times before the ones of earlier rows."""
    note(levels, 100, row(5))
    assert not note(levels, 105, row(5))
    assert note(levels, 110, row(6), ahead=EPOCH - 600)
    assert not note(levels, 120, row(7), ahead=EPOCH - 600)

    assert levels.start(at(130)).since <= EPOCH + 110 - 600


def test_idle_levels_are_saved_once(levels: Levels) -> None:
    """A thousand tables in which nothing happens write nothing."""
    note(levels, 100, row(5))
    assert levels.settle(at(105)) is not None
    assert levels.settle(at(200)) is not None
    assert levels.settle(at(205)) is None
    note(levels, 210, row(6))
    assert levels.settle(at(211)) is not None


def test_a_restart_goes_on_where_the_last_good_moment_was(levels: Levels) -> None:
    """The gap begins where the run before would have begun; what comes then is held against it."""
    for second in range(100, 300, 10):
        note(levels, second, row(second))
    text = levels.settle(at(300))
    assert text is not None
    wanted = levels.start(at(300))

    again = Levels("n")
    again.from_json(text, SCHEMA, at(10))
    assert again.start(ended(EPOCH + 300)) == wanted
    assert again.start(at(20)).value == wanted.value
    assert again.known
    note(again, 30, row(5))
    assert again.disproved is not None
    text = again.to_json(at(40))
    third = Levels("n")
    third.from_json(text, SCHEMA, at(10))
    assert third.disproved == again.disproved
    assert third.start(ended(EPOCH)).value == 5


def test_the_mark_of_an_earlier_version_is_read_on() -> None:
    """But for its digests, which were made otherwise: their rows may come twice."""
    text = json.dumps([[10.0, 3, [1]], None, [100.0, 40, [2]], [110.0, 44, [3, 4]]])
    levels = Levels("n")
    levels.from_json(text, SCHEMA, at(5))

    assert levels.start(ended(110.0)) == Start(40, 90.0, (), True, N)
    assert levels.from_origin() == Start(3, 10.0, (), True, N)
    assert levels.known


def test_a_mark_without_a_name_is_of_the_column_that_is_configured(levels: Levels) -> None:
    """As an earlier version left it: an upgrade reads no table whole."""
    note(levels, 100, row(7))
    saved = json.loads(levels.to_json(at(300)))
    del saved["column"]
    saved["origin"] = [saved["origin"][0], saved["origin"][2]]

    again = Levels("n")
    again.from_json(json.dumps(saved), SCHEMA, at(5), heard=True)

    assert again.known
    assert again.start(ended(EPOCH + 300)) == levels.start(at(300))
    assert again.from_origin() == levels.from_origin()


def test_what_began_in_an_earlier_run_is_read_by_the_column_of_that_run(levels: Levels) -> None:
    """What begins later by the new one, once it is known how high that stands."""
    note(levels, 100, row(1000, 3))
    before, origin = levels.start(at(300)), levels.from_origin()

    again = Levels("s")
    again.from_json(levels.to_json(at(300)), SCHEMA, at(5), heard=True)
    assert not again.known
    assert again.start(ended(EPOCH + 300)) == before
    assert (again.start(at(6)).value, again.start(at(6)).column) == (before.value, N)
    assert again.settle(at(7)) is None  # what is stored serves until then
    again.first(CODEC, row(1001, 4), 1, at(10))

    assert again.start(ended(EPOCH + 300)) == before
    assert again.start(at(100)).value == 4
    assert again.start(at(100)).column == ("s", "int", "int")
    late = again.start(at(10 + MARGIN_SECONDS - 1))  # a row below 4 may be as late as that
    assert (late.value, late.column) == (before.value, N)
    assert again.from_origin() == origin


def test_a_new_column_without_a_value_takes_over_too(levels: Levels) -> None:
    """There is no height, so what is missed is read from the first row."""
    again = Levels("s")
    again.from_json(levels.to_json(at(300)), SCHEMA, at(5), heard=True)
    again.first(CODEC, b"", 0, at(10))

    assert again.start(at(100)).value is None
    assert '"column": "s"' in (again.settle(at(100)) or "")


def test_how_far_back_a_table_was_listened_to_outlives_every_column(levels: Levels) -> None:
    """The height of a later one, when it was named, says nothing of what came before."""
    again = Levels("s")
    again.from_json(levels.to_json(at(300)), SCHEMA, at(5), heard=True)
    again.first(CODEC, row(1001, 4), 1, at(10))
    third = Levels("s")
    third.from_json(again.to_json(at(200)), SCHEMA, at(5), heard=True)

    assert third.known
    assert third.from_origin() == levels.from_origin()

    first_column = Levels("s")  # before there was none, and the table was heard all the same
    first_column.from_json("null", SCHEMA, at(5), heard=True)
    first_column.first(CODEC, row(1001, 4), 1, at(10))
    assert first_column.from_origin().value is None


def test_after_a_change_of_its_type_a_column_has_no_height_for_what_came_before(
    levels: Levels,
) -> None:
    """What it is found to be is where reads begin of what begins later."""
    other = Schema("8", (Column("n", "long", "long"), Column("s", "int", "int")))
    assert not levels.adopt(other)
    levels.first(compile_schema(other), zigzag(50) + zigzag(1), 1, at(10))

    assert levels.start(at(200)).value == 50
    assert levels.start(at(5)).value is None
    assert levels.from_origin().value is None


def test_a_column_that_was_disproved_tells_the_next_one_nothing(levels: Levels) -> None:
    """What was missed is then read from the first row."""
    note(levels, 100, row(5), row(None))

    again = Levels("s")
    again.from_json(levels.to_json(at(300)), SCHEMA, at(5), heard=True)

    assert again.disproved is None
    assert again.start(ended(EPOCH + 300)) == BEGINNING
    assert again.from_origin().value is None
    assert again.taken_up(Start(3, EPOCH, (), True, N)) == BEGINNING
    other = Start(3, EPOCH, column=("s", "int", "int"))
    assert again.taken_up(other) == other


def test_a_start_without_a_name_is_of_the_column_by_which_it_was_made(levels: Levels) -> None:
    """As an earlier version left it; one of a column that is gone says nothing."""
    again = Levels("s")
    again.from_json(levels.to_json(at(300)), SCHEMA, at(5), heard=True)

    assert again.taken_up(Start(3, EPOCH)) == Start(3, EPOCH, column=N)
    assert again.taken_up(Start(3, EPOCH, column=("x", "int", "int"))) == BEGINNING
    assert again.taken_up(Start(3, EPOCH, column=("n", "long", "long"))) == BEGINNING


# Any rows, any times, any span.


@dataclass
class Row:
    """A row of the table: when it was inserted, and whether it was received."""

    order: float
    value: int | None
    serial: int
    received: bool
    wall: float = 0.0


@dataclass
class World:
    """What happened, in order, and what the levels were told of it."""

    levels: Levels
    rows: list[Row] = field(default_factory=list)
    ahead: float = EPOCH
    now: float = 0.0
    lowest_wall: float = float("inf")

    def keeps_the_promise(self, row: Row) -> bool:
        """Whether nothing that came more than a minute before is above it."""
        earlier = [r.value for r in self.rows if r.order < row.order - MARGIN_SECONDS]
        known = [value for value in earlier if value is not None]
        return row.value is not None and row.value >= max(known, default=row.value)


DISORDER = st.integers(-15, 15)
PAUSES = st.sampled_from([0.0, 1.0, 4.0, 9.0, 20.0, 45.0, 61.0, 130.0, 700.0])
BLOCKS = st.lists(
    st.tuples(PAUSES, st.lists(DISORDER, min_size=1, max_size=3), st.booleans()), max_size=25
)
STEPS = st.sampled_from([0.0] * 8 + [-600.0, 3600.0])


@settings(max_examples=300, deadline=None)
@given(
    before=BLOCKS,
    during=BLOCKS,
    after=BLOCKS,
    steep=st.integers(0, 3),
    outlier=st.sampled_from([None, None, 3, 8]),
    late=st.sampled_from([0.0, 5.0, 70.0]),
    fresh=st.booleans(),
    restart=st.booleans(),
    data=st.data(),
)
def test_a_read_meets_every_row_that_was_missed_and_leaves_out_every_one_received(
    before: Any,
    during: Any,
    after: Any,
    steep: int,
    outlier: int | None,
    late: float,
    fresh: bool,
    restart: bool,
    data: st.DataObject,
) -> None:
    """Unless the column is disproved, or a row was missed that itself breaks the promise."""
    levels = Levels("n")
    levels.adopt(SCHEMA)
    world = World(levels)
    if fresh:
        levels.empty(at(0))
    else:
        levels.first(CODEC, row(100, 0), 1, at(0))
        world.rows.append(Row(0.0, 100, 0, received=True, wall=float("inf")))
    begun: list[Start] = []

    def happen(blocks: Any, missing: bool) -> None:
        for index, (pause, values, heard) in enumerate(blocks):
            world.now += pause
            world.ahead += data.draw(STEPS) if pause else 0.0
            received = heard or not missing
            frames = []
            for jitter in values:
                value = 100 + max(0, int(world.now * steep) + jitter)
                if outlier == index:
                    value += 10_000
                made = Row(world.now, value, len(world.rows), received, world.now + world.ahead)
                world.rows.append(made)
                frames.append(row(value, made.serial))
            if received and note(world.levels, world.now, *frames, ahead=world.ahead):
                world.lowest_wall = min(world.lowest_wall, world.now + world.ahead)
            if not missing:
                world.levels.settle(at(world.now, world.ahead))

    happen(before, missing=False)
    since = at(world.now, world.ahead)
    missed_from = len(world.rows)
    world.lowest_wall = float("inf")
    if restart:
        text = world.levels.to_json(since)
        world.levels = Levels("n")
        world.now += 1.0
        world.levels.from_json(text, SCHEMA, at(world.now))
        since = ended(since.wall)
        begun.append(world.levels.start(since))
    happen(during, missing=True)
    world.now += late
    start = world.levels.start(since)
    begun.append(start)
    assert not restart or begun[0].value is None or start.value <= begun[0].value
    happen(after, missing=True)

    for made in world.rows[missed_from:]:
        if made.received or not world.keeps_the_promise(made):
            continue
        assert start.value is None or made.value >= start.value or world.levels.disproved
    remembered = min(start.since, world.lowest_wall)
    for made in world.rows:
        if not made.received or (made.serial == 0 and not fresh):
            continue
        read = start.value is None or (made.value is not None and made.value >= start.value)
        known = made.wall >= remembered or digests(row(made.value, made.serial))[0] in start.ties
        assert known or not read or world.levels.disproved


def test_a_column_disproved_just_after_it_was_exchanged_is_read_from_the_first_row() -> None:
    """Its mark is stored at once, and where to begin is still a value of the former column."""
    by_s = Levels("s")
    by_s.adopt(SCHEMA)
    by_s.first(CODEC, row(1, 500), 1, at(0))
    by_n = Levels("n")
    by_n.from_json(by_s.to_json(at(100)), SCHEMA, at(200), heard=True)
    by_n.first(CODEC, row(9, 600), 1, at(200))
    by_n.note(CODEC, row(None, 601), 1, at(210))
    assert by_n.disproved is not None

    again = Levels("n")
    again.from_json(by_n.to_json(at(205)), SCHEMA, at(300), heard=True)
    assert again.disproved is not None
    assert again.start(at(300)).value is None


def test_a_former_column_that_is_dropped_tells_nothing_any_more() -> None:
    """Also of gaps that begin only then: they are read from the first row."""
    by_s = Levels("s")
    by_s.adopt(SCHEMA)
    by_s.first(CODEC, row(1, 500), 1, at(0))
    by_n = Levels("n")
    by_n.from_json(by_s.to_json(at(100)), SCHEMA, at(200), heard=True)
    by_n.first(CODEC, row(9, 600), 1, at(200))
    assert by_n.start(at(210)).name == "s"
    by_n.adopt(Schema("8", SCHEMA.columns[:1]))

    assert by_n.start(at(210)).value is None
    assert by_n.from_origin().value is None
    assert by_n.taken_up(None).value is None
