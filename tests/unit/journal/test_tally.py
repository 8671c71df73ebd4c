"""Counts as values: whatever is settled, lost or rerouted, the sum is right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.journal.records import VERDICTS, Settled
from bridge.journal.tally import Boundary, Tally, settle


def test_received_is_the_sum_of_what_became_of_it() -> None:
    tally = Tally(since=10, base=4, delivered=3, dead_lettered=1)

    account = tally.account("sink", "t", {"t": 12})

    assert (account.received, account.delivered, account.dead_lettered) == (8, 3, 1)
    assert (account.discarded, account.pending) == (0, 4)


def test_events_below_the_cursor_are_not_counted_again() -> None:
    run = [Settled("t", 0, 10, "delivered")]

    tally, lost = settle(Tally(0, 0, discarded=6), run, 6, 10, "t", None)

    assert (tally.delivered, tally.discarded, lost) == (4, 6, 0)


def test_events_beyond_the_new_cursor_wait_for_their_own_advance() -> None:
    tally, lost = settle(Tally(0, 0), [Settled("t", 0, 10, "delivered")], 0, 4, "t", None)

    assert (tally.delivered, lost) == (4, 0)


def test_what_no_run_settled_before_a_boundary_is_discarded() -> None:
    runs = [Settled("t", 0, 3, "delivered"), Settled("t", 10, 2, "delivered")]

    tally, lost = settle(Tally(0, 0), runs, 0, 12, "t", Boundary(10, {"t": 10}))

    assert (tally.delivered, tally.discarded, lost) == (5, 7, 7)


def test_a_total_understated_after_damage_never_makes_a_count_negative() -> None:
    tally, _ = settle(
        Tally(0, 0), [Settled("t", 0, 8, "delivered")], 0, 10, "t", Boundary(10, {"t": 5})
    )

    account = tally.account("sink", "t", {"t": 5})

    assert (account.received, account.delivered, account.pending) == (8, 8, 0)


def test_a_table_that_stops_has_nothing_pending() -> None:
    account = Tally(0, 0, delivered=2).stop(10, 7).account("sink", "t", {"t": 99})

    assert (account.received, account.discarded, account.pending) == (7, 5, 0)


def test_a_table_that_resumes_does_not_count_what_it_missed() -> None:
    tally = Tally(0, 0, delivered=2).stop(10, 7).resume(20, 30)

    account = tally.account("sink", "t", {"t": 34})

    assert (account.received, account.pending) == (11, 4)


@given(
    runs=st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 20), st.sampled_from(VERDICTS)), max_size=5
    ),
    cursor=st.integers(0, 30),
    step=st.integers(0, 40),
    boundary=st.none() | st.integers(0, 60),
    total=st.integers(0, 60),
)
def test_the_identity_holds_for_any_runs(
    runs: list[tuple[int, int, str]], cursor: int, step: int, boundary: int | None, total: int
) -> None:
    crossed = None
    if boundary is not None and cursor < boundary <= cursor + step:
        crossed = Boundary(boundary, {"t": total})
    settled = [Settled("t", offset, count, verdict) for offset, count, verdict in runs]

    tally, _ = settle(Tally(0, 0), settled, cursor, cursor + step, "t", crossed)

    account = tally.account("sink", "t", {"t": total})
    parts = account.delivered, account.dead_lettered, account.discarded, account.pending
    assert account.received == sum(parts)
    assert min(parts) >= 0
