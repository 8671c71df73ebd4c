"""The bridge's own command in processes of its own: the service, and the emulator."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

COMMAND = [sys.executable, "-m", "bridge"]
TIMEOUT = 60.0

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Metrics = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def wait_until(condition: Callable[[], Any], what: str, timeout: float = TIMEOUT) -> Any:
    """Wait for a condition to hold and return what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.02)


class BridgeProcess:
    """`kinetica-bridge run` with a configuration of one's own.

    Args:
        folder: holds the configuration, the journal and the log.
        config: what to configure besides journal and admin endpoint.
        env: of the process, besides what this one has.
        arguments: more of them.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._arguments = arguments
        self._env = {**os.environ, **(env or {})}
        self.config_file = folder / "bridge.yaml"
        self.log_file = folder / "bridge.log"
        self.config = {
            "journal": {"path": str(folder / "journal")},
            "admin": {"listen": f"127.0.0.1:{free_port()}"},
            **config,
        }
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def admin(self) -> str:
        return f"http://{self.config['admin']['listen']}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*COMMAND, "run", "-c", str(self.config_file), *self._arguments],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._env,
            )
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def wait_live(self) -> Self:
        """Wait until every table is live."""

        def live() -> bool:
            self.check_alive()
            tables = self.readyz().get("tables", {}).values()
            return bool(tables) and all(table["state"] == "live" for table in tables)

        wait_until(live, "every table is live")
        return self

    def check_alive(self) -> None:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError(f"the bridge ended: {self.log_file.read_text()[-2000:]}")

    def readyz(self) -> dict[str, Any]:
        return self.get_json("/readyz")[1]

    def get_json(self, path: str) -> tuple[int, dict[str, Any]]:
        try:
            try:
                with urllib.request.urlopen(self.admin + path, timeout=10) as reply:
                    return reply.status, json.load(reply)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, json.load(error)
        except (OSError, http.client.HTTPException):
            return 0, {}  # not there yet, or gone in the middle of its answer

    def metrics(self) -> Metrics:
        with urllib.request.urlopen(self.admin + "/metrics", timeout=10) as reply:
            text = reply.read().decode()
        samples: Metrics = {}
        for line in text.splitlines():
            match = _SAMPLE.match(line)
            if match:
                labels = tuple(sorted(_LABEL.findall(match.group(2) or "")))
                samples[match.group(1), labels] = float(match.group(3))
        return samples

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels."""
        wanted = set(labels.items())
        return sum(
            value
            for (sample, found), value in self.metrics().items()
            if sample == f"kinetica_bridge_{name}" and wanted <= set(found)
        )

    def check_accounts(self) -> None:
        """Assert the accounting identity, from one scrape, for every sink and table."""
        samples = self.metrics()
        prefix = "kinetica_bridge_sink_"
        accounts = [labels for name, labels in samples if name == f"{prefix}pending_events"]
        assert accounts
        for labels in accounts:
            parts = {
                part: samples[f"{prefix}{part}_events_total", labels]
                for part in ("received", "delivered", "dead_lettered", "discarded")
            }
            received = parts.pop("received")
            pending = samples[f"{prefix}pending_events", labels]
            assert received == sum(parts.values()) + pending, (labels, received, parts, pending)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can tell."""
        self.signal(signal.SIGKILL)
        self.wait()

    def terminate(self) -> int:
        """Ask it to drain, and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(TIMEOUT)

    def log(self) -> list[dict[str, Any]]:
        """Return the log lines, which are JSON as stderr is no terminal."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]


class EmulatorProcess:
    """`kinetica-bridge emulator` in a process of its own, as a real database would be."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*COMMAND, "emulator", "--port", "0", "--monitor-port", "0", *self._arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        place = json.loads(self._process.stdout.readline())
        self.url: str = place["url"]
        self.monitor_port: int = place["monitor_port"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT)
        assert self._process.stdout is not None
        self._process.stdout.close()


def run_command(
    *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a subcommand to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env={**os.environ, **(env or {})},
    )


def free_port() -> int:
    """Return a port that is free, of those that the kernel gives to nobody by itself.

    One of its own it may give to another connection before the port is listened on.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)  # below ip_local_port_range
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
