"""`snapshot`, by the real command beside the real service, and where none runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services.outside import lines_of
from services.process import BridgeProcess, run_command, wait_until
from services.rig import Database

from kinetica_emulator import Emulator

TABLE = "ki_home.orders"


@pytest.fixture
def bridge(cluster: Emulator, tmp_path: Path) -> Iterator[BridgeProcess]:
    """A service whose table had 50 rows before it listened, and got 10 since."""
    database = Database(cluster)
    database.create(TABLE)
    database.insert_ids(range(50), TABLE)
    config = {
        "kinetica": {"urls": [cluster.url], "probe_interval": "200ms"},
        "tables": [{"name": TABLE}],
        "sinks": {"audit": {"type": "file", "path": str(tmp_path / "out.jsonl")}},
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        database.insert_ids(range(50, 60), TABLE)
        wait_until(lambda: len(lines_of(tmp_path / "out.jsonl")) == 10, "the rows that came live")
        yield bridge
    database.close()


def test_all_rows_come_as_they_stand_beside_the_live_stream(
    bridge: BridgeProcess, tmp_path: Path
) -> None:
    """Those that came live, too; again at each request."""
    for times in (1, 2):
        done = run_command("snapshot", "orders", "-c", str(bridge.config_file))
        assert (done.returncode, done.stdout) == (0, f"{TABLE}: 60 rows delivered\n")
        wait_until(lambda n=times: len(reads(tmp_path)) == 60 * n, "every row, once a request")
    assert {event["cause"] for event in reads(tmp_path)} == {"snapshot"}
    assert sorted(event["record"]["id"] for event in reads(tmp_path)[:60]) == list(range(60))
    bridge.check_accounts()


def reads(folder: Path) -> list[dict[str, Any]]:
    return [event for event in lines_of(folder / "out.jsonl") if event["type"] == "read"]


def test_what_is_not_watched_or_not_running_is_said(bridge: BridgeProcess, tmp_path: Path) -> None:
    """A name nobody watches is an error of usage; without a service there is nobody to do it."""
    unknown = run_command("snapshot", "ki_home.order", "-c", str(bridge.config_file))
    assert unknown.returncode == 2
    assert 'did you mean "ki_home.orders"?' in unknown.stderr
    bridge.terminate()
    alone = run_command("snapshot", TABLE, "-c", str(bridge.config_file))
    assert alone.returncode == 1
    assert "a snapshot is taken by the running service" in alone.stderr
