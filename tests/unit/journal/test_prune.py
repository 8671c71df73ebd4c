"""What of a segment is still wanted, and which go: from plain values."""

from __future__ import annotations

from bridge.journal.lane import LaneState
from bridge.journal.layout import Place
from bridge.journal.prune import ByTable, Need, deletable, mergeable, needs, wanted_bytes
from bridge.journal.sealed import SealedSegment

# Five segments of ten events, "a" and "b" in turn; "c" has one event, in the third.
SEALED = [
    SealedSegment(
        Place(n * 10, n * 10 + 10, tables=frozenset("abc" if n == 2 else "ab")),
        100,
        n,
        n + 1,
        {"a": n * 5, "b": n * 5 - (n > 2), "c": int(n > 2)},
        {"a": n * 5 + 5, "b": n * 5 + 5 - (n >= 2), "c": int(n >= 2)},
        sizes={"a": 60, "b": 40},
    )
    for n in range(5)
]


def lane(cursor: int, passed: int, waiting: tuple[int, ...] = ()) -> LaneState:
    return LaneState(cursor, 0, delivered=passed - len(waiting), waiting=waiting)


def firsts(lanes: ByTable, excess: int = 0, before: int = 0) -> list[int]:
    return [segment.first for segment in deletable(SEALED, lanes, excess=excess, before=before)]


def test_nothing_goes_while_there_is_room_and_all_is_young() -> None:
    assert firsts({}) == []


def test_only_as_many_segments_go_as_are_too_much() -> None:
    assert firsts({}, excess=150) == [0, 10]


def test_a_segment_in_which_something_waits_stays_and_those_behind_it_go() -> None:
    """Table c has its one event in the third segment, and nobody has taken it."""
    lanes = {"a": [lane(50, 25)], "b": [lane(50, 24)], "c": [lane(0, 0)]}

    assert firsts(lanes, excess=10**6) == [0, 10, 30, 40]


def test_an_idle_lane_keeps_nothing_wherever_its_cursor_stands() -> None:
    """Table c had its event settled; the cursor stands behind it ever since."""
    assert firsts({"c": [lane(26, 1)]}, excess=10**6) == [0, 10, 20, 30, 40]


def test_age_takes_only_what_nobody_waits_for() -> None:
    assert firsts({"a": [lane(25, 13)]}, before=100) == [0, 10]


def test_a_single_event_that_waits_keeps_its_segment() -> None:
    assert firsts({"a": [lane(50, 25, (12,))]}, excess=10**6) == [0, 20, 30, 40]
    assert needs(SEALED[1], {"a": [lane(50, 25, (12, 33))]}) == {"a": Need(None, 0.0, {12})}


def test_what_is_wanted_is_what_the_slowest_lane_wants() -> None:
    lanes = {"a": [lane(50, 25), lane(16, 8), lane(14, 7)], "b": [lane(50, 24)]}

    wanted = needs(SEALED[1], lanes)

    assert wanted == {"a": Need(14, 0.6, set())}
    assert wanted_bytes(SEALED[1], wanted, SEALED[1].sizes or {}) == 36


def test_of_a_thinned_segment_what_lies_before_the_last_entry_is_wanted() -> None:
    thin = SealedSegment(
        Place(0, 50, thin=True, tables=frozenset("a")), 10, 0, 1, {}, {"a": 25}, {"a": 30}
    )

    assert needs(thin, {"a": [lane(29, 14)]})["a"].start == 29
    assert needs(thin, {"a": [lane(30, 15)]}) == {}


def test_small_thinned_segments_are_merged_only_across_what_is_gone() -> None:
    thin = SealedSegment(Place(0, 10, thin=True), 10)

    assert mergeable([thin, SEALED[1]], 1, (), 50)
    assert mergeable([thin, SEALED[3]], 1, ((0, 30),), 50)
    assert not mergeable([thin, SEALED[3]], 1, ((0, 20),), 50), "what is between was lost"
    assert not mergeable([thin, SEALED[1]], 1, (), 5), "too large to be copied again"
    assert not mergeable(SEALED, 1, (), 10**6), "the one before is whole"
