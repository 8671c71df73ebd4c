"""A moment is found in the journal whatever the clock did."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from bridge.journal.moments import MARK, is_step, offset_at, offset_until, steps_of, with_step

SECOND = 1_000_000


@dataclass
class Log:
    """Entries of one event each, received at these times."""

    times: list[int]

    def bounds(self) -> tuple[int, int]:
        return 0, len(self.times)

    def time_of(self, offset: int) -> int | None:
        return self.times[offset] if offset < len(self.times) else None


def steps(times: list[int]) -> tuple[int, ...]:
    """What is marked while they are appended one by one."""
    marks: dict[str, str] = {}
    latest = None
    for offset, time in enumerate(times):
        if is_step(latest, time):
            marks[MARK] = with_step(marks, offset, 0)
        latest = time
    return steps_of(marks)


@given(
    st.lists(st.integers(0, 100).map(lambda s: s * 2 * SECOND), max_size=60), st.integers(0, 101)
)
def test_nothing_received_at_a_moment_or_later_stands_before_the_offset(
    times: list[int], at: int
) -> None:
    """And the offset is that of the first such entry, or the head."""
    since = at * 2 * SECOND
    found = offset_at(Log(times), since, steps(times))

    assert all(time < since for time in times[:found])
    assert found == len(times) or times[found] >= since


@given(
    st.lists(st.integers(0, 100).map(lambda s: s * 2 * SECOND), max_size=60), st.integers(0, 101)
)
def test_nothing_received_before_a_moment_stands_at_the_end_or_behind_it(
    times: list[int], at: int
) -> None:
    """What was received before it is not left out where the clock was set back later."""
    until = at * 2 * SECOND
    found = offset_until(Log(times), until, steps(times))

    assert all(time >= until for time in times[found:])
    assert found == 0 or times[found - 1] < until


def test_a_block_that_is_stored_a_little_late_is_no_step() -> None:
    """Those of several tables are stored together."""
    assert not is_step(10 * SECOND, 10 * SECOND - 900_000)
    assert is_step(10 * SECOND, 8 * SECOND)
    assert not is_step(None, 0)


def test_steps_of_what_was_pruned_are_forgotten() -> None:
    """So that the mark stays small."""
    marks = {MARK: with_step({MARK: "[5,50]"}, 90, oldest=20)}
    assert steps_of(marks) == (50, 90)
