"""Transport: bodies, envelopes, headers, credentials, what is refused and how."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from kinetica_emulator import Emulator

BINARY = "application/octet-stream"


def test_a_ping_says_that_it_runs(emulator: Emulator) -> None:
    """GET answers with the text by which clients know a running cluster."""
    reply = requests.get(emulator.url, timeout=10, headers={"Accept": "application/json"})

    assert (reply.status_code, reply.text) == (200, "Kinetica is running!")


@pytest.mark.parametrize("binary", [False, True])
def test_both_encodings_give_the_same_reply(client: Any, binary: bool) -> None:
    """A reply has the same fields in Avro as in JSON, and the header with its duration."""
    client.create_table("t", {"id": ["int", "primary_key"], "s": ["string", "nullable"]})

    shown = client("/show/table", binary=binary, table_name="t", options={"get_sizes": "true"})

    assert shown == client("/show/table", table_name="t", options={"get_sizes": "true"})
    assert shown["table_names"] == ["ki_home.t"]
    assert shown["total_full_size"] == 0
    assert float(client.post("/show/system/status").headers["x-request-time-secs"]) >= 0


def test_json_replies_are_ascii(client: Any) -> None:
    """Wide characters travel escaped, in both layers of JSON."""
    client.create_table("t", {"s": ["string"]})
    client.insert("t", {"s": "Zürich 東京"})

    reply = client.post("/get/records", table_name="t", limit=10, encoding="json")

    assert reply.content.isascii()
    record = json.loads(json.loads(reply.json()["data_str"])["records_json"][0])
    assert record == {"s": "Zürich 東京"}


@pytest.mark.parametrize("binary", [False, True])
def test_an_unknown_option_is_refused(client: Any, refused: Any, binary: bool) -> None:
    """A key that the call does not know is an error naming it."""
    with pytest.raises(refused, match=r"Parameter map key: 'no_such' is not a valid parameter"):
        client("/has/table", binary=binary, table_name="t", options={"no_such": "1"})


@pytest.mark.parametrize("body", [b"", b"\xff" * 40, b"\x02", b"\xfe\xff\xff\xff\x7f", b"{}"])
def test_bytes_that_are_no_request_get_an_error(
    client: Any, emulator: Emulator, body: bytes
) -> None:
    """Whatever arrives is answered by an ERROR reply, and the next request by its own."""
    headers = {"Content-type": BINARY, "Accept": BINARY}

    for path in ("/show/table", "/insert/records", "/no/such/call"):
        reply = client.session.post(emulator.url + path, data=body, headers=headers, timeout=10)

        assert reply.status_code == 400
        assert client.envelope(reply, binary=True)["status"] == "ERROR"
    assert client("/has/table", table_name="t")["table_exists"] is False


@pytest.mark.parametrize("body", ["[1]", "{", '{"table_name": 5}', '{"options": []}'])
def test_json_that_is_no_request_gets_an_error(client: Any, emulator: Emulator, body: str) -> None:
    """The same in JSON."""
    reply = client.session.post(
        f"{emulator.url}/has/table",
        data=body,
        headers={"Content-type": "application/json"},
        timeout=10,
    )

    assert reply.status_code == 400
    assert reply.json()["status"] == "ERROR"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Transfer-Encoding: chunked", 411),
        ("Content-Length: many", 413),
        ("Content-Length: 99999999999", 413),
    ],
)
def test_a_body_without_a_usable_length_ends_the_connection(
    emulator: Emulator, headers: str, status: int
) -> None:
    """The rest of it is never taken for another request."""
    address = urlsplit(emulator.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"POST /has/table HTTP/1.1\r\n{headers}\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))

    assert received.startswith(f"HTTP/1.1 {status} ".encode())
    assert received.count(b"HTTP/1.1") == 1


def test_credentials_are_asked_for_where_they_are_set(connect: Any) -> None:
    """401 without the right pair; a ping needs none."""
    with Emulator(username="u", password="pässword") as emulator:
        client = connect(emulator)

        assert client.post("/show/system/status").status_code == 401
        client.session.auth = ("u", "wrong")
        assert client.post("/show/system/status").status_code == 401
        client.session.auth = (b"u", "pässword".encode())
        assert client.post("/show/system/status").status_code == 200
        assert requests.get(emulator.url, timeout=10).status_code == 200


def test_properties_tell_a_client_all_it_needs(client: Any, emulator: Emulator) -> None:
    """Version, public URL and monitor port are there, and a reply can be limited to some."""
    properties = client("/show/system/properties")["property_map"]

    assert properties["version.gpudb_core_version"].startswith("7.2.")
    assert properties["conf.number_of_hosts"] == "1"
    assert properties["conf.host0_public_urls"] == emulator.url
    assert properties["conf.set_monitor_port"] == str(emulator.monitor_port)
    some = client("/show/system/properties", options={"properties": "conf.enable_ha,nothing"})
    assert some["property_map"] == {"conf.enable_ha": "FALSE"}


def test_listening_everywhere_tells_each_client_the_address_it_used() -> None:
    """Bound to every address, the public URL is the one in the request."""
    with Emulator(host="0.0.0.0") as emulator:
        port = emulator.url.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost", "127.0.0.2"):
            url = f"http://{host}:{port}"
            reply = requests.post(f"{url}/show/system/properties", json={}, timeout=10)

            properties = json.loads(reply.json()["data_str"])["property_map"]
            assert properties["conf.host0_public_urls"] == url
