"""Destinations that refuse, hang, fill up or fail: what was good arrives, what waits is shown."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from services import moody_sink
from services.disk_fault import CompilerMissing, DiskFault
from services.kinetica import Program
from services.outside import FAST, Service, ids_of, lines_of, until, whole
from services.trickle import TricklingReceiver
from services.webhook import Answer, Request, WebhookReceiver

TABLE = "ki_home.orders"
OTHER = "ki_home.items"
LETTER = {
    *("number", "sink", "table", "offset", "id", "time", "set_aside"),
    *("reason", "attempts", "answer", "value"),
}


@pytest.fixture(autouse=True)
def tables(program: Program) -> None:
    """Two tables of one layout."""
    program.create(TABLE, OTHER)


def config(program: Program, sink: dict[str, Any], *tables: str) -> dict[str, Any]:
    return {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": name} for name in tables or (TABLE,)],
        "sinks": {"out": {"retry": FAST, **sink}},
    }


def hook(receiver: WebhookReceiver, **settings: Any) -> dict[str, Any]:
    return {"type": "webhook", "url": receiver.url, **settings}


def rows_in(request: Request, table: str = TABLE) -> list[int]:
    return ids_of(request.events, table)


def test_a_receiver_that_is_ill_for_a_while_costs_no_event(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """500 to all, for a number of requests that differs, then well: no good event is set aside."""
    chance = random.Random(7)
    settings = hook(
        webhook_receiver,
        batch={"max_events": 4},
        retry={"initial_backoff": "5ms", "max_backoff": "20ms", "max_attempts": 2},
    )
    ill = threading.Event()
    left = 0

    def answer(_: Request) -> Answer:
        nonlocal left
        left -= 1
        if left < 0:
            ill.clear()
        return Answer(500 if ill.is_set() else 204)

    webhook_receiver.answer = answer
    with Service(tmp_path, config(program, settings)) as service:
        service.wait_tables(TABLE)
        for number in range(12):
            left = chance.randint(2, 60)
            ill.set()
            program.insert(TABLE, range(number * 16, number * 16 + 16))
            until(
                lambda: not ill.is_set() and service.counted("pending", sink="out") == 0,
                f"round {number}: all 16 events settled once the receiver is well",
                service.said,
            )
        set_aside = service.counted("dead_lettered", sink="out")

    assert set_aside == 0, (
        "expected: no dead letters, since the receiver refused everything while it was ill\n"
        f"seen: {set_aside} of 192 good events"
    )
    accepted = ids_of(webhook_receiver.accepted)
    assert sorted(accepted) == list(range(192)), (
        f"expected: each of 192 rows accepted once\nseen: {len(accepted)}"
    )


def test_a_receiver_that_refuses_everything_poisons_nothing(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """400 to all: nothing is set aside, state and answer are shown, and once well all arrive."""
    webhook_receiver.answer = lambda _: Answer(400, body=b"nothing suits me")
    with Service(tmp_path, config(program, hook(webhook_receiver))) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(200))
        webhook_receiver.wait_for(lambda seen: len(seen.requests) >= 60)
        aside = service.counted("dead_lettered", sink="out")
        shown = service.sink("out")
        pending = service.counted("pending", sink="out")

        assert (aside, pending) == (0, 200), (
            "expected: 0 dead letters and 200 pending while a receiver refuses everything\n"
            f"seen: {aside} and {pending}"
        )
        assert shown["state"] == "retrying", f"expected: state retrying\nseen: {shown}"
        assert "400" in str(shown["error"]), f"expected: the status in `error`\nseen: {shown}"
        assert "400" in shown["waiting"].get(TABLE, ""), (
            f"expected: `waiting` names {TABLE} with the answer's status\nseen: {shown}"
        )

        webhook_receiver.answer = lambda _: Answer()
        until(
            lambda: service.counted("delivered", sink="out") == 200,
            "all 200 rows delivered once the receiver is well",
            service.said,
        )
        assert service.counted("dead_lettered", sink="out") == 0
    assert sorted(ids_of(webhook_receiver.accepted)) == list(range(200))


@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_one_poison_row_among_good_ones_is_set_aside_alone(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path, status: int
) -> None:
    """The one row that is refused goes to the dead letters; all others arrive in order."""

    def answer(request: Request) -> Answer:
        return Answer(status, body=b"not 137") if 137 in rows_in(request) else Answer()

    webhook_receiver.answer = answer
    settings = hook(webhook_receiver, retry={**FAST, "max_attempts": 2})
    with Service(tmp_path, config(program, settings)) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(300))
        until(
            lambda: (
                service.counted("received", sink="out") == 300
                and service.counted("pending", sink="out") == 0
            ),
            "all 300 rows settled",
            service.said,
        )
        service.check_accounts()
        letters = service.dead_letters()
        state = service.sink("out")["state"]

    assert [letter.get("value", {}).get("record", {}).get("id") for letter in letters] == [137], (
        f"expected: one dead letter, its `value` the event of row 137\nseen: {letters}"
    )
    letter = letters[0]
    assert set(letter) == LETTER, f"expected: {LETTER}\nseen: {list(letter)}"
    assert (letter["sink"], letter["table"]) == ("out", TABLE)
    assert letter["attempts"] >= 2, f"expected: refused twice at least\nseen: {letter}"
    assert str(status) in f"{letter['answer']} {letter['reason']}", (
        f"expected: the status {status} in answer or reason\nseen: {letter}"
    )
    assert state == "delivering"
    accepted = ids_of(webhook_receiver.accepted)
    assert accepted == [n for n in range(300) if n != 137], (
        f"expected: all others once and in order\nseen: {len(accepted)} rows, {accepted[130:145]}"
    )


def test_a_trickled_answer_is_a_failed_try_once_the_timeout_is_over(
    program: Program, tmp_path: Path
) -> None:
    """`timeout: 1s` is for a whole request: the next try comes while the first answer trickles."""
    with TricklingReceiver() as receiver:
        sink = {"type": "webhook", "url": receiver.url, "timeout": "1s"}
        with Service(tmp_path, config(program, sink)) as service:
            service.wait_tables(TABLE)
            program.insert(TABLE, [1])
            until(
                lambda: receiver.tries >= 2 or receiver.finished.is_set(),
                "a second try",
                service.said,
            )
            tries, finished = receiver.tries, receiver.finished.is_set()
            receiver.release()
            assert not finished, (
                "expected: with `timeout: 1s` a second try before the first answer, which takes "
                f"eight seconds, is through\nseen: {tries} tries by then"
            )
            until(
                lambda: service.counted("delivered", sink="out") == 1,
                "the row delivered once answers are quick",
                service.said,
            )


def test_a_full_disk_under_a_file_is_waited_for(
    program: Program, tmp_path: Path, small_disk: Path
) -> None:
    """ENOSPC: the sink says so and tries again; with space again all is there and none is torn."""
    sink = {"type": "file", "path": str(small_disk / "{table}.jsonl")}
    with Service(tmp_path, config(program, sink)) as service:
        service.wait_tables(TABLE)
        for start in range(0, 2000, 100):
            program.insert(TABLE, range(start, start + 100), note="x" * 8000)
        until(
            lambda: "space" in str(service.sink("out").get("error")).lower(),
            "`No space left` in the sink's error",
            service.said,
        )
        state = service.sink("out")["state"]
        assert state == "retrying", f"expected: state retrying on a full disk\nseen: {state}"
        subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
        until(
            lambda: service.counted("delivered", sink="out") == 2000,
            "all 2,000 rows delivered once there is space",
            service.said,
        )
        service.check_accounts()
        assert service.terminate() == 0
    filed = ids_of(whole(small_disk / f"{TABLE}.jsonl"))
    assert list(dict.fromkeys(filed)) == list(range(2000)), (
        f"expected: every row, in order\nseen: {len(filed)} rows"
    )


def test_a_write_that_fails_is_tried_again(program: Program, tmp_path: Path) -> None:
    """EIO on the output file: shown, the sink goes on afterwards, and no row is lost."""
    fault = disk_fault(tmp_path)
    sink = {"type": "file", "path": str(tmp_path / "out" / "{table}.jsonl")}
    with Service(tmp_path, config(program, sink), env=fault.env) as service:
        service.wait_tables(TABLE)
        fault.begin("eio-write", "/out/")
        program.insert(TABLE, range(50))
        until(lambda: fault.met("eio-write") >= 3, "three tries to write", service.said)
        until(
            lambda: service.sink("out")["state"] == "retrying",
            "state retrying while writes fail",
            service.said,
        )
        fault.end("eio-write")
        until(
            lambda: service.counted("delivered", sink="out") == 50,
            "50 rows delivered once writes succeed",
            service.said,
        )
        assert service.terminate() == 0
    filed = ids_of(whole(tmp_path / "out" / f"{TABLE}.jsonl"))
    assert list(dict.fromkeys(filed)) == list(range(50)), f"expected: 50 in order\nseen: {filed}"


def test_without_a_free_descriptor_a_sink_waits_and_goes_on(
    program: Program, tmp_path: Path
) -> None:
    """EMFILE where a second file is opened: its rows arrive once descriptors are free."""
    sink = {"type": "file", "path": str(tmp_path / "{table}.jsonl")}
    with Service(tmp_path, config(program, sink, TABLE, OTHER)) as service:
        service.wait_tables(TABLE, OTHER)
        program.insert(TABLE, range(10))
        until(lambda: len(lines_of(tmp_path / f"{TABLE}.jsonl")) == 10, "10 rows", service.said)
        before = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
        taken = {int(name) for name in os.listdir(f"/proc/{service.pid}/fd")}  # noqa: PTH208
        lowest_free = next(n for n in range(len(taken) + 1) if n not in taken)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
        try:
            program.insert(OTHER, range(10))
            until(
                lambda: "Too many open files" in service.log_text(),
                "a log line that says `Too many open files`",
                service.said,
            )
        finally:
            resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)
        until(
            lambda: ids_of(lines_of(tmp_path / f"{OTHER}.jsonl")) == list(range(10)),
            f"the ten rows of {OTHER} in its file",
            service.said,
        )
        program.insert(TABLE, range(10, 20))
        until(
            lambda: ids_of(lines_of(tmp_path / f"{TABLE}.jsonl")) == list(range(20)),
            f"the sink goes on with {TABLE}",
            service.said,
        )


@pytest.mark.parametrize("mood", ["cancel", "raise"])
def test_a_plug_in_that_raises_anything_is_shown_and_tried_again(
    program: Program, tmp_path: Path, mood: str
) -> None:
    """`asyncio.CancelledError` or a bug in `deliver`: state `failed`; afterwards all arrive."""
    sink = {"type": "moody", "folder": str(tmp_path)}
    env = moody_sink.install(tmp_path)
    with Service(tmp_path, config(program, sink), env=env) as service:
        service.wait_tables(TABLE)
        (tmp_path / mood).touch()
        program.insert(TABLE, range(20))
        until(
            lambda: service.sink("out")["state"] == "failed",
            "state `failed` of a sink whose code raises",
            service.said,
        )
        error = service.sink("out")["error"]
        assert "moody" in error, f"expected: the exception's text in `error`\nseen: {error!r}"
        assert service.get_json("/livez")[0] == 200, service.said()
        (tmp_path / mood).unlink()
        until(
            lambda: ids_of(lines_of(tmp_path / "moody.jsonl")) == list(range(20)),
            "all 20 rows once the plug-in is well",
            service.said,
        )
        until(
            lambda: service.sink("out")["state"] == "delivering", "state delivering", service.said
        )
        assert service.counted("dead_lettered", sink="out") == 0


@pytest.mark.parametrize(
    "foreign", [b"a line of somebody else without an end", b'{"level":"info","text":"not fin']
)
def test_a_foreign_last_line_is_never_cut(program: Program, tmp_path: Path, foreign: bytes) -> None:
    """What was in the file before stays in it, with or without a line end; ours follow it."""
    path = tmp_path / f"{TABLE}.jsonl"
    path.write_bytes(b"# a heading\n" + foreign)
    sink = {"type": "file", "path": str(tmp_path / "{table}.jsonl")}
    with Service(tmp_path, config(program, sink)) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(3))
        until(
            lambda: (
                service.counted("delivered", sink="out") == 3
                or service.sink("out")["state"] == "retrying"
            ),
            "three rows delivered, or a sink that says why not",
            service.said,
        )
        shown = service.sink("out")
        assert service.terminate() == 0
    content = path.read_bytes()
    assert content.startswith(b"# a heading\n" + foreign), (
        f"expected: the file begins with what was in it\nseen: {content[:200]!r}, sink {shown}"
    )
    ours = content.removeprefix(b"# a heading\n" + foreign)
    found = [json.loads(line)["record"]["id"] for line in ours.split(b"\n") if line]
    assert ours[:1] == b"\n" and found == [0, 1, 2], (  # noqa: PT018 (one fact)
        f"expected: our three rows on lines of their own\nseen: {content!r}"
    )


def test_stdout_lines_are_never_torn(program: Program, tmp_path: Path) -> None:
    """A reader of stdout that is slow to begin gets whole lines, each once, in order."""
    with Service(
        tmp_path,
        config(program, {"type": "stdout"}, TABLE, OTHER),
        stdout=subprocess.PIPE,
    ) as service:
        service.wait_tables(TABLE, OTHER)
        for start in range(0, 3000, 500):
            program.insert(TABLE, range(start, start + 500), note="y" * 200)
            program.insert(OTHER, range(start, start + 500), note="z" * 200)
        until(
            lambda: service.counted("received", sink="out") == 6000,
            "6,000 rows in the journal while nobody reads stdout",
            service.said,
        )
        stdout = service.process.stdout
        assert stdout is not None
        read: list[bytes] = [stdout.readline() for _ in range(6000)]
        assert service.terminate() == 0
        read += stdout.readlines()
        stdout.close()
    (tmp_path / "stdout.jsonl").write_bytes(b"".join(read))
    events = whole(tmp_path / "stdout.jsonl")
    for table in (TABLE, OTHER):
        assert ids_of(events, table) == list(range(3000)), f"{table}: not each once, in order"


def disk_fault(folder: Path) -> DiskFault:
    try:
        return DiskFault(folder)
    except CompilerMissing as error:
        pytest.skip(str(error))
