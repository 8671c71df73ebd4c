"""`journal replay` and `deadletters replay`, by the real command, with and without the service."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import Request as Asked
from urllib.request import urlopen

import pytest
import yaml
from services.delivery import block
from services.process import COMMAND, BridgeProcess, run_command, wait_until
from services.rig import Database
from services.webhook import Answer, Request, WebhookReceiver

from bridge.journal import Journal, Move, Settled
from bridge.supervisor.token import read_token
from kinetica_emulator import Emulator

TABLE = "ki_home.orders"
FAST = {"initial_backoff": "20ms", "max_backoff": "100ms", "max_attempts": 3}


@pytest.fixture
def database(database: Database) -> Database:
    """With a table on the cluster."""
    database.create(TABLE, {"id": ["long", "primary_key"]})
    return database


def make_bridge(cluster: Emulator, folder: Path, url: str) -> BridgeProcess:
    hook = {"type": "webhook", "url": url, "retry": FAST, "batch": {"max_events": 20}}
    return BridgeProcess(
        folder,
        {
            "kinetica": {"urls": [cluster.url], "probe_interval": "200ms"},
            "tables": [{"name": TABLE}],
            "sinks": {
                "hook": hook,
                "audit": {"type": "file", "path": str(folder / "{table}.jsonl")},
            },
        },
    )


def insert(database: Database, *ids: int) -> None:
    database.insert({"id": n} for n in ids)


def command(bridge: BridgeProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, "-c", str(bridge.config_file))


def last(found: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the last JSON object that a command printed."""
    return dict(json.loads(found.stdout.splitlines()[-1]))


def rows(events: list[dict[str, Any]]) -> list[int]:
    return [event["record"]["id"] for event in events if "record" in event]


def wait_delivered(bridge: BridgeProcess, sink: str, count: int) -> None:
    wait_until(
        lambda: bridge.metric("sink_delivered_events_total", sink=sink) >= count,
        f"{count} events are delivered to {sink}",
    )


def reload(bridge: BridgeProcess, sinks: dict[str, Any]) -> None:
    """Let a service go over to other sinks."""
    bridge.config_file.write_text(yaml.safe_dump({**bridge.config, "sinks": sinks}))
    bridge.signal(signal.SIGHUP)


def refuse(receiver: WebhookReceiver, *ids: int) -> None:
    """Let a receiver refuse each request that has one of these rows."""

    def answer(request: Request) -> Answer:
        bad = set(ids) & set(rows(request.events))
        return Answer(422, body=b"no such customer") if bad else Answer()

    receiver.answer = answer


def test_a_span_is_delivered_again_to_its_sink_and_to_another_one(
    cluster: Emulator, database: Database, tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    """Ids stay, the accounts too, and a counter of their own counts them."""
    with make_bridge(cluster, tmp_path, webhook_receiver.url) as bridge:
        bridge.wait_live()
        insert(database, *range(40))
        wait_delivered(bridge, "hook", 40)
        dry = command(bridge, "journal", "replay", "--sink", "hook", "--dry-run", "--json")
        assert dry.returncode == 0, dry.stderr
        assert (last(dry)["events"], last(dry)["missing"]) == (40, [])
        assert len(webhook_receiver.accepted) == 40

        again = command(bridge, "journal", "replay", "--sink", "hook", "--from", "10", "--json")
        assert again.returncode == 0, again.stderr + again.stdout
        assert (last(again)["replayed"], last(again)["state"]) == (30, "done")
        ids = Counter(event["id"] for event in webhook_receiver.accepted)
        assert sorted(ids.values()) == [1] * 10 + [2] * 30
        assert bridge.metric("sink_replayed_events_total", sink="hook") == 30
        assert bridge.metric("sink_delivered_events_total", sink="hook") == 40

        to = command(
            bridge, "journal", "replay", "--sink", "hook", "--to", "audit", "--since", "1h"
        )
        assert to.returncode == 0, to.stderr
        assert to.stdout == "40 events delivered again to audit\n"
        lines = (tmp_path / f"{TABLE}.jsonl").read_text().splitlines()
        assert rows(list(map(json.loads, lines))) == [*range(40), *range(40)]
        shown = bridge.get_json("/api/replays")[1]["replays"]
        assert [each["state"] for each in shown] == ["done", "done"]
        listed = command(bridge, "journal", "ls")
        assert "replay" in listed.stdout


def test_a_dead_letter_is_replayed_once_its_receiver_is_mended(
    cluster: Emulator, database: Database, tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    """One that is refused again stays, with what was said to it, and the exit code says so."""
    refuse(webhook_receiver, 3, 5)
    with make_bridge(cluster, tmp_path, webhook_receiver.url) as bridge:
        bridge.wait_live()
        insert(database, *range(10))
        wait_until(
            lambda: bridge.metric("sink_dead_lettered_events_total", sink="hook") == 2,
            "two are set aside",
        )
        assert bridge.readyz()["dead_letters"] == {"hook": 2}
        refuse(webhook_receiver, 5)
        dry = command(bridge, "deadletters", "replay", "--all", "--dry-run", "--json")
        assert last(dry) == {"letters": 2, "by_sink": {"hook": 2}}
        found = command(bridge, "deadletters", "replay", "--all", "--sink", "hook")
        assert found.returncode == 1
        assert found.stdout == ("1 event delivered again to hook, 1 refused (stay dead letters)\n")
        left = command(bridge, "deadletters", "ls", "--json").stdout.splitlines()
        (letter,) = map(json.loads, left)
        assert letter["value"]["record"]["id"] == 5
        assert "no such customer" in letter["answer"]
        refuse(webhook_receiver)
        unknown = [str(number) for number in range(1_000_000, 1_030_000)]
        found = command(bridge, "deadletters", "replay", *unknown)
        assert (
            "no dead letter has the number 1000000 or 1000001 or 1000002 or 29,997 more"
            in found.stderr
        )
        found = command(bridge, "deadletters", "replay", str(letter["number"]), *unknown, "--json")
        assert (found.returncode, last(found)["replayed"]) == (1, 1)
        assert "30,000 numbers of those given: no such dead letter" in found.stderr
        assert command(bridge, "deadletters", "ls", "--json").stdout == ""
        assert "dead_letters" not in bridge.readyz()
        assert sorted(rows(webhook_receiver.accepted)) == list(range(10))
        check_nothing_to_replay(bridge)
    check_nothing_to_replay(bridge)


def check_nothing_to_replay(bridge: BridgeProcess) -> None:
    """With `--all` that is a good day, and no error of a job that runs every night."""
    for words, said in (
        ([], "0 events delivered again\n"),
        (["--to", "audit"], "0 events delivered again\n"),
        (["--json"], '{"expected":0,"replayed":0,"refused":0,"gone":0}\n'),
        (["--dry-run"], "0 dead letters would be delivered again\n"),
    ):
        none = command(bridge, "deadletters", "replay", "--all", "--sink", "hook", *words)
        assert (none.returncode, none.stdout, none.stderr) == (0, said, "")
    given = command(bridge, "deadletters", "replay", "4711")
    assert (given.returncode, given.stdout) == (1, "")
    assert "no dead letter has the number 4711" in given.stderr


def test_a_letter_goes_to_no_sink_that_its_table_is_not_for(
    cluster: Emulator, database: Database, tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    """Nothing is begun, the cause is said, and a number nobody has is named."""
    refuse(webhook_receiver, 3)
    bridge = make_bridge(cluster, tmp_path, webhook_receiver.url)
    tables = [{"name": TABLE, "sinks": ["hook"]}]
    bridge.config_file.write_text(yaml.safe_dump({**bridge.config, "tables": tables}))
    with bridge:
        bridge.wait_live()
        insert(database, *range(5))
        wait_until(
            lambda: bridge.metric("sink_dead_lettered_events_total", sink="hook") == 1,
            "one is set aside",
        )
        for trial in ([], ["--dry-run"]):
            found = command(bridge, "deadletters", "replay", "--all", "--to", "audit", *trial)
            assert (found.returncode, found.stdout) == (1, "")
            assert f"nothing goes to audit: the sinks of {TABLE} do not name it" in found.stderr
        assert bridge.get_json("/api/replays")[1]["replays"] == []
        found = command(bridge, "deadletters", "replay", "4711")
        assert (found.returncode, found.stdout) == (1, "")
        assert "no dead letter has the number 4711" in found.stderr
        sinks = bridge.get_json("/readyz")[1]["sinks"]
        assert sinks["hook"] == {"state": "delivering", "error": None, "waiting": {}}


def test_without_the_service_the_command_does_it_itself(
    cluster: Emulator, database: Database, tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    """Under the journal's lock, with that one sink; the service then has nothing to do twice."""
    refuse(webhook_receiver, 3)
    with make_bridge(cluster, tmp_path, webhook_receiver.url) as bridge:
        bridge.wait_live()
        insert(database, *range(10))
        wait_until(
            lambda: bridge.metric("sink_dead_lettered_events_total", sink="hook") == 1,
            "one is set aside",
        )
        assert bridge.terminate() == 0
        refuse(webhook_receiver)
        found = command(bridge, "deadletters", "replay", "--all", "--json")
        assert (found.returncode, last(found)["replayed"]) == (0, 1), found.stderr
        found = command(bridge, "journal", "replay", "--sink", "hook")
        assert found.returncode == 0, found.stderr
        assert "delivered again to hook" in found.stdout
        assert sorted(Counter(rows(webhook_receiver.accepted)).values()) == [2] * 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["journal", "replay", "--sink", "hok"], 'did you mean "hook"?'),
        (["journal", "replay", "--sink", "hook", "--to", "audti"], 'did you mean "audit"?'),
        (["journal", "replay", "--sink", "hook", "--table", "order"], "did you mean"),
        (["journal", "replay"], "--sink ID"),
        (["journal", "replay", "--sink", "hook", "--since", "1h", "--until", "2h"], "later"),
        (["deadletters", "replay"], "--all"),
        (["deadletters", "replay", "--all", "--sink", "hok"], 'did you mean "hook"?'),
    ],
)
def test_what_is_named_wrongly_is_refused_with_the_nearest_name(
    cluster: Emulator, tmp_path: Path, arguments: list[str], said: str
) -> None:
    """Exit code 2, and nothing is delivered."""
    bridge = make_bridge(cluster, tmp_path, "http://127.0.0.1:9/hook")
    found = command(bridge, *arguments)

    assert found.returncode == 2
    assert said in found.stderr


def test_a_killed_service_goes_on_with_a_replay_and_a_watch_may_be_interrupted(
    cluster: Emulator, database: Database, tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    """A kill costs at most what was not written down yet, which then comes twice."""
    with make_bridge(cluster, tmp_path, webhook_receiver.url) as bridge:
        bridge.wait_live()
        insert(database, *range(200))
        wait_delivered(bridge, "hook", 200)
        arguments = ["journal", "replay", "--sink", "hook", "--rate", "20"]  # ten seconds of it
        watching = subprocess.Popen(
            [*COMMAND, *arguments, "-c", str(bridge.config_file)],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: bridge.metric("sink_replayed_events_total", sink="hook") > 30, "some")
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=60)
        assert watching.returncode == 130
        assert "goes on" in said
        bridge.kill()
        bridge.start()
        wait_until(lambda: bridge.readyz().get("tables"), "the service is up")
        found = command(bridge, "journal", "replay", "--watch", "1", "--json")
        assert found.returncode == 0, found.stderr
        assert (last(found)["replayed"], last(found)["gone"]) == (200, 0)
        times = Counter(rows(webhook_receiver.accepted))
        assert set(times) == set(range(200))
        assert min(times.values()) >= 2
        assert sum(times.values()) <= 400 + 100

        arguments[-1] = "1"  # an event a second: it is not over before it is stopped
        begun = subprocess.Popen(
            [*COMMAND, *arguments, "-c", str(bridge.config_file)], stdout=subprocess.PIPE, text=True
        )
        wait_until(lambda: bridge.get_json("/api/replays/2")[0] == 200, "the second one is there")
        stopped = command(bridge, "journal", "replay", "--stop", "2")
        assert stopped.returncode == 0, stopped.stderr
        out, _ = begun.communicate(timeout=60)
        assert (begun.returncode, "stopped: by hand" in out) == (1, True)


def test_a_replay_ends_with_its_sink_and_says_so(
    cluster: Emulator, database: Database, tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    """A reload that takes the sink away stops what went to it; one that changes it does not."""
    with make_bridge(cluster, tmp_path, webhook_receiver.url) as bridge:
        bridge.wait_live()
        insert(database, *range(1000))  # a replay of fifty seconds, longer than the reload
        wait_delivered(bridge, "hook", 1000)
        asked = Asked(f"{bridge.admin}/api/replays?sink=hook&rate=20", method="POST")
        asked.add_header("Authorization", f"Bearer {read_token(tmp_path / 'journal')}")
        with urlopen(asked) as reply:
            assert json.load(reply)["replays"][0]["replay"] == 1
        wait_until(lambda: bridge.metric("sink_replayed_events_total", sink="hook") > 5, "some")
        sinks = dict(bridge.config["sinks"])
        sinks["hook"] = {**sinks["hook"], "format": "cloudevents", "batch": {"max_events": 1}}
        reload(bridge, sinks)
        wait_until(
            lambda: any(
                "cloudevents" in r.headers["Content-Type"] for r in webhook_receiver.requests
            ),
            "it goes on in the new format",
        )
        assert bridge.get_json("/api/replays/1")[1]["state"] == "running"
        del sinks["hook"]
        reload(bridge, sinks)
        wait_until(lambda: bridge.get_json("/api/replays/1")[1]["state"] == "stopped", "it ends")
        assert "configured" in bridge.get_json("/api/replays/1")[1]["why"]
        assert any(line["event"] == "replay_ended" for line in bridge.log())
        assert bridge.get_json("/readyz")[0] == 200


def test_a_dry_run_names_what_is_not_there_any_more(
    cluster: Emulator, database: Database, tmp_path: Path, webhook_receiver: WebhookReceiver
) -> None:
    """What was pruned is a span, and what is left is counted."""
    with make_bridge(cluster, tmp_path, webhook_receiver.url) as bridge:
        bridge.wait_live()
        insert(database, *range(10))
        wait_delivered(bridge, "hook", 10)
        wait_delivered(bridge, "audit", 10)
        assert bridge.terminate() == 0
    with Journal(tmp_path / "journal", max_size=2**20, segment_size=2**16) as journal:
        lanes = journal.lanes("hook")
        assert lanes[TABLE].cursor == 10
        for n in range(12):
            journal.append([block(range(n * 30_000, n * 30_000 + 30_000), TABLE)])
            head = journal.head
            for sink in ("hook", "audit"):
                cursor = journal.lanes(sink)[TABLE].cursor
                settled = (Settled(cursor, head - cursor, "delivered"),)
                journal.settle(sink, [Move(TABLE, head, settled)])
            while journal.upkeep() == 0.0:
                pass
        oldest, head = journal.stats().oldest, journal.head
    assert oldest > 0
    found = last(command(bridge, "journal", "replay", "--sink", "hook", "--dry-run", "--json"))
    assert found["events"] == head - oldest
    spans = [(span["first"], span["last"]) for span in found["missing"]]
    assert spans == [(0, oldest - 1)]
    none = last(
        command(
            bridge, "journal", "replay", "--sink", "hook", "--until", "900d", "--dry-run", "--json"
        )
    )
    assert (none["events"], none["since"]) == (0, None)
