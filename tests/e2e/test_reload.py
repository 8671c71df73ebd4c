"""What a reload says, and what it takes over though the YAML is the same."""

from __future__ import annotations

import hashlib
import json
import signal
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from services.kinetica import Program
from services.process import BridgeProcess, EmulatorProcess, wait_until
from services.webhook import WebhookReceiver

TABLE = "ki_home.orders"


def reload(bridge: BridgeProcess, event: str) -> dict[str, Any]:
    """Send SIGHUP and return the next log line of that name."""

    def lines() -> list[dict[str, Any]]:
        whole = bridge.log_file.read_text().rpartition("\n")[0].splitlines()
        return [line for line in map(json.loads, whole) if line["event"] == event]

    before = len(lines())
    bridge.signal(signal.SIGHUP)
    found = wait_until(lambda: lines()[before:], event)
    return dict(found[0])


def rewrite(bridge: BridgeProcess, **parts: Any) -> None:
    bridge.config_file.write_text(yaml.safe_dump(bridge.config | parts, sort_keys=False))


@pytest.fixture
def table(kinetica: EmulatorProcess) -> Program:
    program = Program(kinetica.url)
    program.create(TABLE)
    return program


def test_a_reload_says_when_nothing_changed_and_what_needs_a_restart(
    kinetica: EmulatorProcess, table: Program, tmp_path: Path
) -> None:
    """By what runs, not by the file before; a file that says again what runs needs none."""
    config = {"kinetica": {"urls": [kinetica.url]}, "tables": [{"name": TABLE}]}
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        said = reload(bridge, "reloaded_unchanged")
        digest = hashlib.sha256(bridge.config_file.read_bytes()).hexdigest()
        assert said["file"] == digest[:12]

        wider = {**bridge.config["journal"], "max_size": "1GiB"}
        rewrite(bridge, journal=wider)
        assert reload(bridge, "restart_needed")["keys"] == ["journal.max_size"]
        assert bridge.metric("restart_needed") == 1
        rewrite(bridge, journal=wider, tables=[{"name": TABLE, "events": ["insert"]}])
        assert reload(bridge, "restart_needed")["keys"] == ["journal.max_size"]
        assert bridge.get_json("/api/status")[1]["bridge"]["restart_needed"] == ["journal.max_size"]
        rewrite(bridge)
        reload(bridge, "reloaded")
        wait_until(lambda: bridge.metric("restart_needed") == 0, "no restart is needed")


def test_certificates_whose_files_changed_are_taken_up(
    kinetica: EmulatorProcess, table: Program, tmp_path: Path
) -> None:
    """A receiver gets a certificate of another authority; its file is replaced, the YAML is not."""
    old, new = trustme.CA(), trustme.CA()
    ca_file = tmp_path / "ca.pem"
    old.cert_pem.write_to_path(ca_file)
    with serving(old) as receiver:
        hook = {"type": "webhook", "url": receiver.url, "tls": {"ca_file": str(ca_file)}}
        config = {
            "kinetica": {"urls": [kinetica.url]},
            "tables": [{"name": TABLE}],
            "sinks": {"hook": hook},
        }
        with BridgeProcess(tmp_path, config) as bridge:
            bridge.wait_live()
            table.insert(TABLE, range(3))
            wait_until(lambda: len(receiver.accepted) >= 3, "three rows are there")
            new.cert_pem.write_to_path(ca_file)
            assert reload(bridge, "reloaded")["renewed"] == ["hook"]
            table.insert(TABLE, range(3, 5))
            refused = wait_until(lambda: bridge.readyz()["sinks"]["hook"]["error"], "an error")
            assert "certificate" in refused.lower()


def serving(authority: trustme.CA) -> WebhookReceiver:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return WebhookReceiver(context)
