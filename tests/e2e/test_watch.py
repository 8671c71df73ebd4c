"""`run --watch`: a changed file is taken over without a signal."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from services.kinetica import Program
from services.process import (
    COMMAND,
    BridgeProcess,
    EmulatorProcess,
    free_port,
    run_command,
    wait_until,
)
from services.webhook import WebhookReceiver

TABLE = "ki_home.orders"


@pytest.fixture
def table(kinetica: EmulatorProcess) -> Program:
    program = Program(kinetica.url)
    program.create(TABLE)
    return program


def lines(bridge: BridgeProcess, *events: str) -> list[dict[str, Any]]:
    """Return the log lines of these names."""
    whole = bridge.log_file.read_text().rpartition("\n")[0].splitlines()
    return [line for line in map(json.loads, whole) if line["event"] in events]


def test_a_changed_file_is_taken_over_and_a_wrong_one_said_once(
    kinetica: EmulatorProcess, table: Program, tmp_path: Path
) -> None:
    """The old configuration goes on meanwhile; who reloads by hand is not reloaded again."""
    config = {"kinetica": {"urls": [kinetica.url]}, "tables": [{"name": TABLE}]}
    with BridgeProcess(tmp_path, config, arguments=["--watch"]) as bridge:
        bridge.wait_live()
        sinks = {"one": {"type": "file", "path": str(tmp_path / "one.jsonl")}}
        good = yaml.safe_dump(bridge.config | {"sinks": sinks}, sort_keys=False)

        bridge.config_file.write_text(good)
        wait_until(lambda: lines(bridge, "reloaded"), "it is taken over")
        wait_until(lambda: set(bridge.readyz()["sinks"]) == {"one"}, "the sink is there")

        bridge.config_file.write_text(good[: len(good) // 2] + "\n  - [")
        (refused,) = wait_until(lambda: lines(bridge, "reload_refused"), "it is refused")
        assert str(bridge.config_file) in refused["problems"][0]
        assert set(bridge.readyz()["sinks"]) == {"one"}

        two = {"two": {"type": "file", "path": str(tmp_path / "two.jsonl")}}
        bridge.config_file.write_text(yaml.safe_dump(bridge.config | {"sinks": two}))
        wait_until(lambda: len(lines(bridge, "reloaded")) == 2, "the mended one is taken over")
        wait_until(lambda: set(bridge.readyz()["sinks"]) == {"two"}, "the other sink is there")
        assert len(lines(bridge, "reload_refused")) == 1
        assert lines(bridge, "reloaded_unchanged") == []
        assert bridge.terminate() == 0


def test_a_kubernetes_volume_that_is_swapped_is_taken_over(
    kinetica: EmulatorProcess, table: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """A Secret and a ConfigMap: `..data` is renamed, the paths and their links stay."""
    config, secret = Volume(tmp_path / "config"), Volume(tmp_path / "secret")
    secret.put(token="of yesterday")
    hook = {
        "type": "webhook",
        "url": webhook_receiver.url,
        "bearer_token_file": str(secret.folder / "token"),
    }
    settings = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": TABLE}],
        "sinks": {"hook": hook},
    }
    bridge = BridgeProcess(tmp_path, settings, arguments=["--watch"])
    config.put(**{"bridge.yaml": bridge.config_file.read_text()})
    bridge.config_file = config.folder / "bridge.yaml"
    with bridge:
        bridge.wait_live()
        table.insert(TABLE, [1])
        wait_until(lambda: webhook_receiver.requests, "a request")
        assert webhook_receiver.requests[-1].headers["Authorization"] == "Bearer of yesterday"

        secret.put(token="of today")
        wait_until(lambda: lines(bridge, "reloaded"), "the secret is taken over")
        table.insert(TABLE, [2])
        wait_until(
            lambda: webhook_receiver.requests[-1].headers["Authorization"] == "Bearer of today",
            "a request with the new token",
        )

        hook["batch"] = {"max_events": 7}
        config.put(**{"bridge.yaml": yaml.safe_dump(bridge.config)})
        wait_until(lambda: len(lines(bridge, "reloaded")) == 2, "the file is taken over")
        assert lines(bridge, "reload_refused", "reloaded_unchanged") == []


def test_a_configuration_from_a_pipe_is_read_once(tmp_path: Path) -> None:
    """As of a shell's `<(…)`: nobody looks into it beforehand, and nothing in it ever changes."""
    pipe, good = tmp_path / "pipe", tmp_path / "bridge.yaml"
    listen = f"127.0.0.1:{free_port()}"
    good.write_text(
        f"kinetica: {{urls: [http://127.0.0.1:1]}}\njournal: {{path: {tmp_path}/journal}}\n"
        f"tables: [{{name: a.b}}]\nadmin: {{listen: '{listen}'}}\n"
    )
    os.mkfifo(pipe)
    service = subprocess.Popen(
        [*COMMAND, "run", "--watch", "-c", str(pipe)], stderr=subprocess.DEVNULL
    )
    try:
        with pipe.open("w") as end:
            end.write(good.read_text())
        wait_until(
            lambda: run_command("health", "-c", str(good)).returncode == 0, "the service is alive"
        )
        service.terminate()
        assert service.wait(60) == 0
    finally:
        service.kill()
        service.wait()


@pytest.mark.parametrize("name", ["bridge.yaml", "token"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_holds_up_no_later_reload(
    kinetica: EmulatorProcess, table: Program, tmp_path: Path, name: str
) -> None:
    """Nobody may ever write to it: whoever opened it would wait, and take over nothing more."""
    token, path = tmp_path / "token", tmp_path / name
    token.write_text("a token")
    config = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": TABLE}],
        "admin": {"listen": f"127.0.0.1:{free_port()}", "token_file": str(token)},
    }
    with BridgeProcess(tmp_path, config, arguments=["--watch"]) as bridge:
        bridge.wait_live()
        content = path.read_text()
        path.unlink()
        os.mkfifo(path)
        (refused,) = wait_until(lambda: lines(bridge, "reload_refused"), "it is refused")
        assert f"{path}: is a pipe" in refused["problems"][0]
        path.unlink()
        path.write_text(content)
        wait_until(lambda: lines(bridge, "reloaded_unchanged"), "it is read")
        assert bridge.terminate() == 0


def test_certificates_that_connection_settings_name_are_followed(
    kinetica: EmulatorProcess, table: Program, tmp_path: Path
) -> None:
    """In an option of librdkafka, a string of libpq and the query of a URL."""
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    kafka = {
        "type": "kafka",
        "bootstrap_servers": "127.0.0.1:1",
        "topic": "orders",
        "options": {"security.protocol": "ssl", "ssl.ca.location": str(authority)},
    }
    libpq = f"host=127.0.0.1 port=1 sslmode=verify-ca sslrootcert={authority}"
    sinks = {
        "kafka": kafka,
        "postgres": {"type": "postgres", "dsn": libpq},
        "redis": {"type": "redis", "url": f"rediss://127.0.0.1:1?ssl_ca_certs={authority}"},
        "other": {"type": "file", "path": str(tmp_path / "other.jsonl")},
    }
    config = {"kinetica": {"urls": [kinetica.url]}, "tables": [{"name": TABLE}], "sinks": sinks}
    with BridgeProcess(tmp_path, config, arguments=["--watch"]) as bridge:
        bridge.wait_live()
        trustme.CA().cert_pem.write_to_path(authority)
        (reloaded,) = wait_until(lambda: lines(bridge, "reloaded"), "it is taken over")
        assert reloaded["renewed"] == ["kafka", "postgres", "redis"]


class Volume:
    """A folder that changes as a kubelet has a ConfigMap's or a Secret's change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        folder.mkdir()

    def put(self, **content: str) -> None:
        """Put all files in place at once."""
        self._number += 1
        new, link = self.folder / f"..{self._number}", self.folder / "..data_tmp"
        new.mkdir()
        for name, text in content.items():
            (new / name).write_text(text)
        link.symlink_to(new.name)
        link.rename(self.folder / "..data")
        for name in content:
            visible = self.folder / name
            if not visible.is_symlink():
                visible.symlink_to(Path("..data") / name)
