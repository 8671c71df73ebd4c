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

        slower = {"urls": [kinetica.url], "probe_interval": "7s"}
        rewrite(bridge, kinetica=slower)
        assert reload(bridge, "restart_needed")["keys"] == ["kinetica.probe_interval"]
        assert bridge.metric("restart_needed") == 1
        rewrite(bridge, kinetica=slower, tables=[{"name": TABLE, "events": ["insert"]}])
        assert reload(bridge, "restart_needed")["keys"] == ["kinetica.probe_interval"]
        needed = bridge.get_json("/api/status")[1]["bridge"]["restart_needed"]
        assert needed == ["kinetica.probe_interval"]
        rewrite(bridge)
        reload(bridge, "reloaded")
        wait_until(lambda: bridge.metric("restart_needed") == 0, "no restart is needed")


def test_limits_and_the_log_are_taken_over(
    kinetica: EmulatorProcess, table: Program, tmp_path: Path
) -> None:
    """A journal that is full takes rows again once it may be larger; lines have another form."""
    hook = {"type": "webhook", "url": "http://127.0.0.1:1/", "retry": {"max_backoff": "200ms"}}
    small = {"path": str(tmp_path / "journal"), "max_size": "1MiB"}
    config = {
        "kinetica": {"urls": [kinetica.url]},
        "journal": small,
        "tables": [{"name": TABLE}],
        "sinks": {"hook": hook},
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        number = 0
        while not any(line["event"] == "journal_refuses" for line in bridge.log()):
            table.insert(TABLE, range(number, number + 100), note="x" * 1000)
            number += 100
        assert bridge.metric("journal_max_bytes") == 2**20

        limits = {"max_size": "64MiB", "max_age": "1d", "linger": "20ms"}
        rewrite(
            bridge,
            journal=small | limits | {"on_full": "drop_oldest"},
            dead_letters={"max_size": "2MiB"},
            log={"level": "debug"},
            shutdown={"grace": "1s"},
        )
        reload(bridge, "reloaded")

        assert bridge.metric("journal_max_bytes") == 64 * 2**20
        assert bridge.metric("restart_needed") == 0
        wait_until(lambda: bridge.metric("sink_pending_events") >= number, "all rows are stored")
        wait_until(lambda: any(x["level"] == "debug" for x in bridge.log()), "a line of debug")
        rewrite(bridge, log={"level": "error", "format": "console"})
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.metric("journal_max_bytes") == 2**20, "the old limits again")
        bridge.config_file.write_text("kinetica: [")
        bridge.signal(signal.SIGHUP)
        wait_until(
            lambda: "[error    ] reload_refused" in bridge.log_file.read_text(),
            "the next line is for people",
        )
        assert bridge.terminate() == 0


def test_credentials_are_taken_over(tmp_path: Path) -> None:
    """A password that was wrong is put right in its file: no restart is needed to be let in."""
    password = tmp_path / "password"
    password.write_text("of yesterday")
    with EmulatorProcess("--user", "bridge", "--password", "of today") as kinetica:
        access = {"username": "bridge", "password_file": str(password)}
        config = {"kinetica": {"urls": [kinetica.url], **access}, "tables": [{"name": TABLE}]}
        with BridgeProcess(tmp_path, config) as bridge:

            def state() -> dict[str, Any]:
                return dict(bridge.readyz().get("tables", {}).get(TABLE, {}))

            wait_until(lambda: "credentials refused" in str(state().get("reason")), "refused")
            password.write_text("of today")
            reload(bridge, "reloaded")
            wait_until(lambda: state()["state"] == "waiting_for_table", "it is let in")
            assert bridge.metric("restart_needed") == 0


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


def test_a_secret_whose_file_changed_is_named_and_taken_over(
    kinetica: EmulatorProcess, table: Program, tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    """The sink of it alone; one whose other settings changed as well was changed, not renewed."""
    secret = tmp_path / "token"
    secret.write_text("of yesterday")
    hook = {"type": "webhook", "url": webhook_receiver.url, "bearer_token_file": str(secret)}
    config = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": TABLE}],
        "sinks": {"hook": hook, "out": {"type": "file", "path": f"{tmp_path}/out.jsonl"}},
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        secret.write_text("of today")
        assert reload(bridge, "reloaded")["renewed"] == ["hook"]
        table.insert(TABLE, range(3))
        wait_until(lambda: len(webhook_receiver.accepted) >= 3, "three rows are there")
        assert webhook_receiver.requests[-1].headers["Authorization"] == "Bearer of today"
        secret.write_text("of tomorrow")
        rewrite(
            bridge, sinks={"hook": {**hook, "events": ["insert"]}, "out": config["sinks"]["out"]}
        )
        assert reload(bridge, "reloaded")["renewed"] == []


def serving(authority: trustme.CA) -> WebhookReceiver:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return WebhookReceiver(context)
