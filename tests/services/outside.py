"""The service as seen from outside: its command, its pages, its files, and what it says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import yaml
from services.process import COMMAND, BridgeProcess, run_command, wait_until

PATIENCE = 20.0  # seconds

# Failures are noticed and tried again at once, so that a test need not wait.
FAST = {"initial_backoff": "20ms", "max_backoff": "200ms"}


def until(
    condition: Callable[[], Any],
    expected: str,
    seen: Callable[[], object] = lambda: "nothing of it",
    timeout: float = PATIENCE,
) -> Any:
    """Wait for a condition; a failure tells what was expected and what was seen instead."""
    try:
        return wait_until(condition, expected, timeout)
    except AssertionError as error:
        raise AssertionError(f"expected: {expected}\nseen: {seen()}\n({error})") from None


def holds(condition: Callable[[], Any], seconds: float) -> bool:
    """Say whether a condition holds all the while, for so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not condition():
            return False
        time.sleep(0.02)
    return True


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file of events; none where there is no file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_bytes().rpartition(b"\n")[0].splitlines()]


def ids_of(events: Iterable[Mapping[str, Any]], table: str | None = None) -> list[int]:
    """Return the ids of the rows among events, as they came."""
    return [
        event["record"]["id"]
        for event in events
        if event["type"] in ("insert", "read") and table in (None, event["table"])
    ]


def whole(path: Path) -> list[dict[str, Any]]:
    """Return all lines of a file that nobody writes to any more; a torn one fails."""
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n"), f"torn last line: {content[-200:]!r}"
    events = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            events.append(json.loads(line))
        except ValueError:
            raise AssertionError(f"line {number} of {path.name} is torn: {line[:300]!r}") from None
    return events


class Service(BridgeProcess):
    """`kinetica-bridge run` as an operator has it. A context manager.

    Args:
        folder: holds the configuration, the journal and the log.
        config: what to configure besides journal and admin endpoint; a key that is given
            replaces these.
        env: more of the environment.
        prefix: a command that runs the service, such as `unshare`.
        stdout: where its results go; the log unless given.
        stderr: where its log goes.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, {"kinetica": {}, **config})
        self._env = {**os.environ, **(env or {})}
        self._prefix = prefix
        self._stdout = stdout
        self._stderr = stderr

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self) -> Self:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *COMMAND, "run", "-c", str(self.config_file)],
                stdout=log if self._stdout is None else self._stdout,
                stderr=log if self._stderr is None else self._stderr,
                env=self._env,
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def reload(self, config: Mapping[str, Any]) -> None:
        """Change the configuration and send SIGHUP; the keys given replace those there were."""
        self.config = {**self.config, **config}
        written = self.config_file.with_suffix(".new")
        written.write_text(yaml.safe_dump(self.config, sort_keys=False))
        written.replace(self.config_file)
        self.signal(signal.SIGHUP)

    def wait_answers(self) -> Self:
        """Wait until /readyz answers, whatever it says."""

        def answers() -> bool:
            self.check_alive()
            return bool(self.readyz().get("tables"))

        until(answers, "/readyz answers", self.said)
        return self

    def wait_tables(self, *tables: str, timeout: float = PATIENCE) -> Self:
        """Wait until these tables are live."""

        def live() -> bool:
            self.check_alive()
            states = self.readyz().get("tables", {})
            return all(states.get(table, {}).get("state") == "live" for table in tables)

        until(live, f"{', '.join(tables)} live in /readyz", self.said, timeout)
        return self

    def wait_sinks(self, *sinks: str, timeout: float = PATIENCE) -> Self:
        """Wait until /readyz names exactly these sinks."""

        def named() -> bool:
            self.check_alive()
            return set(self.readyz().get("sinks", {})) == set(sinks)

        until(named, f"/readyz names the sinks {sorted(sinks)}", self.said, timeout)
        return self

    def sink(self, name: str) -> dict[str, Any]:
        """Return what /readyz says of a sink; empty where it does not name it."""
        return dict(self.readyz().get("sinks", {}).get(name, {}))

    def waiting(self, name: str) -> dict[str, str]:
        """Return the tables of a sink whose lane waits, each with its error."""
        return dict(self.sink(name).get("waiting", {}))

    def gap_reasons(self) -> list[str]:
        """Return the reasons of the gaps that are open in /readyz."""
        return [gap["reason"] for gap in self.readyz().get("gaps", [])]

    def counted(self, what: str, **labels: str) -> int:
        """Return a sink's counter: received, delivered, dead_lettered, discarded, pending."""
        ending = "events" if what == "pending" else "events_total"
        return int(self.metric(f"sink_{what}_{ending}", **labels))

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return what `deadletters ls --json` prints."""
        ran = run_command("deadletters", "ls", "--json", "-c", str(self.config_file))
        assert ran.returncode == 0, (
            f"expected: `deadletters ls --json` exits 0\nseen: {ran.returncode}, {ran.stderr}"
        )
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def page(self, path: str) -> str:
        """Return the text of a page of the admin endpoint, whatever its status."""
        try:
            with urllib.request.urlopen(self.admin + path, timeout=10) as reply:
                return str(reply.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return str(error.read().decode())

    def log_text(self) -> str:
        """Return everything that was logged."""
        return self.log_file.read_text(errors="replace")

    def said(self) -> str:
        """Return what can be seen now, for the message of a failure."""
        ended = self._process.poll() if self._process is not None else "not started"
        ready: object = None
        with contextlib.suppress(OSError, ValueError):
            ready = self.readyz()
        log = self.log_text()[-3000:]
        return f"exit code {ended}\n/readyz {json.dumps(ready)}\nthe log ends: {log}"

    def ends(self, within: float) -> int | None:
        """Wait for the process to end; its exit code, None if it still runs after so long."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            return None
