"""The contenders: programs of their own, what they were told, and how they are started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from benchmarks.compare.watched import TABLE, is_right
from benchmarks.harness import ROOT
from tests.services.process import BridgeProcess

STOP_SECONDS = 10.0
STATE_SECONDS = 0.05
# States in which the service says that all is well.
_WELL = frozenset({"live", "idle"})


@dataclass(slots=True)
class Told:
    """What one contender was told so far; times are nanoseconds of the monotonic clock.

    Attributes:
        rows: id of a row to when it was delivered, each time.
        wrong: deliveries that are not the row of their id, or of no row of the table's.
        said: when it said that something is the matter, and what.
        started: how often it began to listen.
        not_started: why it could not, each time.
    """

    rows: dict[int, list[int]] = field(default_factory=dict)
    wrong: list[Any] = field(default_factory=list)
    said: list[tuple[int, str]] = field(default_factory=list)
    started: int = 0
    not_started: list[str] = field(default_factory=list)


class Contender:
    """What all have: a name, a folder with a log, and what the log says.

    Args:
        name: how the report calls it.
        folder: of its own.
        env: of its process, besides what this one has.
    """

    def __init__(self, name: str, folder: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.folder = folder
        self._env = env
        self.told = Told()
        folder.mkdir()
        self._log = folder / "told.jsonl"
        self._log.touch()
        self._read = 0

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether it says that it listens."""
        self.read()
        return self.told.started > 0

    def end(self) -> None:
        """End it as its user would."""
        self.stop()

    def start_again(self) -> None:
        """Start it after `end`."""
        self.start()

    def read(self) -> None:
        """Take in what was written to its log since the last time."""
        for moment, kind, value in self._new_lines():
            if kind == "row":
                number = value.get("id")
                if is_right(value):
                    self.told.rows.setdefault(number, []).append(moment)
                else:
                    self.told.wrong.append(value)
            elif kind == "started":
                self.told.started += 1
            elif kind == "not started":
                self.told.not_started.append(str(value))
                self.told.said.append((moment, str(value)))
            elif kind == "gap" and value["reason"] == "start":
                continue  # that it was started, which nobody has to be told
            elif kind != "count":
                self.told.said.append((moment, f"{kind}: {value}"))

    def _new_lines(self) -> Iterator[tuple[int, str, Any]]:
        with self._log.open("rb") as log:
            log.seek(self._read)
            while True:
                block = log.read(2**22)
                whole = block.rpartition(b"\n")[0]
                if not whole:
                    return
                self._read += len(whole) + 1
                log.seek(self._read)
                yield from map(orjson.loads, whole.split(b"\n"))


class Client(Contender):
    """A program on a table monitor client. See `client_program`."""

    def __init__(
        self, name: str, folder: Path, env: Mapping[str, str], settings: Mapping[str, Any]
    ) -> None:
        super().__init__(name, folder, env)
        self._settings = {**settings, "table": TABLE, "log": str(self._log)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "stderr.log").open("ab") as errors:
            self._process = _program(
                "benchmarks.compare.client_program",
                json.dumps(self._settings),
                stdout=errors,
                stderr=errors,
                env={**os.environ, **self._env},
            )

    def stop(self) -> None:
        if self._process is not None:
            _end(self._process)
            self._process = None


class Service(Contender):
    """The service, delivering to a receiver. See `receiver_program`.

    Args:
        kinetica: where the clusters are.
        table: settings of the table beside its name.
        busy_seconds: how long the receiver works on an event.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        env: Mapping[str, str],
        kinetica: Mapping[str, Any],
        table: Mapping[str, Any],
        busy_seconds: float = 0.0,
    ) -> None:
        super().__init__(name, folder, env)
        self._kinetica = kinetica
        self._table = table
        self._busy_seconds = busy_seconds
        self._receiver: subprocess.Popen[bytes] | None = None
        self._bridge: BridgeProcess | None = None
        self._watch: threading.Thread | None = None
        self._watching = False

    def start(self) -> None:
        self._receiver = _program(
            "benchmarks.compare.receiver_program",
            str(self._log),
            str(self._busy_seconds),
            stdout=subprocess.PIPE,
        )
        assert self._receiver.stdout is not None
        url = self._receiver.stdout.readline().decode().strip()
        config = {
            "kinetica": dict(self._kinetica),
            "tables": [{"name": TABLE, **self._table}],
            "sinks": {"hook": {"type": "webhook", "url": url}},
        }
        self._bridge = BridgeProcess(self.folder, config, self._env)
        self._run()

    def end(self) -> None:
        assert self._bridge is not None
        self._halt()
        self._bridge.terminate()

    def start_again(self) -> None:
        self._run()

    def stop(self) -> None:
        if self._bridge is not None:
            self._halt()
            self._bridge.__exit__(None, None, None)
            self._bridge = None
        if self._receiver is not None:
            _end(self._receiver)
            self._receiver = None

    def metric(self, name: str) -> float:
        """Return a metric of the table's."""
        assert self._bridge is not None
        return self._bridge.metric(name, table=TABLE)

    def _run(self) -> None:
        assert self._bridge is not None
        self._bridge.start()
        self._watching = True
        self._watch = threading.Thread(target=self._watch_state, name="state", daemon=True)
        self._watch.start()

    def _halt(self) -> None:
        self._watching = False
        if self._watch is not None:
            self._watch.join()
            self._watch = None

    def _watch_state(self) -> None:
        """Note whenever `/readyz` says something else of the table; until halted."""
        assert self._bridge is not None
        before = ""
        while self._watching:
            try:
                answer = self._bridge.readyz()
            except (ValueError, OSError):  # it is starting or ending
                answer = {}
            table = answer.get("tables", {}).get(TABLE, {})
            state = table.get("state", "")
            if state != before and state:
                if state in _WELL:
                    self.told.started += state == "live"
                elif self.told.started:
                    text = f"state: {state}, {table.get('reason')}"
                    self.told.said.append((time.monotonic_ns(), text))
                before = state
            time.sleep(STATE_SECONDS)


def _program(module: str, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,
        **streams,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that ends with its stdin."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
