"""Rows to tables of PostgreSQL: inserted, or upserted by their keys.

Delivered means committed. A batch is one transaction with a savepoint for each table, so that what
is wrong with one holds up no other. What is no row goes to a table of notifications.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from bridge.formats.base import Carries
from bridge.formats.settings import FormatName
from bridge.sinks.base import Batch, NotConnected, Sink, SinkSettings
from bridge.sinks.extras import require
from bridge.sinks.names import require_known
from bridge.units import Duration

if TYPE_CHECKING:
    from bridge.sinks.postgres_session import Session

EventMember = Literal["id", "type", "table", "cluster", "time", "offset", "cause"]


class PostgresSettings(SinkSettings):
    """Settings of the sink `postgres`."""

    type: Literal["postgres"] = Field(description="Writes rows to tables of PostgreSQL.")
    dsn: SecretStr = Field(
        description="Where to: a connection string or URI of libpq, the password in it or not.",
        examples=["host=db dbname=orders user=bridge", "postgresql://bridge@db/orders"],
    )
    table: str = Field(
        default="{schema}.{name}",
        min_length=1,
        description=(
            "The table, with a schema before a dot or without. `{schema}` and `{name}` are the "
            "parts of the table's qualified name, `{table}` is all of it, as one identifier."
        ),
    )
    mode: Literal["insert", "upsert"] = Field(
        default="insert",
        description="Whether a row is added, or put in the place of the one with the same key.",
    )
    event_columns: dict[EventMember, str] = Field(
        default={},
        description=(
            "Columns for members of the event besides its record. With id, whose column must be "
            "unique, an event that comes twice is inserted once; with offset, an upsert never "
            "puts an older row over a newer one."
        ),
        examples=[{"id": "event_id", "offset": "event_offset"}],
    )
    notifications: str | None = Field(
        default="bridge_notifications",
        description=(
            "The table for events that are no rows, created where it is missing; `off` leaves "
            "them out."
        ),
    )
    timeout: Duration = Field(
        default=30.0, gt=0, description="How long to wait for a connection, or for a statement."
    )

    @field_validator("format")
    @classmethod
    def _has_records(cls, name: FormatName) -> FormatName:
        if name != "json":
            raise ValueError(f"a table has columns, so the records must come as json, not {name}")
        return name

    @field_validator("table")
    @classmethod
    def _names_a_table(cls, table: str) -> str:
        require_known(table)
        return _one_dot(table)

    @field_validator("notifications")
    @classmethod
    def _off_is_none(cls, table: str | None) -> str | None:
        if table == "off":
            return None
        if table is not None:
            require_known(table, ())
            _one_dot(table)
        return table

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        require("psycopg", "postgres")
        from bridge.sinks.postgres_session import check_dsn  # noqa: PLC0415 (an extra)

        check_dsn(self.dsn.get_secret_value())
        columns = list(self.event_columns.values())
        if len(set(columns)) < len(columns) or not all(columns):
            raise ValueError("event_columns: each member needs a column of its own")
        return self


class PostgresSink(Sink):
    """Writes rows to tables that are there, columns by their names.

    Retried: a server that is away, full, in recovery or read-only; for its tables alone, a table,
    a column, an index or a right that is missing. Refused: values that do not fit their column,
    rows that a constraint or a trigger forbids.
    """

    Settings: ClassVar[type[SinkSettings]] = PostgresSettings
    carries: ClassVar[frozenset[Carries]] = frozenset()

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._session: Session | None = None

    def open(self) -> None:
        """Connect."""
        self.close()
        self._session = self._connect()

    def deliver(self, batch: Batch) -> None:
        """Write the events and return once the transaction is committed."""
        if self._session is None:
            raise NotConnected("not connected")
        for table, error in self._session.write(batch.slices).items():
            batch.fail(table, error)

    def check(self) -> None:
        """Connect to a server that takes writes."""
        self._connect().close()

    def close(self) -> None:
        """Close the connection; what was not committed is not there."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _connect(self) -> Session:
        from bridge.sinks.postgres_session import Session  # noqa: PLC0415 (an extra)

        settings = self._settings
        return Session(
            settings.dsn.get_secret_value(),
            table=settings.table,
            upsert=settings.mode == "upsert",
            event_columns={str(name): column for name, column in settings.event_columns.items()},
            notifications=settings.notifications,
            timeout=settings.timeout,
        )


def _one_dot(table: str) -> str:
    parts = table.split(".")
    if len(parts) > 2 or not all(parts) or "\0" in table:
        raise ValueError("must be NAME or SCHEMA.NAME")
    return table
