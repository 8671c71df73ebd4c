"""What the destination has, as runs: any history of batches, kills and returns, each event once."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from bridge.sinks.base import Standing
from bridge.sinks.kafka_cursors import Delivered, joined, runs_of, without
from bridge.testing import make_event, slices_of

Run = tuple[int, int]
runs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)), max_size=6).map(
    lambda pairs: [(start, start + length) for start, length in pairs]
)


def members(listed: list[Run] | tuple[Run, ...]) -> set[int]:
    return {offset for start, stop in listed for offset in range(start, stop)}


@given(runs, runs)
def test_runs_are_sets_of_offsets(some: list[Run], others: list[Run]) -> None:
    """Joined they hold the same, taken away from each other what is left, in order."""
    assert members(joined(some)) == members(some)
    left = without(joined(some), others)
    assert members(left) == members(some) - members(others)
    assert left == sorted(left)


@given(st.integers(0, 100), runs, runs)
def test_what_is_stored_is_read_back(to: int, some: list[Run], others: list[Run]) -> None:
    """As JSON, whatever runs there are."""
    delivered = Delivered(to, tuple(joined(some)), tuple(joined(others)))

    assert Delivered.of_json(json.loads(json.dumps(delivered.to_json()))) == delivered


def test_ten_thousand_offsets_that_wait_fit_into_a_message() -> None:
    """Each alone, far into the life of a journal."""
    waiting = tuple((n, n + 1) for n in range(10**13, 10**13 + 60_000, 3))

    assert len(json.dumps(Delivered(10**14, waiting).to_json())) < 500_000


@given(st.integers(0, 60), runs, runs, st.integers(0, 60))
def test_what_lies_behind_the_journals_head_is_taken_back(
    to: int, some: list[Run], others: list[Run], head: int
) -> None:
    """A restored journal gives those offsets to other events, which must go out."""
    ahead = [(start + to, stop + to) for start, stop in joined(others)]
    away = [(start, min(stop, to)) for start, stop in joined(some) if start < to]
    delivered = Delivered(to, tuple(away), tuple(ahead))
    (piece,) = slices_of([make_event(offset, table="t") for offset in range(120)])

    left, before = (
        members(runs_of(each.missing(piece)).get("t", []))
        for each in (delivered.before(head), delivered)
    )

    assert left == before | set(range(head, 120))


@given(st.data())
def test_whatever_happened_each_event_is_taken_once_and_none_is_forgotten(
    data: st.DataObject,
) -> None:
    """A journal that goes back, parts that fail, events that wait or go ahead of their turn."""
    total = 30
    delivered, taken = Delivered(), set()
    cursor, waiting, ahead = 0, set(), set()
    for _ in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()):  # killed: the journal knows less, or nothing
            cursor = data.draw(st.integers(0, cursor))
            waiting = {o for o in waiting if o < cursor}
            ahead = set()
        to = data.draw(st.integers(cursor, total))
        beside = data.draw(st.booleans()) and waiting
        batch = sorted(waiting) if beside else [o for o in range(cursor, to) if o not in ahead]
        to = cursor if beside else to
        if not batch:
            continue
        failed = data.draw(st.sets(st.sampled_from(batch)))
        new = waiting if beside else waiting | set()
        pieces = slices_of([make_event(offset, table="t") for offset in batch])
        missing = [part for piece in pieces for part in delivered.missing(piece)]
        offered = members(runs_of(missing).get("t", []))
        assert not offered & taken
        done = offered - failed
        taken |= done
        standing = Standing(
            to, [(o, o + 1) for o in sorted(new)], [(o, o + 1) for o in sorted(ahead)]
        )
        if done:
            delivered = delivered.after(standing, runs_of(pieces)["t"], runs_of_set(done))
        waiting = {o for o in waiting | set(batch) if o not in taken and o < to}
        cursor = max(cursor, to)
    rest = slices_of([make_event(offset, table="t") for offset in range(total)])
    left = members(runs_of([p for piece in rest for p in delivered.missing(piece)]).get("t", []))

    assert left == set(range(total)) - taken


def runs_of_set(offsets: set[int]) -> list[Run]:
    return joined((offset, offset + 1) for offset in offsets)
