"""The Redis sink against a real server: fields, transactions, and each kind of no."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis
from pydantic import ValidationError
from services.batches import batch_of
from services.redis import RedisServer
from structlog.testing import capture_logs

from bridge.errors import Reject, Retry
from bridge.events import Event
from bridge.lines import Lines, Slice
from bridge.sinks.base import Batch, NotConnected
from bridge.sinks.redis import RedisSettings, RedisSink
from bridge.testing import make_event, slices_of


def sink_of(server: RedisServer, **settings: Any) -> RedisSink:
    sink = RedisSink(RedisSettings.model_validate({"type": "redis", "url": server.url, **settings}))
    sink.open()
    return sink


@pytest.fixture
def prefix() -> str:
    return f"t{uuid.uuid4().hex}:"


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        yield client


@pytest.fixture
def own_server(redis_program: str) -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_an_entry_has_what_kafka_has_in_headers(
    redis_server: RedisServer, client: redis.Redis, prefix: str
) -> None:
    """Value, id, type, table, offset, and the key where there is one."""
    sink = sink_of(redis_server, stream=prefix + "{schema}/{name}")
    event = make_event(7, key={"order_id": 7})

    sink.deliver(batch_of([event, make_event(8)]))
    sink.close()

    (_, first), (_, second) = client.xrange(f"{prefix}ki_home/orders")
    assert first == {
        b"value": event.value,
        b"id": event.id.encode(),
        b"type": b"insert",
        b"table": b"ki_home.orders",
        b"offset": b"7",
        b"key": b'{"order_id":7}',
    }
    assert b"key" not in second


class Named:
    """Attributes such as a format gives."""

    def of(
        self, lines: Lines, start: int, stop: int, prefix: str = ""
    ) -> Sequence[Sequence[tuple[str, str]]]:
        return [
            [(f"{prefix}id", lines.id(index)), (f"{prefix}größe", "ü %")]
            for index in range(start, stop)
        ]


def test_other_formats_go_as_they_are(
    redis_server: RedisServer, client: redis.Redis, prefix: str
) -> None:
    """Bytes without line feeds, attributes as fields, notifications in a stream of their own."""
    sink = sink_of(redis_server, stream=prefix + "{table}")
    (rows,) = slices_of([make_event(1), make_event(2)])
    (drop,) = slices_of([make_event(3, type="drop")])
    raw = replace(
        rows.lines,
        buffer=b"\x00\n\xff\x01",
        ends=memoryview(bytes([3, *[0] * 7, 4, *[0] * 7])).cast("Q"),
        line_feed=False,
        content_type="avro/binary",
        attributes=Named(),
    )

    sink.deliver(Batch([Slice(raw, 1, 2), Slice(replace(drop.lines, notification=True), 0, 1)]))
    sink.deliver(Batch([Slice(raw, 0, 1)]))
    sink.close()

    found = [fields for _, fields in client.xrange(f"{prefix}ki_home.orders")]
    assert [fields[b"value"] for fields in found] == [b"\x01", b"\x00\n\xff"]
    assert found[0][b"content_type"] == b"avro/binary"
    assert found[0][b"ce_id"].endswith(b"-2")
    assert found[0]["ce_größe".encode()] == "ü %".encode()
    ((_, note),) = client.xrange(f"{prefix}ki_home.orders.notifications")
    assert note[b"type"] == b"drop"


def test_a_stream_keeps_about_so_many_entries(
    redis_server: RedisServer, client: redis.Redis, prefix: str
) -> None:
    """The oldest go; how many more stay is Redis' way of saying about."""
    sink = sink_of(redis_server, stream=prefix + "{table}", max_length=100)

    for begin in range(0, 2000, 500):
        sink.deliver(batch_of([make_event(begin + n) for n in range(500)]))
    sink.close()

    entries = client.xrange(f"{prefix}ki_home.orders")
    assert 100 <= len(entries) <= 300
    assert entries[-1][1][b"offset"] == b"1999"


def test_a_key_that_is_no_stream_holds_up_its_table_alone(
    redis_server: RedisServer, client: redis.Redis, prefix: str
) -> None:
    """It waits, with the cure; nothing of it is there twice once it is mended."""
    client.set(f"{prefix}a.a", "taken")
    sink = sink_of(redis_server, stream=prefix + "{table}")
    batch = batch_of([make_event(n, table="ab"[n % 2] + ".a") for n in range(4)])

    sink.deliver(batch)
    sink.close()

    assert set(batch.failed_events) == {0, 2}
    (error, _) = batch.failed_events.values()
    assert isinstance(error, Retry)
    assert "choose another name, or delete it" in str(error)
    assert "order_id" not in str(error)
    assert client.xlen(f"{prefix}b.a") == 2


def test_one_stream_that_cannot_be_written_holds_up_the_sink(
    redis_server: RedisServer, client: redis.Redis, prefix: str
) -> None:
    """No table is to blame."""
    client.set(f"{prefix}all", "taken")
    sink = sink_of(redis_server, stream=f"{prefix}all")

    with pytest.raises(Retry, match="wrong kind of value"):
        sink.deliver(batch_of([make_event(0)]))
    sink.close()


def test_a_full_server_takes_all_of_a_batch_or_nothing(own_server: RedisServer) -> None:
    """It waits; when there is room again, each event is there once and in order."""
    sink = sink_of(own_server)
    events = [make_event(n, record={"text": "x" * 1000}) for n in range(500)]
    with own_server.client() as client:
        sink.deliver(batch_of(events[:100]))
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 50_000)
        with pytest.raises(Retry, match="maxmemory") as raised:
            deliver_twice(sink, events[100:])
        assert not isinstance(raised.value, NotConnected)
        before = client.xlen("ki_home.orders")
        client.config_set("maxmemory", 0)
        sink.deliver(batch_of(events[before:]))
        sink.close()

        found = [int(fields[b"offset"]) for _, fields in client.xrange("ki_home.orders")]
    assert before in {100, 500}
    assert found == list(range(500))


def deliver_twice(sink: RedisSink, events: list[Event]) -> None:
    """The first may still fit: what it frees of buffers is not counted."""
    sink.deliver(batch_of(events))
    sink.deliver(batch_of(events))


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"appendonly": "no"}, "appendonly is no"),
        ({"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}, "deletes streams"),
        ({"maxmemory": "100mb", "maxmemory-policy": "volatile-lru"}, None),
        ({"maxmemory": "0", "maxmemory-policy": "allkeys-lru"}, None),
    ],
)
def test_what_a_server_does_not_keep_is_said(
    own_server: RedisServer, settings: dict[str, str], cause: str | None
) -> None:
    """Once, when it is connected to; streams have no expiry, so `volatile` spares them."""
    with own_server.client() as client:
        for name, value in settings.items():
            client.config_set(name, value)
    with capture_logs() as logs:
        sink_of(own_server).close()
    said = [line["cause"] for line in logs if line["event"] == "redis_promise_weakened"]
    assert len(said) == (cause is not None)
    assert cause is None or cause in said[0]


def test_a_value_longer_than_the_server_takes_is_refused_alone(
    redis_server: RedisServer, client: redis.Redis, prefix: str
) -> None:
    """The server would break the connection, which says nothing of events."""
    sink = sink_of(redis_server, stream=prefix + "{table}")
    text = "x" * 2**20
    batch = batch_of([make_event(0), make_event(1, record={"text": text}), make_event(2)])

    sink.deliver(batch)
    sink.close()

    (offset, error) = next(iter(batch.failed_events.items()))
    assert offset == 1
    assert isinstance(error, Reject)
    assert error.certain
    assert client.xlen(f"{prefix}ki_home.orders") == 2


def test_a_replica_is_waited_for(own_server: RedisServer, redis_server: RedisServer) -> None:
    """It takes no writes; after a failover another connection may."""
    sink = sink_of(own_server)
    with own_server.client() as client:
        client.replicaof("127.0.0.1", str(redis_server.port))
        with pytest.raises(NotConnected, match="read only"):
            sink.deliver(batch_of([make_event(0)]))
        client.replicaof("NO", "ONE")
    sink.close()


def test_a_server_that_hangs_is_given_up_in_time(own_server: RedisServer) -> None:
    """After `timeout`; whether the events are there is not known, so they go out again."""
    sink = sink_of(own_server, timeout="500ms")
    own_server.pause()
    try:
        with pytest.raises(NotConnected, match=r"[Tt]imeout"):
            sink.deliver(batch_of([make_event(0)]))
    finally:
        own_server.resume()
    sink.close()


def test_who_may_not_write_a_stream_waits_and_passwords_stay_unseen(
    own_server: RedisServer,
) -> None:
    """Rights are a table's trouble, credentials the connection's."""
    with own_server.client() as client:
        client.acl_setuser(
            "writer", enabled=True, passwords=["+hunter2secret"], keys=["ok*"], commands=["+@all"]
        )
    url = f"redis://writer:hunter2secret@127.0.0.1:{own_server.port}"
    sink = RedisSink(RedisSettings.model_validate({"type": "redis", "url": url}))
    sink.open()
    batch = batch_of([make_event(0, table="ok.a"), make_event(1, table="ki_home.a")])

    sink.deliver(batch)
    sink.close()

    assert set(batch.failed_events) == {1}
    wrong = url.replace("hunter2secret", "another3secret")
    refused = RedisSink(RedisSettings.model_validate({"type": "redis", "url": wrong}))
    with pytest.raises(NotConnected) as raised:
        refused.open()
    assert "another3secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://a", "redis//x", "", "redis://u:hunter2@h:port"])
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValidationError) as raised:
        RedisSettings.model_validate({"type": "redis", "url": url})

    assert "redis://…" in str(raised.value)
    assert "hunter2" not in str(raised.value)
