"""What a read delivers, for every order in which equal rows can be read, inserted and heard."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.events import Column, Schema
from bridge.monitor.progress import Progress
from bridge.reading.comparison import ARRIVING, Comparison, Patience, Room
from bridge.reading.pages import Page
from bridge.reading.received import Received

KEYLESS = Schema("1", (Column("name", "string", "char8"),))
KEYED = Schema("2", KEYLESS.columns, primary_key=("name",))
AT_ONCE = Patience(settle=0.0, late=0.0)


def row(name: str) -> bytes:
    return bytes([len(name) * 2]) + name.encode()


class Arrived:
    def __init__(self, names: Sequence[str], schema: Schema) -> None:
        self.schema, self.count = schema, len(names)
        self.payload = b"".join(map(row, names))


class World:
    """A table, and what was heard of it."""

    def __init__(
        self,
        folder: Path,
        schema: Schema = KEYLESS,
        patience: Patience = AT_ONCE,
        room: Room | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.schema = schema
        self.table: Counter[str] = Counter()
        self.under_way: list[str] = []
        self.heard: list[str] = []
        self.delivered: Counter[str] = Counter()
        self.looks = 0
        self.received = Received(folder / "index.db", schema, self, recall=True)
        self.comparison = Comparison(
            "t",
            schema,
            self.received,
            lambda: None,
            self._deliver,
            pause,
            Progress(),
            patience,
            room,
        )

    def more(self) -> Iterator[Arrived]:
        names, self.heard = self.heard, []
        if names:
            yield Arrived(names, self.schema)

    def close(self) -> None:
        pass

    def _deliver(self, frames: list[bytes]) -> None:
        self.delivered.update(frame[1:].decode() for frame in frames)

    def insert(self, *names: str) -> None:
        self.table.update(names)
        self.under_way += names

    def hear(self) -> None:
        self.heard += self.under_way
        self.under_way = []

    def miss(self, *names: str) -> None:
        self.table.update(names)

    def page(self, where: str | None = None) -> Page:
        frames = [row(name) for name, n in self.table.items() for _ in range(n)]
        return Page(frames, 1, where, certain=True)

    def run(
        self, after: Callable[[], None] = lambda: None, again: Callable[[], None] = lambda: None
    ) -> str | None:
        """Compare one page; `after` happens once it was read, `again` after each further look."""

        def pages() -> Iterator[Page]:
            page = self.page()
            after()
            yield page

        def look(where: str | None) -> Iterator[Page]:
            self.looks += 1
            page = self.page()
            again()
            yield page

        try:
            return self.comparison.run(pages(), look)
        finally:
            self.received.close()


def test_one_row_received_answers_for_one_row_read(tmp_path: Path) -> None:
    """Of three equal rows one was received: two come."""
    world = World(tmp_path)
    world.insert("a")
    world.hear()
    world.miss("a", "a", "b")

    assert world.run() is None
    assert world.delivered == {"a": 2, "b": 1}


def test_an_equal_row_inserted_behind_the_read_does_not_answer(tmp_path: Path) -> None:
    """One was missed before, one is heard after: a second look tells that there are two."""
    world = World(tmp_path)
    world.miss("a")

    def insert() -> None:
        world.insert("a")
        world.hear()

    assert world.run(after=insert) is None
    assert world.delivered == {"a": 1}
    assert world.looks == 1


def test_a_row_heard_after_it_was_read_is_not_delivered_again(tmp_path: Path) -> None:
    """It was inserted before the page, and its notification came behind it."""
    world = World(tmp_path)
    world.insert("a")

    assert world.run(after=world.hear) is None
    assert world.delivered == {}


def test_with_a_key_no_second_look_is_needed(tmp_path: Path) -> None:
    """A key stands there once: what was heard was it."""
    world = World(tmp_path, KEYED)
    world.insert("a")

    assert world.run(after=world.hear) is None
    assert world.delivered == {}
    assert world.looks == 0


def test_where_equal_rows_keep_coming_nothing_is_claimed(tmp_path: Path) -> None:
    """What is surely missing comes, and that there may be more is said."""
    world = World(tmp_path)
    world.miss("a", "b")

    def insert() -> None:
        world.insert("a")
        world.hear()

    assert world.run(after=insert, again=insert) == ARRIVING
    assert world.delivered["b"] == 1
    assert world.looks == 5


STEP = st.tuples(st.sampled_from(["insert", "miss", "hear"]), st.sampled_from("abc"))
STEPS = st.lists(STEP, max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(before=STEPS, between=STEPS, later=st.lists(STEPS, max_size=6))
def test_nothing_missed_is_left_out_and_nothing_heard_comes_twice(
    tmp_path: Path,
    before: list[tuple[str, str]],
    between: list[tuple[str, str]],
    later: list[list[tuple[str, str]]],
) -> None:
    """Whatever order rows are inserted, missed, read and heard in.

    Missed is only what came before the read: a gap is over when it is read.
    """
    world = World(tmp_path)
    missed: Counter[str] = Counter()

    def do(steps: list[tuple[str, str]], *, gap: bool) -> None:
        for what, name in steps:
            if what == "hear":
                world.hear()
            elif what == "miss" and gap:
                world.miss(name)
                missed[name] += 1
            else:
                world.insert(name)

    do(before, gap=True)
    rounds = iter(later)

    def after() -> None:
        do(between, gap=False)
        world.hear()  # what was published before the page was asked for has come by now

    def again() -> None:
        do(next(rounds, []), gap=False)
        world.hear()

    unproven = world.run(after, again)

    assert world.delivered <= missed
    if unproven is None:
        assert world.delivered == missed


def test_a_full_room_is_left_before_the_next_page(tmp_path: Path) -> None:
    """What is held back is judged before more is read, and nothing stays counted."""
    room = Room(size=0)
    world = World(tmp_path, KEYED, Patience(0.01, 0.02), room)
    world.miss("a", "b")

    def pages() -> Iterator[Page]:
        yield Page([row("a")], 1, None, certain=True)
        assert world.delivered == Counter("a")
        yield Page([row("b")], 1, None, certain=True)

    assert world.comparison.run(pages(), lambda _: []) is None
    assert world.delivered == Counter("ab")
    assert not room.full


def test_a_read_that_fails_holds_nothing(tmp_path: Path) -> None:
    """Rows held back by a read that ends early leave their room to others."""
    room = Room(size=0)
    patience = Patience(settle=10.0)

    def pages() -> Iterator[Page]:
        yield Page([row("a")], 1, None, certain=True)

    world = World(tmp_path, KEYED, patience, room, _fail)
    with pytest.raises(InterruptedError):
        world.comparison.run(pages(), lambda _: [])
    assert not room.full


def _fail(_: float) -> None:
    raise InterruptedError
