"""`deadletters` as an operator has it: beside a running service, and without one."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services.kinetica import Program
from services.outside import FAST, Service, run_command, until
from services.webhook import Answer, Request, WebhookReceiver

TABLE, OTHER = "ki_home.orders", "ki_home.items"
POISON = (3, 5, 8)


def judge(request: Request) -> Answer:
    """Refuse three rows, wherever they come."""
    found = [event["record"]["id"] for event in request.events if "record" in event]
    return Answer(422, body=b"no such id") if set(found) & set(POISON) else Answer()


@pytest.fixture
def service(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> Iterator[Service]:
    """A service of which three rows of each of two tables were set aside."""
    webhook_receiver.answer = judge
    program.create(TABLE, OTHER)
    config: dict[str, Any] = {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": TABLE}, {"name": OTHER}],
        "sinks": {"hook": {"type": "webhook", "url": webhook_receiver.url, "retry": FAST}},
    }
    with Service(tmp_path, config) as running:
        running.wait_tables(TABLE, OTHER)
        for table in (TABLE, OTHER):
            program.insert(table, list(range(12)))
            until(
                lambda table=table: (
                    running.counted("dead_lettered", sink="hook", table=table) == 3
                    and running.counted("delivered", sink="hook", table=table) == 9
                ),
                f"of {table} all but three are delivered",
                running.said,
            )
        yield running


def command(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    return run_command("deadletters", *words, "-c", str(service.config_file))


def listed(service: Service, *words: str) -> list[dict[str, Any]]:
    ran = command(service, "ls", "--json", *words)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_each_filter_narrows_and_show_shows_one(service: Service) -> None:
    every = listed(service)
    assert len(every) == 6
    assert [each["table"] for each in listed(service, "--table", OTHER)] == [OTHER] * 3
    assert listed(service, "--sink", "hook", "--since", "1h") == every
    assert listed(service, "--since", "2100-01-01T00:00:00Z") == []
    assert listed(service, "--reason", "422", "--limit", "2") == every[:2]
    assert listed(service, "--reason", "teapot") == []
    assert listed(service, "--after", str(every[3]["number"])) == every[4:]

    one = command(service, "show", str(every[2]["number"]), "--json")
    assert json.loads(one.stdout) == every[2]
    assert every[2]["answer"].startswith("422")
    text = command(service, "show", str(every[2]["number"])).stdout
    assert '"record"' in text
    assert "422" in text
    gone = command(service, "show", "4711")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "no dead letter has the number 4711" in gone.stderr


def test_some_are_dropped_beside_the_service_and_others_without_one(service: Service) -> None:
    """The counts of events set aside stay, over a restart too."""
    numbers = [each["number"] for each in listed(service)]

    first = command(service, "drop", str(numbers[0]), str(numbers[1]))
    assert (first.returncode, first.stdout) == (0, "dropped 2 dead letters\n")
    again = command(service, "drop", str(numbers[0]), str(numbers[2]), "--json")
    assert (again.returncode, json.loads(again.stdout)) == (1, {"dropped": 1})
    assert [each["number"] for each in listed(service)] == numbers[3:]
    assert service.counted("dead_lettered", sink="hook", table=TABLE) == 3
    service.check_accounts()
    assert service.terminate() == 0

    alone = command(service, "drop", "--all", "--table", OTHER, "--limit", "2")
    assert (alone.returncode, alone.stdout, alone.stderr) == (0, "dropped 2 dead letters\n", "")
    assert [each["number"] for each in listed(service)] == numbers[5:]
    service.start().wait_tables(TABLE)
    assert service.counted("dead_lettered", sink="hook", table=OTHER) == 3


def test_what_is_not_understood_exits_with_2(service: Service) -> None:
    for words, said in (
        (["ls", "--sink", "hok"], 'no sink has the id "hok"; did you mean "hook"?'),
        (["ls", "--table", "ki_home.oders"], 'did you mean "ki_home.orders"?'),
        (["drop"], "give numbers, or --all"),
        (["drop", "--sink", "hook"], "give numbers, or --all beside the filters"),
        (["drop", "3", "--all"], "not both"),
        (["drop", "--all", "--sink", "hok"], 'did you mean "hook"?'),
        (["show", "x"], "'x' is not a whole number"),
    ):
        ran = command(service, *words)

        assert (ran.returncode, ran.stdout) == (2, "")
        assert said in ran.stderr
    assert len(listed(service)) == 6


def test_the_page_wants_a_token_and_goes_page_by_page(service: Service) -> None:
    token = (service.folder / "journal" / "admin.token").read_text().strip()

    def ask(path: str, *, method: str = "GET", bearer: str | None = token) -> dict[str, Any]:
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        request = urllib.request.Request(service.admin + path, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return dict(json.loads(reply.read()))

    first = ask("/api/deadletters?limit=4")
    rest = ask(f"/api/deadletters?after={first['next']}")
    assert first["dead_letters"] + rest["dead_letters"] == listed(service)
    one = first["dead_letters"][1]
    assert ask(f"/api/deadletters/{one['number']}") == one
    for path, bearer, status in (
        ("/api/deadletters", None, 401),
        ("/api/deadletters", "wrong", 403),
        (f"/api/deadletters/{one['number']}", None, 401),
        ("/api/deadletters/4711", token, 404),
        ("/api/deadletters?since=never", token, 400),
        ("/api/deadletters?limit=x", token, 400),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(path, bearer=bearer)
        with refused.value as answer:
            assert answer.code == status
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask("/api/deadletters/drop", method="POST")
    with refused.value as answer:
        assert answer.code == 400
    assert ask("/api/deadletters/drop?all=true", method="POST") == {"dropped": 6}
