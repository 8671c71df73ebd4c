"""Inserts, updates and deletes, with the notifications they cause.

One operation is one transaction and at most one notification per monitor. An upsert counts as
an update where the key existed and as an insert where it did not.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bridge.events import Column
from kinetica_emulator import sqltext
from kinetica_emulator.columns import RecordType
from kinetica_emulator.database import Database, Table
from kinetica_emulator.errors import RequestError
from kinetica_emulator.records import Row, encode_rows, keep, wire_rows
from kinetica_emulator.sqltext import quote
from kinetica_emulator.values import check_of, from_json, now_text


@dataclass(frozen=True, slots=True)
class InsertOptions:
    """How an insert treats existing keys and bad records."""

    update_on_existing_pk: bool = False
    ignore_existing_pk: bool = False
    truncate_strings: bool = False
    partial: bool = False


@dataclass(slots=True)
class Inserted:
    """What an insert did.

    Attributes:
        inserted, updated: numbers of rows.
        row_ids: of every row that went in or was updated, where asked for.
        errors: index of a record to why it was refused.
    """

    inserted: int = 0
    updated: int = 0
    row_ids: list[int] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)


def insert(
    database: Database,
    table: Table,
    rows: list[Row],
    frames: Sequence[bytes] | None,
    options: InsertOptions,
) -> Inserted:
    """Insert rows in wire form.

    Args:
        database: whose lock the caller holds.
        table: where to.
        rows: wire values in column order.
        frames: the same records as bytes, published as they are; None to have them made.
        options: about existing keys and bad records.

    Raises:
        RequestError: a record was refused and `options.partial` is not set; nothing went in.
    """
    kind = table.kind
    filled = _fill(kind, rows, database.traits.moment())
    if filled is not rows:
        rows, frames = filled, None
    kept, errors = keep(kind, rows, truncate=options.truncate_strings)
    if errors and not options.partial:
        index = min(errors)
        raise RequestError(f"Record {index}: {errors[index]}")
    result = Inserted(errors=errors)
    good = range(len(kept))
    if errors:
        good_indexes = [index for index in good if index not in errors]
        kept = [kept[index] for index in good_indexes]
        frames = [frames[index] for index in good_indexes] if frames is not None else None
        positions: Sequence[int] = good_indexes
    else:
        positions = good
    with database.rows.transaction():
        if kind.primary_key and (
            options.update_on_existing_pk or options.ignore_existing_pk or options.partial
        ):
            new = _insert_by_key(database, table, kept, positions, options, result)
            if len(new) != len(kept):
                kept = [kept[index] for index in new]
                frames = [frames[index] for index in new] if frames is not None else None
            first = database.rows.last_id(table.name) - len(new) + 1
        else:
            first, last = database.rows.append(table.name, kept)
            result.row_ids = list(range(first, last + 1))
        result.inserted = len(kept)
    if kept and database.wrote(table, "insert"):
        if frames is None:
            frames = encode_rows(kind, wire_rows(kind, kept))
        database.notify_inserted(table, frames, first)
    database.notify_count(table, "update", result.updated)
    return result


def _insert_by_key(
    database: Database,
    table: Table,
    rows: Sequence[Row],
    positions: Sequence[int],
    options: InsertOptions,
    result: Inserted,
) -> list[int]:
    """Insert row by row, minding existing keys; the indexes of the rows that were new."""
    kind, name = table.kind, quote(table.name)
    names = [column.name for column in kind.columns]
    keys = [names.index(key) for key in kind.primary_key]
    stamped = [
        (names.index(column.name), now) for column, now in stamps(kind, database.traits.moment())
    ]
    marks = ", ".join("?" * len(names))
    put = f"INSERT INTO {name} VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 (a quoted name)
    same_key = " AND ".join(f"{quote(key)} = ?" for key in kind.primary_key)
    assignments = ", ".join(f"{quote(column)} = ?" for column in names)
    change = f"UPDATE {name} SET {assignments} WHERE {same_key} RETURNING _rowid_"  # noqa: S608 (quoted names)
    new = []
    for index, row in enumerate(rows):
        cursor = database.rows.run(put, row)
        if cursor.rowcount == 1:
            new.append(index)
            result.row_ids.append(int(cursor.lastrowid or 0))
        elif options.update_on_existing_pk:
            changed = list(row)
            for position, now in stamped:
                changed[position] = now
            found = database.rows.run(change, (*changed, *(row[key] for key in keys)))
            result.row_ids += [row_id for (row_id,) in found.fetchall()]
            result.updated += 1
        elif not options.ignore_existing_pk:
            result.errors[positions[index]] = "Primary key exists already"
    return new


def _fill(kind: RecordType, rows: list[Row], moment: datetime) -> list[Row]:
    """Put in what the server provides: now, or a random uuid, where nothing usable was given."""
    makers: dict[int, Any] = {}
    for position, column in enumerate(kind.columns):
        marks = kind.properties.get(column.name, ())
        if "init_with_now" in marks:
            makers[position] = (check_of(column), lambda column=column: now_text(column, moment))
        elif "init_with_uuid" in marks:
            makers[position] = (check_of(column), lambda: str(uuid.uuid4()))
    if not makers:
        return rows
    filled = []
    changed = False
    for row in rows:
        values = list(row)
        for position, (check, make) in makers.items():
            if not _usable(check, values[position]):
                values[position] = make()
                changed = True
        filled.append(tuple(values))
    return filled if changed else rows


def _usable(check: Any, value: Any) -> bool:
    if value in (None, ""):
        return False
    try:
        if check is not None:
            check(value)
    except ValueError:
        return False
    return True


def stamps(kind: RecordType, moment: datetime) -> list[tuple[Column, Any]]:
    """Return the columns that the server sets at each update, with their value at a moment."""
    return [
        (column, now_text(column, moment))
        for column in kind.columns
        if "update_with_now" in kind.properties.get(column.name, ())
    ]


def update(
    database: Database,
    table: Table,
    where: str,
    values: Mapping[str, str | None],
    *,
    expressions: bool = False,
    replace: bool = False,
) -> int:
    """Update the rows that match, without notifying; the number of rows.

    Args:
        database: whose lock the caller holds, inside a transaction.
        table: which.
        where: an SQL condition.
        values: column name to its new value as text, or with `expressions` an SQL expression.
        expressions: see `values`.
        replace: remove other rows that have the key the update gives.

    Raises:
        RequestError: an unknown column, a value it cannot hold, a key that exists.
    """
    assignments, parameters = [], []
    kind = table.kind
    for name, text in values.items():
        column = kind.column(name)
        if expressions and text is not None:
            convert = database.rows.converter(column)
            assignments.append(f"{quote(name)} = {convert}({sqltext.expression(text)})")
            continue
        value = from_json(column, text)
        check = check_of(column)
        try:
            parameters.append(check(value) if check and value is not None else value)
        except ValueError as error:
            raise RequestError(f"Column '{name}': {error}") from error
        assignments.append(f"{quote(name)} = ?")
    if not assignments:
        raise RequestError("No new values given")
    for column, now in stamps(kind, database.traits.moment()):
        if column.name not in values:
            assignments.append(f"{quote(column.name)} = ?")
            parameters.append(now)
    verb = "UPDATE OR REPLACE" if replace else "UPDATE"
    cursor = database.rows.run(
        f"{verb} {quote(table.name)} SET {', '.join(assignments)} WHERE {where}", parameters
    )
    return cursor.rowcount


def delete(database: Database, table: Table, where: str) -> int:
    """Delete the rows that match, without notifying; the number of rows.

    Raises:
        RequestError: the condition is not one.
    """
    statement = f"DELETE FROM {quote(table.name)} WHERE {where}"  # noqa: S608 (a quoted name, the client's own condition)
    return database.rows.run(statement).rowcount
