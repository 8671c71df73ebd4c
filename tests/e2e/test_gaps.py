"""`gaps`, by the real command beside the real service, and where none runs.

The emulator runs in this process, so that it can be told to misbehave.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from services.process import COMMAND, BridgeProcess, run_command, wait_until
from services.rig import Database

from kinetica_emulator import Emulator

TABLE = "ki_home.orders"
KEYED = {"id": ["long", "primary_key"]}
KEYLESS = {"id": ["long"]}
READS = ["/get/records"]


def make_bridge(cluster: Emulator, folder: Path, **more: Any) -> BridgeProcess:
    return BridgeProcess(
        folder,
        {
            "kinetica": {"urls": [cluster.url], "probe_interval": "200ms"},
            "tables": [{"name": TABLE}],
            "sinks": {"audit": {"type": "file", "path": str(folder / "{table}.jsonl")}},
            **more,
        },
    )


def insert(database: Database, *ids: int) -> None:
    database.insert({"id": n} for n in ids)


def miss_rows(bridge: BridgeProcess, database: Database) -> str:
    """Let a running service miss two rows, start it again, and return the gap's id."""
    bridge.wait_live()
    insert(database, 1)
    wait_until(lambda: bridge.metric("sink_delivered_events_total") >= 1, "the first row")
    assert bridge.terminate() == 0
    insert(database, 2, 3)
    bridge.start()
    wait_until(lambda: bridge.readyz().get("tables"), "the service is up")
    return str(wait_until(lambda: ended_gaps(bridge), "the gap is over")[0]["gap"])


def ended_gaps(bridge: BridgeProcess) -> list[dict[str, Any]]:
    return [gap for gap in gaps(bridge, "ls") if gap["until"] is not None]


def gaps(bridge: BridgeProcess, *arguments: str) -> list[dict[str, Any]]:
    found = gaps_command(bridge, *arguments, "--json")
    assert found.returncode == 0, found.stderr
    return [json.loads(line) for line in found.stdout.splitlines()]


def gaps_command(bridge: BridgeProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command("gaps", *arguments, "-c", str(bridge.config_file))


def events(bridge: BridgeProcess, kind: str) -> list[dict[str, Any]]:
    path = bridge.folder / f"{TABLE}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [event for event in map(json.loads, lines) if event["type"] == kind]


def test_an_open_gap_is_listed_and_shown_with_why_and_what_told_of_it(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """A read on request says why it stays open, where it does, and exits with 1."""
    database.create(TABLE, KEYLESS)
    with make_bridge(cluster, tmp_path) as bridge:
        gap = miss_rows(bridge, database)

        (listed,) = gaps(bridge, "ls")
        assert list(listed) == [
            "gap", "table", "since", "until", "reason", "closed", "why_open", "rows", "by",
        ]  # fmt: skip
        assert (listed["gap"], listed["table"], listed["reason"]) == (gap, TABLE, "start")
        assert (listed["closed"], listed["rows"], listed["by"]) == (False, None, None)
        assert "no primary key" in listed["why_open"]
        assert bridge.metric("gaps_open", table=TABLE) == 1
        assert gaps(bridge, "ls", "--table", "orders") == [listed]
        assert gap in gaps_command(bridge, "ls").stdout
        shown = gaps_command(bridge, "show", gap)
        assert f"why open  {listed['why_open']}" in shown.stdout
        assert "the bridge was not running" in shown.stdout

        closed = gaps_command(bridge, "close", gap)
        assert closed.returncode == 1
        assert closed.stdout == f"{gap}: stays open: {listed['why_open']}\n"
        assert len(gaps(bridge, "ls")) == 1


def test_a_read_on_request_waits_for_its_end_and_says_what_it_delivered(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """The gap is listed as closed from then on, as long as the journal has it."""
    database.create(TABLE, KEYED)
    with make_bridge(cluster, tmp_path) as bridge:
        bridge.wait_live()
        cluster.hang(READS)
        gap = miss_rows(bridge, database)
        assert "being read" in gaps(bridge, "ls")[0]["why_open"]
        closing = subprocess.Popen(
            [*COMMAND, "gaps", "close", gap, "-c", str(bridge.config_file)],
            stdout=subprocess.PIPE,
            text=True,
        )
        page = f"/api/gaps/{gap}"
        wait_until(lambda: bridge.get_json(page)[1].get("request"), "the request is there")
        assert bridge.get_json(page)[1]["request"]["state"] == "reading"
        cluster.heal()

        out, _ = closing.communicate(timeout=60)

        assert (closing.returncode, out) == (0, f"{gap}: closed, 2 rows delivered\n")
        wait_until(lambda: len(events(bridge, "read")) == 2, "the rows are delivered")
        assert [event["record"]["id"] for event in events(bridge, "read")] == [2, 3]
        assert gaps(bridge, "ls") == []
        assert bridge.metric("gaps_open", table=TABLE) == 0
        (listed,) = gaps(bridge, "ls", "--all")
        assert (listed["gap"], listed["closed"], listed["rows"], listed["by"]) == (
            gap, True, 2, "read",
        )  # fmt: skip
        assert gaps(bridge, "show", gap)[0]["closed"]

        again = gaps_command(bridge, "close", gap)
        assert again.returncode == 1
        assert f"no open gap has the id {gap}" in again.stderr


def test_a_read_on_request_that_fails_says_what_the_cluster_said(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """And another one may succeed."""
    database.create(TABLE, KEYED)
    with make_bridge(cluster, tmp_path) as bridge:
        bridge.wait_live()
        cluster.refuse("no right to read", READS)
        gap = miss_rows(bridge, database)

        failed = gaps_command(bridge, "close", gap)

        assert failed.returncode == 1
        assert "stays open: reading the table failed: " in failed.stdout
        assert "no right to read" in failed.stdout


def test_a_gap_is_accepted_as_it_is(cluster: Emulator, database: Database, tmp_path: Path) -> None:
    """Its last event says so, it is open no longer, and nothing was read."""
    database.create(TABLE, KEYLESS)
    with make_bridge(cluster, tmp_path) as bridge:
        gap = miss_rows(bridge, database)

        accepted = gaps_command(bridge, "accept", "--json", gap)

        assert accepted.returncode == 0
        told = json.loads(accepted.stdout)
        assert (told["gap"], told["closed"], told["by"]) == (gap, False, "accepted")
        wait_until(lambda: len(events(bridge, "gap")) == 2, "its second event")
        last = events(bridge, "gap")[-1]
        assert (last["gap"], last["closed"], last["by"]) == (gap, False, "accepted")
        assert events(bridge, "read") == []
        assert gaps(bridge, "ls") == []
        wait_until(lambda: bridge.readyz()["status"] == "ok", "all is well")
        assert gaps(bridge, "ls", "--all")[0]["by"] == "accepted"


def test_without_a_service_its_gaps_are_read_and_nothing_is_done(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """ls and show say where they have it from; close and accept say what is missing."""
    database.create(TABLE, KEYLESS)
    with make_bridge(cluster, tmp_path) as bridge:
        gap = miss_rows(bridge, database)
        beside = gaps(bridge, "ls")
        bridge.terminate()

        left = gaps_command(bridge, "ls", "--json")
        shown = gaps_command(bridge, "show", gap)
        done = [gaps_command(bridge, action, gap) for action in ("close", "accept")]

        assert json.loads(left.stdout)["gap"] == beside[0]["gap"]
        assert "no service at 127.0.0.1" in left.stderr
        assert (shown.returncode, "the bridge was not running" in shown.stdout) == (0, True)
        for result in done:
            assert (result.returncode, result.stdout) == (1, "")
            assert "by the running service" in result.stderr
        assert gaps_command(bridge, "show", "nope").returncode == 1


def test_a_table_that_is_not_watched_is_usage(tmp_path: Path) -> None:
    """Exit code 2, with the nearest name."""
    bridge = BridgeProcess(tmp_path, {"kinetica": {"urls": ["a"]}, "tables": [{"name": TABLE}]})

    found = gaps_command(bridge, "ls", "--table", "oders")

    assert (found.returncode, found.stdout) == (2, "")
    assert 'no table ki_home.oders is watched; did you mean "ki_home.orders"?' in found.stderr


def test_the_token_is_the_services_user_s_alone_and_anew_at_each_start(
    cluster: Emulator, tmp_path: Path
) -> None:
    """Mode 0600, whatever the umask; what is not a token of this service opens nothing."""
    path = tmp_path / "journal" / "admin.token"
    before = os.umask(0)
    try:
        with make_bridge(cluster, tmp_path) as bridge:
            wait_until(path.exists, "the token")
            first = path.read_text()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            wait_until(lambda: bridge.readyz().get("status"), "the service is up")
            bridge.terminate()
            bridge.start()
            wait_until(lambda: path.read_text() != first, "another token")
            assert first.strip() not in bridge.log_file.read_text()
            wait_until(lambda: bridge.readyz().get("tables"), "the service is up")
            path.write_text("something else")
            refused = gaps_command(bridge, "close", "0011223344556677")
            assert refused.returncode == 1
            assert "this token is not the service's" in refused.stderr
    finally:
        os.umask(before)


def test_a_token_of_the_configuration_serves_as_well(
    cluster: Emulator, database: Database, tmp_path: Path
) -> None:
    """From another machine, say, where nobody sees the journal."""
    database.create(TABLE, KEYLESS)
    (tmp_path / "token").write_text("let me in\n")
    admin = {"listen": "127.0.0.1:0", "token_file": str(tmp_path / "token")}
    with make_bridge(cluster, tmp_path) as bridge:
        admin["listen"] = bridge.config["admin"]["listen"]
        bridge.config_file.write_text(json.dumps({**bridge.config, "admin": admin}))
        gap = miss_rows(bridge, database)
        (tmp_path / "journal" / "admin.token").unlink()

        assert gaps_command(bridge, "accept", gap).returncode == 0


@pytest.mark.parametrize("action", ["close", "accept"])
def test_a_gap_that_goes_on_is_neither_closed_nor_accepted(
    cluster: Emulator, database: Database, tmp_path: Path, action: str
) -> None:
    """409, with why."""
    database.create(TABLE, KEYLESS)
    with make_bridge(cluster, tmp_path) as bridge:
        miss_rows(bridge, database)
        cluster.stop()
        going_on = wait_until(
            lambda: [gap for gap in gaps(bridge, "ls") if gap["until"] is None], "the span"
        )

        result = gaps_command(bridge, action, going_on[0]["gap"])

        assert (result.returncode, result.stdout) == (1, "")
        assert "it goes on" in result.stderr
