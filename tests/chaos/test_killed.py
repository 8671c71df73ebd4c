"""A service killed at random moments, while table and cluster change: the same oracle holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.plans import LEAST_ROWS, SEED, make_plan, shown
from chaos.variants import VARIANTS
from chaos.world import World


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_kill_loses_nothing_that_is_not_said(tmp_path: Path, variant: str) -> None:
    """Every row arrives or lies in a gap, an id means one event, and no line is torn."""
    seed = SEED * 1000 + list(VARIANTS).index(variant)
    plan = make_plan(seed, kill=True)

    with World(tmp_path, own_process=True, **VARIANTS[variant]) as world:
        wrong = world.run(plan, load=seed % 2 == 0)
        rows = len(world.ledger.rows)

    if wrong:
        pytest.fail("\n".join([*wrong[:20], f"({len(wrong)} faults)", shown(seed, plan)]))
    assert rows >= LEAST_ROWS
