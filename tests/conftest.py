"""Fixtures for every room: the real servers of `tests/services`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import structlog
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import services.kafka

from services.alive import Alive
from services.browser import Browser
from services.debezium import debezium_jars
from services.kafka import KafkaBroker, jars
from services.postgres import PostgresServer, programs
from services.prometheus import program as prometheus
from services.redis import RedisServer, program
from services.registry import SchemaRegistryServer, distribution
from services.rig import Database, Rig
from services.server import ServiceMissing
from services.webhook import WebhookReceiver

from bridge.admin.recent import Recent
from bridge.admin.server import AdminServer
from kinetica_emulator import Emulator

_T = TypeVar("_T")

# A busy machine is no failure.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# Who runs the tests in the background has them ignore SIGINT, and what they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _nothing_lives_on() -> Iterator[None]:
    """A test ends what it starts: else it talks to ports that are given to other tests."""
    before = Alive()
    yield
    if left := before.more():
        pytest.fail("left running:\n" + "\n".join(left))


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """The first client in a process takes the log over, where nobody has: it has it no longer."""
    yield
    structlog.reset_defaults()


def _found(find: Callable[[], _T]) -> _T:
    """Find what a server is run from; where it cannot be had, skip, or fail under CI=true."""
    try:
        return find()
    except ServiceMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """What a broker is run from."""
    return _found(jars)


@pytest.fixture(scope="session")
def debezium() -> Path:
    """What Debezium's envelopes are read with."""
    return _found(debezium_jars)


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    """What a Prometheus is run from."""
    return _found(prometheus)


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """A browser."""
    return _found(lambda: Browser(tmp_path / "browser"))


@pytest.fixture(scope="session")
def kafka_broker(kafka_jars: Path) -> Iterator[KafkaBroker]:
    """One broker for all tests, which use topics of their own and leave it running."""
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture
def own_kafka_broker(kafka_jars: Path) -> Iterator[KafkaBroker]:
    """A broker of this test alone, to be stopped, killed, paused and restarted."""
    with KafkaBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def registry_files() -> Path:
    """What a schema registry is run from."""
    return _found(distribution)


@pytest.fixture(scope="session")
def schema_registry(registry_files: Path) -> Iterator[SchemaRegistryServer]:
    """One registry for all tests, which use subjects of their own and leave it running."""
    with SchemaRegistryServer() as registry:
        yield registry


@pytest.fixture
def own_schema_registry(registry_files: Path) -> Iterator[SchemaRegistryServer]:
    """A registry of this test alone, not started yet."""
    registry = SchemaRegistryServer()
    yield registry
    registry.__exit__(None, None, None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests, which use schemas of their own and leave it running."""
    _found(programs)
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_program() -> str:
    """What a Redis is run from."""
    return _found(program)


@pytest.fixture(scope="session")
def redis_server(redis_program: str) -> Iterator[RedisServer]:
    """One Redis for all tests, which use streams of their own and leave it running."""
    with RedisServer("--proto-max-bulk-len", "1mb") as server:
        yield server


@pytest.fixture
def cluster() -> Iterator[Emulator]:
    """One emulated cluster, in this process."""
    with Emulator() as emulator:
        yield emulator
        emulator.heal()


@pytest.fixture
def database(cluster: Emulator) -> Iterator[Database]:
    """A program that changes tables on the cluster."""
    database = Database(cluster)
    yield database
    database.close()


@pytest.fixture
def watched(
    cluster: Emulator, database: Database, tmp_path: Path
) -> Iterator[tuple[Rig, AdminServer]]:
    """A service with a table that has rows, and one that is not there, and its admin endpoint."""
    database.create()
    with Rig(tmp_path, [cluster.url]) as rig:
        rig.tables.append({"name": "ki_home.absent"})
        rig.reload()
        rig.wait_live()
        rig.wait_state("waiting_for_table", table="ki_home.absent")
        database.insert_ids(range(3))
        rig.wait_ids(range(3))
        assert rig.supervisor is not None
        admin = AdminServer(rig.supervisor, "127.0.0.1", 0, recent=Recent())
        try:
            yield rig, admin
        finally:
            admin.stop()


@pytest.fixture
def webhook_receiver() -> Iterator[WebhookReceiver]:
    """A receiver that answers 204 until it is told otherwise."""
    with WebhookReceiver() as receiver:
        yield receiver
