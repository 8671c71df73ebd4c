"""Events to streams of Redis, each an entry with fields.

Delivered means that the server has executed `XADD`; what it keeps over a crash is for its own
settings to say. What goes to one stream is one transaction, so that of a batch all or nothing is
there, in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from bridge.formats.base import Carries
from bridge.lines import JSON, Lines, Slice
from bridge.sinks.base import Batch, NotConnected, Reject, Sink, SinkSettings
from bridge.sinks.extras import require
from bridge.sinks.names import fill, is_of_table, require_known
from bridge.units import Duration

if TYPE_CHECKING:
    from bridge.sinks.redis_session import Session

Fields = list[bytes | str]


class RedisSettings(SinkSettings):
    """Settings of the sink `redis`."""

    type: Literal["redis"] = Field(description="Adds events to streams of Redis.")
    url: SecretStr = Field(
        description="Where to: `redis://`, `rediss://` for TLS, `unix://`; the password in it.",
        examples=["redis://:secret@redis:6379/0"],
    )
    stream: str = Field(
        default="{table}",
        min_length=1,
        description=(
            "The stream. `{table}` in it is the table's qualified name, `{schema}` and `{name}` "
            "are its parts."
        ),
    )
    max_length: int | None = Field(
        default=None,
        ge=1,
        description="About how many entries a stream keeps; older ones go, whoever has read them.",
    )
    timeout: Duration = Field(
        default=10.0, gt=0, description="How long to wait for a connection, or for an answer."
    )

    @field_validator("url")
    @classmethod
    def _is_usable(cls, url: SecretStr) -> SecretStr:
        require("redis", "redis")
        from bridge.sinks.redis_session import check_url  # noqa: PLC0415 (an extra)

        check_url(url.get_secret_value())
        return url

    @field_validator("stream")
    @classmethod
    def _names_a_stream(cls, stream: str) -> str:
        require_known(stream)
        return stream


class RedisSink(Sink):
    """Adds each event to a stream, under an id of the server's.

    Retried: a server that is away, loading, full, read-only, or that refuses us; for its tables
    alone, a stream that is something else, or not for us. Refused: a value longer than the
    server takes.
    """

    Settings: ClassVar[type[SinkSettings]] = RedisSettings
    carries: ClassVar[frozenset[Carries]] = frozenset(
        {Carries.TEXT, Carries.BINARY, Carries.ATTRIBUTES, Carries.NOTIFICATIONS}
    )

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._session: Session | None = None

    def open(self) -> None:
        """Connect."""
        self.close()
        self._session = self._connect()

    def deliver(self, batch: Batch) -> None:
        """Add the events and return once the server has executed it."""
        session = self._session
        if session is None:
            raise NotConnected("not connected")
        streams: dict[str, list[Slice]] = {}
        for each in batch.slices:
            streams.setdefault(self._stream_of(each.lines), []).append(each)
        for stream, slices in streams.items():
            part = _without_long(batch, slices, session.most_bytes)
            error = session.add(stream, _entries(part), self._settings.max_length)
            if error is None:
                continue
            if not is_of_table(self._settings.stream):
                raise error
            for each in part:
                batch.fail(each, error)

    def place_of(self, table: str) -> str:
        """Return the stream of a table."""
        return fill(self._settings.stream, table, str)

    def check(self) -> None:
        """Connect."""
        self._connect().close()

    def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _connect(self) -> Session:
        from bridge.sinks.redis_session import Session  # noqa: PLC0415 (an extra)

        return Session(self._settings.url.get_secret_value(), self._settings.timeout)

    def _stream_of(self, lines: Lines) -> str:
        stream = self.place_of(lines.table)
        return f"{stream}.notifications" if lines.notification else stream


def _without_long(batch: Batch, slices: Sequence[Slice], most: int) -> list[Slice]:
    """Refuse events that the server would break the connection for; return the others."""
    kept: list[Slice] = []
    for each in slices:
        if each.nbytes <= most:
            kept.append(each)
            continue
        for index in range(len(each)):
            one = each.part(index, index + 1)
            if one.nbytes - one.lines.line_feed > most:
                text = f"longer than the {most} bytes that Redis takes (proto-max-bulk-len)"
                batch.fail(one, Reject(text, certain=True))
            else:
                kept.append(one)
    return kept


def _entries(slices: Sequence[Slice]) -> Iterator[Fields]:
    for each in slices:
        lines = each.lines
        beside = lines.attributes
        attributes = beside.of(lines, each.start, each.stop, "ce_") if beside is not None else None
        shared: Fields = ["type", lines.type, "table", lines.table]
        if lines.content_type != JSON:
            shared += ["content_type", lines.content_type]
        begin = lines.start(each.start)
        for index in range(each.start, each.stop):
            end = int(lines.ends[index])
            value = lines.buffer[begin : end - lines.line_feed]
            begin = end
            fields: Fields = ["value", value, "id", lines.id(index), *shared]
            fields += ["offset", str(lines.first + index)]
            key = lines.key(index)
            if key is not None:
                fields += ["key", key]
            if attributes is not None:
                for attribute in attributes[index - each.start]:
                    fields += attribute
            yield fields
