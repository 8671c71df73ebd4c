"""The Redis sink keeps the contract, against a real server."""

from __future__ import annotations

import uuid

import pytest
from services.redis import RedisServer

from bridge.events import Event
from bridge.sinks.redis import RedisSettings, RedisSink
from bridge.testing import SinkConformance, make_event


class TestStreamOfEachTable(SinkConformance):
    order = "table"
    stream = "{table}"

    @pytest.fixture(autouse=True)
    def destination(self, redis_server: RedisServer) -> None:
        self.server = redis_server
        self.prefix = f"t{uuid.uuid4().hex}:"

    def make_sink(self) -> RedisSink:
        stream = self.prefix + self.stream
        return RedisSink(
            RedisSettings.model_validate(
                {"type": "redis", "url": self.server.url, "stream": stream}
            )
        )

    def read_back(self) -> list[bytes]:
        with self.server.client() as client:
            streams = sorted(client.scan_iter(f"{self.prefix}*", count=10_000))
            return [fields[b"value"] for each in streams for _, fields in client.xrange(each)]

    def unacceptable(self) -> Event:
        return make_event(5, record={"text": "x" * 2 * 2**20})

    def restart(self) -> bool:
        self.server.kill()
        self.server.start()
        return True


class TestOneStream(TestStreamOfEachTable):
    order = "all"
    stream = "events"
