"""What the server counts of writes proves silence, or makes it suspicious."""

from __future__ import annotations

import pytest

from bridge.monitor.moment import Moment
from bridge.monitor.writes import WriteMark, Writes

EPOCH = 1_000_000.0


def at(order: float) -> Moment:
    return Moment(order, EPOCH + order)


def said(order: float, count: int, cluster: str = "c", identity: str = "oid:1") -> WriteMark:
    return WriteMark(at(order), cluster, identity, count, f"time {count}")


@pytest.fixture
def writes() -> Writes:
    return Writes()


def test_what_was_said_a_minute_before_is_found_again(writes: Writes) -> None:
    """However often the same was said since."""
    for order in range(0, 300, 5):
        writes.note(said(order, order // 100), 0)

    assert writes.before(at(50)) is None
    for order, count in ((60, 0), (159, 0), (160, 1), (350, 2)):
        mark = writes.before(at(order))
        assert mark is not None
        assert mark.write_count == count


def test_another_cluster_says_nothing_of_this_one(writes: Writes) -> None:
    """Nor does it of another table of the name."""
    mark = said(0, 5)
    assert mark.same(said(100, 5))
    assert not mark.same(said(100, 5, cluster="d"))
    assert not mark.same(said(100, 5, identity="oid:2"))
    assert not mark.same(said(100, 6))


def test_it_takes_no_more_room_however_long_it_is_written_to(writes: Writes) -> None:
    """What no span can need any more is let go, and not what one may."""
    for order in range(0, 20_000, 5):
        writes.note(said(order, order), 0)
        writes.settle(at(order))

    assert writes.before(at(19_000)) is None
    mark = writes.before(at(19_700))
    assert mark is not None
    assert mark.write_count == 19_640


def test_a_restart_knows_what_was_said_a_minute_before_it(writes: Writes) -> None:
    """And an idle table stores it once."""
    writes.note(said(0, 5), 0)
    assert writes.settle(at(30)) is None
    text = writes.settle(at(60))
    assert text is not None
    assert writes.settle(at(65)) is None
    writes.note(said(66, 6), 0)
    assert writes.settle(at(66)) is None

    again = Writes()
    again.from_json(text)
    mark = again.before(Moment(float("-inf"), EPOCH + 66))
    assert mark is not None
    assert mark.same(said(0, 5))
    assert again.settle(at(10)) is None
    nothing = Writes()
    nothing.from_json("null")
    assert nothing.before(at(100)) is None


def test_writes_of_which_nothing_is_heard_for_two_probes_are_suspicious(writes: Writes) -> None:
    """One probe may come between a write and its notification."""
    writes.note(said(0, 5), heard=1)
    writes.note(said(5, 6), heard=1)
    assert not writes.unheard
    assert writes.unheard_since is None
    writes.note(said(10, 6), heard=1)
    assert writes.unheard
    assert writes.unheard_since == at(0)
    writes.note(said(15, 7), heard=2)
    assert not writes.unheard


@pytest.mark.parametrize(
    "later",
    [said(5, 6, cluster="d"), said(5, 6, identity="oid:2")],
    ids=["another cluster", "another table"],
)
def test_counts_that_cannot_be_compared_are_not_suspicious(
    writes: Writes, later: WriteMark
) -> None:
    """After a failover, or when the table was made again."""
    writes.note(said(0, 5), heard=1)
    writes.note(later, heard=1)
    writes.note(WriteMark(at(10), later.cluster, later.identity, 6, "x"), heard=1)

    assert not writes.unheard


def test_another_table_begins_with_nothing(writes: Writes) -> None:
    """What was counted of the one before is not compared with."""
    writes.note(said(0, 5), heard=1)
    writes.note(said(5, 6), heard=1)
    writes.forget()
    writes.note(said(10, 0), heard=1)

    assert not writes.unheard
    assert writes.before(at(69)) is None
