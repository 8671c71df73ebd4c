"""What an audit finds, and when, with the margins that are in force and a clock passed in."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.events import Column, Schema
from bridge.monitor.moment import Moment
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import ByColumn, TableOptions
from bridge.monitor.writes import WriteMark
from bridge.reading.audit import Auditor, AuditTimes, Finding
from bridge.wire.calls import Query, RowsPage
from bridge.wire.tables import TableInfo

SCHEMA = Schema("1", (Column("id", "int", "int"),), primary_key=("id",))
START = Moment(1000.0, 1_700_000_000.0)


def frame(number: int) -> bytes:
    low, high = number * 2 & 0x7F, number * 2 >> 7
    return bytes([low | 0x80, high]) if high else bytes([low])


class Arrived:
    def __init__(self, numbers: list[int]) -> None:
        self.schema, self.count = SCHEMA, len(numbers)
        self.payload = b"".join(map(frame, numbers))


class World:
    """A cluster with one table, and what was received of it; time passes when it is told to."""

    url = "http://a"

    def __init__(self, **options: Any) -> None:
        self.there: set[int] = set()
        self.lateness = 0
        self.under_way: deque[tuple[float, Callable[[], None]]] = deque()
        self.heard: list[tuple[float, int]] = []
        self.now = START
        self.counting = False
        self.pruned_until = 0.0
        self.table = TableMonitor(TableOptions("t", **options), lambda _: None, closable=True)
        self.table.schema = SCHEMA
        self.auditor = Auditor(self, lambda: None, AuditTimes())
        self.found: list[tuple[float, Finding]] = []

    # As a cluster.

    def read_rows(self, query: Query, offset: int, limit: int) -> RowsPage:
        expression = query.expression or "True"
        for old, new in (("not id is null", "True"), ("id is null", "False")):
            expression = expression.replace(old, new)
        found = sorted(n for n in self.there if eval(expression, {"id": n}))
        if query.order == "descending":
            found.reverse()
        some = found[offset : offset + limit]
        return RowsPage("1", [frame(n) for n in some], len(found), len(some) < len(found))

    def table_info(self) -> TableInfo:
        return TableInfo("t", SCHEMA, len(self.there))

    # As the history.

    def follow(self, table: str, since: float) -> Any:
        heard = [number for at, number in self.heard if at >= max(since, self.pruned_until)]

        class Follow:
            def more(self) -> Iterator[Arrived]:
                yield Arrived(heard)

            def close(self) -> None:
                pass

        return Follow()

    def kept(self, since: float) -> bool:
        return since > self.pruned_until

    # What happens.

    def insert(self, *numbers: int, heard: bool = True) -> None:
        self.there.update(numbers)
        if heard:
            self._later(lambda: self.hear(*numbers))

    def delete(self, *numbers: int) -> None:
        self.there.difference_update(numbers)
        self._later(lambda: self._hear_delete(len(numbers)))

    def update(self, old: int, new: int) -> None:
        self.there ^= {old, new}
        self.table.counts.received["update"] += "update" in self.table.options.events

    def _later(self, hear: Callable[[], None]) -> None:
        if self.lateness:
            self.under_way.append((self.now.order + self.lateness, hear))
        else:
            hear()

    def _hear_delete(self, count: int) -> None:
        self.table.counts.received["delete"] += 1
        self.table.counts.deleted_rows += count

    def hear(self, *numbers: int) -> None:
        self.heard += [(self.now.wall, number) for number in numbers]
        self.table.counts.received["insert"] += len(numbers)

    def count_writes(self) -> None:
        """From here on the cluster counts writes, and says so at every probe."""
        self.counting = True

    def pass_time(
        self,
        seconds: int,
        inserting: Iterator[int] | None = None,
        calls: Counter[str] | None = None,
    ) -> None:
        """Second by second, with a row every second if asked, and looks when they are due."""
        cluster: Any = _AsCluster(self, Counter() if calls is None else calls)
        for _ in range(seconds):
            self.now = Moment(self.now.order + 1, self.now.wall + 1)
            while self.under_way and self.under_way[0][0] <= self.now.order:
                self.under_way.popleft()[1]()
            if inserting is not None:
                self.insert(next(inserting))
            if self.counting:
                mark = WriteMark(self.now, "a", "oid:1", len(self.there), str(self.there))
                self.table.writes.note(mark, len(self.heard))
            if self.auditor.due(self.table, self.now.order):
                finding = self.auditor.audit(self.table, cluster, self.now)
                if finding is not None:
                    self.found.append((self.now.order - START.order, finding))

    @property
    def losses(self) -> list[tuple[float, Finding]]:
        return [(at, finding) for at, finding in self.found if finding.rows]


class _AsCluster:
    def __init__(self, world: World, calls: Counter[str]) -> None:
        self.url = world.url
        self._world = world
        self._calls = calls

    def read_rows(self, query: Query, offset: int, limit: int) -> RowsPage:
        self._calls["read_rows"] += 1
        return self._world.read_rows(query, offset, limit)

    def table(self, name: str, *, sizes: bool) -> TableInfo:
        self._calls["table"] += 1
        return self._world.table_info()


@pytest.fixture(params=["by column", "by size"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "by column":
        return World(catch_up=ByColumn("id"))
    return World()


@pytest.mark.parametrize("after", [0, 7, 59, 61, 200])
@pytest.mark.parametrize("busy", [False, True])
def test_a_row_that_was_never_published_is_found_within_five_minutes(
    world: World, after: int, busy: bool
) -> None:
    """Whenever it was stored, and whether or not others are inserted all the time."""
    numbers = iter(range(1, 200))
    world.insert(0)
    world.pass_time(after + 1, numbers if busy and after < 100 else None)
    world.insert(110, heard=False)
    stored = world.now.order - START.order
    world.pass_time(300)

    (at, finding), *more = world.losses
    assert finding.rows == 1
    assert at - stored <= 300
    assert finding.since.order - START.order <= stored
    assert more == []


def test_a_notification_that_is_late_is_no_loss(world: World) -> None:
    """It comes between the look that missed it and the one that makes sure."""
    numbers = iter(range(1, 100))
    world.pass_time(130, None)
    world.insert(*(next(numbers) for _ in range(8)), heard=False)
    # A look has seen them, and the next one suspects.
    world.pass_time(115 if world.table.levels is not None else 55)
    world.hear(*range(1, 9))
    world.pass_time(300)

    assert world.losses == []
    assert world.found


@pytest.mark.parametrize("lateness", [1, 9])
def test_notifications_that_are_steadily_late_are_no_loss(world: World, lateness: int) -> None:
    """At every look as many are under way; what is lost then is found all the same."""
    numbers = iter(range(1, 1000))
    world.pass_time(130, numbers)
    world.lateness = lateness
    world.pass_time(300, numbers)
    assert world.losses == []

    world.insert(next(numbers), heard=False)
    world.pass_time(300)
    assert [finding.rows for _, finding in world.losses] == [1]


def test_deletes_that_are_late_are_no_loss() -> None:
    """A size that lacks rows whose deletes are under way is none to hold others against."""
    world = World()
    world.insert(*range(100))
    world.lateness = 9
    for number in range(100):
        world.delete(number)
        world.pass_time(1)
    world.pass_time(300)
    assert world.losses == []


def test_a_loss_that_steady_inserts_hide_is_found_in_the_first_pause() -> None:
    """A row a second could be a row that is late each time; in a pause nothing is under way."""
    world = World()
    numbers = iter(range(1, 1000))
    world.pass_time(130, numbers)
    world.insert(next(numbers), heard=False)
    world.pass_time(200, numbers)
    stopped = world.now.order - START.order
    world.pass_time(60)
    ((at, finding),) = world.losses
    assert finding.rows == 1
    assert at - stopped <= 21


def test_of_many_rows_lost_steady_inserts_hide_none() -> None:
    """More are missing than are inserted while a notification may be late."""
    world = World()
    numbers = iter(range(1, 1000))
    world.pass_time(130, numbers)
    world.insert(*(next(numbers) for _ in range(15)), heard=False)
    world.pass_time(130, numbers)
    ((_, finding),) = world.losses
    assert finding.rows >= 4


def test_what_was_received_and_pruned_since_is_no_loss(world: World) -> None:
    """Where the journal is full, what all sinks have goes at once; later losses are found."""
    numbers = iter(range(1, 1000))
    world.pass_time(130, numbers)
    world.pruned_until = world.now.wall
    world.pass_time(300, numbers)
    assert world.losses == []

    world.insert(next(numbers), heard=False)
    world.pass_time(300)
    assert [finding.rows for _, finding in world.losses] == [1]


def test_where_the_cluster_counts_no_writes_nothing_is_asked(world: World) -> None:
    """Once all rows are accounted for; what is written then is looked at like anything."""
    calls = Counter[str]()
    world.count_writes()
    world.insert(1)
    world.pass_time(400, calls=calls)
    before = calls.total()
    world.pass_time(600, calls=calls)
    assert calls.total() == before

    world.insert(2, heard=False)
    world.pass_time(300, calls=calls)
    assert [finding.rows for _, finding in world.losses] == [1]


def test_rows_deleted_are_no_loss(world: World) -> None:
    """Fewer rows than were received prove nothing."""
    world.insert(*range(10))
    world.pass_time(70)
    world.delete(3, 4, 5)
    world.pass_time(200)
    assert world.losses == []


def move_and_insert(world: World, old: Iterator[int], new: Iterator[int]) -> None:
    """For 200 seconds insert a row at the top and move an old one there, by turns."""
    for _ in range(100):
        world.update(next(old), next(new))
        world.pass_time(1)
        world.pass_time(1, new)


@pytest.mark.parametrize(
    "options",
    [{}, {"events": ("insert",)}, {"filter": "id >= 0"}],
    ids=["heard", "unheard", "filtered"],
)
def test_rows_that_updates_moved_are_no_loss(options: dict[str, Any]) -> None:
    """What is more above a value is less below it; under a filter that cannot be told."""
    world = World(catch_up=ByColumn("id"), **options)
    world.insert(*range(1000))
    world.pass_time(130)
    move_and_insert(world, iter(range(1000)), iter(range(1000, 2000)))
    assert world.losses == []


@pytest.mark.parametrize("events", [("insert", "update", "delete"), ("insert",)])
def test_among_rows_that_updates_moved_a_loss_is_found(events: tuple[Any, ...]) -> None:
    """It is missing nowhere below; nor do updates hide it that move nothing."""
    world = World(catch_up=ByColumn("id"), events=events)
    old, new = iter(range(1000)), iter(range(1000, 2000))
    world.insert(*range(1000))
    world.pass_time(130)
    move_and_insert(world, old, new)
    world.insert(next(new), heard=False)
    move_and_insert(world, old, new)
    world.table.counts.received["update"] += 50
    world.pass_time(100)
    assert [finding.rows for _, finding in world.losses] == [1]


def test_rows_out_of_order_by_less_than_a_minute_are_found(world: World) -> None:
    """One that is lower than others that came before it, and was never published."""
    world = World(catch_up=ByColumn("id"))
    world.insert(10)
    world.pass_time(70)
    world.insert(20)
    world.pass_time(30)
    world.insert(15, heard=False)
    world.pass_time(280)
    assert [finding.rows for _, finding in world.losses] == [1]


def test_a_table_made_again_begins_anew(world: World) -> None:
    """What was seen of the old one is compared with nothing."""
    world.insert(*range(5))
    world.pass_time(130)
    world.there = {50, 51, 52, 53, 54, 55, 56}
    world.table.born_at = world.now.wall
    world.pass_time(60)
    assert world.losses == []


def test_with_inserts_alone_the_size_tells_nothing() -> None:
    """Deletes that nobody reports would explain whatever is missing."""
    world = World(events=("insert",))
    world.insert(1, heard=False)
    world.pass_time(300)
    assert world.found == []
