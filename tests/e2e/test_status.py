"""`status`, by the real command beside the real service."""

from __future__ import annotations

import json
from pathlib import Path

from services.process import BridgeProcess, run_command
from services.rig import Database

from kinetica_emulator import Emulator

TABLE = "ki_home.orders"


def test_the_service_on_one_screen(tmp_path: Path) -> None:
    """What is wrong comes first, with what to do; as JSON it is what the page shows."""
    with Emulator() as cluster:
        database = Database(cluster)
        database.create(TABLE)
        with BridgeProcess(
            tmp_path,
            {
                "instance": "warehouse",
                "kinetica": {"urls": [cluster.url], "probe_interval": "200ms"},
                "tables": [{"name": TABLE}],
                "sinks": {
                    "audit": {"type": "file", "path": str(tmp_path / "{table}.jsonl")},
                    "hook": {"type": "webhook", "url": "http://127.0.0.1:9/"},
                },
            },
        ) as bridge:
            bridge.wait_live()
            database.insert_ids(range(3), TABLE)
            shown = run_command("status", "-c", str(bridge.config_file))
            plain = run_command("status", "--json", "-c", str(bridge.config_file))
        database.close()

    first, *rest = shown.stdout.splitlines()
    assert (shown.returncode, first.startswith("kinetica-bridge 0.1.0 (warehouse), up")) == (
        0,
        True,
    )
    assert first.endswith("1 problem")
    assert rest[0].startswith("  sink hook: ")
    assert "Mend the destination" in rest[1]
    assert any(line.startswith(f"{TABLE}  live") for line in rest)
    status = json.loads(plain.stdout)
    assert status["bridge"]["instance"] == "warehouse"


def test_without_a_service_it_says_so(tmp_path: Path) -> None:
    """And exits 1."""
    config = tmp_path / "bridge.yaml"
    config.write_text(
        "kinetica: {urls: a}\ntables: [{name: s.t}]\nsinks: {out: {type: stdout}}\n"
        f"journal: {{path: {tmp_path}/journal}}\nadmin: {{listen: '127.0.0.1:9'}}\n"
    )
    done = run_command("status", "-c", str(config))

    assert done.returncode == 1
    assert done.stderr.strip() == "kinetica-bridge: no service at 127.0.0.1:9"
