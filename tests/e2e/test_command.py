"""The command: its exit codes, its output, its signals."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import gpudb
import pytest
import yaml
from services.process import COMMAND, BridgeProcess, EmulatorProcess, run_command, wait_until
from services.webhook import Answer, Request, WebhookReceiver

GOOD: dict[str, Any] = {
    "kinetica": {"urls": ["http://127.0.0.1:1"]},
    "journal": {"path": "journal"},
    "tables": [{"name": "ki_home.orders"}],
    "sinks": {"audit": {"type": "file", "path": "{table}.jsonl"}},
}


def write(folder: Path, config: Any) -> Path:
    path = folder / "bridge.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False))
    return path


def make_table(db: gpudb.GPUdb, name: str = "ki_home.orders") -> gpudb.GPUdbTable:
    return gpudb.GPUdbTable([["id", "long", "primary_key"]], name=name, db=db)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"kinetica": {"url": ["http://k"]}},
            ':2: kinetica.url: unknown key; did you mean "urls"?',
        ),
        ({"tables": []}, "tables"),
        ({"tables": [{"name": "*"}]}, ":7: tables[0].name: a pattern needs its schema"),
        ({"tables": [{"name": "a.b.c"}]}, "has more than one dot"),
        ({"tables": [{"name": "demo.we ather"}]}, "holds a space"),
        ({"tables": [{"name": "a", "sinks": ["audti"]}]}, 'did you mean "audit"?'),
        ({"tables": [{"name": "a", "inactivity_timeout": 20}]}, "20 has no unit"),
        ({"tables": [{"name": "a", "values": "declare"}]}, 'did you mean "declared"?'),
        ({"journal": {"max_size": "10GX"}}, "unknown unit 'GX'"),
        ({"sinks": {"Audit!": {"type": "stdout"}}}, "lower-case letters, digits"),
        ({"sinks": {"audit": {"type": "flie", "path": "x"}}}, "did you mean 'file'?"),
        ({"sinks": {"audit": {"type": "webhook"}}}, "sinks.audit"),
        ({"admin": {"listen": "nowhere"}}, "admin.listen"),
        ("kinetica: [\n", "not valid YAML"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place_and_reason(
    tmp_path: Path, change: Any, message: str
) -> None:
    """Exit code 2, on stderr, FILE:LINE first; nothing is started or written."""
    path = write(tmp_path, change if isinstance(change, str) else {**GOOD, **change})

    for command in (["run"], ["check", "--offline"]):
        result = run_command(*command, "-c", str(path))

        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.startswith(f"{path}:")
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_and_wrong_usage_exit_with_2(tmp_path: Path) -> None:
    """The message says how to name another file."""
    missing = run_command("run", "-c", str(tmp_path / "none.yaml"))
    assert missing.returncode == 2
    assert "KINETICA_BRIDGE_CONFIG" in missing.stderr
    assert run_command("tail").returncode == 2
    assert run_command("fly").returncode == 2


def test_a_variable_may_name_the_configuration(tmp_path: Path) -> None:
    """Without -c, $KINETICA_BRIDGE_CONFIG counts."""
    path = write(tmp_path, GOOD)
    result = run_command("check", "--offline", env={"KINETICA_BRIDGE_CONFIG": str(path)})

    assert result.returncode == 0
    assert str(path) in result.stdout


def test_check_tells_what_the_environment_lacks(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """0 where all is there; 3, and which, where something is not."""
    make_table(db)
    config = {
        **GOOD,
        "kinetica": {"urls": [kinetica.url], "timeout": "2s"},
        "journal": {"path": str(tmp_path / "journal")},
        "sinks": {"hook": {"type": "webhook", "url": webhook_receiver.url}},
    }
    well = run_command("check", "-c", str(write(tmp_path, config)))
    assert well.returncode == 0, well.stdout
    assert "FAILED" not in well.stdout

    config["kinetica"] = {"urls": [kinetica.url, "http://127.0.0.1:1"], "timeout": "2s"}
    config["tables"] = [{"name": "orders", "key": ["nope"]}, {"name": "gone"}]
    ill = run_command("check", "-c", str(write(tmp_path, config)))
    failed = [line for line in ill.stdout.splitlines() if line.startswith("FAILED")]
    assert ill.returncode == 3
    assert len(failed) == 3
    assert "cluster http://127.0.0.1:1" in failed[0]
    assert "has no column nope" in failed[1]
    assert "does not exist" in failed[2]

    config["kinetica"] = {"urls": [kinetica.url]}
    config["tables"] = [{"name": "ki_home.o*"}, {"name": "ki_home.*", "key": ["nope"]}]
    make_table(db, "ki_home.others")
    make_table(db, "ki_home.prices")
    found = run_command("check", "-c", str(write(tmp_path, config))).stdout
    assert "ok      pattern ki_home.o*: means 2 tables at present" in found
    assert "FAILED  pattern ki_home.*: ki_home.prices has no column nope" in found


def test_check_tells_of_columns_that_no_table_has_and_keys_that_are_left_out(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """A mask of a misspelt column masks nothing; a key that is gone lets the table wait."""
    columns = [["id", "long", "primary_key"], ["email", "string"], ["note", "string"]]
    gpudb.GPUdbTable(columns, name="ki_home.people", db=db)
    config: dict[str, Any] = {**GOOD, "kinetica": {"urls": [kinetica.url]}}
    config["journal"] = {"path": str(tmp_path / "journal")}
    config["tables"] = [{"name": "people", "rename": {"id": "number"}, "exclude": ["note"]}]
    config["sinks"] = {"out": {"type": "stdout", "mask": {"email": "redact", "note": "redact"}}}
    well = run_command("check", "-c", str(write(tmp_path, config)))
    assert well.returncode == 0, well.stdout

    config["tables"] = [{"name": "people", "mask": {"emial": "redact"}, "sinks": ["out"]}]
    config["tables"] += [{"name": "ki_home.p*", "exclude": ["ssn"], "sinks": ["events"]}]
    config["sinks"] = {
        "out": {"type": "stdout", "exclude": ["sn"]},
        "events": {"type": "stdout", "format": "cloudevents", "exclude": ["id"]},
    }
    gpudb.GPUdbTable(columns, name="ki_home.pupils", db=db)
    ill = run_command("check", "-c", str(write(tmp_path, config)))
    assert ill.returncode == 3
    failed = [line for line in ill.stdout.splitlines() if line.startswith("FAILED")]
    assert [line.removeprefix("FAILED  ") for line in failed] == [
        "shaping of table ki_home.people: the table has no column emial, which mask has",
        "shaping of pattern ki_home.p*: no table that it means has a column ssn, which exclude has",
        "shaping of sink out: none of its tables leaves a column sn, which exclude has",
        (
            "sink events, table ki_home.pupils: the key has id, which shaping leaves out; keep "
            "what it has, or give the table a key of other columns"
        ),
    ]


def test_check_shows_an_event_of_each_table_as_its_sinks_will_get_it(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """Format and shape applied, nothing written anywhere; a shape that cannot be is a 3."""
    columns = [["id", "long", "primary_key"], ["email", "string", "char16"], ["x", "double"]]
    gpudb.GPUdbTable(columns, name="ki_home.orders", db=db)
    make_table(db, "ki_home.others")
    make_table(db, "ki_home.others2")
    out = tmp_path / "out"
    config: dict[str, Any] = {
        **GOOD,
        "kinetica": {"urls": [kinetica.url]},
        "journal": {"path": str(tmp_path / "journal")},
        "tables": [
            {"name": "ki_home.orders", "mask": {"email": "redact"}},
            {"name": "ki_home.other*"},
        ],
        "sinks": {
            "events": {"type": "file", "path": f"{out}/a/{{table}}", "format": "cloudevents"},
            "rows": {
                "type": "file",
                "path": f"{out}/b/{{table}}",
                "format": "csv",
                "columns": ["email", "id"],
                "rename": {"id": "number"},
            },
        },
    }

    shown = run_command("check", "--sample", "-c", str(write(tmp_path, config)))

    assert shown.returncode == 0, shown.stdout
    events, _, rows, others = shown.stdout.split("\n\n")[1:5]
    assert events.startswith("events (file, cloudevents): ki_home.orders\n")
    event = json.loads(events.splitlines()[1])
    assert event["source"] == "/kinetica/default/ki_home.orders"
    assert event["data"] == {"id": 1234, "email": "***", "x": 1.5}
    assert rows == "rows (file, csv): ki_home.orders\nemail,number\n***,1234"
    assert others.startswith("rows (file, csv): ki_home.others\n")
    assert not out.exists()

    config["sinks"]["rows"]["rename"] = {"id": "email"}
    del config["sinks"]["rows"]["columns"]  # with it, it would be seen without the table
    ill = run_command("check", "-c", str(write(tmp_path, config)))
    assert ill.returncode == 3
    assert "FAILED  sink rows, table ki_home.orders: two columns would be named email" in ill.stdout
    assert run_command("check", "--offline", "--sample").returncode == 2


def test_a_second_service_on_one_journal_is_refused(
    kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """Exit code 1, naming the process that has it."""
    config = {**GOOD, "kinetica": {"urls": [kinetica.url]}}
    config["journal"] = {"path": str(tmp_path / "journal")}
    with BridgeProcess(tmp_path, config) as bridge:
        wait_until(lambda: bridge.get_json("/livez")[0] == 200, "the service is up")
        other = write(tmp_path / "..", {**config, "admin": {"listen": "127.0.0.1:0"}})
        result = run_command("run", "-c", str(other))
        other.unlink()

    assert result.returncode == 1
    assert re.search(r"is in use by process [0-9]+", result.stderr)


def test_health_asks_the_running_service(kinetica: EmulatorProcess, tmp_path: Path) -> None:
    """0 while it lives, 1 when it does not."""
    config = {**GOOD, "kinetica": {"urls": [kinetica.url]}}
    config["journal"] = {"path": str(tmp_path / "journal")}
    with BridgeProcess(tmp_path, config) as bridge:
        wait_until(lambda: bridge.get_json("/livez")[0] == 200, "the service is up")
        assert run_command("health", "-c", str(bridge.config_file)).returncode == 0

        # A file that no reload would take ends no service: only where it listens is read of it.
        broken = {**bridge.config, "kinetica": {"urls": ["${MISSPELT}"], "use": "r"}, "tables": 7}
        bridge.config_file.write_text(yaml.safe_dump(broken))
        assert run_command("health", "-c", str(bridge.config_file)).returncode == 0
        bridge.config_file.write_text(yaml.safe_dump({**broken, "admin": {"listen": "nowhere"}}))
        result = run_command("health", "-c", str(bridge.config_file))
        assert (result.returncode, "admin.listen" in result.stderr) == (2, True), result.stderr

        bridge.config_file.write_text(yaml.safe_dump(bridge.config))
    assert run_command("health", "-c", str(bridge.config_file)).returncode == 1


def test_tail_and_journal_read_beside_the_running_service(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """tail prints new events, or from an offset; journal ls says where each sink stands."""
    table = make_table(db)
    config = {
        **GOOD,
        "kinetica": {"urls": [kinetica.url]},
        "journal": {"path": str(tmp_path / "journal")},
        "sinks": {"audit": {"type": "file", "path": str(tmp_path / "{table}.jsonl")}},
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        table.insert_records([[n] for n in range(5)])
        wait_until(lambda: bridge.metric("sink_delivered_events_total") == 5, "five events")
        of = ["-c", str(bridge.config_file)]

        past = run_command("tail", "orders", "--from", "2", "--count", "3", *of)
        assert [json.loads(line)["offset"] for line in past.stdout.splitlines()] == [2, 3, 4]

        tail = subprocess.Popen(
            [*COMMAND, "tail", "ki_home.orders", "--count", "2", *of], stdout=subprocess.PIPE
        )
        stop = threading.Event()

        def insert() -> None:
            n = 100
            while not stop.wait(0.2):
                table.insert_records([[n]])
                n += 1

        inserter = threading.Thread(target=insert)
        inserter.start()
        out, _ = tail.communicate(timeout=30)
        stop.set()
        inserter.join()
        assert tail.returncode == 0
        assert [json.loads(line)["record"]["id"] >= 100 for line in out.splitlines()] == [True] * 2

        listing = run_command("journal", "ls", *of).stdout
        assert re.search(
            r"sink audit: dead letters 0\ntable +cursor .*\nki_home.orders +\d+ ", listing
        )
        lanes = run_command("journal", "ls", "--json", *of).stdout.splitlines()
        assert json.loads(lanes[-1])["sink"] == "audit"
        assert run_command("deadletters", "ls", "--json", *of).stdout == ""
        unknown = run_command("tail", "oders", *of)
        assert unknown.returncode == 2
        assert 'did you mean "ki_home.orders"?' in unknown.stderr


def test_dead_letters_are_listed_with_their_reason_and_event(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """Oldest first, a JSON object a line; the others were delivered."""
    table = make_table(db)
    bad = (3, 8)

    def judge(request: Request) -> Answer:
        ids = [event["record"]["id"] for event in request.events]
        return Answer(status=422) if set(ids) & set(bad) else Answer()

    webhook_receiver.answer = judge
    config = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": "ki_home.orders"}],
        "sinks": {"hook": {"type": "webhook", "url": webhook_receiver.url}},
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        table.insert_records([[n] for n in range(10)])
        wait_until(lambda: bridge.metric("sink_pending_events") == 0, "nothing is pending")
        of = ["-c", str(bridge.config_file)]
        listing = run_command("deadletters", "ls", "--json", "--sink", "hook", *of)
        second = run_command("deadletters", "ls", "--json", "--after", "1", "--since", "1h", *of)
        none = run_command("deadletters", "ls", "--json", "--table", "ki_home.items", *of)
        table_form = run_command("deadletters", "ls", *of)
        bridge.check_accounts()

    letters = [json.loads(line) for line in listing.stdout.splitlines()]
    assert [letter["value"]["record"]["id"] for letter in letters] == list(bad)
    assert list(letters[0]) == [
        *("number", "sink", "table", "offset", "id", "time", "set_aside", "reason", "attempts"),
        *("answer", "value"),
    ]
    assert [json.loads(line) for line in second.stdout.splitlines()] == letters[1:]
    assert none.stdout == ""
    assert len(table_form.stdout.splitlines()) == 1 + len(bad)
    assert all("422" in letter["reason"] for letter in letters)
    assert [e["record"]["id"] for e in webhook_receiver.accepted] == [
        n for n in range(10) if n not in bad
    ]


def test_sighup_takes_over_what_changed_and_leaves_the_rest_alone(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, tmp_path: Path
) -> None:
    """A table and a sink more, one less; a broken file changes nothing; no gap for the others."""
    orders, items = make_table(db), make_table(db, "ki_home.items")
    away = {"type": "webhook", "url": "http://127.0.0.1:1/"}
    config: dict[str, Any] = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": "ki_home.orders"}],
        "sinks": {
            "one": {"type": "file", "path": str(tmp_path / "one-{table}.jsonl")},
            "away": away,
        },
    }

    def lines(name: str) -> list[dict[str, Any]]:
        path = tmp_path / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        orders.insert_records([[1]])
        wait_until(lambda: lines("one-ki_home.orders.jsonl"), "the first row")
        good = bridge.config_file.read_text()

        bridge.config_file.write_text("kinetica: nonsense")
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: bridge.metric("config_last_reload_successful") == 0, "the refusal")

        changed = yaml.safe_load(good)
        changed["tables"].append({"name": "ki_home.items"})
        del changed["sinks"]["away"]
        changed["sinks"]["two"] = {"type": "file", "path": str(tmp_path / "two-{table}.jsonl")}
        bridge.config_file.write_text(yaml.safe_dump(changed))
        bridge.signal(signal.SIGHUP)
        wait_until(lambda: "two" in bridge.readyz()["sinks"], "the new sink")
        bridge.wait_live()
        assert bridge.readyz()["sinks"].keys() == {"one", "two"}
        assert bridge.metric("config_last_reload_successful") == 1

        orders.insert_records([[2]])
        items.insert_records([[3]])
        wait_until(lambda: len(lines("one-ki_home.orders.jsonl")) == 2, "row 2 in one")
        for name in ("two-ki_home.orders", "one-ki_home.items", "two-ki_home.items"):
            wait_until(lambda n=name: len(lines(f"{n}.jsonl")) == 1, f"a row in {name}")
        bridge.check_accounts()
        assert bridge.terminate() == 0

    assert [event["type"] for event in lines("one-ki_home.orders.jsonl")] == ["insert"] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_exits_at_once(
    db: gpudb.GPUdb,
    kinetica: EmulatorProcess,
    webhook_receiver: WebhookReceiver,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    """While a destination hangs the first one waits for it; the second gives 143 or 130."""
    table = make_table(db)
    webhook_receiver.answer_with(Answer(hang=True))
    config = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": "ki_home.orders"}],
        "sinks": {"hook": {"type": "webhook", "url": webhook_receiver.url}},
        "shutdown": {"grace": "50s"},
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        table.insert_records([[1]])
        wait_until(lambda: webhook_receiver.requests, "the request that hangs")
        bridge.signal(number)
        wait_until(lambda: bridge.get_json("/readyz")[1].get("status") == "draining", "draining")
        bridge.signal(number)

        assert bridge.wait() == 128 + number


def test_the_grace_period_ends_a_drain_that_cannot_finish(
    db: gpudb.GPUdb, kinetica: EmulatorProcess, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """Exit code 0, and what is left waits in the journal for the next start."""
    table = make_table(db)
    webhook_receiver.answer_with(Answer(hang=True))
    config = {
        "kinetica": {"urls": [kinetica.url]},
        "tables": [{"name": "ki_home.orders"}],
        "sinks": {"hook": {"type": "webhook", "url": webhook_receiver.url}},
        "shutdown": {"grace": "1s"},
    }
    with BridgeProcess(tmp_path, config) as bridge:
        bridge.wait_live()
        table.insert_records([[1]])
        wait_until(lambda: webhook_receiver.requests, "the request that hangs")
        started = time.monotonic()
        assert bridge.terminate() == 0
        assert time.monotonic() - started < 8

        webhook_receiver.answer_with()
        bridge.start()
        wait_until(lambda: webhook_receiver.accepted, "the event")
    assert webhook_receiver.accepted[0]["record"] == {"id": 1}


@pytest.mark.parametrize("command", ["journal ls", "deadletters ls", "tail ki_home.orders"])
def test_a_folder_without_a_journal_is_named_as_that(command: str, tmp_path: Path) -> None:
    """Exit code 1; it is not said that a start would rebuild what never was."""
    path = write(tmp_path, {**GOOD, "journal": {"path": str(tmp_path / "journal")}})

    result = run_command(*command.split(), "-c", str(path))

    assert (result.returncode, result.stdout) == (1, "")
    assert "there is no journal here (name the folder that journal.path names)" in result.stderr


def test_the_schema_is_printed_as_json(tmp_path: Path) -> None:
    """And names the sections of the configuration."""
    schema = json.loads(run_command("schema").stdout)
    assert {"kinetica", "journal", "tables", "sinks"} <= schema["properties"].keys()


def test_the_demo_ends_by_itself_and_leaves_its_file(tmp_path: Path) -> None:
    """Rows on stdout, what is where on stderr, the same events in the file."""
    result = run_command("demo", "--seconds", "3", env={"TMPDIR": str(tmp_path)})

    assert result.returncode == 0, result.stderr
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    (file,) = tmp_path.glob("*/out/*.jsonl")
    assert printed
    assert [json.loads(line) for line in file.read_text().splitlines()] == printed
    for word in ("metrics", "health", str(file), "all of it was delivered"):
        assert word in result.stderr
