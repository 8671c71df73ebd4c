"""The processes of the benchmarks, and what they use: publisher, bridge, and other programs.

What is measured of the bridge is that of the tree that is asked for (`--tree`), with the
interpreter of its own `.venv`; publisher and rivals are this tree's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.harness import ROOT
from tests.services.process import BridgeProcess, wait_until

_TICKS = os.sysconf("SC_CLK_TCK")


def python_of(tree: Path) -> str:
    """Return the interpreter that runs a tree's code."""
    own = tree / ".venv/bin/python"
    return str(own) if own.exists() else sys.executable


class Program:
    """A program of `benchmarks/` that answers lines of text, and ends with its stdin.

    Args:
        file: its file in `benchmarks/`.
        arguments: of its command line.
        tree: whose packages it imports, and whose interpreter runs it. What runs with another
            tree imports nothing of `benchmarks`.
    """

    def __init__(self, file: str, *arguments: object, tree: Path = ROOT) -> None:
        self._command = [python_of(tree), str(ROOT / "benchmarks" / file), *map(str, arguments)]
        self._environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def end_input(self) -> None:
        """Close its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def read(self) -> dict[str, Any]:
        """Return its next answer, an object of JSON."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Ended(self._command, self._process.wait())
        answer: dict[str, Any] = json.loads(line)
        return answer


class Ended(Exception):
    """A program ended before it answered.

    Attributes:
        code: its exit code.
    """

    def __init__(self, command: list[str], code: int) -> None:
        super().__init__(f"{' '.join(command)} ended with {code}")
        self.code = code


class ClusterProgram(Program):
    """A program that is a cluster, says first where, and does what it is told."""

    def __enter__(self) -> Self:
        super().__enter__()
        place = self.read()
        self.url: str = place["url"]
        self.monitor_port: int = place["monitor_port"]
        return self

    def tell(self, do: str, **what: object) -> dict[str, Any]:
        """Have it do something and return its answer once it is done."""
        self.begin(do, **what)
        return self.read()

    def begin(self, do: str, **what: object) -> None:
        """Have it do something; `read` returns its answer."""
        self.write(json.dumps({"do": do, **what}))


class PublisherProcess(ClusterProgram):
    """`publisher.py`."""

    def __init__(self) -> None:
        super().__init__("publisher.py")


class ClientProcess(Program):
    """`callback_client.py`, listening when it is entered."""

    TRIES = 5
    HUNG = 75  # as callback_client.py says

    def __init__(
        self, whose: str, publisher: PublisherProcess, table: str, *what: object, tree: Path = ROOT
    ) -> None:
        place = (publisher.url, publisher.monitor_port, table)
        super().__init__("callback_client.py", whose, *place, *what, tree=tree)

    def __enter__(self) -> Self:
        for attempt in range(1, self.TRIES + 1):
            super().__enter__()
            try:
                self.read()
            except Ended as ended:
                super().__exit__(None, None, None)
                if ended.code != self.HUNG or attempt == self.TRIES:
                    raise
            else:
                break
        return self

    def account(self) -> str:
        """Say what it knows of records that did not arrive: nothing, it cannot tell."""
        return "it does not know"


class MeasuredBridge(BridgeProcess):
    """The service of a tree, its settings as shipped.

    Args:
        folder: holds its configuration, journal and log.
        publisher: where it listens.
        tables: their names, or their settings.
        sinks: their settings.
        tree: whose code is run.
        journal: settings of the journal besides its path.
    """

    def __init__(
        self,
        folder: Path,
        publisher: PublisherProcess,
        tables: Sequence[str | Mapping[str, Any]],
        sinks: Mapping[str, Mapping[str, Any]],
        tree: Path,
        journal: Mapping[str, Any] | None = None,
    ) -> None:
        config = {
            "kinetica": {"urls": [publisher.url], "monitor_port": publisher.monitor_port},
            "journal": {"path": str(folder / "journal"), **(journal or {})},
            "tables": [{"name": t} if isinstance(t, str) else dict(t) for t in tables],
            "sinks": {name: dict(settings) for name, settings in sinks.items()},
        }
        super().__init__(folder, config)
        self._tree = tree

    def start(self) -> Self:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [python_of(self._tree), "-m", "bridge", "run", "-c", str(self.config_file)],
                cwd=self._tree,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __enter__(self) -> Self:
        self.start()
        try:
            wait_until(self._is_live, "every table is live", timeout=180)
        except BaseException:
            if self._process is not None and self._process.poll() is None:
                self.kill()
            raise
        return self

    def account(self) -> str:
        """Say what it knows of records that did not arrive."""
        received = self.metric("received_events_total", type="insert")
        delivered = self.metric("sink_delivered_events_total")
        log = "".join(f"\n    {line}" for line in self.log_file.read_text().splitlines()[-5:])
        return f"it received {received:,.0f}, delivered {delivered:,.0f}; its log ends:{log}"

    def _is_live(self) -> bool:
        if self._process is not None and self._process.poll() == 2:
            raise Refused(self.log_file.read_text().strip())
        self.check_alive()
        tables = self.readyz().get("tables", {})
        return len(tables) == len(self.config["tables"]) and all(
            table["state"] in ("live", "idle") for table in tables.values()
        )


class Refused(Exception):
    """The tree's service does not know a setting; the message says which."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used since some moment.

    Attributes:
        cpu_seconds: user and system time.
        peak_bytes: most resident memory.
    """

    cpu_seconds: float
    peak_bytes: float


class UsageMeter:
    """Measures a running process from now on; Linux alone. Source: proc(5)."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self.begin()

    def begin(self) -> None:
        """Measure from now on."""
        (self._folder / "clear_refs").write_text("5")  # the peak begins anew
        self._before = self._cpu_seconds()

    def usage(self) -> Usage:
        return Usage(self._cpu_seconds() - self._before, self._memory("VmHWM"))

    def resident(self) -> float:
        """Return the bytes that are resident now."""
        return self._memory("VmRSS")

    def threads(self) -> int:
        return len(list((self._folder / "task").iterdir()))

    def _memory(self, what: str) -> float:
        lines = (self._folder / "status").read_text().splitlines()
        found = next(line for line in lines if line.startswith(f"{what}:"))
        return int(found.split()[1]) * 1024

    def _cpu_seconds(self) -> float:
        # After the name, which may hold spaces: user and system ticks are fields 14 and 15.
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
