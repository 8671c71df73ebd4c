"""When each table was last good is stored, however many there are, and never claimed too late."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.events import Entry
from bridge.monitor.good_marks import GoodMarks, good_at
from bridge.monitor.mark import Mark
from bridge.monitor.moment import NEVER, Moment

EPOCH = 1_000_000.0


@dataclass
class Store:
    """Marks as they were stored last, and how many were."""

    marks: dict[str, str] = field(default_factory=dict)
    posted: int = 0

    def post(self, entry: Entry | Mark) -> None:
        assert isinstance(entry, Mark)
        self.marks[entry.name] = entry.text
        self.posted += 1


@dataclass
class Table:
    """A table, as far as this goes."""

    name: str
    store: Store
    good: Moment = NEVER

    def post(self, entry: Entry | Mark) -> None:
        self.store.post(entry)


def at(order: float) -> Moment:
    return Moment(order, EPOCH + order)


def test_a_thousand_tables_that_are_good_together_store_one_mark_a_round() -> None:
    """And a table that is not has one of its own."""
    store, good = Store(), GoodMarks()
    tables = [Table(f"s.t{n}", store) for n in range(1000)]
    for order in (5.0, 10.0, 15.0):
        for table in tables:
            table.good = at(order)
        good.store(tables)
    assert store.posted == 4
    for table in tables[1:]:
        table.good = at(20)
    good.store(tables)

    assert store.posted == 7
    assert [good_at(store.marks, t.name) for t in tables[:2]] == [EPOCH + 15, EPOCH + 20]
    assert good_at(store.marks, "s.none") == 0.0


def test_a_round_in_which_nothing_was_proven_stores_nothing() -> None:
    """Neither where there is no table."""
    store, good = Store(), GoodMarks()
    good.store([])
    table = Table("s.t", store)
    good.store([table])
    table.good = at(5)
    good.store([table])
    good.store([table])
    assert store.posted == 2


def test_a_table_that_is_not_looked_after_any_more_was_good_when_it_was() -> None:
    """Not as long as the others are."""
    store, good = Store(), GoodMarks()
    one, other = Table("s.a", store, at(5)), Table("s.b", store, at(5))
    good.store([one, other])
    one.good = at(10)
    good.store([one])

    assert good_at(store.marks, "s.b") == EPOCH + 5
    assert good_at(store.marks, "s.a") == EPOCH + 10


def test_marks_of_which_only_some_were_stored_claim_nothing() -> None:
    """The names of before do not go with the time of now, nor the other way round."""
    store, good = Store(), GoodMarks()
    one, other = Table("s.a", store, at(5)), Table("s.b", store, at(5))
    good.store([one, other])
    before = dict(store.marks)
    one.good = at(10)
    good.store([one, other])

    for name in ("good", "good_tables"):
        torn = {**before, name: store.marks[name]}
        assert good_at(torn, "s.b") in (0.0, EPOCH + 5)
        assert good_at(torn, "s.a") in (0.0, EPOCH + 5)


def test_the_mark_of_an_earlier_version_is_read_on() -> None:
    """Each table had its own."""
    assert good_at({"good_at/s.t": "1700000000.5"}, "s.t") == 1700000000.5


ROUNDS = st.lists(
    st.tuples(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd"))), max_size=12
)


@settings(max_examples=300, deadline=None)
@given(rounds=ROUNDS)
def test_what_is_stored_is_what_was_proven_last(rounds: list[tuple[set[str], set[str]]]) -> None:
    """For any tables that come, go, and are good or not; restarted after every round."""
    store, good = Store(), GoodMarks()
    proven: dict[str, Moment] = {}
    tables: dict[str, Table] = {}
    for number, (present, fine) in enumerate(rounds):
        for name in present - tables.keys():
            was = good_at(store.marks, name)
            tables[name] = Table(name, store, Moment(float("-inf"), was) if was else NEVER)
        tables = {name: tables[name] for name in sorted(present)}
        for name in present & fine:
            tables[name].good = proven[name] = at(5.0 * (number + 1))
        good.store(tables.values())
        for name, moment in proven.items():
            assert good_at(store.marks, name) == moment.wall
