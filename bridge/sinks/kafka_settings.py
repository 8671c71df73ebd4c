"""Settings of the sink `kafka`, and the librdkafka configuration that they make.

`options` is handed to librdkafka as it is, after the bridge's own defaults, so that whatever
the user sets holds. What would break the promise of confirmed delivery is refused; what merely
weakens it is warned of.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from confluent_kafka import KafkaException, Producer
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from bridge.foreign import Cleaner
from bridge.sinks.base import Batching, SinkSettings
from bridge.sinks.names import fill, require_known
from bridge.sinks.secret_files import read_files
from bridge.units import Size

DEFAULTS = {
    "client.id": "kinetica-bridge",
    "enable.idempotence": "true",
    "acks": "all",
    "compression.type": "lz4",
    # Only while a batch is being produced: waiting for its reports sends what is left at once.
    "linger.ms": "20",
    # Partitions as the Java client chooses them, so that topics join with those of others.
    "partitioner": "murmur2_random",
    # Longer than a broker's crash takes to be noticed (9 s), shorter than patience.
    "message.timeout.ms": "20000",
    # A missing topic is reported after this, not after the half minute of librdkafka.
    "topic.metadata.propagation.max.ms": "5000",
    "reconnect.backoff.max.ms": "2000",
    "queue.buffering.max.messages": "100000",
    "queue.buffering.max.kbytes": "65536",
}
_REFUSED = {
    "bootstrap.servers": "set bootstrap_servers beside options",
    "metadata.broker.list": "set bootstrap_servers beside options",
    "transactional.id": "set transactional: true beside options, and the bridge names it",
    "delivery.report.only.error": "the bridge sets it",
    "on_delivery": "the bridge hears of failures itself",
    "default.topic.config": "write its settings beside the others",
    "logger": "the bridge logs what librdkafka says",
}
_FILES = frozenset(
    {"ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location"}
    | {"ssl.crl.location"}
)
_TIMEOUTS = ("message.timeout.ms", "delivery.timeout.ms")  # two names of one property
# Options whose values are secrets, as far as their names tell.
_SECRET = re.compile(r"password|secret|\.pem|token|oauthbearer|assertion|kinit|sasl\.username")
_NUMBER = re.compile(r"[0-9]+(_[0-9]+)+")
# What concerns connections, and so is meant for every client, not for producers alone.
_CONNECTION = re.compile(
    r"(bootstrap|security|sasl|ssl|enable\.(?:ssl|sasl)|socket|broker|client|reconnect|retry|https?"
    r"|debug|api|metadata|connections|log|receive|allow|builtin)\b"
)
_LEGAL = re.compile(r"[a-zA-Z0-9._-]*")


class KafkaBatching(Batching):
    """How many events are produced before the broker's confirmation of all is awaited."""

    # Large, as nothing is under way while the last of a batch are confirmed.
    max_events: int = Field(default=50_000, ge=1, le=100_000, description="Most events in a batch.")
    max_bytes: Size = Field(default=16 * 2**20, description="Most bytes of event values in it.")


class _Unheard:
    def log(self, *_: object) -> None:
        """Drop what librdkafka says."""


def as_text(value: Any) -> Any:
    """Return a value as librdkafka and brokers read it; `5_000_000` is a number in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return value.replace("_", "") if isinstance(value, str) and _NUMBER.fullmatch(value) else value


# All are kept as secrets, since only librdkafka knows which of them are.
Option = Annotated[
    SecretStr,
    BeforeValidator(as_text),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]


class CreateTopics(BaseModel):
    """How a topic is made that is not there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partitions: int | None = Field(
        default=None, ge=1, description="How many partitions; by default as the broker has it."
    )
    replication_factor: int | None = Field(
        default=None, ge=1, description="Replicas of each; by default as the broker has it."
    )
    config: dict[
        str,
        Annotated[
            str,
            BeforeValidator(as_text),
            WithJsonSchema({"type": ["string", "number", "boolean"]}),
        ],
    ] = Field(
        default={}, description="Settings of the topic.", examples=[{"retention.ms": 604800000}]
    )


class KafkaSettings(SinkSettings):
    """Settings of the sink `kafka`."""

    # An error that quoted its input would print the secrets in it.
    model_config = ConfigDict(hide_input_in_errors=True)

    type: Literal["kafka"] = Field(description="Produces each event to a Kafka topic.")
    bootstrap_servers: Annotated[str, Field(min_length=1)] | list[str] = Field(
        description="Brokers to begin with, `host:port`, in a list or separated by commas."
    )
    topic: str = Field(
        default="{table}",
        min_length=1,
        description=(
            "The topic. `{table}` in it is the table's qualified name, `{schema}` and `{name}` are "
            "its parts; each character that Kafka does not allow is replaced by `_`."
        ),
        examples=["kinetica.{table}"],
    )
    headers: bool = Field(
        default=True, description="Whether a message has the headers id, type, table and offset."
    )
    timestamp: Literal["event", "none"] = Field(
        default="event",
        description=(
            "A message's time: the event's, or none, which leaves it to librdkafka and the broker."
        ),
    )
    create_topics: CreateTopics | None = Field(
        default=None, description="Makes topics that are missing; without it the broker may."
    )
    transactional: bool = Field(
        default=False,
        description=(
            "Whether a batch and the cursor move are one transaction, so that a reader with "
            "`read_committed` sees each event once."
        ),
    )
    batch: KafkaBatching = KafkaBatching()
    options: dict[str, Option] = Field(
        default_factory=dict,
        description=(
            "Any setting of librdkafka; a name ending in `_file` is given a file with the value."
        ),
        examples=[{"compression.type": "zstd"}],
    )

    @field_validator("bootstrap_servers")
    @classmethod
    def _joined(cls, servers: str | list[str]) -> str:
        listed = servers.split(",") if isinstance(servers, str) else servers
        listed = [server.strip() for server in listed]
        if not listed or not all(listed) or any("," in server for server in listed):
            raise ValueError("write host:port, or a list of them")
        return ",".join(listed)

    @field_validator("topic")
    @classmethod
    def _legal_topic(cls, topic: str) -> str:
        require_known(topic)
        fixed = fill(topic, "", lambda _: "")
        if not _LEGAL.fullmatch(fixed) or topic in {".", ".."}:
            raise ValueError("a topic's name has letters, digits, `.`, `_` and `-` only")
        if len(fixed) > 200:
            raise ValueError("a topic's name has at most 249 characters, the table's among them")
        return topic

    @field_validator("options", mode="before")
    @classmethod
    def _read_option_files(cls, options: Any) -> Any:
        return read_files(options) if isinstance(options, dict) else options

    @field_validator("options")
    @classmethod
    def _known_to_librdkafka(
        cls, options: dict[str, SecretStr], info: ValidationInfo
    ) -> dict[str, SecretStr]:
        for name, value in options.items():
            if "=" in name:  # what follows is a value, of a password perhaps
                raise ValueError(f"{name.partition('=')[0]}: write NAME: VALUE")
            if name in _REFUSED:
                raise ValueError(f"{name}: {_REFUSED[name]}")
            if name in _FILES:
                _require_file(name, value.get_secret_value())
        configuration = _configuration(options)
        _require_a_token(configuration)
        if info.data.get("transactional"):
            configuration["transactional.id"] = "check"
        try:
            # It connects to nothing, as no broker is named; that it says so helps nobody.
            Producer(configuration, logger=_Unheard())
        except (KafkaException, TypeError, ValueError, AttributeError) as error:
            # Its trace would show the values.
            raise ValueError(_reason(error, Cleaner(_secrets(options)))) from None
        return options

    def configuration(self) -> dict[str, str]:
        """Return what librdkafka is configured with: the bridge's defaults, then `options`."""
        servers = {"bootstrap.servers": str(self.bootstrap_servers)}
        return servers | _configuration(self.options)

    def connection(self) -> dict[str, str]:
        """Return what a client that does not produce is configured with."""
        configuration = self.configuration()
        return {n: value for n, value in configuration.items() if _CONNECTION.match(n)}

    def secrets(self) -> list[str]:
        """Return what must never be said."""
        return _secrets(self.options)

    def message_timeout(self) -> float:
        """Return after how many seconds librdkafka gives a message up; infinite if never."""
        configuration = self.configuration()
        given = [configuration[name] for name in _TIMEOUTS if name in configuration]
        return float(given[-1]) / 1000 or math.inf

    def weakened(self) -> list[str]:
        """Name the options that give up a promise: no loss, or the order per key."""
        configuration = self.configuration()
        acks = configuration.get("request.required.acks", configuration["acks"])
        found = []
        if configuration["enable.idempotence"].lower() not in {"true", "t", "1"}:
            found.append("enable.idempotence=false may reorder and double events on retries")
        if acks not in {"all", "-1"}:
            found.append(f"acks={acks} may lose events when a broker fails")
        return found


def _require_file(name: str, path: str) -> None:
    """See that a file can be read: what librdkafka says of it names a library's routine."""
    if path in {"", "probe"}:
        return
    try:
        if not Path(path).is_dir():  # a folder of certificates will do
            with Path(path).open("rb"):
                pass
    except OSError as error:
        raise ValueError(f"{name}: the file cannot be read: {error.strerror}") from None


def _require_a_token(configuration: dict[str, str]) -> None:
    """See that a token can come from somewhere where one is needed.

    Raises:
        ValueError: none can: librdkafka would wait for it for ever.
    """
    given = {name: value.strip().lower() for name, value in configuration.items()}
    mechanism = given.get("sasl.mechanism", given.get("sasl.mechanisms", ""))
    if mechanism != "oauthbearer" or not given.get("security.protocol", "").startswith("sasl"):
        return
    builtin = given.get("sasl.oauthbearer.metadata.authentication.type", "none") != "none"
    by_itself = given.get("enable.sasl.oauthbearer.unsecure.jwt", "") in {"true", "t", "1"}
    if given.get("sasl.oauthbearer.method") != "oidc" and not (builtin or by_itself):
        raise ValueError(
            "sasl.mechanism: no token can come from anywhere: set sasl.oauthbearer.method: oidc, "
            "with sasl.oauthbearer.token.endpoint.url, .client.id and .client.secret"
        )


def _configuration(options: dict[str, SecretStr]) -> dict[str, str]:
    given = {name: value.get_secret_value() for name, value in options.items()}
    # In this order: the last of two names of one property wins.
    return {name: value for name, value in DEFAULTS.items() if name not in given} | given


def _secrets(options: dict[str, SecretStr]) -> list[str]:
    found = []
    for name, value in options.items():
        if _SECRET.search(name) and name != "sasl.oauthbearer.method":
            text = value.get_secret_value()
            # `sasl.oauthbearer.config` has several, as `name=value`.
            found += [text, *(part.partition("=")[2] for part in text.split())]
    return found


def _reason(error: Exception, clean: Cleaner) -> str:
    if isinstance(error, KafkaException):
        return clean(error.args[0].str())
    return clean(str(error))
