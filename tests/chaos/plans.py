"""Random sequences of operations and faults, as plain values that can be printed and run again."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# `CHAOS_SEED` makes other plans of those that every test run carries out.
SEED = int(os.environ.get("CHAOS_SEED", "1"))

LENGTH = 25  # steps in a plan
LEAST_ROWS = 60  # that a run must have, else it shows nothing

# Steps that are no faults.
_ORDINARY = frozenset(
    ("insert", "update", "delete", "alter_extra", "alter_at", "recreate", "pause", "heal")
)

# What a fault of the HTTP side may concern: everything, or one call the bridge needs.
_ENDPOINTS: tuple[tuple[str, ...], ...] = (
    (),
    ("/show/system/status",),
    ("/show/system/properties",),
    ("/show/table",),
    ("/show/tablemonitors",),
    ("/create/tablemonitor",),
    ("/clear/tablemonitor",),
    ("/get/records",),
    ("/create/tablemonitor", "/clear/tablemonitor"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: a method of `World`, and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"Step({self.name!r}, {self.arguments!r})"


def make_plan(seed: int, *, ring: bool = False, kill: bool = False) -> list[Step]:
    """Return a plan; the same seed gives the same one.

    Args:
        seed: of the random choice.
        ring: whether there are two clusters; a single one is not cut off, since it takes a
            quarter of a minute until that is noticed.
        kill: whether the bridge may be killed; else it is only restarted.
    """
    chance = random.Random(seed)
    makers: list[tuple[int, Callable[[random.Random], Step]]] = [
        (10, lambda r: Step("insert", (r.choice((1, 1, 7, 60, 500)),))),
        (5, lambda r: Step("pause", (r.choice((0.1, 0.4, 1.2)),))),
        (2, lambda _: Step("update")),
        (2, lambda _: Step("delete")),
        (2, lambda _: Step("alter_extra")),
        (2, lambda _: Step("alter_at")),
        (2, lambda r: Step("recreate", (r.choice((0.0, 0.0, 0.8)),))),
        (2, lambda r: Step("stop_cluster", (r.randrange(2),))),
        (3, lambda r: _http_fault("fail", r)),
        (1, lambda r: _http_fault("hang", r)),
        (2, lambda r: _http_fault("drop_requests", r)),
        (2, lambda r: Step("drop_connections", (r.randrange(2),))),
        (2, lambda r: Step("forget_monitors", (r.randrange(2),))),
        (2 * ring, lambda r: Step("go_silent", (r.randrange(2),))),
        (1, lambda r: Step("drain", (r.randrange(2),))),
        (2, lambda _: Step("publish_garbage")),
        (2, lambda _: Step("hook_away")),
        (6, lambda _: Step("heal")),
        (4, lambda _: Step("kill") if kill else Step("restart")),
    ]
    weights = [weight for weight, _ in makers]
    chosen = chance.choices([make for _, make in makers], weights, k=LENGTH)
    return [Step("insert", (60,)), *(make(chance) for make in chosen)]


def _http_fault(name: str, chance: random.Random) -> Step:
    return Step(name, (chance.randrange(2), chance.choice(_ENDPOINTS), chance.random() < 0.3))


def faults_in(plan: Sequence[Step]) -> int:
    """Return how many steps of a plan are faults."""
    return sum(step.name not in _ORDINARY for step in plan)


def shown(seed: int, plan: Sequence[Step]) -> str:
    """Return a plan as it can be pasted into a test."""
    return f"seed {seed}:\n" + "\n".join(f"    {step!r}," for step in plan)
