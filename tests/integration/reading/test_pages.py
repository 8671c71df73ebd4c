"""Pages give every row that is there from the first to the last of them, whatever else happens."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from services.rig import TABLE, Database

from bridge.codec import compile_schema
from bridge.errors import RequestRefused
from bridge.events import Schema
from bridge.reading.pages import Page, PageLimits, Pages
from bridge.wire.calls import Cluster
from bridge.wire.client import Access, Http
from kinetica_emulator import Emulator

KEYLESS: dict[str, list[str]] = {"kind": ["int", "int8"], "name": ["string", "char8"]}
WITH_NULLS: dict[str, list[str]] = {
    "kind": ["int", "int8", "nullable"],
    "name": ["string", "char8", "nullable"],
}
COMPOSITE: dict[str, list[str]] = {
    "tenant": ["string", "char8", "primary_key"],
    "seq": ["long", "primary_key"],
    "name": ["string", "char8"],
}
BLOBS: dict[str, list[str]] = {"kind": ["int", "int8"], "data": ["bytes"]}
SMALL = PageLimits(rows=20)


@pytest.fixture
def there(cluster: Emulator) -> Iterator[Cluster]:
    """The cluster as the bridge calls it."""
    found = Cluster(Http(cluster.url, Access(), timeout=10.0))
    yield found
    found.close()


Row = tuple[Any, ...]


class Reading:
    """A read of the table, with what its pages gave."""

    def __init__(self, there: Cluster, limits: PageLimits = SMALL, **how: Any) -> None:
        info = there.table(TABLE)
        assert info is not None
        self.schema: Schema = info.schema
        self.pages = Pages(there, TABLE, info.schema, limits=limits, **how)
        self.given: list[Page] = []

    def rows(self, page: Page) -> Counter[Row]:
        decoded = compile_schema(self.schema).decode(b"".join(page.frames), len(page.frames))
        return Counter(tuple(row.values()) for row in decoded for _ in range(page.times))

    def run(self, between: Callable[[int], None] = lambda _: None, **what: Any) -> Counter[Row]:
        found: Counter[Row] = Counter()
        for number, page in enumerate(self.pages.read(**what)):
            self.given.append(page)
            found += self.rows(page)
            between(number)
        return found


def test_a_small_table_without_a_key_takes_one_call(there: Cluster, database: Database) -> None:
    """All of it is in the first page."""
    database.create(columns=KEYLESS)
    database.insert({"kind": n % 3, "name": "a"} for n in range(15))

    reading = Reading(there)
    assert reading.run().total() == 15
    assert [page.where for page in reading.given] == [None]


def test_equal_rows_are_counted(there: Cluster, database: Database) -> None:
    """More than a page of rows that differ in nothing come as one, with how often it is there."""
    database.create(columns=KEYLESS)
    database.insert({"kind": 7, "name": "same"} for _ in range(95))
    database.insert({"kind": 7, "name": f"n{n}"} for n in range(30))

    reading = Reading(there)
    found = reading.run()

    assert found[7, "same"] == 95
    assert found.total() == 125
    assert all(page.certain for page in reading.given)


def test_equal_rows_deleted_between_pages_are_not_too_few(
    there: Cluster, database: Database
) -> None:
    """Half of those passed go: what is left at the end is counted at least."""
    database.create(columns={"kind": ["int", "int8"]})
    database.insert({"kind": n % 2} for n in range(200))

    def cut(number: int) -> None:
        if number == 0:
            database.delete("kind = 1")
            database.insert({"kind": 1} for _ in range(60))

    assert Reading(there).run(cut)[(1,)] >= 60


@pytest.mark.parametrize("nulls", [False, True], ids=["no nulls", "nulls"])
@pytest.mark.parametrize("seed", range(6))
def test_rows_that_stay_are_given_once_while_others_come_and_go(
    there: Cluster, database: Database, nulls: bool, seed: int
) -> None:
    """A keyless table of few values, with rows deleted and inserted after every page."""
    chance = random.Random(seed)
    database.create(columns=WITH_NULLS if nulls else KEYLESS)

    def value(of: list[Any]) -> Any:
        return chance.choice([*of, None]) if nulls else chance.choice(of)

    rows = [(value([1, 2, 3]), value(list("abcdef"))) for _ in range(400)]
    database.insert({"kind": kind, "name": name} for kind, name in rows)
    database.insert({"kind": 9, "name": "goes"} for _ in range(100))

    def disturb(number: int) -> None:
        database.delete(f"kind = 9 and name = 'goes{number}'")
        database.insert({"kind": 9, "name": f"goes{number + 1}"} for _ in range(25))
        if number == 0:
            database.delete("kind = 9 and name = 'goes'")

    reading = Reading(there)
    found = reading.run(disturb)

    assert {row: n for row, n in found.items() if row[0] != 9} == Counter(rows)
    assert all(page.certain for page in reading.given)


def test_a_composite_key_with_more_than_a_page_of_its_first_column(
    there: Cluster, database: Database
) -> None:
    """Rows of one tenant are deleted behind the read, and none of the others is passed over."""
    database.create(columns=COMPOSITE)
    database.insert({"tenant": f"t{n % 2}", "seq": n, "name": "x"} for n in range(600))
    gone: set[int] = set()

    def cut(number: int) -> None:
        low = 2 * 10 * number
        database.delete(f"seq >= {low} and seq < {low + 10}")
        gone.update(range(low, low + 10))

    reading = Reading(there, order=("tenant", "seq"))
    found = reading.run(cut)

    assert {row[1] for row in found} >= set(range(600)) - gone
    assert set(found.values()) == {1}
    assert all(page.certain for page in reading.given)


def test_a_growing_column_is_read_from_a_value_with_all_its_ties(
    there: Cluster, database: Database
) -> None:
    """More ties than a page are told apart by the other columns."""
    database.create(columns={"at": ["long"], "name": ["string", "char8"]})
    database.insert({"at": n // 50, "name": f"n{n}"} for n in range(300))

    found = Reading(there, order=("at",)).run(low=3)

    assert {row[1] for row in found} == {f"n{n}" for n in range(150, 300)}
    assert set(found.values()) == {1}


def test_rows_that_nothing_orders_are_said_to_be_uncertain(
    there: Cluster, database: Database
) -> None:
    """Blobs of one kind fill more than a page: they are read by offset."""
    database.create(columns=BLOBS)
    database.insert({"kind": 1, "data": f"b{n}"} for n in range(60))
    database.insert({"kind": 2, "data": f"c{n}"} for n in range(5))

    reading = Reading(there)
    found = reading.run()

    assert found.total() == 65
    assert {page.certain for page in reading.given} == {True, False}


def test_a_page_is_bounded_in_bytes(there: Cluster, database: Database) -> None:
    """Wide rows make small pages; the first is small as nobody knows how wide they are."""
    database.create(columns={"id": ["long", "primary_key"], "text": ["string"]})
    database.insert({"id": n, "text": "x" * 10_000} for n in range(200))

    reading = Reading(there, PageLimits(size=200_000), order=("id",))
    assert reading.run().total() == 200

    sizes = [sum(map(len, page.frames)) for page in reading.given]
    assert max(sizes) < 300_000
    assert len(sizes) > 10


def test_a_page_selects_its_rows_again(there: Cluster, database: Database) -> None:
    """With the condition that it gives, and those of no other page."""
    database.create(columns=WITH_NULLS)
    database.insert(
        {"kind": n % 4 or None, "name": None if n % 5 == 0 else f"{n % 23}"} for n in range(500)
    )
    reading = Reading(there)
    reading.run()

    assert len(reading.given) > 5
    for page in reading.given:
        again = Reading(there, PageLimits()).run(where=page.where)
        assert again == reading.rows(page)


def test_a_table_altered_between_pages_fails(there: Cluster, database: Database) -> None:
    """Its rows have another layout from then on."""
    database.create()
    database.insert_ids(range(100))

    def alter(number: int) -> None:
        if number == 0:
            database.alter("add_column", "more", column_type="long")

    with pytest.raises(RequestRefused, match="altered"):
        Reading(there, order=("id",)).run(alter)
