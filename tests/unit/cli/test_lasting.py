"""What the garbage collector need not look through: what is there when it has taken long."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from bridge.cli.lasting import Lasting


class Cycle:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.own = self


class Clock:
    """Goes on by so much at each look."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.time = 0.0

    def __call__(self) -> float:
        self.time += self.step
        return self.time


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    callbacks = list(gc.callbacks)
    yield
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def test_nothing_is_set_aside_while_collections_are_short() -> None:
    lasting = Lasting(Clock(0.001), Clock(60.0))
    gc.collect()
    lasting.look()
    assert gc.get_freeze_count() == 0


def test_what_is_there_after_a_long_collection_is_set_aside_until_the_next_one() -> None:
    """A short one changes nothing; what the next long one finds no user for is collected."""
    cpu = Clock(0.05)
    lasting = Lasting(cpu, Clock(60.0))
    old = Cycle()
    seen = weakref.ref(old)
    gc.collect()
    lasting.look()
    assert gc.get_freeze_count() > 0

    del old
    cpu.step = 0.024  # long for a first one, and less than half of what it was
    gc.collect()
    lasting.look()
    assert seen() is not None

    cpu.step = 0.05
    gc.collect()
    lasting.look()
    assert seen() is None
    assert gc.get_freeze_count() > 0


def test_it_is_not_done_at_every_long_collection() -> None:
    """Where what lasts grows and grows: tables that are found one after another, say."""
    now = Clock(0.0)
    lasting = Lasting(Clock(0.05), now)
    gc.collect()
    lasting.look()
    there = gc.get_freeze_count()

    more = [Cycle() for _ in range(1000)]
    for now.time in (1.0, 29.0):
        gc.collect()
        lasting.look()
        assert gc.get_freeze_count() <= there
    now.time = 30.0
    lasting.look()
    assert gc.get_freeze_count() >= there + len(more)
