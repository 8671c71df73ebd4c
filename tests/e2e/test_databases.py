"""Rows of every type in PostgreSQL, in Redis and in closed files, whatever is killed meanwhile."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from pathlib import Path
from typing import Any

import gpudb
import pytest
from e2e import every_type
from services.outside import FAST, Service, until
from services.postgres import PostgresServer
from services.process import EmulatorProcess
from services.redis import RedisServer

TABLE = "ki_home.every"
TYPES = {
    "id": "bigint",
    "i": "integer",
    "i8": "smallint",
    "i16": "smallint",
    "flag": "boolean",
    "big": "bigint",
    "stamp": "timestamptz",
    "f": "real",
    "d": "double precision",
    "s": "text",
    "c8": "varchar(8)",
    "c256": "text",
    "day": "date",
    "clock": "time",
    "when": "timestamp",
    "price": "numeric(10,2)",
    "unsigned": "numeric(20)",
    "ip": "inet",
    "uuid": "uuid",
    "doc": "jsonb",
    "list": "int[]",
    "shape": "text",
    "vec": "real[]",
    "raw": "bytea",
}


def in_postgres(n: int) -> dict[str, Any]:
    """Return the n-th row as PostgreSQL shows it as JSON."""
    row = every_type.expected(n)
    if row["price"] is not None:
        row["price"] = float(row["price"])
        row["stamp"] = row["stamp"].rstrip("Z").rstrip("0").rstrip(".") + "+00:00"
        row["raw"] = "\\x" + base64.b64decode(row["raw"]).hex()
    return row


@pytest.fixture
def redis_alone(redis_program: str) -> Any:
    with RedisServer() as server:
        yield server


@pytest.fixture
def postgres_alone(postgres_server: PostgresServer) -> Any:
    with PostgresServer() as server:
        columns = ", ".join(f'"{name}" {type_}' for name, type_ in TYPES.items())
        server.execute("CREATE SCHEMA ki_home")
        server.execute(f"CREATE TABLE ki_home.every ({columns}, event text UNIQUE)")
        server.execute(f"CREATE TABLE ki_home.latest ({columns}, PRIMARY KEY (id))")
        yield server


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows in all CSV files of a folder, closed or not."""
    found: list[dict[str, str]] = []
    for file in sorted(folder.glob("*.csv*")):
        if "notifications" in file.name or file.name.startswith("."):  # hidden while it is written
            continue
        try:
            data = file.read_bytes()
        except FileNotFoundError:  # it is compressed by now
            continue
        text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
        found += csv.DictReader(text.splitlines(keepends=True))
    return found


def test_every_type_arrives_in_databases_and_closed_files_whatever_is_killed(
    kinetica: EmulatorProcess,
    db: gpudb.GPUdb,
    tmp_path: Path,
    postgres_alone: PostgresServer,
    redis_alone: RedisServer,
) -> None:
    """PostgreSQL has each row once, Redis and the files have each at least once; a column comes."""
    table = gpudb.GPUdbTable(every_type.columns(), name=TABLE, db=db)
    out = tmp_path / "out"
    config: dict[str, Any] = {
        "kinetica": {"urls": [kinetica.url], "probe_interval": "200ms"},
        "tables": [{"name": TABLE}],
        "sinks": {
            "rows": {
                "type": "postgres",
                "dsn": postgres_alone.dsn,
                "event_columns": {"id": "event"},
                "retry": FAST,
            },
            "latest": {
                "type": "postgres",
                "dsn": postgres_alone.dsn,
                "table": "ki_home.latest",
                "mode": "upsert",
                "notifications": "off",
                "retry": FAST,
            },
            "streams": {"type": "redis", "url": redis_alone.url, "retry": FAST},
            "files": {
                "type": "file",
                "path": f"{out}/{{name}}.csv",
                "format": "csv",
                "rotate": {"max_size": "64KiB"},
                "compress": "gzip",
            },
        },
    }
    service = Service(tmp_path, config)
    total = 3000
    with service:
        service.wait_live()
        for begin in range(0, total, 500):
            table.insert_records([every_type.given(n) for n in range(begin, begin + 500)])
            if begin == 500:
                postgres_alone.kill()
                redis_alone.kill()
                postgres_alone.start()
                redis_alone.start()
            if begin in {1000, 2000}:
                until(
                    lambda least=begin: service.counted("delivered", sink="files") >= least,
                    "some are delivered",
                    service.said,
                )
                service.kill()
                service.start()
                service.wait_live()
        client = redis_alone.client()

        def seen() -> dict[str, Any]:
            return {
                "rows": postgres_alone.execute("SELECT count(*) FROM ki_home.every")[0][0],
                "latest": postgres_alone.execute("SELECT count(*) FROM ki_home.latest")[0][0],
                "files": len({row["id"] for row in rows_of(out)}),
                "redis": client.xlen(TABLE),
                "told": postgres_alone.execute("SELECT to_regclass('bridge_notifications')")
                != [(None,)],
            }

        wanted = {"rows": total, "latest": total, "files": total, "told": True}
        until(
            lambda: wanted.items() <= seen().items() and seen()["redis"] >= total,
            "every row is in each, and the gap of a restart is told",
            lambda: (seen(), service.readyz()),
            60,
        )
        service.check_accounts()
        assert service.terminate() == 0

    shown = "SELECT to_json(t) FROM (SELECT {} FROM ki_home.{} ORDER BY id) AS t"
    names = ", ".join(f'"{name}"' for name in TYPES)
    for of in ("every", "latest"):
        found = [row for (row,) in postgres_alone.execute(shown.format(names, of))]
        assert found == [in_postgres(n) for n in range(total)]
    notes = postgres_alone.execute("SELECT DISTINCT type FROM bridge_notifications")
    assert ("gap",) in notes
    entries = [fields for _, fields in client.xrange(TABLE)]
    client.close()
    values = {fields[b"id"]: fields[b"value"] for fields in entries}
    records = [json.loads(value)["record"] for value in values.values() if b'"record"' in value]
    assert sorted(records, key=lambda row: row["id"]) == [
        every_type.expected(n) for n in range(total)
    ]
    texts = {int(row["id"]): row["s"] for row in rows_of(out)}
    assert texts == {n: every_type.expected(n)["s"] or "" for n in range(total)}
    assert len(list(out.glob("every.*.csv.gz"))) > 5
    assert not list(out.glob(".*%part"))
