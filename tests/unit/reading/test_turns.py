"""Turns at work: who waits lets another one work."""

from __future__ import annotations

import threading

from bridge.reading.turns import Turns

PATIENCE = 10.0


def test_as_many_work_at_a_time_as_there_are_turns() -> None:
    """With one turn a second job begins once the first one has ended."""
    turns, order = Turns(1), list[str]()
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go_on.wait(PATIENCE)
        order.append("first")

    one = threading.Thread(target=turns.run, args=(first,))
    one.start()
    assert begun.wait(PATIENCE)
    two = threading.Thread(target=turns.run, args=(lambda: order.append("second"),))
    two.start()
    go_on.set()
    one.join(PATIENCE)
    two.join(PATIENCE)
    assert order == ["first", "second"]


def test_another_works_while_one_waits() -> None:
    """A job that gives its turn away goes on once it has one again."""
    turns, order = Turns(1), list[str]()
    waiting, go_on = threading.Event(), threading.Event()

    def first() -> None:
        assert turns.give()
        waiting.set()
        go_on.wait(PATIENCE)
        turns.take()
        order.append("first")

    one = threading.Thread(target=turns.run, args=(first,))
    one.start()
    assert waiting.wait(PATIENCE)
    turns.run(lambda: order.append("second"))
    go_on.set()
    one.join(PATIENCE)
    assert order == ["second", "first"]


def test_a_turn_given_away_for_good_is_not_given_twice() -> None:
    """A job that ends without its turn leaves as many turns as there were."""
    turns = Turns(1)
    turns.run(turns.give)
    assert not turns.give()
    turns.take()
    taken = threading.Event()
    other = threading.Thread(target=turns.run, args=(taken.set,))
    other.start()
    assert not taken.is_set()
    turns.give()
    other.join(PATIENCE)
    assert taken.is_set()
