"""The PostgreSQL sink keeps the contract, against a real server."""

from __future__ import annotations

import uuid
from datetime import UTC
from typing import Any

import orjson
import pytest
from services.postgres import PostgresServer

from bridge.events import Event
from bridge.sinks.postgres import PostgresSettings, PostgresSink
from bridge.testing import SinkConformance, make_event
from bridge.testing.conformance import ODD_TABLES

TABLES = ("ki_home.orders", "ki_home.weather", "other.t", *ODD_TABLES)
COLUMNS = (
    "place bigserial, n int, order_id int, text text, "
    'id text UNIQUE, type text, "table" text, cluster text, time timestamptz, "offset" bigint'
)
MEMBERS = ("id", "type", "table", "cluster", "time", "offset")


class TestTableOfEachTable(SinkConformance):
    """A value is put together again from its columns."""

    order = "table"
    notifications_apart = True
    unspeakable = "\0"
    template = "{table}"

    @pytest.fixture(autouse=True)
    def destination(self, postgres_server: PostgresServer) -> None:
        self.server = postgres_server
        self.schema = f"t{uuid.uuid4().hex}"
        postgres_server.execute(f"CREATE SCHEMA {self.schema}")
        for table in self.tables:
            postgres_server.execute(f'CREATE TABLE {self.schema}."{table}" ({COLUMNS})')

    @property
    def tables(self) -> tuple[str, ...]:
        return TABLES

    def make_sink(self) -> PostgresSink:
        settings: dict[str, Any] = {
            "type": "postgres",
            "dsn": self.server.dsn,
            "table": f"{self.schema}.{self.template}",
            "event_columns": {member: member for member in MEMBERS},
            "notifications": f"{self.schema}.notifications",
        }
        return PostgresSink(PostgresSettings.model_validate(settings))

    def read_back(self) -> list[bytes]:
        found = [row for table in self.tables for row in self._rows(table)]
        if self.server.execute("SELECT to_regclass(%s)", f"{self.schema}.notifications")[0][0]:
            statement = f"SELECT event::text FROM {self.schema}.notifications"
            found += [event.encode() for (event,) in self.server.execute(statement)]
        return found

    def _rows(self, table: str) -> list[bytes]:
        names = ", ".join(f'"{name}"' for name in (*MEMBERS, "n", "order_id", "text"))
        rows = self.server.execute(f'SELECT {names} FROM {self.schema}."{table}" ORDER BY place')
        return [_value(row) for row in rows]

    def unacceptable(self) -> Event:
        return make_event(5, record={"n": "no number"})

    def restart(self) -> bool:
        self.server.kill()
        self.server.start()
        return True


class TestOneTable(TestTableOfEachTable):
    template = "events"

    @property
    def tables(self) -> tuple[str, ...]:
        return ("events",)


def _value(row: tuple[Any, ...]) -> bytes:
    value = dict(zip(MEMBERS, row, strict=False))
    value["time"] = f"{value['time'].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    record = dict(zip(("n", "order_id", "text"), row[len(MEMBERS) :], strict=True))
    return orjson.dumps(value | {"record": {n: v for n, v in record.items() if v is not None}})
