"""One table of a sink in trouble: it waits alone, visibly, and the sink's other tables flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from services.kinetica import NARROW, Program
from services.outside import FAST, Service, ids_of, lines_of, until, whole
from services.process import free_port
from services.webhook import Answer, Request, WebhookReceiver

from kinetica_emulator import Emulator

GOOD = "ki_home.orders"
BAD = "ki_home.items"


def config(url: str, sink: dict[str, Any], *tables: str) -> dict[str, Any]:
    return {
        "kinetica": {"urls": [url]},
        "tables": [{"name": name} for name in tables or (GOOD, BAD)],
        "sinks": {"out": {"retry": FAST, **sink}},
    }


def test_a_table_whose_file_cannot_be_made_waits_alone(program: Program, tmp_path: Path) -> None:
    """A folder stands where one table's file should be: the other flows, the first is named."""
    program.create(GOOD, BAD)
    blocked = tmp_path / f"{BAD}.jsonl"
    blocked.mkdir()
    sink = {"type": "file", "path": str(tmp_path / "{table}.jsonl")}
    with Service(tmp_path, config(program.url, sink)) as service:
        service.wait_tables(GOOD, BAD)
        for n in range(30):
            program.insert(BAD, [n])
            program.insert(GOOD, [n])
        until(
            lambda: ids_of(lines_of(tmp_path / f"{GOOD}.jsonl")) == list(range(30)),
            f"all 30 rows of {GOOD} in its file",
            lambda: f"{len(lines_of(tmp_path / f'{GOOD}.jsonl'))} rows; {service.said()}",
        )
        until(
            lambda: service.counted("received", sink="out", table=BAD) == 30,
            f"30 rows of {BAD} received",
            service.said,
        )
        shown = service.sink("out")
        assert set(shown.get("waiting", {})) == {BAD}, (
            f"expected: `waiting` names {BAD} alone\nseen: {shown}"
        )
        assert "directory" in shown["waiting"][BAD].lower(), f"expected: why\nseen: {shown}"
        assert shown["state"] == "delivering", f"expected: delivering\nseen: {shown}"
        assert service.readyz()["status"] == "degraded"
        pending = {name: service.counted("pending", sink="out", table=name) for name in (GOOD, BAD)}
        assert pending == {GOOD: 0, BAD: 30}, f"expected: a cursor for each\nseen: {pending}"
        service.check_accounts()

        blocked.rmdir()
        until(
            lambda: ids_of(lines_of(blocked)) == list(range(30)),
            f"all rows of {BAD} in order once its file can be made",
            service.said,
        )
        until(lambda: service.waiting("out") == {}, "no table waits", service.said)
        assert service.terminate() == 0
    assert ids_of(whole(tmp_path / f"{GOOD}.jsonl")) == list(range(30))


@pytest.mark.parametrize("status", [400, 500])
def test_a_table_of_which_all_is_refused_poisons_nothing(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path, status: int
) -> None:
    """All rows of one table are refused, another's accepted: no verdict on another's evidence."""
    program.create(GOOD, BAD)
    webhook_receiver.answer = lambda request: Answer(status if ids_of(request.events, BAD) else 204)
    sink = {
        "type": "webhook",
        "url": webhook_receiver.url,
        "retry": {**FAST, "max_attempts": 2},
    }
    with Service(tmp_path, config(program.url, sink)) as service:
        service.wait_tables(GOOD, BAD)
        for n in range(20):
            program.insert(BAD, range(n * 5, n * 5 + 5))
            program.insert(GOOD, range(n * 5, n * 5 + 5))
        until(
            lambda: service.counted("delivered", sink="out", table=GOOD) == 100,
            f"all 100 rows of {GOOD} delivered",
            service.said,
        )
        refused = len(webhook_receiver.requests) + 20
        until(
            lambda: (
                len(webhook_receiver.requests) >= refused
                or service.counted("dead_lettered", sink="out")
            ),
            f"{BAD} is tried again",
            service.said,
        )
        aside = service.counted("dead_lettered", sink="out")
        pending = service.counted("pending", sink="out", table=BAD)
        assert (aside, pending) == (0, 100), (
            f"expected: 0 dead letters, 100 of {BAD} pending\nseen: {aside} and {pending}"
        )
        shown = service.sink("out")
        assert set(shown.get("waiting", {})) == {BAD}, (
            f"expected: `waiting` names {BAD} alone\nseen: {shown}"
        )
        assert str(status) in shown["waiting"][BAD], f"expected: the status\nseen: {shown}"

        webhook_receiver.answer = lambda _: Answer()
        until(
            lambda: service.counted("delivered", sink="out", table=BAD) == 100,
            f"all 100 rows of {BAD} delivered once they are accepted",
            service.said,
        )
        service.check_accounts()
        assert service.counted("dead_lettered", sink="out") == 0
    assert ids_of(webhook_receiver.accepted, GOOD) == list(range(100))
    assert sorted(ids_of(webhook_receiver.accepted, BAD)) == list(range(100))


def test_a_poison_row_in_a_batch_of_two_tables_costs_neither_table_another(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """A batch mixes tables: one row of one is refused, all others of both arrive in order."""
    program.create(GOOD, BAD)

    def answer(request: Request) -> Answer:
        return Answer(422 if 25 in ids_of(request.events, BAD) else 204)

    webhook_receiver.answer = answer
    sink = {
        "type": "webhook",
        "url": webhook_receiver.url,
        "batch": {"max_wait": "500ms", "max_events": 50},
    }
    with Service(tmp_path, config(program.url, sink)) as service:
        service.wait_tables(GOOD, BAD)
        for n in range(50):
            program.insert(BAD, [n])
            program.insert(GOOD, [n])
        until(
            lambda: (
                service.counted("received", sink="out") == 100
                and service.counted("pending", sink="out") == 0
            ),
            "all 100 rows settled",
            service.said,
        )
        service.check_accounts()
        aside = {
            name: service.counted("dead_lettered", sink="out", table=name) for name in (GOOD, BAD)
        }
    mixed = [r for r in webhook_receiver.requests if {e["table"] for e in r.events} == {GOOD, BAD}]
    assert mixed, "expected: at least one request with events of both tables"
    assert aside == {GOOD: 0, BAD: 1}, f"expected: one dead letter, of {BAD}\nseen: {aside}"
    assert ids_of(webhook_receiver.accepted, GOOD) == list(range(50))
    assert ids_of(webhook_receiver.accepted, BAD) == [n for n in range(50) if n != 25]


@pytest.mark.parametrize("status", [400, 500])
def test_a_poison_row_before_a_frame_that_is_no_record_blocks_nothing(
    webhook_receiver: WebhookReceiver, tmp_path: Path, status: int
) -> None:
    """A refused row, then frames that do not decode, then good rows: these arrive."""

    def answer(request: Request) -> Answer:
        return Answer(status if 0 in ids_of(request.events) else 204)

    webhook_receiver.answer = answer
    sink = {
        "type": "webhook",
        "url": webhook_receiver.url,
        "retry": {**FAST, "max_attempts": 2},
    }
    with Emulator(port=0, monitor_port=0) as cluster:
        program = Program(cluster.url)
        program.create(GOOD)
        with Service(tmp_path, config(cluster.url, sink, GOOD)) as service:
            service.wait_tables(GOOD)
            program.insert(GOOD, [0])
            for topic in program.call("/show/tablemonitors", monitor_ids=[])["monitor_ids"]:
                cluster.publish(topic, [b"\xff" * 9])
            until(
                lambda: service.metric("decode_errors_total") >= 1,
                "a decode error is counted",
                service.said,
            )
            program.insert(GOOD, range(1, 50))
            until(
                lambda: ids_of(webhook_receiver.accepted) == list(range(1, 50)),
                "the 49 good rows accepted",
                lambda: f"{len(ids_of(webhook_receiver.accepted))} of them; {service.said()}",
            )
            until(lambda: service.counted("pending", sink="out") == 0, "all settled", service.said)
            service.check_accounts()
            letters = service.dead_letters()
    poison = [letter for letter in letters if "value" in letter]
    raw = [letter for letter in letters if "raw" in letter]
    assert [letter["value"]["record"]["id"] for letter in poison] == [0], (
        f"expected: the refused row among the dead letters\nseen: {letters}"
    )
    assert raw, f"expected: dead letters with the frames' bytes in `raw`\nseen: {letters}"


def test_narrow_rows_that_wait_take_no_memory(program: Program, tmp_path: Path) -> None:
    """A million rows of three bytes wait for a broker and a receiver that are down: 300 MiB."""
    program.create(GOOD, columns=NARROW)
    nobody = f"127.0.0.1:{free_port()}"
    sinks = {
        "broker": {"type": "kafka", "bootstrap_servers": nobody, "topic": "{table}"},
        "hook": {"type": "webhook", "url": f"http://{nobody}/hook", "retry": FAST},
    }
    rows, at_once = 1_000_000, 50_000
    with Service(tmp_path, {**config(program.url, {}, GOOD), "sinks": sinks}) as service:
        service.wait_tables(GOOD)
        for _ in range(rows // at_once):
            program.insert_random(GOOD, at_once)
        until(
            lambda: all(service.counted("received", sink=sink) == rows for sink in sinks),
            f"{rows} rows received",
            service.said,
        )
        until(
            lambda: all(service.sink(sink)["state"] == "retrying" for sink in sinks),
            "both sinks retrying",
            service.said,
        )
        tries = service.metric("sink_retries_total", sink="hook")
        until(
            lambda: service.metric("sink_retries_total", sink="hook") >= tries + 3,
            "the receiver is tried again",
            service.said,
        )
        pending = {sink: service.counted("pending", sink=sink) for sink in sinks}
        assert pending == dict.fromkeys(sinks, rows), f"expected: all wait\nseen: {pending}"
        mebibytes = peak_memory(service.pid)
    assert mebibytes < 300, f"expected: less than 300 MiB of RSS\nseen: {mebibytes} MiB"


def peak_memory(pid: int) -> int:
    """Return the most memory a process had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024
