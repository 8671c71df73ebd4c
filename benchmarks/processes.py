"""The processes of the end-to-end benchmarks: the publisher, the bridge, the vendor's client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.harness import ROOT
from benchmarks.vendor_client import HUNG
from tests.services.process import BridgeProcess

_TICKS = os.sysconf("SC_CLK_TCK")
_TRIES = 5


class PublisherProcess:
    """`benchmarks/publisher.py`, and how to tell it what to do."""

    def __enter__(self) -> Self:
        self._process = _python("benchmarks.publisher", stdin=subprocess.PIPE)
        place = self._read()
        self.url: str = place["url"]
        self.monitor_port: int = place["monitor_port"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _end(self._process)

    def tell(self, do: str, **what: object) -> dict[str, Any]:
        """Have it do something and return its answer once it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the publisher ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class MeasuredBridge(BridgeProcess):
    """The service with one table and one sink, its settings as shipped."""

    def __init__(
        self, folder: Path, publisher: PublisherProcess, table: str, sink: Mapping[str, Any]
    ) -> None:
        kinetica = {"urls": [publisher.url], "monitor_port": publisher.monitor_port}
        sinks = {"measured": dict(sink)}
        super().__init__(
            folder, {"kinetica": kinetica, "tables": [{"name": table}], "sinks": sinks}
        )

    def account(self) -> str:
        """Say what it knows of records that did not arrive."""
        received = self.metric("received_events_total", type="insert")
        delivered = self.metric("sink_delivered_events_total")
        log = "".join(f"\n    {line}" for line in self.log_file.read_text().splitlines()[-5:])
        return f"it received {received:,.0f}, delivered {delivered:,.0f}; its log ends:{log}"

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            return self.wait_live()
        except Exception as error:
            self.kill()
            raise RuntimeError(
                f"the bridge did not come up: {self.log_file.read_text()[-4000:]}"
            ) from error
        except BaseException:
            self.kill()
            raise


class VendorProcess:
    """`benchmarks/vendor_client.py`, listening when it is entered."""

    def __init__(self, publisher: PublisherProcess, table: str, *destination: str) -> None:
        self._arguments = [publisher.url, str(publisher.monitor_port), table, *destination]

    @property
    def pid(self) -> int:
        return self._process.pid

    def account(self) -> str:
        """Say what it knows of records that did not arrive: nothing, it cannot tell."""
        return "it does not know"

    def __enter__(self) -> Self:
        for _ in range(_TRIES):
            self._process = _python(
                "benchmarks.vendor_client", *self._arguments, stdin=subprocess.PIPE
            )
            assert self._process.stdout is not None
            if self._process.stdout.readline() == "listening\n":
                return self
            _end(self._process)
            if self._process.returncode != HUNG:
                break
        raise RuntimeError(f"the vendor's client ended with {self._process.returncode}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _end(self._process)


Measured = MeasuredBridge | VendorProcess


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used since some moment; NaN where the system does not tell.

    Attributes:
        cpu_seconds: user and system time.
        peak_bytes: most resident memory.
    """

    cpu_seconds: float
    peak_bytes: float


class UsageMeter:
    """Measures a running process from now on. Source: proc(5)."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._known = self._folder.is_dir()
        if self._known:
            (self._folder / "clear_refs").write_text("5")  # the peak begins anew
            self._before = self._cpu_seconds()

    def usage(self) -> Usage:
        if not self._known:
            return Usage(float("nan"), float("nan"))
        status = (self._folder / "status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return Usage(self._cpu_seconds() - self._before, int(peak.split()[1]) * 1024)

    def _cpu_seconds(self) -> float:
        # After the name, which may hold spaces: user and system ticks are fields 14 and 15.
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def _python(module: str, *arguments: str, stdin: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    """End a process that ends with its stdin."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
