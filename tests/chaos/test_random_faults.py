"""Whatever happens to table, clusters, network and sinks: nothing is lost unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.plans import SEED
from chaos.round import Round
from chaos.variants import VARIANTS


def check(round_: Round, folder: Path) -> None:
    """Carry a round out, and fail with what is wrong."""
    found = round_.run(folder)
    if found.wrong:
        pytest.fail(round_.told(found))


@pytest.mark.parametrize("members", [1, 2], ids=["one cluster", "a ring of two"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_row_is_delivered_or_lies_in_a_declared_gap(
    tmp_path: Path, variant: str, members: int
) -> None:
    """And with a key or a growing column every row of the table arrives, right and once."""
    seed = SEED * 100 + 10 * members + list(VARIANTS).index(variant)
    check(Round(seed, variant, members), tmp_path)


@pytest.mark.parametrize("variant", ["key", "column"])
def test_what_finds_no_room_is_a_gap_like_any_other(tmp_path: Path, variant: str) -> None:
    """As above, with an intake that a burst overruns."""
    check(Round(SEED * 100 + 50, variant, tight=True), tmp_path)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_kill_loses_nothing_that_is_not_said(tmp_path: Path, variant: str) -> None:
    """As above, in a process that is killed at random moments; and no line is torn."""
    check(Round(SEED * 1000 + list(VARIANTS).index(variant), variant, killed=True), tmp_path)
