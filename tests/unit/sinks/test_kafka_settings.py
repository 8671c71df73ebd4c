"""What Kafka can be configured with: the bridge's defaults, then whatever librdkafka knows."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from bridge.errors import Retry
from bridge.sinks.kafka import KafkaSettings, KafkaSink


def settings(**values: Any) -> KafkaSettings:
    return KafkaSettings.model_validate({"type": "kafka", "bootstrap_servers": "k:9092"} | values)


def test_events_are_confirmed_by_all_replicas_and_never_reordered_by_default() -> None:
    """An idempotent producer that waits for every replica in sync."""
    configuration = settings().configuration()

    assert configuration["enable.idempotence"] == "true"
    assert configuration["acks"] == "all"
    assert settings().weakened() == []


def test_options_override_defaults_under_either_of_their_names() -> None:
    """Numbers and truth values are written as librdkafka reads them."""
    chosen = settings(
        options={"compression.codec": "zstd", "linger.ms": 50, "socket.keepalive.enable": True}
    )

    configuration = chosen.configuration()

    assert list(configuration).index("compression.codec") > list(configuration).index(
        "compression.type"
    )
    assert configuration["linger.ms"] == "50"
    assert configuration["socket.keepalive.enable"] == "true"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"compresion.type": "zstd"}, 'No such configuration property: "compresion.type"'),
        ({"linger.ms": "soon"}, "Invalid value"),
        ({"partitioner": "mine"}, "Invalid value"),
        ({"acks": 1}, "must be set to `all`"),
        (
            {"security.protocol": "ssl", "ssl.ca.location": "/no/such.pem"},
            "ssl.ca.location: the file cannot be read: No such file or directory",
        ),
        (
            {"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER"},
            "no token can come from anywhere",
        ),
        (
            {"security.protocol": "sasl_plaintext", "sasl.mechanisms": "oauthbearer"},
            "no token can come from anywhere",
        ),
        ({"bootstrap.servers": "k"}, "set bootstrap_servers"),
        ({"metadata.broker.list": "k"}, "set bootstrap_servers"),
        ({"transactional.id": "t"}, "set transactional: true"),
        ({"delivery.report.only.error": True}, "the bridge sets it"),
        ({"on_delivery": "x"}, "hears of failures"),
        ({"error_cb": "x"}, "callable"),
        ({"logger": "x"}, "logs"),
        ({"default.topic.config": "x"}, "default.topic.config"),
        ({"linger.ms": None}, "string"),
        ({"linger.ms": [1]}, "string"),
    ],
)
def test_what_librdkafka_does_not_know_is_refused(options: dict[str, Any], reason: str) -> None:
    """Before anything starts, with librdkafka's own words."""
    with pytest.raises(ValidationError, match=reason):
        settings(options=options)


@pytest.mark.parametrize("value", [5_000_000, "5_000_000", "5000000"])
def test_a_number_may_be_written_as_yaml_writes_it(value: Any) -> None:
    """Whether it came from the file or from the environment."""
    chosen = settings(options={"message.max.bytes": value}, create_topics={"config": {"x": value}})

    assert chosen.configuration()["message.max.bytes"] == "5000000"
    assert chosen.create_topics is not None
    assert chosen.create_topics.config == {"x": "5000000"}


@pytest.mark.parametrize(
    "options",
    [
        {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": "b",
            "sasl.oauthbearer.client.secret": "s",
            "sasl.oauthbearer.token.endpoint.url": "http://t",
        },
        {"enable.sasl.oauthbearer.unsecure.jwt": True},
    ],
)
def test_tokens_that_can_come_are_let_through(options: dict[str, Any]) -> None:
    """From an endpoint, or made by librdkafka itself."""
    login = {"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER"}

    assert settings(options=login | options).configuration()["sasl.mechanism"] == "OAUTHBEARER"


@pytest.mark.parametrize(
    "options", [{"enable.idempotence": False}, {"acks": 1}, {"message.timeout.ms": 120_000}]
)
def test_what_transactions_cannot_do_without_is_refused(options: dict[str, Any]) -> None:
    """At load, in librdkafka's words."""
    with pytest.raises(ValidationError, match=r"transaction|idempotence"):
        settings(transactional=True, options=options)


def test_clients_that_do_not_produce_are_told_of_connections_alone() -> None:
    """librdkafka warns of each setting that is for producers."""
    chosen = settings(
        options={
            "sasl.mechanism": "PLAIN",
            "sasl.username": "me",
            "sasl.password": "p",
            "security.protocol": "sasl_ssl",
            "socket.timeout.ms": 5000,
        }
    )

    assert set(chosen.connection()) == {
        "bootstrap.servers",
        "client.id",
        "reconnect.backoff.max.ms",
        "sasl.mechanism",
        "sasl.password",
        "sasl.username",
        "security.protocol",
        "socket.timeout.ms",
    }


@pytest.mark.parametrize(
    ("options", "weaknesses"),
    [
        ({"enable.idempotence": False}, 1),
        ({"enable.idempotence": False, "acks": 1}, 2),
        ({"enable.idempotence": "false", "request.required.acks": 0}, 2),
        ({"acks": -1}, 0),
    ],
)
def test_options_that_weaken_a_promise_are_named(options: dict[str, Any], weaknesses: int) -> None:
    """They are the user's choice, and said in the log."""
    assert len(settings(options=options).weakened()) == weaknesses


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 20.0),
        ({"message.timeout.ms": 1500}, 1.5),
        ({"delivery.timeout.ms": 3000}, 3.0),
        ({"message.timeout.ms": 0}, math.inf),
    ],
)
def test_the_message_timeout_is_known_under_both_names(
    options: dict[str, Any], seconds: float
) -> None:
    """So that the sink waits as long as librdkafka does; 0 means for ever."""
    assert settings(options=options).message_timeout() == seconds


@pytest.mark.parametrize(
    ("servers", "joined"),
    [("a:1", "a:1"), ("a:1, b:2", "a:1,b:2"), (["a:1", "b:2"], "a:1,b:2")],
)
def test_brokers_are_a_list_or_a_text(servers: Any, joined: str) -> None:
    """Both are common, and librdkafka reads one."""
    assert settings(bootstrap_servers=servers).configuration()["bootstrap.servers"] == joined


@pytest.mark.parametrize("servers", ["", ",", [], [""], ["a:1,b:2"]])
def test_no_brokers_are_refused(servers: Any) -> None:
    """An empty entry is a slip."""
    with pytest.raises(ValidationError):
        settings(bootstrap_servers=servers)


@pytest.mark.parametrize("topic", ["", "a b", "kinetica.{tabel}", "..", "t" * 250, "größe"])
def test_a_topic_that_kafka_does_not_allow_is_refused(topic: str) -> None:
    """In the template, before any event."""
    with pytest.raises(ValidationError):
        settings(topic=topic)


@pytest.mark.parametrize(
    ("template", "table", "topic"),
    [
        ("kinetica.{table}", "ki_home.orders", "kinetica.ki_home.orders"),
        ("{table}", "ki_home.größe/a b", "ki_home.gr__e_a_b"),
        ("{schema}-{name}", "ki_home.a.b", "ki_home-a.b"),
        ("all", "ki_home.orders", "all"),
    ],
)
def test_a_table_names_its_topic(template: str, table: str, topic: str) -> None:
    """What Kafka does not allow becomes an underscore."""
    assert KafkaSink(settings(topic=template)).place_of(table) == topic


@pytest.mark.parametrize("table", ["x" * 300, "..", "."])
def test_a_name_that_no_topic_can_have_waits(table: str) -> None:
    """It is never cut: two tables would share a topic."""
    with pytest.raises(Retry, match=r"Kafka (allows 249|has no topic named)"):
        KafkaSink(settings(topic="{table}")).place_of(table)


def test_no_secret_among_the_options_is_quoted() -> None:
    """librdkafka's words hold what it was given."""
    with pytest.raises(ValidationError) as caught:
        settings(options={"sasl.password": "hunter2", "security.protocol": "hunter2"})

    assert "security.protocol" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_batch_is_large_enough_for_what_its_end_costs() -> None:
    """Nothing is under way while the last confirmations come in."""
    assert settings().batch.max_events == 50_000
    assert settings().batch.max_bytes == 16 * 2**20
