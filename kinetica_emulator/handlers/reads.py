"""Reading records: whole rows, or some columns of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.events import Column
from kinetica_emulator import sqltext
from kinetica_emulator.database import Table
from kinetica_emulator.dynamic import dynamic_reply
from kinetica_emulator.errors import RequestError
from kinetica_emulator.handlers.call import Call
from kinetica_emulator.identity import MAX_GET_RECORDS_SIZE
from kinetica_emulator.records import Row, encode_rows, format_rows, wire_rows
from kinetica_emulator.sqltext import quote

_ORDERS = {"": "", "ascending": "ASC", "descending": "DESC"}


def get_records(call: Call) -> Mapping[str, Any]:
    """Read whole rows, in their wire form or as JSON texts."""
    table = call.database.table(call.request["table_name"])
    kind = table.kind
    selected = ", ".join(quote(column.name) for column in kind.columns)
    rows, total, more = _read(call, table, selected)
    encoding = call.request["encoding"]
    return {
        "table_name": call.request["table_name"],
        "type_name": kind.type_id,
        "type_schema": kind.type_schema,
        "records_binary": [] if encoding == "json" else encode_rows(kind, wire_rows(kind, rows)),
        "records_json": format_rows(kind, rows) if encoding == "json" else [],
        "total_number_of_records": total,
        "has_more_records": more,
    }


def get_records_bycolumn(call: Call) -> Mapping[str, Any]:
    """Read columns, or expressions over them, column by column."""
    table = call.database.table(call.request["table_name"])
    columns, selected = _selection(table, call.request["column_names"])
    rows, total, more = _read(call, table, selected)
    return {
        "table_name": call.request["table_name"],
        **dynamic_reply(columns, rows, call.request["encoding"]),
        "total_number_of_records": total,
        "has_more_records": more,
    }


def _selection(table: Table, names: Sequence[str]) -> tuple[list[Column], str]:
    known = {column.name: column for column in table.kind.columns}
    columns: list[Column] = []
    for name in names:
        if name == "*":
            columns += table.kind.columns
        elif name in known:
            columns.append(known[name])
        else:
            raise RequestError(f"Column '{name}' does not exist in '{table.name}'")
    if not columns:
        raise RequestError("No column names given")
    return columns, ", ".join(quote(column.name) for column in columns)


def _read(call: Call, table: Table, selected: str) -> tuple[list[Row], int, bool]:
    """Return the rows of one page, how many there are in all, whether there are more."""
    call.require("table_read", table.name)
    call.database.note_read(table)
    expression = call.option("expression")
    where = sqltext.expression(expression) if expression.strip() else "TRUE"
    offset, limit = page(call.request["offset"], call.request["limit"])
    statement = f"SELECT {selected} FROM {quote(table.name)} WHERE {where} {_order(call, table)}"  # noqa: S608 (quoted names, the client's own condition)
    found = call.database.rows.run(f"{statement} LIMIT ? OFFSET ?", (limit, offset))
    rows: list[Row] = found.fetchall()
    total = call.database.rows.count(table.name, where)
    return rows, total, offset + len(rows) < total


def page(offset: int, limit: int) -> tuple[int, int]:
    """Return offset and limit as the server applies them.

    Raises:
        RequestError: a negative offset, or a limit that is neither -9999 nor positive.
    """
    if offset < 0 or (limit < 0 and limit != -9999):
        raise RequestError(f"Invalid offset {offset} or limit {limit}")
    return offset, MAX_GET_RECORDS_SIZE if limit < 0 else min(limit, MAX_GET_RECORDS_SIZE)


def _order(call: Call, table: Table) -> str:
    """Return the ORDER BY clause; in the order of insertion if none was asked for."""
    direction = call.option("sort_order")
    if direction not in _ORDERS:
        raise RequestError(f"Invalid sort_order '{direction}'")
    by = call.option("sort_by")
    if by:
        _prepare(call, table, table.kind.column(by).name)
        return f"ORDER BY {quote(by)} {_ORDERS[direction]}, _rowid_"
    terms: list[str] = []
    for term in filter(str.strip, call.option("order_by").split(",")):
        name, _, way = term.strip().partition(" ")
        if way.strip().lower() not in ("", "asc", "desc"):
            raise RequestError(f"Invalid order_by '{term}'")
        if not terms:
            _prepare(call, table, table.kind.column(name).name)
        terms.append(f"{quote(table.kind.column(name).name)} {way}")
    return f"ORDER BY {', '.join([*terms, '_rowid_'])}"


def _prepare(call: Call, table: Table, column: str) -> None:
    if table.kind.primary_key[:1] != (column,):
        call.database.rows.prepare_order(table.name, column)
