"""What the garbage collector need not look through: what there is once all tables were tried."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from bridge.cli.lasting import Lasting
from bridge.supervisor import Supervisor


class Cycle:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def service() -> Iterator[SimpleNamespace]:
    yield SimpleNamespace(settled=None)
    gc.unfreeze()


def test_what_is_there_is_set_aside_once_and_collected_after_a_change(
    service: SimpleNamespace,
) -> None:
    lasting = Lasting(cast("Supervisor", service))
    lasting.look()
    assert gc.get_freeze_count() == 0  # it still starts

    old, service.settled = Cycle(), object()
    lasting.look()
    there = gc.get_freeze_count()
    seen = weakref.ref(old)
    del old
    gc.collect()
    lasting.look()
    assert seen() is not None
    assert 0 < gc.get_freeze_count() <= there

    service.settled = object()
    lasting.look()
    assert seen() is None
    assert gc.get_freeze_count() > 0
