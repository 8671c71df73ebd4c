"""What tables are, many at once: the same answers by every way that a server allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from services.rig import TABLE, Database

from bridge.errors import ClusterUnavailable
from bridge.wire.calls import Cluster, made_again
from bridge.wire.client import Access, Http
from kinetica_emulator import Emulator

NAMES = [TABLE, *(f"ki_home.t{n}" for n in range(12)), "ki_home.missing"]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A cluster with some tables."""
    with Emulator() as made:
        database = Database(made)
        for name in NAMES[:-1]:
            database.create(name)
        database.insert_ids(range(3))
        database.close()
        yield made


@pytest.fixture
def cluster(emulator: Emulator) -> Iterator[Cluster]:
    """Its client."""
    made = Cluster(Http(emulator.url, Access(), 5.0))
    yield made
    made.close()


@pytest.mark.parametrize("count", [2, len(NAMES)], ids=["few", "many"])
@pytest.mark.parametrize(
    ("objects", "data"), [(True, "told"), (False, "told"), (False, "refused"), (False, "ignored")]
)
def test_every_way_says_which_tables_there_are(
    emulator: Emulator,
    cluster: Cluster,
    objects: bool,
    data: Literal["told", "refused", "ignored"],
    count: int,
) -> None:
    """With their layouts' ids; with identity and counts where the server says them."""
    emulator.traits.ki_objects, emulator.traits.access_data = objects, data
    names = [NAMES[0], *NAMES[-count + 1 :]]

    found = cluster.catalogue(names, 5.0)

    layout = cluster.table(TABLE)
    assert layout is not None
    assert layout.schema is not None
    orders = found[TABLE]
    assert orders is not None
    assert orders.type_id == layout.schema.type_id
    assert {name for name in names if found[name] is None} == {"ki_home.missing"}
    says = objects or data == "told"
    assert bool(orders.identity) is says
    assert (orders.write_count == 1) is says
    assert bool(orders.last_write_time) is says
    assert cluster.names("ki_home", 5.0) == set(NAMES[:-1])


@pytest.mark.parametrize("objects", [True, False])
def test_a_table_made_again_has_another_identity(
    emulator: Emulator, cluster: Cluster, objects: bool
) -> None:
    """By the number of the catalogue, or by the time when it was made."""
    emulator.traits.ki_objects = objects
    before = cluster.catalogue([TABLE], 5.0)[TABLE]
    same = cluster.catalogue([TABLE], 5.0)[TABLE]
    emulator.recreate(TABLE)
    after = cluster.catalogue([TABLE], 5.0)[TABLE]

    assert before is not None
    assert same is not None
    assert after is not None
    assert not made_again(before.identity, same.identity)
    assert made_again(before.identity, after.identity)


def test_a_catalogue_that_fails_is_no_failed_cluster(emulator: Emulator, cluster: Cluster) -> None:
    """Another way is taken; where that fails as well, the cluster does."""
    emulator.fail(500, ["/execute/sql"])
    assert cluster.catalogue([TABLE], 5.0)[TABLE] is not None

    emulator.fail(500, ["/execute/sql", "/show/table"])
    with pytest.raises(ClusterUnavailable):
        cluster.catalogue([TABLE], 5.0)


def test_one_layout_that_is_not_understood_is_that_tables_trouble(
    emulator: Emulator, cluster: Cluster
) -> None:
    """The others are listed as ever."""
    emulator.add_neighbour("ki_home.odd", "")

    found = cluster.tables("ki_home", 5.0)

    assert found["ki_home.odd"].schema is None
    assert "not understood" in (found["ki_home.odd"].trouble or "")
    assert found[TABLE].schema is not None


def test_two_urls_of_a_cluster_say_the_same_identity(emulator: Emulator, cluster: Cluster) -> None:
    """And another cluster says another."""
    other = Cluster(Http(emulator.listen_also("127.0.0.2"), Access(), 5.0))
    with Emulator() as stranger:
        third = Cluster(Http(stranger.url, Access(), 5.0))
        said = cluster.properties().identity
        assert said
        assert other.properties().identity == said
        assert third.properties().identity not in ("", said)
        third.close()
    other.close()


def test_the_address_that_answers_comes_first(cluster: Cluster) -> None:
    """The monitor port is tried where HTTP has found the cluster."""
    cluster.status(5.0)

    assert cluster.http.addresses()[0] == "127.0.0.1"
