"""What is wrong with one table, or one pass, stops nothing else, and is logged and counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from services.process import wait_until
from services.rig import TABLE, Database, Rig
from structlog.testing import capture_logs

from bridge.monitor.workers import Workers
from bridge.supervisor.discovery import Discovery, Listed
from kinetica_emulator import Emulator

OTHER = "ki_home.other"


def test_a_fault_with_one_table_leaves_the_others_theirs(
    cluster: Emulator, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table shows it until it is over; the next one is probed all the same."""
    database.create()
    database.create(OTHER)
    rig = Rig(tmp_path, [cluster.url])
    rig.tables.append({"name": OTHER})
    with capture_logs(), rig:
        rig.wait_live()
        rig.wait_live(OTHER)

        def fails(*_: object) -> None:
            raise RuntimeError("of ours")

        with monkeypatch.context() as broken:
            broken.setattr(rig.table().gaps, "settle", fails)
            rig.wait_state("deaf")
            assert "of ours" in str(rig.table().reason)
            for _ in range(3):
                probed = rig.table(OTHER).counts.last_probe
                wait_until(
                    lambda probed=probed: rig.table(OTHER).counts.last_probe > probed, "a probe"
                )
        rig.wait_live(TABLE)
        assert rig.supervisor is not None
        assert sum(loop.faults for loop in rig.supervisor.loops()) >= 3


def test_what_a_look_found_is_taken_over_after_a_fault() -> None:
    """It would else wait until the listing is another one."""
    taken: list[Listed] = []

    def take(listed: Listed, _: float) -> None:
        taken.append(listed)
        if len(taken) == 1:
            raise ValueError("of ours")

    discovery = Discovery(take)
    discovery.loop.start()
    try:
        with capture_logs():
            discovery.note("s", frozenset({"s.a"}))
            wait_until(lambda: len(taken) > 1, "it is taken over again")
        assert discovery.loop.faults == 1
    finally:
        discovery.stop()
        assert discovery.loop.join(10.0)


def test_a_job_that_raises_is_counted_and_the_next_one_runs() -> None:
    """The thread takes up again."""
    done: list[int] = []

    def fails() -> None:
        raise ValueError("of ours")

    with capture_logs() as logs:
        workers = Workers("worker", 1)
        workers.submit(fails)
        workers.submit(lambda: done.append(1))
        wait_until(lambda: done, "the next job")
        workers.stop(5.0)
    assert workers.loops[0].faults == 1
    assert [line["event"] for line in logs] == ["loop_failed"]
