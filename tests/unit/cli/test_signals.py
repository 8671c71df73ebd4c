"""Signals reach the main thread, whichever thread the kernel gave them to."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from bridge.cli.signals import Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    """Installed over handlers that do nothing, so that what is given back harms nobody."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    made = Signals()
    made.install()
    yield made
    made.give_back()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_given_to_another_thread_ends_the_wait(signals: Signals) -> None:
    """The main thread sleeps, with the signal sent to a thread that only computes."""
    stop = threading.Event()
    busy = threading.Thread(target=lambda: any(iter(stop.is_set, True)))
    busy.start()
    assert busy.ident is not None
    signal.pthread_kill(busy.ident, signal.SIGHUP)

    signals.wait()

    assert signals.take_reload()
    assert not signals.take_reload()
    stop.set()
    busy.join()


def test_what_came_before_the_wait_ends_it(signals: Signals) -> None:
    """Nothing is lost between looking and waiting."""
    os.kill(os.getpid(), signal.SIGTERM)

    signals.wait()
    signals.wait_for_stop()

    assert signals.stop


def test_any_thread_may_wake_the_main_one(signals: Signals) -> None:
    """However often: the pipe that carries it never blocks."""
    waker = threading.Thread(target=lambda: [signals.wake() for _ in range(100_000)])
    waker.start()

    signals.wait()

    waker.join()
    assert not signals.stop


def test_a_signal_that_is_given_back_is_not_swallowed() -> None:
    """It does what it did before, for a command that has no use for it."""
    seen: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: seen.append(number))
    try:
        signals = Signals()
        signals.install()
        os.kill(os.getpid(), signal.SIGHUP)

        signals.give_back()

        assert seen == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)
