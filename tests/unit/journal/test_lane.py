"""The arithmetic of a lane: whatever is settled, waits, is lost or rerouted, the sum is right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journal.lane import MOST_WAITING, Boundary, LaneState
from bridge.journal.records import VERDICTS, Move, Settled, Verdict


def test_received_is_the_sum_of_what_became_of_it() -> None:
    account = LaneState(10, 4, delivered=3, dead_lettered=1).account("sink", "t", 12)

    assert (account.received, account.delivered, account.dead_lettered) == (8, 3, 1)
    assert (account.discarded, account.pending) == (0, 4)


def test_events_below_the_cursor_are_not_counted_again() -> None:
    lane, lost = LaneState(6, 0, discarded=6).move(
        Move("t", 10, (Settled(0, 10, "delivered"),)), None
    )

    assert (lane.delivered, lane.discarded, lost) == (4, 6, 0)


def test_events_beyond_the_new_cursor_wait_for_their_own_move() -> None:
    lane, _ = LaneState(0, 0).move(Move("t", 4, (Settled(0, 10, "delivered"),)), None)

    assert (lane.delivered, lane.cursor) == (4, 4)


def test_what_no_run_settled_before_a_boundary_is_discarded() -> None:
    runs = Settled(0, 3, "delivered"), Settled(10, 2, "delivered")

    lane, lost = LaneState(0, 0).move(Move("t", 12, runs), Boundary(10, {"t": 10}))

    assert (lane.delivered, lane.discarded, lost) == (5, 7, 7)


def test_what_waits_before_a_boundary_is_not_lost() -> None:
    run = (Settled(0, 3, "delivered"),)

    lane, lost = LaneState(0, 0).move(Move("t", 12, run, (5, 11)), Boundary(10, {"t": 4}))

    assert (lane.delivered, lane.discarded, lost, lane.waiting) == (3, 0, 0, (5, 11))


def test_what_waits_goes_on_waiting_until_it_is_settled() -> None:
    lane, _ = LaneState(0, 0).move(Move("t", 9, (), (3, 5)), None)
    same, _ = lane.move(Move("t", 12, (Settled(9, 3, "delivered"),)), None)
    done, _ = same.move(Move("t", 0, (Settled(5, 1, "dead_lettered"),)), None)

    assert (same.waiting, same.delivered) == ((3, 5), 3)
    assert (done.waiting, done.dead_lettered, done.cursor) == ((3,), 1, 12)


def test_what_is_named_as_waiting_waits_whatever_the_runs_say() -> None:
    lane, _ = LaneState(0, 0).move(Move("t", 9, (Settled(0, 9, "delivered"),), (3,)), None)
    same, _ = lane.move(Move("t", 9, (Settled(0, 9, "delivered"),), (3,)), None)

    assert (lane.delivered, lane.waiting) == (8, (3,))
    assert same is lane


def test_no_more_wait_than_can_be_remembered() -> None:
    with pytest.raises(ValueError, match="would wait"):
        LaneState(0, 0).move(Move("t", 10**6, (), tuple(range(MOST_WAITING + 1))), None)


def test_a_total_understated_after_damage_never_makes_a_count_negative() -> None:
    lane, _ = LaneState(0, 0).move(
        Move("t", 10, (Settled(0, 8, "delivered"),)), Boundary(10, {"t": 5})
    )

    account = lane.account("sink", "t", 5)

    assert (account.received, account.delivered, account.pending) == (8, 8, 0)


def test_a_table_that_stops_has_nothing_pending() -> None:
    account = LaneState(0, 0, delivered=2, waiting=(1,)).stop(7).account("sink", "t", 99)

    assert (account.received, account.discarded, account.pending) == (7, 5, 0)


def test_a_table_that_resumes_does_not_count_what_it_missed() -> None:
    lane = LaneState(0, 0, delivered=2).stop(7).resume(20, 30)

    account = lane.account("sink", "t", 34)

    assert (account.received, account.pending, lane.cursor) == (11, 4, 20)


def test_dropping_discards_what_waits_before_the_boundary_alone() -> None:
    behind = LaneState(5, 0, delivered=4, waiting=(2,)).drop_before(Boundary(10, {"t": 9}), "t")
    ahead = LaneState(20, 0, delivered=9, waiting=(3, 15)).drop_before(Boundary(10, {"t": 9}), "t")

    assert (behind.cursor, behind.waiting, behind.discarded) == (10, (), 5)
    assert (ahead.cursor, ahead.waiting, ahead.discarded) == (20, (15,), 1)


EVENTS = st.lists(st.booleans(), min_size=1, max_size=60)


@given(data=st.data(), events=EVENTS, steps=st.lists(st.integers(0, 30), max_size=4))
def test_the_identity_holds_and_passed_tells_what_stands_before_the_cursor(
    data: st.DataObject, events: list[bool], steps: list[int]
) -> None:
    """Events of this table among others; moves of any length, with what waits at any place."""
    mine = [offset for offset, own in enumerate(events) if own]
    lane = LaneState(0, 0)
    settled: dict[int, Verdict] = {}
    for step in (*steps, len(events)):
        to = min(lane.cursor + step, len(events))
        open_now = [o for o in mine if o in lane.waiting or lane.cursor <= o < to]
        waiting = [] if to == len(events) else data.draw(st.lists(st.sampled_from(open_now or [0])))
        waiting = sorted(set(waiting) & set(open_now))
        runs = []
        for offset in set(open_now) - set(waiting):
            settled[offset] = data.draw(st.sampled_from(VERDICTS))
            runs.append(Settled(offset, 1, settled[offset]))
        edge = data.draw(st.integers(0, to))
        boundary = None
        if lane.cursor < edge:
            boundary = Boundary(edge, {"t": sum(o < edge for o in mine)})

        lane, lost = lane.move(Move("t", to, tuple(runs), tuple(waiting)), boundary)

        assert lost == 0
        assert lane.waiting == tuple(waiting)
        assert lane.passed == sum(offset < lane.cursor for offset in mine)
        account = lane.account("sink", "t", len(mine))
        assert account.received == len(mine)
        assert account.pending == len(mine) - len(settled)
        for verdict in VERDICTS:
            assert getattr(account, verdict) == list(settled.values()).count(verdict)


@given(
    runs=st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 20), st.sampled_from(VERDICTS)), max_size=5
    ),
    waiting=st.lists(st.integers(0, 70), max_size=5),
    cursor=st.integers(0, 30),
    step=st.integers(0, 40),
    boundary=st.none() | st.integers(0, 60),
    total=st.integers(0, 60),
)
def test_no_count_is_ever_negative_whatever_a_move_says(
    runs: list[tuple[int, int, Verdict]],
    waiting: list[int],
    cursor: int,
    step: int,
    boundary: int | None,
    total: int,
) -> None:
    crossed = None
    if boundary is not None and cursor < boundary <= cursor + step:
        crossed = Boundary(boundary, {"t": total})
    settled = tuple(Settled(*run) for run in runs)

    lane, _ = LaneState(cursor, 0).move(Move("t", cursor + step, settled, tuple(waiting)), crossed)

    account = lane.account("sink", "t", total)
    parts = account.delivered, account.dead_lettered, account.discarded, account.pending
    assert account.received == sum(parts)
    assert min(parts) >= 0
    assert all(offset < lane.cursor for offset in lane.waiting)
