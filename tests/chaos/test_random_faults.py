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


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_row_is_delivered_or_lies_in_a_declared_gap(tmp_path: Path, variant: str) -> None:
    """And with a key or a growing column every row of the table arrives, right and once."""
    check(Round(SEED * 100 + 10 + list(VARIANTS).index(variant), variant), tmp_path)


@pytest.mark.parametrize("variant", ["key", "column", "keyless"])
def test_so_does_every_row_of_a_ring(tmp_path: Path, variant: str) -> None:
    """As above, with a second cluster to fail over to."""
    check(Round(SEED * 100 + 20 + list(VARIANTS).index(variant), variant, members=2), tmp_path)


@pytest.mark.parametrize("variant", ["key", "column"])
def test_what_finds_no_room_is_a_gap_like_any_other(tmp_path: Path, variant: str) -> None:
    """As above, with an intake that a burst overruns."""
    check(Round(SEED * 100 + 50, variant, tight=True), tmp_path)


@pytest.mark.parametrize("variant", ["key", "column", "composite", "lying"])
def test_a_kill_loses_nothing_that_is_not_said(tmp_path: Path, variant: str) -> None:
    """As above, in a process that is killed, its clock set; and no line is torn."""
    check(Round(SEED * 1000 + list(VARIANTS).index(variant), variant, killed=True), tmp_path)
