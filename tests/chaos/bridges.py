"""The service as a run sees it: in this process, or in one of its own that can be killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml
from services.process import BridgeProcess, wait_until
from services.rig import FAST, TABLE

from bridge.config import parse
from bridge.reading import AuditTimes, PageLimits, ReadingOptions, WholeTimes
from bridge.supervisor import Supervisor

# Few rows a page, so that a read has many; and what nobody reported is looked for at once.
_READING = ReadingOptions(
    PageLimits(rows=50),
    audits=AuditTimes(every=2.0, confirm=3.0),
    whole=WholeTimes(every=2.0, idle=2.0, renew=4.0, confirm=3.0),
)


class Bridge(Protocol):
    """A service that can be started and stopped, and asked how it is."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...

    @property
    def running(self) -> bool: ...
    def state(self) -> str: ...
    def cluster(self) -> str: ...
    def whole(self, *, closable: bool) -> bool:
        """Say whether it is well, with no gap that could be closed and nothing to deliver."""
        ...

    def check_accounts(self) -> None: ...
    def dead_lettered(self) -> int: ...
    def shown(self) -> str: ...


def configuration(
    folder: Path, urls: list[str], hook: str, table: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a configuration with a file and a webhook, both fed by the one table."""
    return {
        "kinetica": {"urls": urls, **FAST},
        "journal": {"path": str(folder / "journal")},
        "tables": [{"name": TABLE, **table}],
        "sinks": {
            "out": {"type": "file", "path": str(folder / "{table}.jsonl")},
            "hook": {"type": "webhook", "url": hook, "retry": {"max_backoff": "500ms"}},
        },
    }


class InProcess:
    """The service in this process."""

    def __init__(self, config: Mapping[str, Any], queue_bytes: int) -> None:
        self._config = config
        self._queue_bytes = queue_bytes
        self._supervisor: Supervisor | None = None

    @property
    def running(self) -> bool:
        return self._supervisor is not None

    @property
    def supervisor(self) -> Supervisor:
        assert self._supervisor is not None
        return self._supervisor

    def start(self) -> None:
        if self._supervisor is None:
            config = parse(yaml.safe_dump(dict(self._config)))
            self._supervisor = Supervisor(config, queue_bytes=self._queue_bytes, reading=_READING)
            self._supervisor.start()

    def stop(self) -> None:
        if self._supervisor is not None:
            self._supervisor.stop(8.0)
            self._supervisor = None

    def kill(self) -> None:
        raise NotImplementedError("that would be this process")

    def state(self) -> str:
        return str(self.supervisor.snapshot().tables[TABLE].state)

    def cluster(self) -> str:
        return self.supervisor.snapshot().cluster

    def whole(self, *, closable: bool) -> bool:
        snapshot = self.supervisor.snapshot()
        table = snapshot.tables[TABLE]
        return (
            table.state in ("live", "idle")
            and not table.gaps.going_on
            and not (closable and table.counts.gaps_open)
            and snapshot.queued_bytes == 0
            and all(account.pending == 0 for account in snapshot.accounts)
        )

    def check_accounts(self) -> None:
        for a in self.supervisor.snapshot().accounts:
            assert a.received == a.delivered + a.dead_lettered + a.discarded + a.pending, a
            assert a.discarded == 0, a

    def dead_lettered(self) -> int:
        accounts = self.supervisor.snapshot().accounts
        return sum(a.dead_lettered for a in accounts if a.sink == "out")

    def shown(self) -> str:
        snapshot = self.supervisor.snapshot()
        table = snapshot.tables[TABLE]
        return (
            f"{table.state} ({table.reason}) on {snapshot.cluster}, {table.gaps.open}, "
            f"{table.counts}, {snapshot.accounts}"
        )


class OwnProcess:
    """The service as its users run it."""

    def __init__(self, folder: Path, config: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self._process = BridgeProcess(folder, config, env)
        self._out = folder / f"{TABLE}.jsonl"
        self._urls = config["kinetica"]["urls"]
        self._running = False

    @property
    def running(self) -> bool:
        return self._running

    def start(self) -> None:
        if not self._running:
            self._process.start()
            self._running = True
            wait_until(self._answers, "the service answers")

    def stop(self) -> None:
        if self._running:
            self._running = False
            assert self._process.terminate() == 0, self._process.log_file.read_text()[-3000:]

    def kill(self) -> None:
        if self._running:
            self._running = False
            self._process.kill()

    def state(self) -> str:
        return str(self._process.readyz()["tables"][TABLE]["state"])

    def cluster(self) -> str:
        return str(self._urls[0])  # where it is killed there is no ring

    def whole(self, *, closable: bool) -> bool:
        process = self._process
        told = self._out.read_text() if self._out.exists() else ""
        return (
            self.state() in ("live", "idle")
            and not (closable and process.metric("gaps_open"))
            and all(gap["gap"] in told for gap in process.readyz()["gaps"])  # none goes on
            and process.metric("intake_queued_bytes") == 0
            and process.metric("sink_pending_events") == 0
        )

    def check_accounts(self) -> None:
        self._process.check_accounts()

    def dead_lettered(self) -> int:
        return int(self._process.metric("sink_dead_lettered_events_total", sink="out"))

    def shown(self) -> str:
        return f"{self._process.readyz()}\n{self._process.log_file.read_text()[-6000:]}"

    def _answers(self) -> bool:
        self._process.check_alive()
        return bool(self._process.readyz().get("tables"))
