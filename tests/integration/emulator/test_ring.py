"""A ring: what is done on one cluster, and when it is seen on the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kinetica_emulator import Ring

FAR_AWAY = 3600.0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ring(clock: Clock) -> Iterator[Ring]:
    with Ring(3, clock=clock) as running:
        yield running


@pytest.fixture
def clients(ring: Ring, connect: Any) -> list[Any]:
    made = [connect(ring[index]) for index in range(len(ring))]
    made[0].create_table("t", {"id": ["int", "primary_key"], "s": ["string"]})
    return made


def ids(client: Any) -> list[int]:
    return sorted(row["id"] for row in client.rows("t"))


def test_every_cluster_tells_of_all(ring: Ring, clients: list[Any]) -> None:
    """The ring stands in each cluster's properties, in order, each with its own public URL."""
    assert len({url.split(":")[1] for url in ring.urls}) == 3
    for index, client in enumerate(clients):
        properties = client("/show/system/properties")["property_map"]
        assert properties["conf.enable_ha"] == "TRUE"
        assert properties["conf.ha_ring_head_nodes_full"] == ";".join(ring.urls)
        assert properties["conf.host0_public_urls"] == ring.urls[index]


def test_tables_are_everywhere_at_once(ring: Ring, clients: list[Any]) -> None:
    """Schemas, types and tables made, altered and dropped anywhere are so everywhere."""
    ring.delay = FAR_AWAY

    clients[1]("/create/schema", schema_name="shop")
    clients[1].create_table("shop.a", {"id": ["int"]})
    clients[2].sql("ALTER TABLE shop.a ADD x INT")

    described = [client("/show/table", table_name="shop.a") for client in clients]
    assert described[0] == described[1] == described[2]
    clients[0].sql("DROP SCHEMA shop CASCADE")
    assert not any(client("/has/table", table_name="shop.a")["table_exists"] for client in clients)


def test_rows_follow_after_the_delay_and_fire_monitors_there(
    ring: Ring, clients: list[Any], clock: Clock, listen: Any
) -> None:
    """Inserts, updates and deletes are repeated in order, with the notifications they cause."""
    ring.delay = 60.0
    topics = [clients[1].monitor("t", event) for event in ("insert", "update", "delete")]
    subscriber = listen(ring[1])
    subscriber.subscribe(*topics)

    clients[0].insert("t", {"id": 1, "s": "a"}, {"id": 2, "s": "b"})
    clients[0](
        "/update/records", table_name="t", expressions=["id = 1"], new_values_maps=[{"s": "z"}]
    )
    clients[0].sql("DELETE FROM t WHERE id = 2")
    assert (ids(clients[0]), ids(clients[1])) == ([1], [])
    assert ring.pending() == [0, 3, 3]
    clock.now = 61.0
    ring.kick()
    assert ring.wait_replicated()

    assert clients[1].rows("t") == clients[2].rows("t") == [{"id": 1, "s": "z"}]
    received = [subscriber.receive() for _ in topics]
    assert [topic for topic, _ in received] == topics
    assert [len(frames) for _, frames in received] == [2, 1, 1]
    assert clients[0].monitors()["monitor_ids"] == []


def test_a_change_of_tables_waits_for_the_rows_before_it(ring: Ring, clients: list[Any]) -> None:
    """Rows queued for later arrive before the layout they belong to is gone."""
    ring.delay = FAR_AWAY
    clients[0].insert("t", {"id": 1, "s": "a"})
    assert ids(clients[1]) == []

    clients[2].sql("ALTER TABLE t ADD x INT")

    assert ids(clients[1]) == [1]
    assert ids(clients[2]) == [1]


def test_a_request_may_say_how_it_is_replicated(ring: Ring, clients: list[Any]) -> None:
    """REPL_NONE stays where it is, REPL_SYNC does not wait."""
    ring.delay = FAR_AWAY

    def insert(number: int, group: str) -> None:
        clients[0].post(
            "/insert/records",
            headers={"X-Kinetica-Group": group},
            table_name="t",
            list_str=[f'{{"id": {number}, "s": ""}}'],
            list_encoding="json",
        )

    insert(1, "REPL_NONE")
    insert(2, "REPL_SYNC")
    assert ring.wait_replicated()

    assert (ids(clients[0]), ids(clients[1])) == ([1, 2], [2])


def test_a_cluster_that_comes_back_drains_before_it_serves(ring: Ring, clients: list[Any]) -> None:
    """What it missed while down is there from its first answer on."""
    ring[1].stop()
    clients[0].insert("t", {"id": 1, "s": "a"})
    clients[0].create_table("u", {"id": ["int"]})
    assert ring.wait_replicated()
    assert ring.pending() == [0, 3, 0]

    ring[1].start()
    while "draining" in clients[1]("/show/system/status")["status_map"]["ha_status"]:
        pass

    assert ids(clients[1]) == [1]
    assert clients[1]("/has/table", table_name="u")["table_exists"] is True


def test_a_killed_cluster_may_take_unreplicated_rows_along_for_a_while(
    ring: Ring, clients: list[Any], clock: Clock
) -> None:
    """Rows accepted and not yet repeated reach the others late, after the cluster died."""
    ring.delay = 60.0
    clients[0].insert("t", {"id": 1, "s": "a"})
    ring[0].stop()
    clients[1].insert("t", {"id": 2, "s": "b"})
    assert ids(clients[1]) == [2]

    clock.now = 120.0
    ring.kick()
    assert ring.wait_replicated()

    assert ids(clients[1]) == ids(clients[2]) == [1, 2]
