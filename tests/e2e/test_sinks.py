"""`sinks` as an operator has it: listed, paused and resumed, and helped over an event."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from services.kinetica import Program
from services.outside import FAST, Service, ids_of, lines_of, run_command, until
from services.webhook import Answer, WebhookReceiver

ORDERS, ITEMS = "ki_home.orders", "ki_home.items"


def command(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    return run_command("sinks", *words, "-c", str(service.config_file))


def listed(service: Service) -> dict[tuple[str, str], dict[str, Any]]:
    ran = command(service, "ls", "--json")
    assert ran.returncode == 0, ran.stderr
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    return {(row["sink"], row["table"]): row for row in rows}


def two_sinks(program: Program, folder: Path) -> dict[str, Any]:
    return {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": ORDERS}, {"name": ITEMS}],
        "sinks": {
            name: {"type": "file", "path": str(folder / f"{name}-{{table}}.jsonl")}
            for name in ("one", "two")
        },
    }


def test_a_paused_sink_rests_over_a_restart_and_its_events_wait(
    program: Program, tmp_path: Path
) -> None:
    """The other sink flows; once resumed all comes, in order."""
    program.create(ORDERS, ITEMS)
    rested, other = tmp_path / f"one-{ORDERS}.jsonl", tmp_path / f"two-{ORDERS}.jsonl"
    with Service(tmp_path, two_sinks(program, tmp_path)) as service:
        service.wait_tables(ORDERS, ITEMS)
        assert command(service, "pause", "one").stdout == "one: paused\n"
        assert command(service, "pause", "one").stdout == "one: was paused already\n"
        program.insert(ORDERS, list(range(5)))
        until(lambda: len(lines_of(other)) == 5, "the other sink flows", service.said)
        assert service.readyz()["status"] == "degraded"
        assert service.sink("one")["state"] == "paused"
        assert service.sink("two")["state"] == "delivering"
        service.check_accounts()
        assert service.terminate() == 0

        offline = command(service, "ls")
        assert (offline.returncode, "paused" in offline.stdout) == (0, True)
        assert "left in the journal" in offline.stderr
        service.start().wait_tables(ORDERS, ITEMS)
        row = listed(service)["one", ORDERS]
        assert (row["state"], row["pending"] >= 5) == ("paused", True)
        assert row["paused_since"] is not None
        assert lines_of(rested) == []

        assert command(service, "resume", "one").stdout == "one: resumed\n"
        until(lambda: len(ids_of(lines_of(rested))) == 5, "all of it came", service.said)
        until(lambda: service.sink("one")["state"] == "delivering", "it delivers", service.said)
        assert service.terminate() == 0
        assert command(service, "pause", "two").stdout == "two: paused\n"
        assert command(service, "resume", "two", "--json").stdout == (
            '{"sink":"two","table":null,"changed":true}\n'
        )
    assert ids_of(lines_of(rested)) == list(range(5))


def test_a_paused_table_rests_alone(program: Program, tmp_path: Path) -> None:
    program.create(ORDERS, ITEMS)
    with Service(tmp_path, two_sinks(program, tmp_path)) as service:
        service.wait_tables(ORDERS, ITEMS)
        assert command(service, "pause", "one", "--table", ORDERS).returncode == 0
        for table in (ORDERS, ITEMS):
            program.insert(table, [1, 2])
        flowing = tmp_path / f"one-{ITEMS}.jsonl"
        until(lambda: len(lines_of(flowing)) == 2, "the other table flows", service.said)
        until(
            lambda: listed(service)["one", ORDERS]["pending"] == 2,
            "two rows wait",
            service.said,
        )
        assert service.sink("one")["state"] == "delivering"
        assert service.waiting("one") == {ORDERS: "paused by hand"}
        assert service.readyz()["status"] == "degraded"

        assert command(service, "resume", "one", "--table", ORDERS).returncode == 0
        resting = tmp_path / f"one-{ORDERS}.jsonl"
        until(lambda: len(lines_of(resting)) == 2, "its rows came", service.said)
        until(lambda: service.waiting("one") == {}, "nothing waits", service.said)


def test_a_skip_sets_the_first_event_aside_and_says_which(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """Of a table of which all is refused, so that nothing is proven to be poison."""
    program.create(ORDERS)
    webhook_receiver.answer = lambda _: Answer(422)
    config = {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": ORDERS}],
        "sinks": {"hook": {"type": "webhook", "url": webhook_receiver.url, "retry": FAST}},
    }
    with Service(tmp_path, config) as service:
        service.wait_tables(ORDERS)
        nothing = command(service, "skip", "hook", "--table", ORDERS)
        assert (nothing.returncode, nothing.stdout) == (1, "")
        assert "nothing waits" in nothing.stderr
        program.insert(ORDERS, [7])
        until(lambda: service.waiting("hook"), "the table waits", service.said)
        program.insert(ORDERS, [8])

        ran = command(service, "skip", "hook", "--table", ORDERS, "--json")

        assert ran.returncode == 0, ran.stderr
        skipped = json.loads(ran.stdout)["skipped"]
        assert skipped["value"]["record"]["id"] == 7
        assert "by hand" in skipped["reason"]
        webhook_receiver.answer = lambda _: Answer()
        until(lambda: len(webhook_receiver.accepted) == 1, "the next one came", service.said)
        assert [event["record"]["id"] for event in webhook_receiver.accepted] == [8]
        assert service.metric("dead_letters", sink="hook") == 1
        service.check_accounts()


def test_what_is_not_known_exits_with_2(program: Program, tmp_path: Path) -> None:
    program.create(ORDERS, ITEMS)
    with Service(tmp_path, two_sinks(program, tmp_path)) as service:
        service.wait_tables(ORDERS)
        for words, said in (
            (["pause", "oen"], 'did you mean "one"?'),
            (["pause", "one", "--table", "oders"], 'did you mean "ki_home.orders"?'),
            (["skip", "one"], "--table"),
        ):
            ran = command(service, *words)
            assert (ran.returncode, ran.stdout) == (2, "")
            assert said in ran.stderr


def test_a_new_sink_begins_with_history_once(program: Program, tmp_path: Path) -> None:
    """`from: oldest` has all, an age what is younger, `now` nothing; a restart begins none anew."""
    program.create(ORDERS)
    config: dict[str, Any] = {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": ORDERS}],
        "sinks": {"first": {"type": "file", "path": str(tmp_path / "first.jsonl")}},
    }
    with Service(tmp_path, config) as service:
        service.wait_tables(ORDERS)
        program.insert(ORDERS, list(range(6)))
        until(lambda: len(lines_of(tmp_path / "first.jsonl")) == 6, "it has all", service.said)
        for name, begin in (("old", "oldest"), ("young", "1h"), ("late", "now"), ("none", "1ms")):
            path = str(tmp_path / f"{name}.jsonl")
            config["sinks"][name] = {"type": "file", "path": path, "from": begin}
        service.reload(config)
        service.wait_sinks("first", "old", "young", "late", "none")
        program.insert(ORDERS, [6])
        for name in ("first", "old", "young", "late", "none"):
            wanted = [6] if name in ("late", "none") else list(range(7))
            until(
                lambda name=name, wanted=wanted: (
                    ids_of(lines_of(tmp_path / f"{name}.jsonl")) == wanted
                ),
                f"{name} has {wanted}",
                service.said,
            )
        service.check_accounts()
        received = service.counted("received", sink="old", table=ORDERS)
        assert received == 7
        assert service.terminate() == 0
        service.start().wait_tables(ORDERS)
        program.insert(ORDERS, [7])
        until(lambda: ids_of(lines_of(tmp_path / "old.jsonl"))[-1:] == [7], "goes on", service.said)
        assert ids_of(lines_of(tmp_path / "old.jsonl")) == list(range(8))

        shown = run_command("journal", "show", "3", "--json", "-c", str(service.config_file))
        event = json.loads(shown.stdout)
        assert event["event"]["record"]["id"] == 3
        assert (event["offset"], event["type"], event["table"]) == (3, "insert", ORDERS)
        assert set(event["sinks"].values()) == {"settled"}
        assert event["layout"][0]["name"] == "id"
        beyond = run_command("journal", "show", "4711", "-c", str(service.config_file))
        assert (beyond.returncode, beyond.stdout) == (1, "")


def test_a_sink_gets_the_types_that_it_asks_for(program: Program, tmp_path: Path) -> None:
    """Gaps to whoever is on call; with a wider filter after a reload, what comes from then on."""
    program.create(ORDERS)
    call, all_ = tmp_path / "call.jsonl", tmp_path / "all.jsonl"
    config: dict[str, Any] = {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": ORDERS, "catch_up": "off"}],
        "sinks": {
            "call": {"type": "file", "path": str(call), "events": ["gap", "drop", "alter"]},
            "all": {"type": "file", "path": str(all_)},
        },
    }
    with Service(tmp_path, config) as service:
        service.wait_tables(ORDERS)
        program.insert(ORDERS, list(range(50)))
        until(lambda: len(lines_of(all_)) == 50, "one has all", service.said)
        assert service.terminate() == 0
        service.start().wait_tables(ORDERS)
        until(lambda: lines_of(call), "the gap of the restart came", service.said)
        program.insert(ORDERS, [50])
        until(lambda: len(ids_of(lines_of(all_))) == 51, "and a row more", service.said)
        assert {event["type"] for event in lines_of(call)} == {"gap"}
        service.check_accounts()
        received = service.counted("received", sink="call", table=ORDERS)
        assert received == len(lines_of(call))

        config["sinks"]["call"]["events"] = ["gap", "insert"]
        service.reload(config)
        until(lambda: "reloaded" in service.log_text(), "it was reloaded", service.said)
        program.insert(ORDERS, [51])
        until(lambda: ids_of(lines_of(call)) == [51], "rows come, too", service.said)
        service.check_accounts()
        assert service.counted("received", sink="call", table=ORDERS) == received + 1


def test_a_type_that_there_is_not_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "bridge.yaml"
    config.write_text(
        "kinetica: {urls: [http://k:9191]}\n"
        "tables: [{name: ki_home.orders}]\n"
        "sinks: {a: {type: stdout, events: [gap, dorp], from: yesterday}}\n"
    )

    ran = run_command("check", "--offline", "-c", str(config))

    assert ran.returncode == 2
    assert "sinks.a.events[1]" in ran.stderr
    assert "sinks.a.from" in ran.stderr
    assert "'yesterday' is not now, oldest, a time like" in ran.stderr
