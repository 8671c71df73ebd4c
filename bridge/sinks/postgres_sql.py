"""The statements of the PostgreSQL sink: events go to the server as one JSON array.

The server takes them apart with the types of the table's own columns, so that a value means what
its text form means to PostgreSQL, whatever the column is. One statement serves a batch of any size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg.abc import AdaptContext
from psycopg.sql import SQL, Composable, Composed, Identifier

MEMBERS = {
    "id": "text",
    "type": "text",
    "table": "text",
    "cluster": "text",
    "time": "timestamptz",
    "offset": "bigint",
    "cause": "text",
}

COLUMNS = SQL(
    "SELECT attname, format_type(atttypid, atttypmod), atttypid = 'bytea'::regtype "
    "FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
)


class Name(Identifier):
    """An identifier in a statement with parameters, where a percent sign stands for one."""

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        """Return it quoted."""
        return super().as_bytes(context).replace(b"%", b"%%")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table that is written.

    Attributes:
        type: as SQL names it.
        bytes: whether it is `bytea`, which JSON has in base64.
    """

    type: str
    bytes: bool


def write(
    target: Name,
    columns: Mapping[str, Column],
    record: Sequence[str],
    event_columns: Mapping[str, str],
    key: Sequence[str] | None,
) -> Composed:
    """Return the statement that writes events; its one parameter is their JSON array.

    Args:
        target: the table.
        columns: those of the table that the record names, by name.
        record: the columns of a record.
        event_columns: columns for other members of the event, by member.
        key: what an upsert goes by; None inserts.
    """
    names = [*record, *event_columns.values()]
    values = [
        *(_value(name, columns[name]) for name in record),
        *(SQL("e.{}").format(Name(member)) for member in event_columns),
    ]
    once: Composable = SQL("")
    last: Composable = SQL("")
    if key is not None:  # of several rows with one key the last one counts
        parts = [_value(name, columns[name]) for name in key]
        # A key with NULL in it equals no other, as in a unique index.
        alone = SQL('CASE WHEN num_nulls({}) > 0 THEN e."offset" END')
        by = SQL(", ").join([*parts, alone.format(SQL(", ").join(parts))])
        once = SQL("DISTINCT ON ({}) ").format(by)
        last = SQL(' ORDER BY {}, e."offset" DESC').format(by)
    taken = SQL(", ").join(
        SQL("{} {}").format(Name(name), SQL(_type(column)))
        for name, column in columns.items()
        if name in record
    )
    return SQL(
        "INSERT INTO {target} AS t ({names}) SELECT {once}{values} "
        "FROM json_to_recordset(%s::json) AS e(record json, {members}), "
        "LATERAL json_to_record(e.record) AS r({taken}){last}{conflict}"
    ).format(
        target=target,
        names=SQL(", ").join(map(Name, names)),
        once=once,
        values=SQL(", ").join(values),
        members=_members(),
        taken=taken,
        last=last,
        conflict=_conflict(names, event_columns, key),
    )


def notify(target: Name) -> Composed:
    """Return the statement that stores what is no row; its one parameter is a JSON array."""
    return SQL(
        'INSERT INTO {target} (id, type, "table", time, event) '
        "SELECT a.event->>'id', a.event->>'type', a.event->>'table', "
        "(a.event->>'time')::timestamptz, a.event "
        "FROM json_array_elements(%s::json) AS a(event) ON CONFLICT (id) DO NOTHING"
    ).format(target=target)


def create_notifications(target: Name) -> Composed:
    """Return the statement that makes the table for what is no row."""
    return SQL(
        "CREATE TABLE IF NOT EXISTS {target} (id text PRIMARY KEY, type text NOT NULL, "
        '"table" text NOT NULL, time timestamptz NOT NULL, event json NOT NULL)'
    ).format(target=target)


def _type(column: Column) -> str:
    return "text" if column.bytes else column.type.replace("%", "%%")


def _value(name: str, column: Column) -> Composed:
    form = "decode(r.{}, 'base64')" if column.bytes else "r.{}"
    return SQL(form).format(Name(name))


def _members() -> Composed:
    return SQL(", ").join(
        SQL("{} {}").format(Name(name), SQL(type_)) for name, type_ in MEMBERS.items()
    )


def _conflict(
    names: Sequence[str], event_columns: Mapping[str, str], key: Sequence[str] | None
) -> Composed:
    if key is None:
        unique = event_columns.get("id")
        if unique is None:
            return Composed([])
        return SQL(" ON CONFLICT ({}) DO NOTHING").format(Name(unique))
    by = SQL(", ").join(map(Name, key))
    others = [name for name in names if name not in key]
    if not others:
        return SQL(" ON CONFLICT ({}) DO NOTHING").format(by)
    assignments = SQL(", ").join(SQL("{0} = excluded.{0}").format(Name(name)) for name in others)
    newer: Composable = SQL("")
    if offset := event_columns.get("offset"):
        newer = SQL(" WHERE t.{0} IS NULL OR t.{0} <= excluded.{0}").format(Name(offset))
    return SQL(" ON CONFLICT ({}) DO UPDATE SET {}{}").format(by, assignments, newer)
