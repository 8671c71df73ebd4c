"""Signals reach the main thread at once, and a log that is lost costs log lines alone."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.kafka import KafkaBroker
from services.kinetica import Program
from services.outside import FAST, Service, holds, ids_of, lines_of, until
from services.process import free_port

TABLE = "ki_home.orders"
SIGNALS = 60


def config(program: Program, **sinks: Any) -> dict[str, Any]:
    return {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": TABLE}],
        "sinks": sinks,
    }


def file_sink(folder: Path, name: str) -> dict[str, Any]:
    return {"type": "file", "path": str(folder / f"{name}.jsonl")}


@contextlib.contextmanager
def asked_all_the_while(service: Service) -> Iterator[None]:
    """Ask for /readyz from four threads."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            service.get_json("/readyz")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_no_sighup_is_lost_while_the_admin_port_is_asked(program: Program, tmp_path: Path) -> None:
    """60 times: the file is changed, SIGHUP sent, and /readyz shows the change."""
    program.create(TABLE)
    lost = None
    names = ["even", "odd"]
    with Service(tmp_path, config(program, odd=file_sink(tmp_path, "odd"))) as service:
        service.wait_tables(TABLE)
        with asked_all_the_while(service):
            for number in range(SIGNALS):
                name = names[number % 2]
                service.reload({"sinks": {name: file_sink(tmp_path, name)}})
                try:
                    service.wait_sinks(name, timeout=8)
                except AssertionError:
                    service.check_alive()
                    lost = number
                    break
        assert lost is None, (
            f"expected: every one of {SIGNALS} changes applied after its SIGHUP\n"
            f"seen: number {lost} was not, in 8 s"
        )
        assert service.terminate() == 0


def test_of_many_sighups_at_once_the_last_configuration_holds(
    program: Program, tmp_path: Path
) -> None:
    """Thirty changes, each with its SIGHUP, faster than they are applied: the last one holds."""
    program.create(TABLE)
    with Service(tmp_path, config(program, first=file_sink(tmp_path, "first"))) as service:
        service.wait_tables(TABLE)
        with asked_all_the_while(service):
            for round_ in range(3):
                for number in range(10):
                    name = f"s-{round_}-{number}"
                    service.reload({"sinks": {name: file_sink(tmp_path, name)}})
                service.wait_sinks(name, timeout=10)
        service.wait_tables(TABLE)
        program.insert(TABLE, range(5))
        until(
            lambda: ids_of(lines_of(tmp_path / "s-2-9.jsonl")) == list(range(5)),
            "the last configuration's sink gets the rows",
            service.said,
        )
        assert service.terminate() == 0


def test_sigterm_is_heard_while_the_admin_port_is_asked(program: Program, tmp_path: Path) -> None:
    """Eight times: the service ends with 0 within seconds of SIGTERM."""
    program.create(TABLE)
    for _ in range(8):
        with Service(tmp_path, config(program, out=file_sink(tmp_path, "out"))) as service:
            service.wait_tables(TABLE)
            with asked_all_the_while(service):
                service.process.terminate()
                code = service.ends(8)
            assert code == 0, f"expected: exit code 0\nseen: {code or 'it runs on after 8 s'}"


def test_a_closed_log_pipe_costs_log_lines_alone(program: Program, tmp_path: Path) -> None:
    """Whoever read the log goes away: rows flow, a reload is applied, SIGTERM drains."""
    program.create(TABLE)
    settings = config(program, out=file_sink(tmp_path, "out"))
    settings["log"] = {"level": "debug"}
    with Service(tmp_path, settings, stderr=subprocess.PIPE) as service:
        assert service.process.stderr is not None
        service.process.stderr.readline()
        service.process.stderr.close()
        goes_on_without_a_log(program, service, tmp_path)


def test_a_full_disk_under_the_log_costs_log_lines_alone(program: Program, tmp_path: Path) -> None:
    """Every write of the log fails with ENOSPC: rows flow, reload and SIGTERM work."""
    program.create(TABLE)
    settings = config(program, out=file_sink(tmp_path, "out"))
    settings["log"] = {"level": "debug"}
    with Path("/dev/full").open("wb") as full, Service(tmp_path, settings, stderr=full) as service:
        goes_on_without_a_log(program, service, tmp_path)


def goes_on_without_a_log(program: Program, service: Service, folder: Path) -> None:
    service.wait_tables(TABLE)
    program.insert(TABLE, range(10))
    until(
        lambda: ids_of(lines_of(folder / "out.jsonl")) == list(range(10)),
        "ten rows in the file",
        service.said,
    )
    service.reload({"sinks": {"again": file_sink(folder, "again")}})
    service.wait_sinks("again").wait_tables(TABLE)
    program.insert(TABLE, range(10, 20))
    until(
        lambda: ids_of(lines_of(folder / "again.jsonl")) == list(range(10, 20)),
        "ten more in the file of the sink that was added",
        service.said,
    )
    assert service.get_json("/livez")[0] == 200, service.said()
    service.process.terminate()
    code = service.ends(12)
    assert code == 0, f"expected: exit code 0\nseen: {code}"


def test_a_broker_that_dies_does_not_fill_the_log(
    program: Program, own_kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    """A row waits through seconds of refused connections: few log lines, and the state says so."""
    program.create(TABLE)
    kafka = {
        "type": "kafka",
        "bootstrap_servers": own_kafka_broker.bootstrap_servers,
        "topic": "orders",
        "retry": FAST,
        "options": {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 20},
    }
    with Service(tmp_path, config(program, broker=kafka)) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, [1])
        until(lambda: service.counted("delivered") == 1, "one row delivered", service.said)
        own_kafka_broker.kill()
        program.insert(TABLE, [2])
        assert holds(lambda: service.process.poll() is None, 6), service.said()
        assert service.counted("pending") == 1, service.said()
        lines = service.log_text().splitlines()
    about = [line for line in lines if "Connect" in line or "librdkafka" in line]
    assert len(about) < 40, (
        f"expected: a few lines about connections that fail\nseen: {len(about)}, as {about[-1]}"
    )


def test_a_broker_that_was_never_there_does_not_fill_the_log(
    program: Program, tmp_path: Path
) -> None:
    """A row waits for a broker that is down from the start: few log lines."""
    program.create(TABLE)
    kafka = {
        "type": "kafka",
        "bootstrap_servers": f"127.0.0.1:{free_port()}",
        "topic": "orders",
        "retry": FAST,
        "options": {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 20},
    }
    with Service(tmp_path, config(program, broker=kafka)) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, [1])
        assert holds(lambda: service.process.poll() is None, 6), service.said()
        lines = service.log_text().splitlines()
        shown = service.sink("broker")
    assert "refused" in str(shown["error"]), f"expected: why it waits\nseen: {shown}"
    about = [line for line in lines if "Connect" in line or "librdkafka" in line]
    assert len(about) < 40, (
        f"expected: a few lines about connections that fail\nseen: {len(about)}, as {about[-1]}"
    )


def test_a_start_that_has_begun_nothing_yet_ends_at_once(tmp_path: Path) -> None:
    """SIGTERM as soon as its handler stands, imports still to come: 0, and nothing is written."""
    path = tmp_path / "bridge.yaml"
    journal = tmp_path / "journal"
    path.write_text(f"kinetica: {{urls: a}}\njournal: {{path: {journal}}}\ntables: [{{name: t}}]\n")
    program = (
        "import os, signal, sys\n"
        "from bridge.cli.signals import Signals\n"
        "from bridge.cli.main import carry_out\n"
        "signals = Signals()\n"
        "signals.install()\n"
        "sys.meta_path.insert(0, type('Term', (), {'find_spec': lambda self, name, *_: "
        "os.kill(os.getpid(), signal.SIGTERM) if name == 'bridge.cli.run' else None})())\n"
        "sys.exit(carry_out(['run', '-c', sys.argv[1]], signals))\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], timeout=60, check=False, capture_output=True
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert not journal.exists()
