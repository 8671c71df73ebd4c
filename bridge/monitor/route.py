"""What a topic means, for whoever takes what arrives on it."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.codec import Codec, compile_schema
from bridge.events import Schema
from bridge.monitor.table import TableMonitor


@dataclass(eq=False, slots=True)
class Route:
    """A kind of event of one table, in one layout, from one cluster.

    `event` is insert, update or delete; of rows that were read, read.
    """

    table: TableMonitor
    event: str
    cluster: str
    codec: Codec
    schema: Schema


def make_route(table: TableMonitor, event: str, cluster: str, schema: Schema) -> Route:
    """Compile a layout and bind it to a table's event."""
    return Route(table, event, cluster, compile_schema(schema), schema)
