"""A journal that is small, full, or on a bad disk: nothing that was stored is lost."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from services.disk_fault import CompilerMissing, DiskFault, take_all_space
from services.kinetica import KEYED, Program
from services.outside import FAST, Service, ids_of, lines_of, until, whole
from services.process import free_port
from services.webhook import Answer, WebhookReceiver

BUSY = "ki_home.busy"
QUIET = "ki_home.quiet"
SMALL = 2**20  # the least a journal may be
NOTE = "x" * 1000


@pytest.fixture
def disk_fault(tmp_path: Path) -> DiskFault:
    """Faults of the service's disk on demand."""
    try:
        return DiskFault(tmp_path)
    except CompilerMissing as error:
        pytest.skip(str(error))


def config(program: Program, folder: Path, hook_url: str, **journal: Any) -> dict[str, Any]:
    """Return one in which the busy table goes to a file alone and the quiet one to a webhook."""
    return {
        "kinetica": {"urls": [program.url]},
        "journal": {"path": str(folder / "store"), **journal},
        "tables": [
            {"name": BUSY, "sinks": ["out"]},
            {"name": QUIET, "sinks": ["hook"]},
        ],
        "sinks": {
            "out": {"type": "file", "path": str(folder / "{table}.jsonl")},
            "hook": {"type": "webhook", "url": hook_url, "retry": FAST},
        },
    }


def one_file(program: Program, folder: Path, **journal: Any) -> dict[str, Any]:
    """Return one in which the busy table goes to a file."""
    return {
        "kinetica": {"urls": [program.url]},
        "journal": {"path": str(folder / "store"), **journal},
        "tables": [{"name": BUSY}],
        "sinks": {"out": {"type": "file", "path": str(folder / "{table}.jsonl")}},
    }


def fill(program: Program, service: Service, path: Path, rows: int) -> None:
    """Insert rows of 1 KB into the busy table, and see each hundred arrive in its file."""
    for start in range(0, rows, 100):
        program.insert(BUSY, range(start, start + 100), note=NOTE)
        arrived = partial(has_rows, path, start + 100)
        until(arrived, f"{start + 100} rows of a busy table in its file", service.said)


def has_rows(path: Path, count: int) -> bool:
    return len(ids_of(lines_of(path))) >= count


def test_a_sink_that_cannot_connect_and_has_nothing_pins_nothing(
    program: Program, tmp_path: Path
) -> None:
    """Five times `max_size` goes through for the busy table while a broker is down."""
    program.create(BUSY, QUIET)
    settings = config(program, tmp_path, "http://unused.invalid/", max_size="1MiB")
    settings["sinks"]["hook"] = {
        "type": "kafka",
        "bootstrap_servers": f"127.0.0.1:{free_port()}",
        "topic": "{table}",
        "retry": FAST,
    }
    with Service(tmp_path, settings) as service:
        service.wait_tables(BUSY, QUIET)
        fill(program, service, tmp_path / f"{BUSY}.jsonl", 5000)
        gaps = service.metric("gaps_total")
        assert gaps == 0, f"expected: no gap, capture never stopped\nseen: {service.said()}"
        service.check_accounts()
        assert service.terminate() == 0
    assert ids_of(whole(tmp_path / f"{BUSY}.jsonl")) == list(range(5000))


def test_ten_rows_that_wait_are_carried_forward_while_a_busy_table_goes_on(
    program: Program, tmp_path: Path
) -> None:
    """Ten rows wait for a receiver that is down: 5 MiB pass a journal of 1 MiB; then they come."""
    program.create(BUSY, QUIET)
    port = free_port()
    settings = config(program, tmp_path, f"http://127.0.0.1:{port}/hook", max_size="1MiB")
    with Service(tmp_path, settings) as service:
        service.wait_tables(BUSY, QUIET)
        for n in range(10):
            program.insert(QUIET, [n])
        until(lambda: service.counted("pending", sink="hook") == 10, "ten rows wait", service.said)
        fill(program, service, tmp_path / f"{BUSY}.jsonl", 5000)
        assert service.counted("pending", sink="hook") == 10, service.said()
        assert service.metric("gaps_total") == 0, (
            f"expected: no gap, capture never stopped\nseen: {service.said()}"
        )
        until(
            lambda: disk_used(tmp_path / "store") < 3 * SMALL,
            "about 1 MiB on disk, not what went through",
            lambda: f"{disk_used(tmp_path / 'store')} bytes",
        )
        service.kill()
        service.start().wait_tables(QUIET)
        with WebhookReceiver(port=port) as receiver:
            until(
                lambda: len(ids_of(receiver.accepted, QUIET)) >= 10,
                "the ten rows once the receiver is there, over a kill",
                service.said,
            )
            events = [event for event in receiver.accepted if event["type"] == "insert"]
        service.check_accounts()
    assert ids_of(events) == list(range(10))
    offsets = [event["offset"] for event in events]
    assert offsets == list(range(offsets[0], offsets[0] + 10)), (
        f"expected: offsets kept, ten in a row\nseen: {offsets}"
    )
    assert [event["id"].rpartition("-")[2] for event in events] == [str(n) for n in offsets]


def test_while_a_full_journal_stops_capture_the_gap_is_open(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """Everything waits for one receiver: capture stops, /readyz says so; all come afterwards."""
    program.create(QUIET, columns=KEYED)
    well = threading.Event()
    webhook_receiver.answer = lambda _: Answer(204 if well.is_set() else 503)
    settings = config(program, tmp_path, webhook_receiver.url, max_size="1MiB")
    settings["kinetica"]["probe_interval"] = "300ms"
    settings["tables"] = [{"name": QUIET, "sinks": ["hook"]}]
    with Service(tmp_path, settings) as service:
        service.wait_tables(QUIET)
        for start in range(0, 3000, 100):
            program.insert(QUIET, range(start, start + 100), note=NOTE)
        until(
            lambda: "journal_full" in service.gap_reasons(),
            "a gap with the reason journal_full in /readyz while capture stands still",
            service.said,
        )
        ready = service.readyz()
        assert ready["status"] == "degraded", f"expected: degraded\nseen: {ready}"
        (gap,) = ready["gaps"]
        assert gap["table"] == QUIET, f"expected: the table that stopped\nseen: {gap}"
        assert set(gap) >= {"gap", "table", "since", "reason", "why_open"}, f"seen: {gap}"
        assert service.metric("gaps_open", table=QUIET) == 1, service.said()
        assert "is full" in service.log_text(), service.said()

        well.set()
        until(
            lambda: set(ids_of(webhook_receiver.accepted)) == set(range(3000)),
            "all 3,000 rows, live or read, once the receiver is well",
            lambda: f"{len(set(ids_of(webhook_receiver.accepted)))} rows; {service.said()}",
        )
        until(
            lambda: service.readyz().get("gaps") == [] and service.metric("gaps_open") == 0,
            "the gap is closed",
            service.said,
        )
        service.check_accounts()


def test_reads_that_fail_for_a_while_lose_nothing(
    program: Program, webhook_receiver: WebhookReceiver, disk_fault: DiskFault, tmp_path: Path
) -> None:
    """EIO on reading a backlog: nothing is discarded, no damage is said, and all arrive."""
    program.create(QUIET)
    well = threading.Event()
    webhook_receiver.answer = lambda _: Answer(204 if well.is_set() else 503)
    settings = config(program, tmp_path, webhook_receiver.url, max_size="64MiB")
    settings["tables"] = [{"name": QUIET, "sinks": ["hook"]}]
    with Service(tmp_path, settings, env=disk_fault.env) as service:
        service.wait_tables(QUIET)
        for start in range(0, 20_000, 1000):
            program.insert(QUIET, range(start, start + 1000), note=NOTE)
        until(
            lambda: service.counted("received", sink="hook") == 20_000,
            "20,000 rows received",
            service.said,
        )
        disk_fault.begin("eio-read", "/store/")
        well.set()
        until(lambda: disk_fault.met("eio-read") >= 5, "five reads that failed", service.said)
        disk_fault.end("eio-read")
        until(
            lambda: service.counted("pending", sink="hook") == 0,
            "nothing pending once the disk can be read",
            service.said,
        )
        discarded = service.counted("discarded", sink="hook")
        delivered = service.counted("delivered", sink="hook", table=QUIET)
        assert (discarded, delivered) == (0, 20_000), (
            "expected: 0 discarded, 20,000 delivered: an I/O error is not damage\n"
            f"seen: {discarded} and {delivered}; {service.said()}"
        )
        assert service.metric("gaps_total", reason="journal_damaged") == 0, service.said()
        service.check_accounts()
    accepted = ids_of(webhook_receiver.accepted)
    assert list(dict.fromkeys(accepted)) == list(range(20_000))


def test_a_journal_that_cannot_be_written_for_a_moment_stops_no_sink(
    program: Program, disk_fault: DiskFault, tmp_path: Path
) -> None:
    """EIO in the journal's folder while rows flow: what was inserted arrives, and all after.

    Sinks that keep pace read nothing from the disk; those behind have a test of their own above.
    """
    fault = "eio-write"
    program.create(BUSY)
    path = tmp_path / f"{BUSY}.jsonl"
    with Service(tmp_path, one_file(program, tmp_path), env=disk_fault.env) as service:
        service.wait_tables(BUSY)
        fill(program, service, path, 100)
        disk_fault.begin(fault, "/store/")
        program.insert(BUSY, range(100, 200), note=NOTE)
        program.insert(BUSY, range(200, 5000))
        until(lambda: disk_fault.met(fault) >= 3, f"{fault} was met", service.said)
        disk_fault.end(fault)
        program.insert(BUSY, range(5000, 5100))
        until(
            lambda: set(ids_of(lines_of(path))) == set(range(5100)),
            "all 5,100 rows in the file",
            lambda: f"{len(set(ids_of(lines_of(path))))} rows; {service.said()}",
        )
        assert service.get_json("/livez")[0] == 200, service.said()
        assert service.terminate() == 0
    filed = ids_of(whole(path))
    assert list(dict.fromkeys(filed)) == list(range(5100)), "not in order"


def test_a_journal_without_descriptors_stops_no_sink(program: Program, tmp_path: Path) -> None:
    """No descriptor is free where a segment has to be opened: all rows arrive afterwards."""
    program.create(BUSY)
    path = tmp_path / f"{BUSY}.jsonl"
    with Service(tmp_path, one_file(program, tmp_path, max_size="8MiB")) as service:
        service.wait_tables(BUSY)
        fill(program, service, path, 100)
        before = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
        taken = {int(name) for name in os.listdir(f"/proc/{service.pid}/fd")}  # noqa: PTH208
        lowest_free = next(n for n in range(len(taken) + 1) if n not in taken)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
        try:
            for start in range(100, 3100, 100):
                program.insert(BUSY, range(start, start + 100), note=NOTE)
            until(
                lambda: (
                    "Too many open files" in (log := service.log_text())
                    or "unable to open database" in log
                ),
                "the log says that a file cannot be opened",
                lambda: service.log_text()[-2000:],
            )
        finally:
            resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)
        program.insert(BUSY, range(3100, 3200))
        until(
            lambda: set(ids_of(lines_of(path))) == set(range(3200)),
            "all 3,200 rows in the file once descriptors are free",
            lambda: f"{len(set(ids_of(lines_of(path))))} rows; {service.said()}",
        )
        assert service.terminate() == 0
    assert list(dict.fromkeys(ids_of(whole(path)))) == list(range(3200)), "not in order"


def test_a_full_disk_under_the_journal_stops_no_sink(
    program: Program, small_disk: Path, tmp_path: Path
) -> None:
    """Somebody fills the journal's disk; once there is space again all rows arrive."""
    program.create(BUSY)
    path = tmp_path / f"{BUSY}.jsonl"
    settings = one_file(program, tmp_path)
    settings["journal"] = {"path": str(small_disk / "store"), "max_size": "4MiB"}
    with Service(tmp_path, settings) as service:
        service.wait_tables(BUSY)
        fill(program, service, path, 100)
        ballast = small_disk / "ballast"
        take_all_space(ballast)
        for start in range(100, 1100, 100):
            program.insert(BUSY, range(start, start + 100), note=NOTE)
        until(
            lambda: "full" in service.log_text() or "space" in service.log_text(),
            "the log says that the disk is full",
            service.said,
        )
        service.check_alive()
        ballast.unlink()
        program.insert(BUSY, range(1100, 1200), note=NOTE)
        until(
            lambda: set(ids_of(lines_of(path))) >= set(range(1100, 1200)),
            "the rows inserted once there is space",
            lambda: f"{len(set(ids_of(lines_of(path))))} rows; {service.said()}",
        )
        missing = sorted(set(range(1200)) - set(ids_of(lines_of(path))))
        gaps = service.metric("gaps_total")
        assert not missing or gaps, (
            f"expected: all rows, or a gap that says otherwise\nmissing: {missing[:10]}, no gap"
        )
        assert service.terminate() == 0
    filed = list(dict.fromkeys(ids_of(whole(path))))
    assert filed == sorted(filed), "not in order"


def test_a_start_on_a_disk_that_cannot_be_read_waits(
    program: Program, disk_fault: DiskFault, tmp_path: Path
) -> None:
    """EIO at start: tried again, visibly; then cursors and head stand where they stood."""
    program.create(BUSY)
    path = tmp_path / f"{BUSY}.jsonl"
    with Service(tmp_path, one_file(program, tmp_path), env=disk_fault.env) as service:
        service.wait_tables(BUSY)
        fill(program, service, path, 200)
        assert service.terminate() == 0
        before = whole(path)
        tried = disk_fault.met("eio-read")

        disk_fault.begin("eio-read", "/store/")
        service.start()
        until(
            lambda: disk_fault.met("eio-read") >= tried + 3 or service.process.poll() is not None,
            "three reads that failed",
            service.said,
        )
        assert service.process.poll() is None, (
            f"expected: a start that tries again while reads fail\nseen: {service.said()}"
        )
        disk_fault.end("eio-read")
        service.wait_tables(BUSY)
        program.insert(BUSY, range(200, 210))
        until(
            lambda: ids_of(lines_of(path))[-10:] == list(range(200, 210)),
            "ten more rows once the disk can be read",
            service.said,
        )
        assert service.counted("discarded", sink="out") == 0, service.said()
        assert service.metric("gaps_total", reason="journal_damaged") == 0, service.said()
        assert service.terminate() == 0
    events = whole(path)
    assert events[: len(before)] == before
    offsets = [event["offset"] for event in events]
    assert offsets == list(range(len(offsets))), (
        "expected: one sequence, nothing again and no jump of the head\n"
        f"seen: ...{offsets[len(before) - 2 :][:15]}"
    )


def disk_used(folder: Path) -> int:
    """Return the bytes in a journal's folder, apart from write-ahead logs and the kept room."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # pruned meanwhile
            if file.is_file() and not file.name.endswith(("-wal", "-shm", "ballast")):
                total += file.stat().st_size
    return total
