"""A service killed before each single change it makes to a file: nothing stored is lost.

Every call that writes, syncs, cuts, creates, renames or removes a file of the journal or of the
output is a boundary. Round by round, on one journal, the service is killed at the next one of its
start, of its work, of its stop; `CHAOS_SECONDS` visits all of them, else a part.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos.plans import SEED
from services.disk_fault import CompilerMissing, DiskFault
from services.kinetica import KEYED, Program
from services.outside import Service, ids_of, until, whole
from services.process import EmulatorProcess
from services.webhook import WebhookReceiver

TABLES = ("ki_home.first", "ki_home.second")
SECONDS = float(os.environ.get("CHAOS_SECONDS", "0"))
ROUNDS = 12  # where no time is given
# Boundaries between two rounds then; primes, so that other seeds visit others.
STRIDES = {"start": 17, "work": 13, "stop": 3}
ROWS = 40  # inserted a round, at most


class Load:
    """Inserts rows into both tables, a few at a time, for as long as a round lasts."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.inserted = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[threading.Event]:
        """Insert up to `ROWS` of each; the event is set once these are in."""
        over, done = threading.Event(), threading.Event()

        def run() -> None:
            for _ in range(ROWS // 4):
                if over.wait(0.01):
                    return
                ids = range(self.inserted, self.inserted + 4)
                for table in TABLES:
                    self._program.insert(table, ids, note="n" * 300)
                self.inserted += 4
            done.set()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield done
        finally:
            over.set()
            thread.join()


def settings(program: Program, folder: Path, hook: str) -> dict[str, Any]:
    return {
        "kinetica": {"urls": [program.url], "probe_interval": "300ms"},
        "journal": {"path": str(folder / "killed" / "store"), "max_size": "1MiB"},
        "tables": [{"name": name} for name in TABLES],
        "sinks": {
            "out": {"type": "file", "path": str(folder / "killed" / "{table}.jsonl")},
            "hook": {"type": "webhook", "url": hook, "batch": {"max_events": 5}},
        },
        "shutdown": {"grace": "8s"},
    }


def one_round(service: Service, fault: DiskFault, load: Load, phase: str, boundary: int) -> bool:
    """Start, load and stop the service, which is killed in one phase; whether it got through."""

    def arm(present: str) -> None:
        if present == phase:
            fault.kill_at(boundary, "/killed/")

    def gone() -> bool:
        return service.process.poll() is not None

    def live() -> bool:
        tables = service.readyz().get("tables", {})
        return bool(tables) and all(table["state"] == "live" for table in tables.values())

    arm("start")
    service.start()
    until(lambda: gone() or live(), "live or killed", service.said, 60)
    if not gone() and phase == "start":
        fault.end("kill-at")
    arm("work")
    with load.running() as done:
        until(lambda: gone() or done.is_set(), "killed or all inserted", service.said, 60)
    until(lambda: gone() or idle(service), "killed or idle", service.said, 60)
    if not gone() and phase == "work":
        fault.end("kill-at")
    arm("stop")
    if not gone():
        service.process.terminate()
    code = service.ends(60)
    if code != 0 or phase == "stop":
        fault.end("kill-at")
    assert code in (0, -9), f"expected: killed, or exit code 0\nseen: {service.said()}"
    return code == 0


def idle(service: Service) -> bool:
    try:
        return service.counted("pending") == 0
    except OSError:  # killed
        return False


def test_a_kill_at_any_boundary_loses_nothing(tmp_path: Path) -> None:
    """Each row arrives at both sinks, an id means one event, no line is torn, no offset is lost."""
    try:
        fault = DiskFault(tmp_path)
    except CompilerMissing as error:
        pytest.skip(str(error))
    (tmp_path / "killed").mkdir()
    deadline = time.monotonic() + SECONDS
    with EmulatorProcess() as cluster, WebhookReceiver() as receiver:
        program = Program(cluster.url)
        program.create(*TABLES, columns=KEYED)
        load = Load(program)
        config = settings(program, tmp_path, receiver.url)
        service = Service(tmp_path / "service", config, env=fault.env)
        boundaries = {phase: 1 + SEED % stride for phase, stride in STRIDES.items()}
        rounds = killed = 0
        with contextlib.ExitStack() as stack:
            stack.push(service)  # started by each round
            for phase in itertools.cycle(STRIDES):
                if rounds >= ROUNDS and time.monotonic() > deadline:
                    break
                through = one_round(service, fault, load, phase, boundaries[phase])
                rounds += 1
                killed += not through
                # Past the last one: again from the first.
                step = 1 if SECONDS else STRIDES[phase]
                boundaries[phase] = 1 if through else boundaries[phase] + step
            print(f"killed in {killed} of {rounds} rounds, {load.inserted} rows a table")
            assert killed, "expected: killed at least once"
            service.start()
            check(service, load, receiver, tmp_path / "killed")


def check(service: Service, load: Load, receiver: WebhookReceiver, folder: Path) -> None:
    wanted = set(range(load.inserted))

    def seen(table: str) -> tuple[set[int], set[int]]:
        path = folder / f"{table}.jsonl"
        filed = ids_of(whole(path)) if path.exists() else []
        return set(filed), set(ids_of(receiver.accepted, table))

    service.wait_tables(*TABLES)
    until(
        lambda: service.metric("gaps_open") == 0 and service.counted("pending") == 0,
        "every gap is closed and nothing is pending",
        service.said,
        60,
    )
    service.check_accounts()
    assert service.terminate() == 0, service.said()
    by_id: dict[str, Any] = {}
    for table in TABLES:
        for place, ids in zip(("file", "webhook"), seen(table), strict=True):
            assert ids == wanted, (
                f"expected: {len(wanted)} rows of {table} in the {place}\n"
                f"missing: {sorted(wanted - ids)[:20]}, foreign: {sorted(ids - wanted)[:20]}"
            )
        for event in whole(folder / f"{table}.jsonl"):
            assert by_id.setdefault(event["id"], event) == event, f"one id, two events: {event}"
    for event in receiver.accepted:
        assert by_id.setdefault(event["id"], event) == event, f"one id, two events: {event}"
    offsets = sorted(event["offset"] for event in by_id.values())
    assert offsets == list(range(len(offsets))), "expected: a sequence without a hole"
