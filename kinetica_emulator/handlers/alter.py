"""Altering tables: their columns, their name, their schema, what is noted about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kinetica_emulator.columns import RecordType
from kinetica_emulator.database import DEFAULT_SCHEMA, Database, Table
from kinetica_emulator.errors import RequestError
from kinetica_emulator.handlers.call import Call
from kinetica_emulator.layout import LayoutDraft

# The type of a column added without one. Source: vendor's reference of /alter/table.
_DEFAULT_COLUMN_TYPE = "double"


def alter_table(call: Call) -> Mapping[str, Any]:
    """Carry out one action on a table."""
    request, database = call.request, call.database
    action, value = request["action"], request["value"]
    table = database.table(request["table_name"])
    if action in _COLUMN_ACTIONS:
        draft = LayoutDraft(database, table)
        _COLUMN_ACTIONS[action](draft, value, request["options"])
        draft.apply()
    elif action in _TABLE_ACTIONS:
        _TABLE_ACTIONS[action](database, table, value, request["options"])
        if action in _NOTES:
            database.note_alter(table)
    else:
        raise RequestError(f"Table alteration '{action}' is not emulated")
    return {
        "table_name": request["table_name"],
        "action": action,
        "value": value,
        **described_type(table.kind),
    }


def alter_table_columns(call: Call) -> Mapping[str, Any]:
    """Carry out several column actions at once, all of them or none."""
    request = call.request
    table = call.database.table(request["table_name"])
    draft = LayoutDraft(call.database, table)
    for alteration in request["column_alterations"]:
        action = alteration.get("action", "")
        if action not in _COLUMN_ACTIONS:
            raise RequestError(f"Column alteration '{action}' is not emulated")
        _COLUMN_ACTIONS[action](draft, alteration.get("column_name", ""), alteration)
    draft.apply()
    return {
        "table_name": request["table_name"],
        **described_type(table.kind),
        "column_alterations": request["column_alterations"],
    }


def described_type(kind: RecordType) -> dict[str, Any]:
    """Return a type as replies to alterations have it."""
    return {
        "type_id": kind.type_id,
        "type_definition": kind.type_schema,
        "properties": kind.properties,
        "label": kind.label,
    }


Options = Mapping[str, str]


def _add_column(draft: LayoutDraft, name: str, options: Options) -> None:
    draft.add(
        name,
        options.get("column_type") or options.get("type") or _DEFAULT_COLUMN_TYPE,
        split_properties(options.get("column_properties", "")),
        default=options.get("column_default_value", options.get("default_value")),
        expression=(
            options.get("add_column_expression")
            or options.get("add_column_expression_sql")
            or options.get("copy_values_from_column")
            or ""
        ),
    )


def _change_column(draft: LayoutDraft, name: str, options: Options) -> None:
    rename = options.get("rename_column", "")
    if rename and not options.keys() & {"column_type", "column_properties"}:
        draft.rename(name, rename)
        return
    draft.change(
        name,
        options.get("column_type") or None,
        split_properties(options.get("column_properties", "")),
        rename,
    )


def _delete_column(draft: LayoutDraft, name: str, options: Options) -> None:
    del options
    draft.delete(name)


def _set_default(draft: LayoutDraft, name: str, options: Options) -> None:
    draft.set_default(name, options.get("add_column_expression", ""))


def _delete_default(draft: LayoutDraft, name: str, options: Options) -> None:
    del options
    draft.set_default(name, None)


_COLUMN_ACTIONS: Mapping[str, Callable[[LayoutDraft, str, Options], None]] = {
    "add_column": _add_column,
    "change_column": _change_column,
    "delete_column": _delete_column,
    "set_default": _set_default,
    "delete_default": _delete_default,
}


def rename_table(database: Database, table: Table, name: str, options: Options) -> None:
    """Rename a table within its schema."""
    del options
    target = name if "." in name else f"{table.schema}.{name}"
    LayoutDraft(database, table).apply(target)


def move_table(database: Database, table: Table, schema: str, options: Options) -> None:
    """Move a table to another schema, the default one if none is named."""
    del options
    bare = table.name.partition(".")[2]
    LayoutDraft(database, table).apply(f"{schema or DEFAULT_SCHEMA}.{bare}")


def _ttl(database: Database, table: Table, value: str, options: Options) -> None:
    del database, options
    table.ttl = value


def _comment(database: Database, table: Table, value: str, options: Options) -> None:
    del database
    if "column_name" in options:
        table.kind.column(options["column_name"])
    else:
        table.comment = value


def _create_index(database: Database, table: Table, value: str, options: Options) -> None:
    del database, options
    table.kind.column(value)
    if value in table.indexes:
        raise RequestError(f"Column '{value}' already has an index")
    table.indexes.append(value)


def _delete_index(database: Database, table: Table, value: str, options: Options) -> None:
    del database, options
    if value not in table.indexes:
        raise RequestError(f"Column '{value}' has no index")
    table.indexes.remove(value)


_TABLE_ACTIONS: Mapping[str, Callable[[Database, Table, str, Options], None]] = {
    "rename_table": rename_table,
    "move_to_schema": move_table,
    "move_to_collection": move_table,
    "ttl": _ttl,
    "add_comment": _comment,
    "create_index": _create_index,
    "delete_index": _delete_index,
}

# The others rebuild the table, which notes it.
_NOTES = frozenset({"ttl", "add_comment", "create_index", "delete_index"})


def split_properties(text: str) -> list[str]:
    """Split a list of properties at the commas outside brackets.

    >>> split_properties("decimal(10,2), nullable")
    ['decimal(10,2)', 'nullable']
    """
    parts, depth, start = [], 0, 0
    for position, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]
