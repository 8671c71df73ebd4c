"""What is held of a topic comes out in order, once, and never grows without bound."""

from __future__ import annotations

import pytest

from bridge.monitor import holding
from bridge.monitor.holding import Holding


def test_what_is_held_comes_out_in_the_order_in_which_it_arrived() -> None:
    """Of the topics asked for, and of no other."""
    held: Holding[int] = Holding()
    held.begin({b"a", b"b", b"c"})
    for number, topic in enumerate((b"b", b"a", b"c", b"b")):
        assert held.holds(topic, number, 1)

    assert held.end({b"a", b"b"}) == ([0, 1, 3], True)
    assert held.end({b"a", b"b"}) == ([], True)
    assert held.end({b"c"}) == ([2], True)


def test_a_topic_that_is_not_held_any_more_passes() -> None:
    """So does one that never was."""
    held: Holding[int] = Holding()
    held.begin({b"a"})
    held.end({b"a"})

    assert not held.holds(b"a", 1, 1)
    assert not held.holds(b"b", 1, 1)


def test_what_is_too_much_to_be_held_is_said_of_its_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are whole, and there is room again once something was let go."""
    monkeypatch.setattr(holding, "MAX_HELD_BYTES", 10)
    held: Holding[int] = Holding()
    held.begin({b"a", b"b"})
    for number in range(3):
        assert held.holds(b"a", number, 5)

    assert held.end({b"b"}) == ([], True)
    assert held.end({b"a"}) == ([0, 1], False)
    held.begin({b"a"})
    assert held.holds(b"a", 3, 10)
    assert held.end({b"a"}) == ([3], True)
