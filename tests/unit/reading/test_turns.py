"""Turns at work: who waits lets another one work."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from bridge.monitor.intake_queue import Stopping
from bridge.reading.turns import Turns

PATIENCE = 10.0


def begin(job: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=job)
    thread.start()
    return thread


def test_as_many_work_at_a_time_as_there_are_turns() -> None:
    """With one turn a second job begins once the first one has ended."""
    turns, order = Turns(1, threading.Event()), list[str]()
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go_on.wait(PATIENCE)
        order.append("first")

    one = begin(lambda: turns.run(first))
    assert begun.wait(PATIENCE)
    two = begin(lambda: turns.run(lambda: order.append("second")))
    go_on.set()
    one.join(PATIENCE)
    two.join(PATIENCE)
    assert order == ["first", "second"]


def test_another_works_while_one_waits() -> None:
    """Two jobs of one turn that wait for each other while they pause both end."""
    turns = Turns(1, threading.Event())
    here, there = threading.Event(), threading.Event()

    def meet(mine: threading.Event, other: threading.Event) -> None:
        mine.set()
        while not other.is_set():
            turns.pause(0.001)

    one = begin(lambda: turns.run(lambda: meet(here, there)))
    two = begin(lambda: turns.run(lambda: meet(there, here)))
    one.join(PATIENCE)
    two.join(PATIENCE)
    assert not one.is_alive()
    assert not two.is_alive()


def test_who_has_no_turn_takes_none_by_waiting() -> None:
    """A thread beside those that take turns may pause, and leaves all turns to them."""
    turns, done = Turns(1, threading.Event()), threading.Event()
    turns.pause(0.0)
    begin(lambda: turns.run(done.set)).join(PATIENCE)
    assert done.is_set()


def test_a_job_that_is_stopped_while_it_waits_leaves_its_turn() -> None:
    """Whoever comes next has it."""
    stopping, done = threading.Event(), threading.Event()
    turns = Turns(1, stopping)
    stopping.set()
    with pytest.raises(Stopping):
        turns.run(lambda: turns.pause(PATIENCE))
    begin(lambda: turns.run(done.set)).join(PATIENCE)
    assert done.is_set()
