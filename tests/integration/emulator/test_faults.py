"""Faults on demand: each looks from outside like what it imitates, and ends when healed."""

from __future__ import annotations

import socket
import sys
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import zmq

from kinetica_emulator import Emulator

SOON = 0.3


@pytest.fixture
def table(client: Any) -> str:
    client.create_table("t", {"id": ["int"]})
    return "t"


def test_any_status_can_be_answered(emulator: Emulator, client: Any, table: str) -> None:
    """All calls and pings, or only some calls, until healed."""
    emulator.fail(503)
    assert client.post("/has/table", table_name="t").status_code == 503
    assert requests.get(emulator.url, timeout=10).status_code == 503

    emulator.fail(404, ["/show/table"])
    assert client.post("/show/table", table_name="t").status_code == 404
    assert client.post("/has/table", table_name="t").status_code == 200

    emulator.heal()
    assert client("/show/table", table_name="t")["table_names"] == ["ki_home.t"]


def test_an_answer_can_be_lost_after_the_work_is_done(
    emulator: Emulator, client: Any, table: str
) -> None:
    """The rows are in, only the client does not know."""
    emulator.drop_requests(["/insert/records"], after=True)
    with pytest.raises(requests.ConnectionError):
        client.insert(table, {"id": 1})
    emulator.fail(500, ["/insert/records"], after=True)
    assert (
        client.post(
            "/insert/records", table_name=table, list_str=['{"id": 2}'], list_encoding="json"
        ).status_code
        == 500
    )

    emulator.heal()
    assert client.rows(table) == [{"id": 1}, {"id": 2}]


def test_a_hanging_cluster_answers_when_it_is_healed(
    emulator: Emulator, client: Any, table: str
) -> None:
    """Requests are taken and wait; a client without patience gives up."""
    emulator.hang()
    with pytest.raises(requests.ReadTimeout):
        requests.get(emulator.url, timeout=SOON)
    answers: list[bool] = []
    waiting = threading.Thread(
        target=lambda: answers.append(client("/has/table", table_name="t")["table_exists"])
    )
    waiting.start()

    emulator.heal()

    waiting.join()
    assert answers == [True]


def test_connections_can_be_cut(
    emulator: Emulator, client: Any, table: str, subscriber: Any
) -> None:
    """HTTP and ZeroMQ connections end; new ones are served, subscriptions come back."""
    topic = client.monitor(table)
    subscriber.subscribe(topic)
    address = urlsplit(emulator.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.settimeout(10)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1)

        emulator.drop_connections()

        while connection.recv(1 << 16):
            pass
    subscriber.lose()
    subscriber.subscribe_again(topic)
    client.insert(table, {"id": 1})
    assert subscriber.receive() == (topic, [b"\x02"])


@pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")
def test_a_silent_cluster_takes_no_packet(
    emulator: Emulator, client: Any, table: str, subscriber: Any
) -> None:
    """Open connections hear nothing, not even an end; new ones time out; healed, both work."""
    topic = client.monitor(table)
    subscriber.subscribe(topic)
    address = urlsplit(emulator.url)
    established = socket.create_connection((address.hostname, address.port))
    emulator.go_silent()

    emulator.publish(topic, [b"lost"])
    established.settimeout(SOON)
    established.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with established, pytest.raises(TimeoutError):
        established.recv(1)
    for port in (address.port, emulator.monitor_port):
        with pytest.raises(TimeoutError):
            socket.create_connection((address.hostname, port), timeout=SOON)
    emulator.heal()

    assert client("/has/table", table_name="t")["table_exists"] is True
    client.insert(table, {"id": 1})
    assert subscriber.receive() == (topic, [b"\x02"])


def test_monitors_can_be_forgotten(emulator: Emulator, client: Any, table: str) -> None:
    """The table stays, its monitors are gone without a word."""
    client.monitor(table)

    emulator.forget_monitors()

    assert client.monitors()["monitor_ids"] == []
    assert client("/has/table", table_name="t")["table_exists"] is True


@pytest.mark.parametrize("binary", [False, True])
def test_a_draining_cluster_says_so_and_serves_nobody(
    emulator: Emulator, client: Any, table: str, binary: bool
) -> None:
    """Status and properties are told, any other call is an error that clients know."""
    emulator.drain()

    reply = client.post("/has/table", binary=binary, table_name="t")
    status = client("/show/system/status")["status_map"]
    client("/show/system/properties")

    assert reply.status_code == 400
    assert "Unavailable: Draining HA queue" in client.envelope(reply, binary=binary)["message"]
    assert '"draining"' in status["ha_status"]
    emulator.heal()
    assert '"drained"' in client("/show/system/status")["status_map"]["ha_status"]


def test_a_slow_subscriber_loses_what_exceeds_its_queue() -> None:
    """Beyond the queue, messages are dropped without a word; the others arrive in order."""
    frames = [bytes(1 << 20)]
    with Emulator(monitor_queue=2) as emulator, zmq.Context() as context:
        host = urlsplit(emulator.url).hostname
        slow = context.socket(zmq.SUB)
        slow.setsockopt(zmq.RCVHWM, 1)
        slow.setsockopt(zmq.LINGER, 0)
        slow.setsockopt(zmq.SUBSCRIBE, b"")
        slow.connect(f"tcp://{host}:{emulator.monitor_port}")
        assert emulator.wait_for_subscriber("")

        for number in range(100):
            emulator.publish(f"{number:03}", frames)
        assert emulator.wait_published()
        emulator.publish("end", [])
        received = []
        while slow.poll(1000):
            received.append(slow.recv_multipart()[0])
        slow.close(0)

    numbered = [topic for topic in received if topic != b"end"]
    assert numbered == sorted(set(numbered))
    assert 0 < len(numbered) < 100
