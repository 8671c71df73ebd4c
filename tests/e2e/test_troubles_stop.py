"""SIGTERM while things hang: the process ends with 0 within its grace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services.disk_fault import CompilerMissing, DiskFault
from services.kinetica import Program
from services.outside import FAST, Service, ids_of, lines_of, until
from services.process import free_port
from services.webhook import Answer, WebhookReceiver

TABLE = "ki_home.orders"
GRACE = 2.0
SLACK = 2.0  # for a machine that is busy
QUICK = 3.0  # what the contract gives a service in which nothing waits


def config(url: str, folder: Path, **sinks: Any) -> dict[str, Any]:
    return {
        "kinetica": {"urls": [url]},
        "journal": {"path": str(folder / "store")},
        "tables": [{"name": TABLE}],
        "sinks": sinks,
        "shutdown": {"grace": f"{GRACE:g}s"},
    }


def file_sink(folder: Path) -> dict[str, Any]:
    return {"type": "file", "path": str(folder / "out.jsonl")}


def assert_ends(service: Service, within: float, code: int = 0) -> None:
    """Assert that the process ends by itself, and how."""
    began = time.monotonic()
    seen = service.ends(within + SLACK + 20)
    took = time.monotonic() - began
    assert seen == code, f"expected: exit code {code}\nseen: {seen} after {took:.1f} s"
    assert took < within + SLACK, (
        f"expected: the end within {within:g} s\nseen: {took:.1f} s; {service.log_text()[-1500:]}"
    )


@pytest.fixture
def hung_receiver() -> Iterator[WebhookReceiver]:
    """A receiver that takes requests and answers once the test is over."""
    over = threading.Event()
    with WebhookReceiver() as receiver:

        def answer(_: object) -> Answer:
            over.wait(60)
            return Answer()

        receiver.answer = answer
        yield receiver
        over.set()


@pytest.mark.parametrize("waiting", ["in the request", "and more behind it"])
def test_a_hung_webhook_does_not_outlast_the_grace(
    program: Program, hung_receiver: WebhookReceiver, tmp_path: Path, waiting: str
) -> None:
    """SIGTERM while a request hangs: exit code 0 within the grace, the rest is kept."""
    program.create(TABLE)
    rows = 5 if waiting == "in the request" else 50
    hook = {
        "type": "webhook",
        "url": hung_receiver.url,
        "timeout": "30s",
        "batch": {"max_events": 5},
    }
    settings = config(program.url, tmp_path, hook=hook, out=file_sink(tmp_path))
    with Service(tmp_path, settings) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(rows))
        until(
            lambda: (
                service.counted("delivered", sink="out") == rows
                and service.counted("pending", sink="hook") == rows
            ),
            f"{rows} rows in the file, all of them waiting for the webhook",
            service.said,
        )
        service.signal(signal.SIGTERM)
        assert_ends(service, GRACE)
    assert ids_of(lines_of(tmp_path / "out.jsonl")) == list(range(rows))


@pytest.mark.parametrize("destinations", ["well", "a broker that is down"])
def test_where_nothing_waits_it_ends_at_once(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path, destinations: str
) -> None:
    """SIGTERM with every event delivered: exit code 0 within three seconds."""
    program.create(TABLE, "ki_home.other")
    sinks = {
        "out": file_sink(tmp_path),
        "hook": {"type": "webhook", "url": webhook_receiver.url},
    }
    settings = config(program.url, tmp_path, **sinks)
    settings["tables"] = [{"name": TABLE, "sinks": ["out", "hook"]}]
    if destinations != "well":
        broker = f"127.0.0.1:{free_port()}"
        settings["sinks"]["idle"] = {
            "type": "kafka",
            "bootstrap_servers": broker,
            "topic": "t",
            "retry": FAST,
        }
        settings["tables"].append({"name": "ki_home.other", "sinks": ["idle"]})
    settings["shutdown"] = {"grace": "8s"}
    with Service(tmp_path, settings) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(100))
        until(
            lambda: (
                service.counted("delivered", sink="hook") == 100 and service.counted("pending") == 0
            ),
            "all delivered",
            service.said,
        )
        service.signal(signal.SIGTERM)
        assert_ends(service, QUICK)


def test_what_a_destination_that_is_down_left_is_said_at_the_end(
    program: Program, tmp_path: Path
) -> None:
    """The last line of the log counts the events that wait, and calls that not drained."""
    program.create(TABLE)
    hook = {"type": "webhook", "url": f"http://127.0.0.1:{free_port()}/", "retry": FAST}
    with Service(tmp_path, config(program.url, tmp_path, hook=hook)) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(5))
        until(lambda: service.counted("pending") == 5, "five rows wait", service.said)
        service.signal(signal.SIGTERM)
        assert_ends(service, GRACE)
        last = json.loads(service.log_text().splitlines()[-1])
    assert (last["event"], last["drained"], last["pending"]) == ("stopped", False, 5)


def test_a_commit_that_stalls_does_not_outlast_the_grace(program: Program, tmp_path: Path) -> None:
    """SIGTERM while the journal's fsync hangs: exit code 0 within the grace."""
    program.create(TABLE)
    fault = disk_fault(tmp_path)
    settings = config(program.url, tmp_path, out=file_sink(tmp_path))
    with Service(tmp_path, settings, env=fault.env) as service:
        service.wait_tables(TABLE)
        fault.begin("stall-sync", "/store/")
        program.insert(TABLE, range(10))
        until(lambda: fault.met("stall-sync") >= 1, "an fsync that hangs", service.said)
        service.signal(signal.SIGTERM)
        assert_ends(service, GRACE)


def test_an_output_disk_that_stalls_does_not_outlast_the_grace(
    program: Program, tmp_path: Path
) -> None:
    """SIGTERM while the fsync of an output file hangs: exit code 0 within the grace."""
    program.create(TABLE)
    fault = disk_fault(tmp_path)
    settings = config(program.url, tmp_path, out=file_sink(tmp_path))
    with Service(tmp_path, settings, env=fault.env) as service:
        service.wait_tables(TABLE)
        fault.begin("stall-sync", "out.jsonl")
        program.insert(TABLE, range(10))
        until(lambda: fault.met("stall-sync") >= 1, "an fsync that hangs", service.said)
        service.signal(signal.SIGTERM)
        assert_ends(service, GRACE)


def test_a_start_that_waits_for_a_hung_cluster_can_be_ended(tmp_path: Path) -> None:
    """The cluster accepts connections and says nothing: SIGTERM ends the start with 0."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = config(url, tmp_path, out=file_sink(tmp_path))
        settings["shutdown"] = {"grace": "8s"}
        with Service(tmp_path, settings) as service:
            service.wait_answers()
            service.signal(signal.SIGTERM)
            assert_ends(service, QUICK)


def test_a_start_on_a_failing_disk_can_be_ended(program: Program, tmp_path: Path) -> None:
    """The journal cannot be read at start: it tries again, and SIGTERM ends it with 0."""
    program.create(TABLE)
    fault = disk_fault(tmp_path)
    settings = config(program.url, tmp_path, out=file_sink(tmp_path))
    with Service(tmp_path, settings, env=fault.env) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(10))
        until(lambda: len(lines_of(tmp_path / "out.jsonl")) == 10, "ten rows", service.said)
        service.signal(signal.SIGTERM)
        assert_ends(service, GRACE)
        met = fault.met("eio-read")
        fault.begin("eio-read", "/store/")
        service.start()
        until(
            lambda: fault.met("eio-read") >= met + 3 or service.process.poll() is not None,
            "three reads that failed",
            service.said,
        )
        assert service.process.poll() is None, (
            f"expected: a start that tries again\nseen: {service.said()}"
        )
        service.signal(signal.SIGTERM)
        assert_ends(service, QUICK)


@pytest.mark.parametrize(("number", "code"), [(15, 143), (2, 130)])
def test_a_second_signal_ends_it_at_once(
    program: Program, hung_receiver: WebhookReceiver, tmp_path: Path, number: int, code: int
) -> None:
    """Draining takes its grace; whoever does not want to wait signals again."""
    program.create(TABLE)
    hook = {"type": "webhook", "url": hung_receiver.url, "timeout": "30s"}
    settings = config(program.url, tmp_path, hook=hook)
    settings["shutdown"] = {"grace": "20s"}
    with Service(tmp_path, settings) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(5))
        until(lambda: service.counted("pending") == 5, "five rows wait", service.said)
        service.signal(signal.Signals(number))
        until(lambda: service.get_json("/readyz")[0] == 503, "503 while draining", service.said, 5)
        status, shown = service.get_json("/api/status")
        assert (status, shown["bridge"]["status"]) == (200, "draining")
        assert service.counted("pending") == 5  # what waits is shown until the end
        service.signal(signal.Signals(number))
        assert_ends(service, 0.5, code)


def test_as_pid_1_it_hears_sigterm(program: Program, tmp_path: Path) -> None:
    """As in a container: the kernel gives PID 1 only the signals it asked for."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can make a process PID 1")
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespace of one's own can be had here")
    program.create(TABLE)
    settings = config(program.url, tmp_path, out=file_sink(tmp_path))
    with Service(tmp_path, settings, prefix=[*alone, "--kill-child"]) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(10))
        until(lambda: service.counted("delivered") == 10, "ten rows delivered", service.said)
        outer = service.pid
        (inner,) = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        os.kill(int(inner), signal.SIGTERM)
        assert_ends(service, QUICK)


def disk_fault(folder: Path) -> DiskFault:
    try:
        return DiskFault(folder)
    except CompilerMissing as error:
        pytest.skip(str(error))
