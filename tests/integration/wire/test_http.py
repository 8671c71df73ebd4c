"""Calls to a cluster: what comes back, and what every kind of failure is called."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from services.rig import COLUMNS, TABLE, Database

from bridge.errors import (
    ClusterUnavailable,
    ReplyNotUnderstood,
    RequestRefused,
    Unauthorised,
    WireError,
)
from bridge.wire.calls import Cluster, Query
from bridge.wire.client import Access, Http
from kinetica_emulator import Emulator


class Liar:
    """An HTTP server that answers whatever it is told."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.requests = 0
        self.cut_next = False
        liar = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                liar.requests += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                if liar.cut_next:
                    liar.cut_next = False
                    self.close_connection = True
                    return
                self.send_response(liar.status)
                self.send_header("Content-Length", str(len(liar.body)))
                self.end_headers()
                self.wfile.write(liar.body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def say(self, status: int, body: bytes | dict[str, Any]) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def liar() -> Iterator[Liar]:
    """A server that lies."""
    liar = Liar()
    yield liar
    liar.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Cluster]]:
    """Make clusters' clients that are closed afterwards."""
    made: list[Cluster] = []

    def connect(url: str, *, timeout: float = 5.0, **access: Any) -> Cluster:
        made.append(Cluster(Http(url, Access(**access), timeout)))
        return made[-1]

    yield connect
    for cluster in made:
        cluster.close()


OK = {"status": "OK", "message": "", "data_type": "x", "data": "", "data_str": "{}"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, b"", Unauthorised, "kinetica.password"),
        (403, b"<html>", Unauthorised, "credentials"),
        (500, b"boom", ClusterUnavailable, "HTTP 500"),
        (503, b"", ClusterUnavailable, "HTTP 503"),
        (200, b"", ReplyNotUnderstood, "not a reply of Kinetica"),
        (200, b"\xff\xfe\x00", ReplyNotUnderstood, "not a reply of Kinetica"),
        (200, b"[]", ReplyNotUnderstood, "not a reply of Kinetica"),
        (200, {"status": "OK"}, ReplyNotUnderstood, "not a reply of Kinetica"),
        (200, {**OK, "data_str": "nope"}, ReplyNotUnderstood, "unreadable payload"),
        (200, {**OK, "data_str": "[1]"}, ReplyNotUnderstood, "unreadable payload"),
        (200, OK, ReplyNotUnderstood, "status_map"),
        (
            400,
            {**OK, "status": "ERROR", "message": "no such thing"},
            RequestRefused,
            "no such thing",
        ),
        (
            200,
            {**OK, "status": "ERROR", "message": "Kinetica is exiting"},
            ClusterUnavailable,
            "exiting",
        ),
        (
            400,
            {**OK, "status": "ERROR", "message": "Unavailable: Draining HA queue"},
            ClusterUnavailable,
            "Draining",
        ),
    ],
)
def test_a_bad_answer_is_an_error_that_names_cluster_endpoint_and_cause(
    liar: Liar,
    connect: Callable[..., Cluster],
    status: int,
    body: bytes | dict[str, Any],
    kind: type[WireError],
    words: str,
) -> None:
    """Whatever a server says, it is one of four errors."""
    liar.say(status, body)

    with pytest.raises(kind) as caught:
        connect(liar.url).status(5.0)

    assert type(caught.value) is kind
    assert caught.value.cluster == liar.url
    assert caught.value.endpoint == "/show/system/status"
    assert words in str(caught.value)


def test_nobody_there_and_nobody_answering_are_unavailable(
    connect: Callable[..., Cluster],
) -> None:
    """A closed port, a port that never answers, a name that does not resolve."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(ClusterUnavailable, match="refused"):
        connect(f"http://127.0.0.1:{port}").status(1.0)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(ClusterUnavailable, match=r"no answer within 0\.2 s"):
            connect(f"http://127.0.0.1:{mute.getsockname()[1]}").status(0.2)
    with pytest.raises(ClusterUnavailable):
        connect("http://no-such-host.invalid").status(5.0)


def test_a_read_is_sent_again_on_a_dead_connection_and_a_change_never(
    liar: Liar, connect: Callable[..., Cluster]
) -> None:
    """The first change may have arrived; sending it again would do it twice."""
    cluster = connect(liar.url)
    status = {"status_map": {"system": json.dumps({"status": "running"})}}
    liar.say(200, {**OK, "data_str": json.dumps(status)})
    cluster.status(5.0)

    liar.cut_next = True
    assert cluster.status(5.0) == "running"
    assert liar.requests == 3

    liar.cut_next = True
    with pytest.raises(ClusterUnavailable):
        cluster.clear_monitor("m")
    assert liar.requests == 4


def test_credentials_are_sent_and_a_wrong_one_is_refused(connect: Callable[..., Cluster]) -> None:
    """User and password, in any script; neither stands in an error or a repr."""
    with Emulator(username="ädmin", password="s3crét:x") as emulator:
        right = connect(emulator.url, username="ädmin", password="s3crét:x")
        wrong = connect(emulator.url, username="ädmin", password="guess")

        assert right.status(5.0) == "running"
        with pytest.raises(Unauthorised) as caught:
            wrong.status(5.0)
        wrong.http.renew(Access(username="ädmin", password="s3crét:x"))
        assert wrong.status(5.0) == "running"
    assert "guess" not in str(caught.value)
    assert "guess" not in repr(Access(username="a", password="guess"))


def test_an_authority_that_is_not_there_is_named() -> None:
    """The file may come back: it is a cluster that cannot be called, for now."""
    http = Http("https://127.0.0.1:1", Access(ca_file="/none/ca.pem"), 5.0)

    with pytest.raises(ClusterUnavailable, match=r"/none/ca\.pem \(see kinetica\.tls\)"):
        http.call("/show/system/status", {})


def test_rows_are_read_as_the_bytes_they_are_on_the_wire(connect: Callable[..., Cluster]) -> None:
    """By condition, in order, page by page; a missing table is a refusal."""
    with Emulator() as emulator:
        database = Database(emulator)
        database.create(columns=COLUMNS)
        database.insert_ids(range(10))
        database.close()
        cluster = connect(emulator.url)

        page = cluster.read_rows(Query(TABLE, "id >= 4", "id", "descending"), 0, 4)
        assert page.frames[0] == b"\x12\x04n9"
        assert (len(page.frames), page.total, page.more) == (4, 6, True)
        table = cluster.table(TABLE, sizes=True)
        assert table is not None
        assert (table.rows, table.schema.type_id) == (10, page.type_id)
        with pytest.raises(RequestRefused):
            cluster.read_rows(Query("ki_home.gone"), 0, 1)
        assert cluster.table("ki_home.gone") is None
        assert set(cluster.tables("ki_home", 5.0)) == {TABLE}
        assert cluster.tables("nowhere", 5.0) == {}


def test_bytes_that_are_no_avro_are_not_understood(
    liar: Liar, connect: Callable[..., Cluster]
) -> None:
    """A reply in the wrong encoding is an error like any other."""
    for body in (b"", b"\x04OK", b"{}", bytes(range(256))):
        liar.say(200, body)
        with pytest.raises(ReplyNotUnderstood):
            connect(liar.url).read_rows(Query(TABLE), 0, 1)


@pytest.mark.parametrize("before", [0, 20, 470])
@pytest.mark.parametrize(
    "access", [Access("me", "hunter2-and-more"), Access(token="hunter2-and-more")]
)
def test_credentials_that_a_server_quotes_are_not_said(
    liar: Liar, access: Access, before: int
) -> None:
    """Whole or cut off, as a page or as the reason of an error reply."""
    login = base64.b64encode(b"me:hunter2-and-more").decode()
    quoted = f"{'x' * before} {access.token or login} hunter2-and-more {'y' * 512}"
    liar.say(500, quoted.encode())
    with pytest.raises(WireError) as page:
        Http(liar.url, access, 5.0).call("/show/table", {})
    liar.say(400, {"status": "ERROR", "message": quoted, "data_type": "", "data_str": ""})
    with pytest.raises(WireError) as reply:
        Http(liar.url, access, 5.0).call("/show/table", {})

    for error in (page.value, reply.value):
        assert "hunter2" not in f"{error} {error.reason}"
        assert login[:6] not in f"{error} {error.reason}"
