"""Rows and the other entries that the formats are tried on."""

from __future__ import annotations

from bridge.codec import compile_schema
from bridge.events import Alter, Block, Column, Count, Drop, Gap, ReadCause, Schema
from bridge.formats.base import Format, Rows, Single
from bridge.formats.shape import PLAIN, Shape
from bridge.lines import Lines

ID = "9f86d081884c7d65"
TIME = 1_795_509_720_123_456  # 2026-11-24T08:42:00.123456Z
SCHEMA = Schema(
    "7",
    (Column("order_id", "long", "long"), Column("note", "string", "char16", nullable=True)),
    ("order_id",),
)
PAYLOAD = b"\x02\x02\x04\x00\x04hi"  # order 1 without a note, order 2 with "hi"
TABLE, CLUSTER = "ki_home.orders", "http://kinetica-a:9191"

GAP = Gap(TABLE, CLUSTER, TIME, "4f1c09b5a2d3e687", TIME - 10**6, TIME, "failover")
SINGLES: dict[str, Single] = {
    "update": Count(TABLE, CLUSTER, TIME, "update", 3),
    "delete": Count(TABLE, CLUSTER, TIME, "delete", 1),
    "alter": Alter(TABLE, CLUSTER, TIME, SCHEMA, Schema("8", SCHEMA.columns[:1], ("order_id",))),
    "drop": Drop(TABLE, CLUSTER, TIME),
    "gap": GAP,
}


def block(cause: ReadCause | None = None, schema: Schema = SCHEMA, table: str = TABLE) -> Block:
    """Return two rows, received a microsecond apart."""
    type_ = "insert" if cause is None else "read"
    times = ((1, TIME), (1, TIME + 1))
    return Block(table, CLUSTER, type_, schema, PAYLOAD, 2, times, cause)


def write(
    form: Format, rows: Block, shape: Shape = PLAIN, *, keyed: bool = True, first: int = 1234
) -> Lines:
    """Return the lines of rows."""
    codec = compile_schema(rows.schema)
    return form.rows(
        Rows(ID, first, rows, codec, shape, keyed, rows.payload, rows.count, rows.times)
    )
