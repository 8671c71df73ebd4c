"""Random sequences of operations and faults, as plain values that can be printed and run again."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.variants import Variant

# `CHAOS_SEED` makes other plans of those that every test run carries out.
SEED = int(os.environ.get("CHAOS_SEED", "1"))

LENGTH = 25  # steps in a plan
LEAST_ROWS = 60  # that a run must have, else it shows nothing

# Steps that are no faults.
_ORDINARY = frozenset(
    (
        *("insert", "update", "delete", "reinsert", "alter_extra", "alter_at"),
        *("recreate", "recreate_alike", "pause", "heal"),
    )
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
    ("/execute/sql",),
    ("/create/tablemonitor", "/clear/tablemonitor"),
    # Half dead: it says that it runs, and does nothing that a monitor needs.
    ("/show/table", "/create/tablemonitor", "/execute/sql"),
)

# Longer than the service wants to have seen no write before a span that it calls quiet.
_QUIET_SECONDS = 63.0
_CLOCK_STEPS = (-600, -600, -3, 3, 3600)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: a method of `World` or its program, and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"Step({self.name!r}, {self.arguments!r})"


def make_plan(
    seed: int,
    variant: Variant,
    *,
    ring: bool = False,
    kill: bool = False,
    patient: bool = False,
) -> list[Step]:
    """Return a plan; the same seed gives the same one.

    Args:
        seed: of the random choice.
        variant: of the table.
        ring: whether there are two clusters; a single one is not cut off, since it takes a
            quarter of a minute until that is noticed.
        kill: whether the bridge may be killed, and its clock set; else it is only restarted.
        patient: whether nothing is written for a minute first, and little later.
    """
    chance = random.Random(seed)
    alone, audited = not ring, variant.closable and not kill
    makers: list[tuple[int, Callable[[random.Random], Step]]] = [
        (2 if patient else 10, lambda r: Step("insert", (r.choice((1, 1, 7, 60, 500)),))),
        (5, lambda r: Step("pause", (r.choice((0.1, 0.4, 1.2)),))),
        (2 * (not patient), lambda _: Step("update")),
        (2 * (not patient), lambda _: Step("delete")),
        (
            3 * bool(variant.whole and variant.key),
            lambda r: Step("reinsert", (r.choice((0.0, 0.4)),)),
        ),
        (4 * variant.lies, lambda r: Step("lie", (r.choice(("far", "back", "null")),))),
        (2 * (not patient), lambda _: Step("alter_extra")),
        (2 * (not patient), lambda _: Step("alter_at")),
        (2, lambda r: Step("recreate", (r.choice((0.0, 0.0, 0.8)),))),
        (2 * alone, lambda _: Step("recreate_alike")),
        (2 * alone, lambda r: Step("recreate_while_down", (r.choice((0, 5, 60)),))),
        (2, lambda r: Step("stop_cluster", (r.randrange(2),))),
        (4, lambda r: _http_fault("fail", r)),
        (1, lambda r: _http_fault("hang", r)),
        (2, lambda r: _http_fault("drop_requests", r)),
        (2, lambda r: Step("drop_connections", (r.randrange(2),))),
        (1, lambda r: Step("close_monitor_port", (r.randrange(2),))),
        (1, lambda r: Step("mute_monitor_port", (r.randrange(2),))),
        (2, lambda r: Step("forget_monitors", (r.randrange(2),))),
        (2 * ring, lambda r: Step("go_silent", (r.randrange(2),))),
        (1, lambda r: Step("drain", (r.randrange(2),))),
        (2, lambda r: Step("forbid", (r.randrange(2), r.choice(("table_read", "monitor_create"))))),
        (2, lambda r: Step("delay", (r.randrange(2), r.choice((0.2, 1.0))))),
        (2 * audited, lambda r: Step("lose", (r.randrange(2), r.choice((1, 3))))),
        (2, lambda _: Step("publish_garbage")),
        (2, lambda _: Step("hook_away")),
        (1, lambda r: Step("set_cluster_clock", (r.randrange(2), r.choice((-600.0, 0.0, 90.0))))),
        (5 * kill, lambda r: Step("step_clock", (r.choice(_CLOCK_STEPS),))),
        (4 * patient, lambda _: Step("rest")),
        (6, lambda _: Step("heal")),
        (4, lambda _: Step("kill") if kill else Step("restart")),
    ]
    weights = [weight for weight, _ in makers]
    chosen = chance.choices([make for _, make in makers], weights, k=LENGTH)
    quiet = [Step("pause", (_QUIET_SECONDS,)), Step("rest")] if patient else []
    return [Step("insert", (60,)), *quiet, *(make(chance) for make in chosen)]


def _http_fault(name: str, chance: random.Random) -> Step:
    return Step(name, (chance.randrange(2), chance.choice(_ENDPOINTS), chance.random() < 0.3))


def faults_in(plan: Sequence[Step]) -> int:
    """Return how many steps of a plan are faults."""
    return sum(step.name not in _ORDINARY for step in plan)


def shown(seed: int, plan: Sequence[Step]) -> str:
    """Return a plan as it can be pasted into a test."""
    return f"seed {seed}:\n" + "\n".join(f"    {step!r}," for step in plan)
