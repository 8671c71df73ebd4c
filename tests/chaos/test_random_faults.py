"""Whatever happens to table, clusters, network and sinks: nothing is lost unseen."""

from __future__ import annotations

import contextlib
import gc
import random
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from chaos.plans import LEAST_ROWS, SECONDS, SEED, make_plan, shown
from chaos.variants import VARIANTS
from chaos.world import World
from services.process import wait_until

# Of the intake, so small that a burst does not fit.
TIGHT_BYTES = 30_000


def open_files() -> list[str]:
    """Return what this process has open."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            links.append(str(link.readlink()))
    return links


def check_nothing_left(threads: int, files: list[str]) -> None:
    """Wait until no more threads run and files are open than there were."""
    wait_until(lambda: threading.active_count() <= threads, f"no more than {threads} threads", 15)
    try:
        gc.collect()  # urllib3 closes a pool's connections once nothing refers to the pool
        wait_until(lambda: len(open_files()) <= len(files), "no more open files", 15)
    except AssertionError:
        left = sorted(set(open_files()) - set(files))
        connections = Path("/proc/net/tcp").read_text().splitlines()
        ours = [line for line in connections if any(name[8:-1] in line for name in left)]
        pytest.fail(f"left open: {left}, {ours}")


def run_plan(folder: Path, seed: int, variant: Mapping[str, Any], members: int) -> None:
    """Run one plan in this process, and look for what it left behind."""
    threads, files = threading.active_count(), open_files()
    plan = make_plan(seed, ring=members > 1)
    with World(folder, members=members, **variant) as world:
        wrong = world.run(plan, load=seed % 2 == 0)
        rows = len(world.ledger.rows)
    if wrong:
        pytest.fail("\n".join([*wrong[:20], f"({len(wrong)} faults)", shown(seed, plan)]))
    assert rows >= LEAST_ROWS, f"only {rows} rows: {shown(seed, plan)}"
    check_nothing_left(threads, files)


@pytest.mark.parametrize("members", [1, 2], ids=["one cluster", "a ring of two"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_row_is_delivered_or_lies_in_a_declared_gap(
    tmp_path: Path, variant: str, members: int
) -> None:
    """And with a key or a growing column every row of the table arrives, right and once."""
    seed = SEED * 100 + 10 * members + list(VARIANTS).index(variant)
    run_plan(tmp_path, seed, VARIANTS[variant], members)


@pytest.mark.parametrize("variant", ["key", "column"])
def test_what_finds_no_room_is_a_gap_like_any_other(tmp_path: Path, variant: str) -> None:
    """As above, with an intake that a burst overruns."""
    tight = {**VARIANTS[variant], "queue_bytes": TIGHT_BYTES}
    run_plan(tmp_path, SEED * 100 + 50, tight, members=1)


@pytest.mark.skipif(not SECONDS, reason="set CHAOS_SECONDS to run random plans for so long")
@pytest.mark.timeout(SECONDS + 300)
def test_random_plans_find_nothing_else(tmp_path: Path) -> None:
    """As above, for as long as `CHAOS_SECONDS` says."""
    deadline, seeds = time.monotonic() + SECONDS, random.SystemRandom()
    runs = 0
    while time.monotonic() < deadline:
        seed = seeds.randrange(10**9)
        folder = tmp_path / str(seed)
        folder.mkdir()
        variant = list(VARIANTS)[seed % len(VARIANTS)]
        print(f"seed {seed}, {variant}")
        run_plan(folder, seed, VARIANTS[variant], 1 + seed // 10 % 2)
        runs += 1
    assert runs
