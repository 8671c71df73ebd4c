"""What several tests of sinks share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from services.kafka import KafkaBroker
from services.raw_receiver import RawReceiver


@pytest.fixture
def topic() -> str:
    return f"t{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def strict_broker(kafka_jars: Path) -> Iterator[KafkaBroker]:
    """One that makes no topics by itself; who ill-treats it starts it again."""
    with KafkaBroker({"auto.create.topics.enable": "false"}) as broker:
        yield broker


@pytest.fixture
def receiver() -> Iterator[RawReceiver]:
    with RawReceiver() as receiver:
        yield receiver
