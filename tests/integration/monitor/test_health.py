"""Whether a cluster is of use: calls that work, and a port that shakes hands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from services.rig import TABLE, Database

from bridge.monitor.cluster_monitors import MonitorPortUnreachable
from bridge.monitor.health import Health
from bridge.monitor.route import Route
from bridge.monitor.subscriber import Subscriber
from bridge.wire.calls import Cluster
from bridge.wire.client import Access, Http
from kinetica_emulator import Emulator


class ManyAddresses(Http):
    """Calls to a host whose name has several addresses, the first of them dead."""

    def addresses(self) -> list[str]:
        return ["127.0.0.9", "::1", "127.0.0.1"]


@pytest.fixture
def health() -> Iterator[Health]:
    """Tries clusters, with a polling thread of its own."""
    subscriber: Subscriber[Route] = Subscriber(lambda *_: None, lambda: None)
    subscriber.start()
    yield Health(subscriber, "0a1b2c3d", 2.0, None)
    subscriber.stop()


def test_of_several_addresses_the_one_that_shakes_hands_is_used(
    health: Health, cluster: Emulator
) -> None:
    """HTTP falls back from a dead address to a living one, and so does the monitor port."""
    client = Cluster(ManyAddresses(cluster.url, Access(), 5.0))

    found = health.find_endpoint(client, client.properties())

    assert found == f"tcp://127.0.0.1:{cluster.monitor_port}"
    client.close()


@pytest.mark.parametrize(
    "broken", ["/show/system/status", "/show/tablemonitors", "/create/tablemonitor"]
)
def test_a_call_that_fails_is_trouble(
    health: Health, cluster: Emulator, database: Database, broken: str
) -> None:
    """Whatever its status says; and a monitor that was made to try is gone."""
    database.create()
    client = Cluster(Http(cluster.url, Access(), 5.0))
    assert health.trouble(client, TABLE) is None
    assert database.monitors() == []

    cluster.fail(500, [broken])

    assert broken in (health.trouble(client, TABLE) or "")
    client.close()


def test_a_table_that_is_not_there_is_no_trouble_of_the_cluster(
    health: Health, cluster: Emulator
) -> None:
    """It says nothing of whether monitors can be made."""
    client = Cluster(Http(cluster.url, Access(), 5.0))

    assert health.trouble(client, "ki_home.nowhere") is None
    client.close()


def test_a_port_that_never_shakes_hands_is_trouble(health: Health, cluster: Emulator) -> None:
    """Also where connections to it can be made."""
    client = Cluster(Http(cluster.url, Access(), 5.0))
    cluster.mute_monitor_port()

    assert "no answer from the port" in (health.trouble(client, None) or "")
    with pytest.raises(MonitorPortUnreachable):
        health.find_endpoint(client, client.properties())
    client.close()
