"""SIGHUP while destinations hang, fail or come new: the whole configuration applies, or none."""

from __future__ import annotations

import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import Any

from services import moody_sink
from services.disk_fault import take_all_space
from services.kinetica import Program
from services.outside import FAST, Service, holds, ids_of, lines_of, until, whole
from services.webhook import Answer, Request, WebhookReceiver

TABLE = "ki_home.orders"


def test_two_reloads_while_a_webhook_hangs_leave_one_delivery_at_a_time(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """While a request hangs nobody else posts for that sink; released, all arrive in order."""
    program.create(TABLE)
    released = threading.Event()
    at_once = Concurrency()

    def answer(request: Request) -> Answer:
        with at_once:
            released.wait(30)
            return Answer()

    webhook_receiver.answer = answer

    def hook(max_events: int) -> dict[str, Any]:
        return {
            "type": "webhook",
            "url": webhook_receiver.url,
            "timeout": "30s",
            "batch": {"max_events": max_events},
        }

    def files(*names: str) -> dict[str, Any]:
        return {name: {"type": "file", "path": str(tmp_path / f"{name}.jsonl")} for name in names}

    config = {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": TABLE}],
        "sinks": {"hook": hook(5)},
    }
    with Service(tmp_path, config) as service:
        try:
            service.wait_tables(TABLE)
            program.insert(TABLE, range(20))
            until(lambda: at_once.now == 1, "a request in the receiver's hands", service.said)
            service.reload({"sinks": {"hook": hook(4), **files("first")}})
            service.wait_sinks("hook", "first").wait_tables(TABLE)
            program.insert(TABLE, range(20, 40))
            service.reload({"sinks": {"hook": hook(3), **files("first", "second")}})
            service.wait_sinks("hook", "first", "second").wait_tables(TABLE)
            program.insert(TABLE, range(40, 60))
            # The new sinks flow: a hung one does not hold the reload up.
            until(
                lambda: ids_of(lines_of(tmp_path / "second.jsonl")) == list(range(40, 60)),
                "the rows after the second reload in the new sink's file",
                service.said,
            )
            assert holds(lambda: at_once.now == 1, 3), (
                f"expected: one delivery of the sink at a time\nseen: {at_once.now} at once"
            )
        finally:
            released.set()
        until(
            lambda: (
                service.counted("pending", sink="hook") == 0
                and service.counted("delivered", sink="hook") == 60
            ),
            "all 60 rows delivered once the receiver answers",
            service.said,
        )
        assert service.terminate() == 0
    assert at_once.most == 1, f"expected: never two requests at once\nseen: {at_once.most}"
    accepted = ids_of(webhook_receiver.accepted)
    assert accepted == list(range(60)), f"expected: each once, in order\nseen: {accepted}"
    sizes = [len(request.events) for request in webhook_receiver.requests]
    assert max(sizes[1:]) <= 3, f"expected: the last configuration (3 a request)\nseen: {sizes}"


def test_two_reloads_while_nobody_reads_stdout_tear_no_line(
    program: Program, tmp_path: Path
) -> None:
    """A full pipe, two reloads that change the sink, then a reader: whole lines, in order."""
    program.create(TABLE)

    def sinks(max_events: int, *names: str) -> dict[str, Any]:
        files = {name: {"type": "file", "path": str(tmp_path / f"{name}.jsonl")} for name in names}
        return {"out": {"type": "stdout", "batch": {"max_events": max_events}}, **files}

    config = {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": TABLE}],
        "sinks": sinks(1000),
    }
    with Service(tmp_path, config, stdout=subprocess.PIPE) as service:
        service.wait_tables(TABLE)
        for start in range(0, 3000, 500):
            program.insert(TABLE, range(start, start + 500), note="y" * 100)
        until(
            lambda: service.counted("received", sink="out") == 3000,
            "3,000 rows received",
            service.said,
        )
        service.reload({"sinks": sinks(700, "first")})
        service.wait_sinks("out", "first")
        service.reload({"sinks": sinks(300, "first", "second")})
        service.wait_sinks("out", "first", "second")
        assert holds(lambda: service.process.poll() is None, 3), service.said()
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.extend(service.process.stdout or ()))
        reader.start()
        try:
            until(lambda: service.counted("pending", sink="out") == 0, "all settled", service.said)
            assert service.terminate() == 0
        finally:
            if service.process.poll() is None:
                service.kill()
            reader.join()
    (tmp_path / "stdout.jsonl").write_bytes(b"".join(read))
    found = ids_of(whole(tmp_path / "stdout.jsonl"))
    assert found == list(range(3000)), (
        f"expected: 3,000 rows, each once, in order\nseen: {len(found)}, "
        f"{len(set(found))} different, in order {found == sorted(found)}"
    )


def test_a_plug_in_that_cannot_be_built_leaves_the_old_configuration(
    program: Program, tmp_path: Path
) -> None:
    """Its constructor raises at a reload: the old goes on, said; the next good one is applied."""
    program.create(TABLE)
    env = moody_sink.install(tmp_path)
    out = {"type": "file", "path": str(tmp_path / "out.jsonl")}
    moody = {"type": "moody", "folder": str(tmp_path)}
    config = {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": TABLE}],
        "sinks": {"out": out},
    }
    with Service(tmp_path, config, env=env) as service:
        service.wait_tables(TABLE)
        (tmp_path / "raise_in_constructor").touch()
        service.reload({"sinks": {"moody": moody}})
        until(
            lambda: "not built today" in service.log_text(),
            "the constructor's error in the log",
            service.said,
        )
        program.insert(TABLE, range(10))
        until(
            lambda: ids_of(lines_of(tmp_path / "out.jsonl")) == list(range(10)),
            "the old sink goes on after a refused reload",
            service.said,
        )
        assert set(service.readyz()["sinks"]) == {"out"}, service.said()

        (tmp_path / "raise_in_constructor").unlink()
        service.reload({"sinks": {"out": out, "moody": moody}})
        service.wait_sinks("out", "moody").wait_tables(TABLE)
        program.insert(TABLE, range(10, 20))
        until(
            lambda: (
                ids_of(lines_of(tmp_path / "moody.jsonl")) == list(range(10, 20))
                and ids_of(lines_of(tmp_path / "out.jsonl")) == list(range(20))
            ),
            "both sinks of the good reload deliver",
            service.said,
        )
        assert service.terminate() == 0


def test_a_reload_while_the_journal_is_full_harms_nothing(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """A sink hangs and the journal is full: a reload is applied or refused, the next applied."""
    program.create(TABLE)
    well = threading.Event()
    webhook_receiver.answer = lambda _: Answer(204 if well.is_set() else 503)
    hook = {"type": "webhook", "url": webhook_receiver.url, "retry": FAST}
    config = {
        "kinetica": {"urls": [program.url]},
        "journal": {"path": str(tmp_path / "journal"), "max_size": "1MiB"},
        "tables": [{"name": TABLE}],
        "sinks": {"hook": hook},
    }
    first = {"first": {"type": "file", "path": str(tmp_path / "first.jsonl")}}
    second = {"second": {"type": "file", "path": str(tmp_path / "second.jsonl")}}
    with Service(tmp_path, config) as service:
        service.wait_tables(TABLE)
        for start in range(0, 4000, 200):
            program.insert(TABLE, range(start, start + 200), note="x" * 1000)
        until(
            lambda: "is full" in service.log_text() or "journal_full" in service.gap_reasons(),
            "the journal is full",
            service.said,
        )
        service.reload({"sinks": {"hook": hook, **first}})
        until(
            lambda: (
                "first" in service.readyz()["sinks"]
                or "reload_" in service.log_text()
                or service.process.poll() is not None
            ),
            "the reload is applied or refused, and said",
            service.said,
        )
        service.check_alive()
        service.reload({"sinks": {"hook": hook, **first, **second}})
        well.set()
        until(
            lambda: service.counted("pending", sink="hook") == 0,
            "what waits is delivered once the receiver is well",
            service.said,
        )
        if set(service.readyz()["sinks"]) != {"hook", "first", "second"}:
            service.reload({})
        service.wait_sinks("hook", "first", "second").wait_tables(TABLE)
        program.insert(TABLE, range(5000, 5010))
        until(
            lambda: ids_of(lines_of(tmp_path / "second.jsonl"))[-10:] == list(range(5000, 5010)),
            "new rows reach the sink that was added",
            service.said,
        )
        assert service.terminate() == 0


def test_a_reload_while_the_journals_disk_is_full_is_refused_whole(
    program: Program, small_disk: Path, tmp_path: Path
) -> None:
    """No byte is free where a new sink has to be registered: said, and the next one is applied."""
    program.create(TABLE, "ki_home.more")
    out = {"type": "file", "path": str(tmp_path / "{table}.jsonl")}
    late = {"type": "file", "path": str(tmp_path / "late" / "{table}.jsonl")}
    config = {
        "kinetica": {"urls": [program.url]},
        "journal": {"path": str(small_disk / "store"), "max_size": "4MiB"},
        "tables": [{"name": TABLE}],
        "sinks": {"out": out},
    }
    more = {
        "tables": [{"name": TABLE}, {"name": "ki_home.more"}],
        "sinks": {"out": out, "late": late},
    }
    with Service(tmp_path, config) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(10))
        until(lambda: service.counted("delivered") == 10, "ten rows delivered", service.said)
        ballast = small_disk / "ballast"
        take_all_space(ballast)
        service.reload(more)
        until(
            lambda: (
                "reload" in service.log_text()
                or "late" in service.readyz().get("sinks", {})
                or service.process.poll() is not None
            ),
            "the reload is applied or refused, and said",
            service.said,
        )
        assert holds(lambda: service.process.poll() is None, 2), service.said()
        ballast.unlink()
        service.reload({})
        service.wait_sinks("out", "late").wait_tables(TABLE, "ki_home.more")
        program.insert("ki_home.more", range(10))
        for folder in (tmp_path, tmp_path / "late"):
            until(
                partial(holds_ids, folder / "ki_home.more.jsonl", range(10)),
                f"the rows of the table that was added, in {folder}",
                service.said,
            )
        assert service.terminate() == 0


def test_a_table_added_to_a_running_sink_is_there_once_it_is_live(
    program: Program, tmp_path: Path
) -> None:
    """20 times: a table is added by SIGHUP, a row inserted the moment /readyz says `live`."""
    names = [f"ki_home.added_{number}" for number in range(20)]
    program.create(TABLE, *names)
    config = {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": TABLE}],
        "sinks": {"out": {"type": "file", "path": str(tmp_path / "{table}.jsonl")}},
    }
    with Service(tmp_path, config) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, [0])
        for number, name in enumerate(names, 1):
            tables = [{"name": each} for each in (TABLE, *names[:number])]
            service.reload({"tables": tables})
            service.wait_tables(name)
            program.insert(name, range(5))
            program.insert(TABLE, [number])
        until(
            lambda: service.counted("delivered", sink="out") >= 20 * 5 + 21,
            "all rows delivered",
            lambda: {name: len(lines_of(tmp_path / f"{name}.jsonl")) for name in names},
            timeout=5,
        )
        assert service.terminate() == 0
    missing = {
        name: sorted(set(range(5)) - set(ids_of(lines_of(tmp_path / f"{name}.jsonl"))))
        for name in names
        if ids_of(lines_of(tmp_path / f"{name}.jsonl")) != list(range(5))
    }
    assert missing == {}, (
        f"expected: every row inserted after `live` arrives once\nmissing: {missing}"
    )
    assert ids_of(whole(tmp_path / f"{TABLE}.jsonl")) == list(range(21))


def holds_ids(path: Path, ids: range) -> bool:
    return ids_of(lines_of(path)) == list(ids)


class Concurrency:
    """Counts who is inside at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1
