"""The status page, and the JSON that it shows."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from services.process import wait_until
from services.rig import TABLE, Rig

from bridge.admin.recent import Recent
from bridge.admin.requests import Request
from bridge.admin.server import AdminServer
from bridge.supervisor.trends import Trends

DOCUMENT = (Path(__file__).parents[3] / "docs" / "status.md").read_text()


def ask(admin: AdminServer, path: str, token: str | None = None, **query: str) -> tuple[int, Any]:
    answer = admin.answer(Request("GET", path, query, token=token))
    return answer.status, json.loads(answer.body)


def fields(value: Any, prefix: str = "") -> set[str]:
    """Name every field of a JSON object as the document does; what is keyed by names ends there."""
    whole = {"bridge.restart_needed", "tables[].reading", "sinks[].waiting", "recent[].fields"}
    if prefix in whole | {"gaps[]"}:
        return {prefix}
    if isinstance(value, dict):
        dot = "." if prefix else ""
        return set().union(*(fields(inner, f"{prefix}{dot}{key}") for key, inner in value.items()))
    if isinstance(value, list):
        return set().union(*(fields(inner, f"{prefix}[]") for inner in value))
    return {prefix}


def test_a_degraded_bridge_is_ready_but_where_a_rollout_asks_strictly(
    watched: tuple[Rig, AdminServer],
) -> None:
    """One of its tables is not there; with the same body."""
    _, admin = watched
    status, lenient = ask(admin, "/readyz")
    assert (status, lenient["status"]) == (200, "degraded")
    assert ask(admin, "/readyz", strict="") == (503, lenient)
    assert ask(admin, "/readyz", strict="false") == (200, lenient)


def test_the_document_names_every_field(watched: tuple[Rig, AdminServer]) -> None:
    """Those that there are, and no other."""
    _, admin = watched
    admin_recent = {"recent[].time", "recent[].level", "recent[].event", "recent[].fields"}
    _, status = ask(admin, "/api/status")

    section = DOCUMENT.partition("## `GET /api/status`")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert documented == fields(status) | admin_recent | {"gaps[]", "replays[]"}


def test_what_is_wrong_comes_with_what_to_do(watched: tuple[Rig, AdminServer]) -> None:
    """And what is well does not."""
    _, admin = watched
    _, status = ask(admin, "/api/status")

    (problem,) = [each for each in status["problems"] if each["kind"] == "table"]
    assert problem["name"] == "ki_home.absent"
    assert "Create the table" in problem["cure"]
    assert status["bridge"]["status"] == "degraded"
    by_name = {table["table"]: table for table in status["tables"]}
    assert (by_name[TABLE]["state"], by_name[TABLE]["received"]) == ("live", 3)


def test_the_tail_wants_a_token_and_goes_on_where_it_was(watched: tuple[Rig, AdminServer]) -> None:
    """Its events are those that a sink gets."""
    rig, admin = watched
    assert rig.supervisor is not None
    (token,) = rig.supervisor.tokens
    assert ask(admin, "/api/tail", table=TABLE)[0] == 401
    assert ask(admin, "/api/tail", token, table="ki_home.nope")[0] == 404
    assert ask(admin, "/api/tail", token, table=TABLE, **{"from": "x"})[0] == 400

    _, head = ask(admin, "/api/tail", token, table=TABLE)
    assert head["events"] == []
    _, page = ask(admin, "/api/tail", token, table=TABLE, **{"from": "0"})
    rows = [event for event in page["events"] if event["type"] == "insert"]
    assert rows == rig.events("insert")
    assert page["next"] == head["next"]
    _, none = ask(admin, "/api/tail", token, table=TABLE, **{"from": str(page["next"])})
    assert none == {"next": page["next"], "events": []}


def test_the_page_runs_what_is_in_it_and_nothing_else(watched: tuple[Rig, AdminServer]) -> None:
    """By a policy that names the digest of its script and style; it asks for nothing outside."""
    _, admin = watched
    answer = admin.answer(Request("GET", "/"))
    headers = dict(answer.headers)
    page, policy = answer.body.decode(), headers["Content-Security-Policy"]

    for tag in ("script", "style"):
        (part,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r'(src|href)="(?!data:)|style="|https?://(?!www\.w3\.org/2000/svg)', page)


def test_what_went_through_is_counted_in_steps(watched: tuple[Rig, AdminServer]) -> None:
    """Of what the query names; what is not known is left out."""
    rig, admin = watched
    assert rig.supervisor is not None
    onlooker = rig.supervisor.onlooker
    name = f"table/{TABLE}"
    wait_until(lambda: name in onlooker.trends.rates(), "a first look")
    _, found = ask(admin, "/api/rates", of=f"{name},table/nope")
    assert found["step"] == 10.0
    assert set(found["events"]) == {name}


def test_trends_keep_what_was_added_and_forget_what_is_gone() -> None:
    """At most ten minutes; a counter that began anew adds nothing."""
    trends = Trends()
    for value in range(0, 1000, 10):
        trends.look({"a": value, "b": 5})
    trends.look({"a": 3})

    assert trends.of(["a", "b"]) == {"a": [10] * 59 + [0]}
    assert trends.rates() == {"a": 0.0}


def test_lines_are_remembered_as_they_are_logged() -> None:
    """Those about states and gaps; the newest first, and no more than there is room for."""
    recent = Recent(most=2)
    for number in range(3):
        recent(
            None, "info", {"event": "table_state", "time": str(number), "table": "t", "cause": None}
        )
        recent(None, "info", {"event": "something_else", "time": "x"})

    assert [line["time"] for line in recent.lines()] == ["2", "1"]
    assert recent.lines()[0]["fields"] == {"table": "t"}
