"""Faults against which a monitor's claims are tried: notifications, ports, neighbours, clocks."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import zmq

from kinetica_emulator import Emulator, Ring

SOON = 0.3


@pytest.fixture
def table(client: Any) -> str:
    client.create_table("t", {"id": ["int"]})
    return "ki_home.t"


def ids(client: Any, table: str) -> list[int]:
    return [row["id"] for row in client.rows(table)]


def control(emulator: Emulator, name: str, **arguments: Any) -> requests.Response:
    return requests.post(f"{emulator.url}/emulator/{name}", json=arguments, timeout=10)


def test_rows_can_be_stored_and_never_published(
    emulator: Emulator, client: Any, table: str, subscriber: Any
) -> None:
    """The next so many changes of a table are lost to its monitors; what follows is heard."""
    client.create_table("u", {"id": ["int"]})
    topic, other = client.monitor(table), client.monitor("u")
    subscriber.subscribe(topic, other)
    emulator.skip_notifications(2, [table])

    client.insert(table, {"id": 1})
    client.sql("INSERT INTO t VALUES (2)")
    client.insert("u", {"id": 7})
    client.insert(table, {"id": 3})

    assert subscriber.receive() == (other, [b"\x0e"])
    assert subscriber.receive() == (topic, [b"\x06"])
    assert ids(client, table) == [1, 2, 3]


def test_some_events_alone_can_be_unpublished_until_healed(
    emulator: Emulator, client: Any, table: str, subscriber: Any
) -> None:
    """Deletes are lost, inserts heard; healed, both are heard."""
    inserts, deletes = client.monitor(table), client.monitor(table, "delete")
    subscriber.subscribe(inserts, deletes)
    emulator.skip_notifications(events=["delete"])

    client.insert(table, {"id": 1})
    client.sql("DELETE FROM t")
    emulator.heal()
    client.insert(table, {"id": 2})
    client.sql("DELETE FROM t")

    assert [subscriber.receive()[0] for _ in range(3)] == [inserts, inserts, deletes]


def test_a_table_can_be_emptied_without_a_word(
    emulator: Emulator, client: Any, table: str, subscriber: Any
) -> None:
    """Its rows are gone, a write is counted, and no monitor hears of it."""
    inserts, deletes = client.monitor(table), client.monitor(table, "delete")
    subscriber.subscribe(inserts, deletes)
    client.insert(table, {"id": 1})

    emulator.truncate_silently("t")
    client.insert(table, {"id": 2})

    assert [subscriber.receive()[0] for _ in range(2)] == [inserts, inserts]
    assert ids(client, table) == [2]
    assert emulator.database.table("t").history.writes.count == 3


def test_notifications_can_be_late(
    emulator: Emulator, client: Any, table: str, subscriber: Any
) -> None:
    """They come in order and not before their time; healing sends what waits."""
    topic = client.monitor(table)
    subscriber.subscribe(topic)
    emulator.delay_notifications(3600.0)
    client.insert(table, {"id": 1})
    client.insert(table, {"id": 2})

    assert not emulator.wait_published(0)
    emulator.delay_notifications(0.05)
    client.insert(table, {"id": 3})
    assert [subscriber.receive()[1] for _ in range(3)] == [[b"\x02"], [b"\x04"], [b"\x06"]]

    emulator.delay_notifications(3600.0)
    client.insert(table, {"id": 4})
    emulator.heal()
    assert subscriber.receive()[1] == [b"\x08"]


@pytest.mark.parametrize("topics", ["qualified", "other"])
def test_the_topic_need_not_be_the_id_asked_for(
    emulator: Emulator, client: Any, refused: Any, table: str, subscriber: Any, topics: Any
) -> None:
    """It is another one, in any schema; the monitor is found by either, and made only once."""
    emulator.traits.topics, emulator.traits.topic_schema = topics, "somewhere"

    topic = client.monitor(table, monitor_id="mine")
    subscriber.subscribe(topic)
    client.insert(table, {"id": 1})

    assert topic.startswith("somewhere.")
    assert (topic == "somewhere.mine") is (topics == "qualified")
    assert subscriber.receive() == (topic, [b"\x02"])
    assert client.monitors()["monitor_ids"] == [topic]
    with pytest.raises(refused, match="already exists"):
        client.monitor(table, monitor_id="mine")
    client("/clear/tablemonitor", topic_id="mine")
    assert client.monitors()["monitor_ids"] == []


def test_monitors_can_be_listed_under_other_names_than_their_topics(
    emulator: Emulator, client: Any, table: str
) -> None:
    """Without their schema, or by the id asked for; what publishes stays the topic."""
    emulator.traits.topics = "other"
    topic = client.monitor(table, monitor_id="ki_home.mine")

    emulator.traits.listed = "asked"
    assert client.monitors()["monitor_ids"] == ["ki_home.mine"]
    emulator.traits.listed = "unqualified"
    assert client.monitors()["monitor_ids"] == [topic.removeprefix("ki_home.")]
    assert topic in client("/show/table", table_name=table)["additional_info"][0]["table_monitor"]


def test_a_closed_monitor_port_refuses_while_http_serves(
    emulator: Emulator, client: Any, table: str, subscriber: Any
) -> None:
    """Subscribers are cut, new connections refused; healed, the same port publishes again."""
    topic, port = client.monitor(table), emulator.monitor_port
    subscriber.subscribe(topic)

    emulator.close_monitor_port()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((urlsplit(emulator.url).hostname, port), timeout=10)
    client.insert(table, {"id": 1})
    assert '"running"' in client("/show/system/status")["status_map"]["system"]
    emulator.heal()
    assert emulator.monitor_port == port
    subscriber.subscribe_again(topic)
    client.insert(table, {"id": 2})
    assert subscriber.receive() == (topic, [b"\x04"])


def test_a_mute_monitor_port_is_connected_to_and_never_answers(
    emulator: Emulator, client: Any, table: str, subscriber: Any
) -> None:
    """TCP is established, ZeroMQ's handshake does not come; healed, it does."""
    topic = client.monitor(table)
    subscriber.subscribe(topic)
    emulator.mute_monitor_port()

    address = (urlsplit(emulator.url).hostname, emulator.monitor_port)
    with socket.create_connection(address, timeout=SOON) as connection:
        connection.sendall(b"\xff")
        with pytest.raises(TimeoutError):
            connection.recv(1)
    emulator.heal()
    subscriber.subscribe_again(topic)
    client.insert(table, {"id": 1})
    assert subscriber.receive() == (topic, [b"\x02"])


@pytest.mark.parametrize("fault", ["close_monitor_port", "mute_monitor_port"])
def test_a_restart_opens_the_monitor_port(emulator: Emulator, fault: str) -> None:
    """On the same number as before."""
    port = emulator.monitor_port
    getattr(emulator, fault)()

    emulator.restart()

    assert emulator.monitor_port == port
    assert emulator.subscriptions() == {}
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.setsockopt(zmq.LINGER, 0)
        subscriber.setsockopt(zmq.SUBSCRIBE, b"x")
        subscriber.connect(f"tcp://127.0.0.1:{port}")
        assert emulator.wait_for_subscriber("x")


@pytest.mark.parametrize("binary", [False, True])
def test_calls_can_be_refused_with_any_words(
    emulator: Emulator, client: Any, refused: Any, table: str, binary: bool
) -> None:
    """An ERROR reply by endpoint, while the status says running."""
    emulator.refuse("No space left", ["/create/tablemonitor"])

    with pytest.raises(refused, match="No space left"):
        client("/create/tablemonitor", binary=binary, table_name=table)
    assert client("/has/table", binary=binary, table_name=table)["table_exists"] is True
    assert '"running"' in client("/show/system/status")["status_map"]["system"]


@pytest.mark.parametrize(
    "schema",
    [
        "",
        '{"type":"record","name":"type_name","fields":[{"name":"a","type":["null","string"]}]}',
        '{"type":"record","name":"type_name","fields":[{"name":"a","type":"quaternion"}]}',
        "not JSON",
    ],
)
def test_a_neighbour_may_have_any_schema(
    emulator: Emulator, client: Any, table: str, schema: str
) -> None:
    """It is told as it stands, among the ordinary ones and alone, sizes included."""
    emulator.add_neighbour("ki_home.odd", schema, ["MATERIALIZED_VIEW"])

    shown = client("/show/table", table_name="ki_home", options={"get_sizes": "true"})
    assert (
        dict(zip(shown["table_names"], shown["type_schemas"], strict=True))["ki_home.odd"] == schema
    )
    assert shown["table_descriptions"] == [[], ["MATERIALIZED_VIEW"]]
    assert shown["sizes"] == [0, 0]
    assert client("/show/table", table_name="ki_home.odd")["type_schemas"] == [schema]
    client("/clear/table", table_name="ki_home.odd")


def test_a_schema_can_be_crowded(emulator: Emulator, client: Any) -> None:
    """Many tables of many columns at once."""
    emulator.crowd("busy", 50, 60)

    shown = client("/show/table", table_name="busy")
    assert len(shown["table_names"]) == 50
    assert len(json.loads(shown["type_schemas"][49])["fields"]) == 60


def test_one_cluster_can_have_two_addresses(emulator: Emulator, client: Any, connect: Any) -> None:
    """It says the same of itself under both, and has the same monitors; another says otherwise."""

    class Place:
        url = emulator.listen_also("127.0.0.2", 0)

    other = connect(Place)
    client.create_table("t", {"id": ["int"]})
    topic = other.monitor("t", monitor_id="mine")

    assert urlsplit(Place.url).port != urlsplit(emulator.url).port
    assert other("/show/system/properties") == client("/show/system/properties")
    assert other("/show/system/status") == client("/show/system/status")
    assert client.monitors()["monitor_ids"] == [topic]
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.setsockopt(zmq.LINGER, 0)
        subscriber.setsockopt(zmq.SUBSCRIBE, topic.encode())
        subscriber.connect(f"tcp://127.0.0.2:{emulator.monitor_port}")
        assert emulator.wait_for_subscriber(topic)
    with Emulator() as stranger:
        assert connect(stranger)("/show/system/properties") != client("/show/system/properties")
    emulator.restart()
    assert other("/has/table", table_name="t")["table_exists"] is True


def test_http_may_have_an_address_that_the_monitors_have_not(emulator: Emulator) -> None:
    """`::1` and 127.0.0.1 answer HTTP on one port number; the monitor port is 127.0.0.1's."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    url = emulator.listen_also("::1", monitors=False)

    assert urlsplit(url).port == urlsplit(emulator.url).port
    assert requests.get(url, timeout=10).text == "Kinetica is running!"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", emulator.monitor_port), timeout=10)
    with socket.create_connection(("127.0.0.1", emulator.monitor_port), timeout=10):
        pass


def test_the_monitor_port_may_have_an_address_of_its_own(connect: Any) -> None:
    """HTTP is not there, the monitors are."""
    with Emulator(monitor_host="127.0.0.3") as emulator:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", emulator.monitor_port), timeout=10)
        with socket.create_connection(("127.0.0.3", emulator.monitor_port), timeout=10):
            pass


def test_a_table_may_be_missing_on_one_cluster_of_a_ring(connect: Any) -> None:
    """Dropped on one alone, it goes on on the other, whose writes find nothing there."""
    with Ring(2) as ring:
        first, second = connect(ring[0]), connect(ring[1])
        first.create_table("t", {"id": ["int"]})

        ring[1].drop_here("t")
        first.insert("t", {"id": 1})
        assert ring.wait_replicated()

        assert first("/has/table", table_name="t")["table_exists"] is True
        assert second("/has/table", table_name="t")["table_exists"] is False


def test_faults_can_be_asked_for_over_http(emulator: Emulator, client: Any, table: str) -> None:
    """By the methods' names, whatever is in force; what is none of them is refused."""
    assert control(emulator, "fail", status=500).json() == {"result": None}
    assert client.post("/has/table", table_name="t").status_code == 500
    assert control(emulator, "heal").status_code == 200
    assert client("/has/table", table_name="t")["table_exists"] is True
    assert control(emulator, "traits", access_data="refused").json()["access_data"] == "refused"
    assert emulator.traits.access_data == "refused"

    assert control(emulator, "close").status_code == 404
    assert control(emulator, "traits", colour="red").status_code == 400
    assert control(emulator, "recreate", table="nowhere").status_code == 400
    assert control(emulator, "fail", nonsense=1).status_code == 400
