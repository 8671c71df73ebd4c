"""Fixtures for every room: the real servers of `tests/services`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import services.kafka

from services.alive import Alive
from services.browser import Browser, BrowserMissing
from services.debezium import debezium_jars
from services.kafka import KafkaBroker, KafkaMissing, jars
from services.postgres import PostgresMissing, PostgresServer, programs
from services.prometheus import PrometheusMissing
from services.redis import RedisMissing, RedisServer, program
from services.registry import RegistryMissing, SchemaRegistryServer, distribution
from services.webhook import WebhookReceiver

# A busy machine is no failure.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


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


def _missing(error: Exception) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(str(error))
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """What a broker is run from; where it cannot be had, skip, or fail under CI=true."""
    try:
        return jars()
    except KafkaMissing as error:
        _missing(error)


@pytest.fixture(scope="session")
def debezium() -> Path:
    """What Debezium's envelopes are read with; where it cannot be had, as `kafka_jars`."""
    try:
        return debezium_jars()
    except KafkaMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def prometheus_program() -> None:
    """See that there is a Prometheus; where there is none, as `kafka_jars`."""
    if shutil.which("prometheus") is None:
        _missing(PrometheusMissing("no prometheus here: apt-get install prometheus"))


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """A browser; where there is none, as `kafka_jars`."""
    try:
        return Browser(tmp_path / "browser")
    except BrowserMissing as error:
        _missing(error)


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
    """What a schema registry is run from; skips or fails as `kafka_jars`."""
    try:
        return distribution()
    except RegistryMissing as error:
        _missing(error)


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
    registry.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests, which use schemas of their own and leave it running."""
    try:
        programs()
    except PostgresMissing as error:
        _missing(error)
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_program() -> str:
    """What a Redis is run from; where it is not installed, skip, or fail under CI=true."""
    try:
        return program()
    except RedisMissing as error:
        _missing(error)


@pytest.fixture(scope="session")
def redis_server(redis_program: str) -> Iterator[RedisServer]:
    """One Redis for all tests, which use streams of their own and leave it running."""
    with RedisServer("--proto-max-bulk-len", "1mb") as server:
        yield server


@pytest.fixture
def webhook_receiver() -> Iterator[WebhookReceiver]:
    """A receiver that answers 204 until it is told otherwise."""
    with WebhookReceiver() as receiver:
        yield receiver
