"""Pages of a service that has not started, or whose threads are gone."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.admin.listening import listen
from bridge.admin.server import AdminServer
from bridge.config import parse
from bridge.errors import BridgeError
from bridge.loop import Loop
from bridge.supervisor import Supervisor


class Gone(Loop):
    """A loop whose thread ended although nobody asked for it."""

    dead = property(lambda self: True)  # type: ignore[assignment]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """A service that was not started."""
    made = Supervisor(
        parse(
            f"kinetica: {{urls: a}}\njournal: {{path: {tmp_path}/journal}}\n"
            "tables: [{name: s.t}]\nsinks: {out: {type: stdout}}\n"
        )
    )
    yield made
    made.stop(1.0)


def body(admin: AdminServer, path: str) -> tuple[int, object]:
    status, _, content = admin.answer(path, "")
    return status, json.loads(content)


def test_a_thread_that_is_gone_is_named(supervisor: Supervisor) -> None:
    """/livez is 503 then, else 200."""
    gone = Gone("upkeep", lambda: True)
    well = AdminServer(supervisor, "127.0.0.1", 0)
    ill = AdminServer(supervisor, "127.0.0.1", 0, extra=[gone])
    try:
        assert body(well, "/livez") == (200, {"status": "ok"})
        assert body(ill, "/livez") == (503, {"status": "failed", "threads": ["upkeep"]})
        assert ill.dead_loops() == ["upkeep"]
    finally:
        well.stop()
        ill.stop()


def test_what_a_start_waits_for_is_shown(supervisor: Supervisor) -> None:
    """/readyz is 503 with the cause; a secret in it is masked."""
    admin = AdminServer(
        supervisor, "127.0.0.1", 0, hide=lambda text: text.replace("hunter2", "***")
    )
    supervisor.trouble = "disk I/O error at hunter2"
    try:
        assert body(admin, "/readyz") == (
            503,
            {"status": "starting", "cause": "disk I/O error at ***"},
        )
        status, _, metrics = admin.answer("/metrics", "")
        assert status == 200
        assert b'kinetica_bridge_loop_faults_total{loop="admin"} 0.0' in metrics
    finally:
        admin.stop()


def test_a_name_nobody_knows_cannot_be_listened_on() -> None:
    """The error names the setting."""
    with pytest.raises(BridgeError, match=r"cannot listen on nowhere\.invalid:9464.*admin.listen"):
        listen("nowhere.invalid", 9464)


def test_a_free_port_is_the_same_on_every_address() -> None:
    """Whichever addresses `localhost` stands for here."""
    sockets = listen("localhost", 0)
    try:
        assert len({each.getsockname()[1] for each in sockets}) == 1
        assert {each.family for each in sockets} <= {socket.AF_INET, socket.AF_INET6}
    finally:
        for each in sockets:
            each.close()
