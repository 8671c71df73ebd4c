"""Which segments go: from plain values."""

from __future__ import annotations

from bridge.journal.prune import segments_to_delete
from bridge.journal.records import SealedSegment

SEALED = [SealedSegment(n * 10, n * 10 + 10, 100, n, n + 1) for n in range(5)]


def count(acknowledged: int, excess: int = 0, before: int = 0, *, drop: bool = False) -> int:
    return segments_to_delete(
        SEALED, acknowledged=acknowledged, excess=excess, before=before, drop=drop
    )


def test_nothing_goes_while_there_is_room_and_all_is_young() -> None:
    assert count(acknowledged=50) == 0


def test_only_as_many_acknowledged_segments_go_as_are_too_much() -> None:
    assert count(acknowledged=50, excess=150) == 2


def test_a_segment_that_one_sink_has_not_taken_stays() -> None:
    assert count(acknowledged=29, excess=10**6) == 2


def test_age_takes_acknowledged_segments_only() -> None:
    assert count(acknowledged=29, before=100) == 2


def test_dropping_the_oldest_takes_what_is_not_acknowledged_but_no_more_than_needed() -> None:
    assert count(acknowledged=0, excess=250, drop=True) == 3


def test_age_alone_drops_nothing_that_is_not_acknowledged() -> None:
    assert count(acknowledged=0, before=100, drop=True) == 0
