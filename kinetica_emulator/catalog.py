"""The system catalogue in SQL: `ki_catalog.ki_objects`, a row a table.

It is a table of SQLite like any other, written anew before each query that reads it, so that
conditions, joins and orders over it are computed. It is not listed, watched or replicated.
Source: protocol, section 2.1.
"""

from __future__ import annotations

from kinetica_emulator.columns import RecordType, build_type
from kinetica_emulator.database import Database, Table
from kinetica_emulator.history import History
from kinetica_emulator.sqltext import quote

OBJECTS = "ki_catalog.ki_objects"

_COLUMNS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("oid", "long", ()),
    ("schema_name", "string", ("char256",)),
    ("object_name", "string", ("char256",)),
    ("type_id", "string", ("char256",)),
    ("obj_kind", "string", ("char1",)),
    ("creation_time", "long", ("timestamp",)),
    ("created_by", "string", ("char256",)),
    ("last_read_time", "long", ("timestamp", "nullable")),
    ("read_count", "long", ()),
    ("last_write_time", "long", ("timestamp", "nullable")),
    ("write_count", "long", ()),
    ("last_alter_time", "long", ("timestamp", "nullable")),
    ("alter_count", "long", ()),
)


def _kind() -> RecordType:
    return build_type(
        [(name, base, "nullable" in marks) for name, base, marks in _COLUMNS],
        {name: marks for name, _, marks in _COLUMNS},
    )


_KIND = _kind()


def objects(database: Database) -> Table:
    """Write the catalogue's rows anew and return it as a table to query."""
    if not database.rows.exists(OBJECTS):
        database.rows.create(OBJECTS, _KIND)
    database.rows.run(f"DELETE FROM {quote(OBJECTS)}")  # noqa: S608 (a name of ours)
    database.rows.append(OBJECTS, [_row(table) for table in database.tables.values()])
    return Table(OBJECTS, _KIND, History(0, 0.0, ""))


def _row(table: Table) -> tuple[int | str | None, ...]:
    history = table.history
    return (
        history.oid,
        table.schema,
        table.name.partition(".")[2],
        table.kind.type_id,
        "M" if "MATERIALIZED_VIEW" in table.descriptions else "R",
        _milliseconds(history.created),
        history.created_by,
        _milliseconds(history.reads.last),
        history.reads.count,
        _milliseconds(history.writes.last),
        history.writes.count,
        _milliseconds(history.alters.last),
        history.alters.count,
    )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)
