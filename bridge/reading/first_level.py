"""How high a growing column stands when its table is first listened to: where all reads begin."""

from __future__ import annotations

import structlog

from bridge.codec import compile_schema
from bridge.errors import WireError
from bridge.monitor.moment import Moment
from bridge.monitor.table import TableMonitor
from bridge.types import type_of
from bridge.wire.calls import Cluster, Query, all_of

log = structlog.get_logger()

# Rows that share the height are remembered.
_HIGHEST_ROWS = 100


def note_first_level(table: TableMonitor, cluster: Cluster) -> None:
    """Note how high a growing column stands when its table is first listened to.

    Where it cannot be read a read begins with the first row: that is no reason not to listen.
    """
    levels, schema = table.levels, table.schema
    if levels is None or schema is None or levels.known:
        return
    column = next((c for c in schema.columns if c.name == levels.column), None)
    if column is None or type_of(column).base == "bytes":
        log.error("catch_up_column_unusable", table=table.name, column=levels.column)
        return
    asked_at = Moment.now()
    where = all_of(table.options.filter, f"not {column.name} is null")
    query = Query(table.name, where, column.name, "descending")
    try:
        page = cluster.read_rows(query, 0, _HIGHEST_ROWS)
    except WireError as error:
        log.warning("level_unknown", table=table.name, cause=str(error))
        return
    if page.frames and page.type_id != schema.type_id:
        return  # altered just now: another time
    joined = (codec := compile_schema(schema)).join(page.frames)
    levels.first(codec, joined.payload, joined.count, asked_at)
