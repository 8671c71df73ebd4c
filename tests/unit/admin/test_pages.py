"""Pages of a service that has not started, or whose threads are gone; and HTTP's own errors."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from bridge.admin.listening import listen
from bridge.admin.requests import Request
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
            "tables: [{name: s.t}]\nsinks: {out: {type: stdout}}\nadmin: {token: let me in}\n"
        )
    )
    yield made
    made.stop(1.0)


@pytest.fixture
def admin(supervisor: Supervisor) -> Iterator[AdminServer]:
    """Its pages, served."""
    server = AdminServer(supervisor, "127.0.0.1", 0)
    server.start()
    yield server
    server.stop()


def body(admin: AdminServer, path: str) -> tuple[int, object]:
    answer = admin.answer(Request("GET", path))
    return answer.status, json.loads(answer.body)


def ask(
    admin: AdminServer, method: str, path: str, content: bytes = b"", **headers: str
) -> tuple[HTTPResponse, bytes]:
    """Ask over a socket."""
    connection = HTTPConnection(admin.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


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
    """/readyz is 503 with the cause; a secret in it is masked, an innocent word elsewhere not."""
    hide = partial(re.compile("hunter2|starting|kinetica|cause").sub, "***")
    admin = AdminServer(supervisor, "127.0.0.1", 0, hide=hide)
    supervisor.trouble = "disk I/O error at hunter2"
    try:
        assert body(admin, "/readyz") == (
            503,
            {"status": "starting", "cause": "disk I/O error at ***"},
        )
        metrics = admin.answer(Request("GET", "/metrics"))
        assert metrics.status == 200
        assert b'kinetica_bridge_loop_faults_total{loop="admin"} 0.0' in metrics.body
    finally:
        admin.stop()


def test_all_that_the_page_for_people_asks_for_is_there(admin: AdminServer) -> None:
    """Each address in its script, with what stands in the gaps left out."""
    text = files("bridge.admin").joinpath("page.html").read_text(encoding="utf-8")
    for gap, fill in ((r"paused[^}]*", "pause"), ("from", ""), (r"[^}]*", "1")):
        text = re.sub(r"\$\{" + gap + r"\}", fill, text)
    asked = re.findall(r"(ask|act)\([`\"](/api/[^`\"]+)", text)
    assert len(asked) > 9
    for name, address in asked:
        path, _, query = address.partition("?")
        method = "GET" if name == "ask" else "POST"
        answer = admin.answer(Request(method, path, dict(parse_qsl(query))))
        assert answer.status in (200, 401, 503), (method, path, query)


def test_the_status_says_whether_it_starts_or_drains(
    admin: AdminServer, supervisor: Supervisor
) -> None:
    """Both are 503: there is nothing to show."""
    assert body(admin, "/api/status") == (503, {"error": "the service is starting"})
    supervisor.stop(1.0)
    assert body(admin, "/api/status") == (503, {"error": "the service is draining"})


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


def test_a_page_that_is_none_is_said_in_json(admin: AdminServer) -> None:
    """With those that there are."""
    answer, content = ask(admin, "GET", "/api/nope")

    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json")
    assert json.loads(content) == {
        "error": "there is no page /api/nope",
        "pages": [
            "/",
            "/api/deadletters",
            "/api/gaps",
            "/api/rates",
            "/api/replays",
            "/api/sinks",
            "/api/status",
            "/api/tail",
            "/healthz",
            "/livez",
            "/metrics",
            "/readyz",
        ],
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_a_method_that_a_page_does_not_take_is_said_in_json(
    admin: AdminServer, method: str
) -> None:
    """With those that it takes."""
    answer, content = ask(admin, method, "/livez", b"{}")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert json.loads(content) == {"error": f"/livez takes GET, HEAD, not {method}"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/livez", 200),
        ("/readyz", 503),
        ("/metrics", 200),
        ("/", 200),
        ("/x", 404),
        ("/api/gaps", 200),
    ],
)
def test_head_is_get_without_a_body(admin: AdminServer, path: str, status: int) -> None:
    """Its length is that of the page."""
    head, nothing = ask(admin, "HEAD", path)
    got, content = ask(admin, "GET", path)

    assert (head.status, got.status, nothing) == (status, status, b"")
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    if path != "/metrics":
        assert head.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /livez HTTP/7.5\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"POST /api/gaps/1/close HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n",
        b"POST /api/gaps/1/close HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/gaps/1/close HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_request_is_answered_in_json(admin: AdminServer, sent: bytes) -> None:
    """Whoever sent it reads why, and the connection ends."""
    host, _, port = admin.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while more := connection.recv(65536):
            answer += more

    head, _, content = answer.partition(b"\r\n\r\n")
    assert 400 <= int(head.split()[1]) < 506
    assert b"Content-Type: application/json" in head
    assert json.loads(content)["error"]


def test_an_empty_token_is_none(tmp_path: Path) -> None:
    """As `${TOKEN:-}` leaves one: a request with an empty token must not match it."""
    made = Supervisor(
        parse(
            f"kinetica: {{urls: a}}\njournal: {{path: {tmp_path}/journal}}\n"
            "tables: [{name: s.t}]\nsinks: {out: {type: stdout}}\nadmin: {token: ''}\n"
        )
    )
    assert list(made.tokens) == []
    made.stop(1.0)


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("POST", "/api/reload?foo=1"),
        ("POST", "/api/gaps/1/close?foo=1"),
        ("POST", "/api/gaps/1/accept?foo=1"),
        ("GET", "/api/tail?from=x&foo=1"),
        ("GET", "/api/deadletters?limit=x&foo=1"),
        ("GET", "/api/deadletters/x"),
        ("POST", "/api/deadletters/drop"),
        ("POST", "/api/replays?foo=1"),
        ("DELETE", "/api/replays/x?foo=1"),
        ("POST", "/api/sinks/out/pause?foo=1"),
        ("POST", "/api/sinks/out/resume?foo=1"),
        ("POST", "/api/sinks/out/skip"),
        ("POST", "/api/snapshots/s.t?foo=1"),
        ("DELETE", "/api/snapshots/s.t?foo=1"),
    ],
)
def test_who_has_no_token_learns_nothing_else(
    admin: AdminServer, method: str, address: str
) -> None:
    """Every action and every page of rows: neither which parameters it takes, nor what is there."""
    path, _, query = address.partition("?")
    for token, status in ((None, 401), ("wrong", 403)):
        request = Request(method, path, dict(parse_qsl(query)), token=token)
        assert admin.answer(request).status == status


def test_an_action_wants_a_token(admin: AdminServer, supervisor: Supervisor) -> None:
    """None is 401 with what is wanted; another one is 403; then the gap is looked for."""
    path = "/api/gaps/0011223344556677/close"
    (token,) = supervisor.tokens

    none, said = ask(admin, "POST", path)
    wrong, _ = ask(admin, "POST", path, Authorization="Bearer wrong")
    basic, _ = ask(admin, "POST", path, Authorization=f"Basic {token}")
    right, unknown = ask(admin, "POST", path, Authorization=f"bearer {token}")

    assert (none.status, none.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer" in json.loads(said)["error"]
    assert (wrong.status, basic.status, right.status) == (403, 401, 404)
    assert json.loads(unknown) == {"error": "no open gap has the id 0011223344556677"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/tail?table=s.t&from="),
        ("GET", "/api/deadletters?limit="),
        ("GET", "/api/deadletters?since="),
        ("GET", "/api/deadletters/"),
        ("POST", "/api/deadletters/drop?numbers="),
        ("POST", "/api/replays?letters=true&after="),
        ("POST", "/api/replays?letters=true&since="),
        ("POST", "/api/replays?letters=true&numbers="),
    ],
)
@pytest.mark.parametrize("odd", ["9" * 5000, "9" * 19, "-1", "[" * 5000, "9" * 400 + "h", "%ff"])
def test_what_cannot_be_a_number_is_said_and_no_fault(
    admin: AdminServer, supervisor: Supervisor, method: str, path: str, odd: str
) -> None:
    """Numbers that have no end, or no room in SQLite."""
    (token,) = supervisor.tokens
    found, content = ask(admin, method, path + odd, Authorization=f"Bearer {token}")

    assert found.status < 500, content


def test_a_body_that_is_too_long_is_refused_in_words(admin: AdminServer) -> None:
    """Whoever sends it gets the answer, not a broken pipe."""
    answer, content = ask(admin, "POST", "/api/gaps/1/close", b"x" * 4_000_000)

    assert answer.status == 413
    assert json.loads(content) == {
        "error": "a body has at most 256 KiB, as its Content-Length says"
    }


@pytest.mark.parametrize("of", ["the address", "a form"])
def test_more_parameters_than_any_page_takes_are_refused_unread(
    admin: AdminServer, of: str
) -> None:
    """Tens of thousands fit into a form, and would take hundreds of times the room."""
    many, form = "a=&" * 10_000, {"Content-Type": "application/x-www-form-urlencoded"}

    if of == "a form":
        answer, content = ask(admin, "POST", "/api/replays", many.encode(), **form)
    else:
        answer, content = ask(admin, "GET", f"/readyz?{many}")

    assert answer.status == 400
    assert json.loads(content) == {"error": "a request has at most 100 parameters"}


def test_half_a_form_is_not_carried_out(admin: AdminServer, supervisor: Supervisor) -> None:
    """Its sender has gone; what arrived may be a wish that nobody had."""
    (token,) = supervisor.tokens
    host, port = admin.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST /api/replays HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\n"
            "letters=true&numbers=1".encode()
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""


def test_connections_that_say_nothing_leave_room_for_those_that_do(admin: AdminServer) -> None:
    """Each has a thread, and there are not many; whoever asks something is answered at once."""
    host, port = admin.url.removeprefix("http://").split(":")
    silent: list[socket.socket] = []
    try:
        for _ in range(3):
            silent += [socket.create_connection((host, int(port))) for _ in range(150)]
            assert ask(admin, "GET", "/livez")[0].status == 200
        names = [thread.name for thread in threading.enumerate()]
        assert sum("process_request_thread" in name for name in names) <= 210
    finally:
        for each in silent:
            each.close()
