"""A registry is asked once for a schema, within a deadline, and left alone while it is away."""

from __future__ import annotations

import threading

import pytest
from services.process import wait_until
from services.schema_numbers import Numbers

from bridge.errors import Retry
from bridge.formats.avro_registry import Away, Registry, within


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_number_is_asked_for_once() -> None:
    """For each subject and schema; whoever comes later is answered from memory."""
    numbers = Numbers()
    registry = Registry("the registry", lambda: numbers, 10.0)

    found = [registry.id_of("a", "x"), registry.id_of("b", "x"), registry.id_of("a", "y")]

    assert found == [1, 2, 3]
    assert [registry.id_of("a", "x"), registry.id_of("a", "y")] == [1, 3]
    assert numbers.asked == ["a", "b", "a"]


def test_a_registry_that_is_away_is_left_alone_nine_times_as_long_as_the_try_took() -> None:
    """Tables that wait meanwhile hear the same cause at once; then one of them asks again."""
    numbers, clock = Numbers(), Clock()

    def slow(_: str) -> None:
        clock.now += 2
        raise Away("refused")

    numbers.judge = slow
    registry = Registry("the registry", lambda: numbers, 10.0, clock)

    for subject in "abc":
        with pytest.raises(Away, match="refused"):
            registry.id_of(subject, "x")
    clock.now = 19.9
    with pytest.raises(Away, match="refused"):
        registry.id_of("d", "x")
    assert numbers.asked == ["a"]
    clock.now, numbers.judge = 20.0, lambda _: None
    assert registry.id_of("d", "x") == 1


def test_a_schema_that_is_refused_keeps_no_other_waiting() -> None:
    """It is about that schema alone."""
    numbers = Numbers()

    def refuse(subject: str) -> None:
        if subject == "a":
            raise Retry("incompatible")

    numbers.judge = refuse
    registry = Registry("the registry", lambda: numbers, 10.0)

    with pytest.raises(Retry, match="incompatible"):
        registry.id_of("a", "x")
    assert registry.id_of("b", "x") == 1


def test_a_call_that_takes_too_long_is_given_up() -> None:
    """Whatever it waits for; what comes of it later is nobody's."""
    done = threading.Event()
    numbers = Numbers()
    numbers.judge = lambda _: done.wait(60) and None
    registry = Registry("the registry", lambda: numbers, 0.05)

    with pytest.raises(Away, match=r"no answer from the registry: nothing came within 0.05 s"):
        registry.id_of("a", "x")
    done.set()


def test_nobody_asks_again_while_a_call_that_was_given_up_still_runs() -> None:
    """An answer that drips for hours would else leave a thread and a connection for each try."""
    over = threading.Event()
    numbers, clock = Numbers(), Clock()
    numbers.judge = lambda _: over.wait(60) and None
    registry = Registry("the registry", lambda: numbers, 0.05, clock)

    for subject in "abc":
        with pytest.raises(Away, match="nothing came within"):
            registry.id_of(subject, "x")
        clock.now += 3_600
    assert numbers.asked == ["a"]
    over.set()

    def answers() -> bool:
        try:
            return registry.id_of("b", "x") > 0
        except Away:
            return False

    wait_until(answers, "it answers")


def test_a_fault_of_ours_is_raised_where_the_call_is_waited_for() -> None:
    """So that it is logged with its traceback, as every fault is."""
    with pytest.raises(ZeroDivisionError):
        within(10.0, lambda: 1 // 0)
