"""SQL: queries are SQLite's with names rewritten; changes go the way of the native calls.

So an INSERT by SQL is checked, stored and published like any other: SQLite only computes its
source rows.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.events import Column
from kinetica_emulator import catalog, sqltext
from kinetica_emulator.changes import InsertOptions, insert, stamps
from kinetica_emulator.database import Database, Table
from kinetica_emulator.definitions import Reader
from kinetica_emulator.dynamic import columns_of_result, dynamic_reply
from kinetica_emulator.errors import RequestError
from kinetica_emulator.handlers.call import Call
from kinetica_emulator.handlers.reads import page
from kinetica_emulator.handlers.schema_statements import (
    alter_statement,
    create_statement,
    drop_statement,
)
from kinetica_emulator.records import row_of
from kinetica_emulator.sqltext import Token, quote

_QUERIES = frozenset({"SELECT", "WITH", "VALUES", "("})

# What a statement without a result returns: the vendor's client wants at least one column.
_NOTHING = (Column("dummy", "string", "string"),)


class Statement:
    """One statement with what it needs: its tokens, its parameters, how it finds tables."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.database: Database = call.database
        self.text = str(call.request["statement"])
        self.tokens = _number_parameters(sqltext.tokenise(self.text))
        self.parameters = _parameters(call)
        self.schema = call.option("current_schema")
        self.tables: list[Table] = []

    @property
    def verb(self) -> str:
        """The first word, or the bracket that opens a query."""
        if not self.tokens:
            raise RequestError("SQL: empty statement")
        return self.tokens[0].upper or self.tokens[0].text

    def find(self, name: str) -> Table | None:
        """Return the table of that name, in the current schema if it names none."""
        if self.schema and "." not in name:
            name = f"{self.schema}.{name}"
        if name.lower() == catalog.OBJECTS and self.database.traits.ki_objects:
            return catalog.objects(self.database)
        return self.database.find(name)

    def table(self, name: str) -> Table:
        """Return the table of that name.

        Raises:
            RequestError: there is none.
        """
        table = self.find(name)
        if table is None:
            raise RequestError(f"Table '{name}' does not exist")
        return table

    def qualified(self, name: str) -> str:
        """Return a name with the current schema in front if it names none."""
        return f"{self.schema}.{name}" if self.schema and "." not in name else name

    def rewritten(self, tokens: Sequence[Token]) -> str:
        """Return SQL for SQLite; notes which tables it uses."""

        def resolve(name: str) -> str | None:
            table = self.find(name)
            if table is not None:
                self.tables.append(table)
            return None if table is None else table.name

        return sqltext.join(sqltext.rewrite_tables(tokens, resolve))


def execute_sql(call: Call) -> Mapping[str, Any]:
    """Carry out one statement."""
    if call.request["data"]:
        raise RequestError("SQL parameters in binary are not emulated: use query_parameters")
    statement = Statement(call)
    if statement.verb in _QUERIES:
        return _query(statement)
    try:
        carry_out = _VERBS[statement.verb]
    except KeyError:
        raise RequestError(f"SQL: '{statement.verb}' is not emulated") from None
    affected = carry_out(statement)
    return {"count_affected": affected, **dynamic_reply(_NOTHING, [], call.request["encoding"])}


def _query(statement: Statement) -> Mapping[str, Any]:
    call = statement.call
    sql = statement.rewritten(statement.tokens)
    _read(statement)
    offset, limit = page(call.request["offset"], call.request["limit"])
    rows = statement.database.rows
    with rows.transaction():
        cursor = rows.run(sql, statement.parameters)
        if cursor.description is None:
            raise RequestError("SQL: WITH is emulated for queries only")
    headers = [entry[0] for entry in cursor.description]
    found = list(itertools.islice(cursor, offset, offset + limit))
    cursor.close()
    total = int(
        rows.run(f"SELECT count(*) FROM ({sql})", statement.parameters).fetchone()[0]  # noqa: S608 (the client's own query)
    )
    known: list[Column] = [column for table in statement.tables for column in table.kind.columns]
    return {
        "count_affected": len(found),
        **dynamic_reply(columns_of_result(headers, found, known), found, call.request["encoding"]),
        "total_number_of_records": total,
        "has_more_records": offset + len(found) < total,
    }


def _read(statement: Statement) -> None:
    """Note the reading of the tables that a statement queries, if it may be done.

    Raises:
        RequestError: whoever asks may not read one of them.
    """
    for table in statement.tables:
        if table.name != catalog.OBJECTS:
            statement.call.require("table_read", table.name)
            statement.database.note_read(table)


def _insert(statement: Statement) -> int:
    """INSERT or UPSERT INTO table [(columns)] query."""
    reader = Reader(statement.tokens)
    upsert = reader.skip("UPSERT", "INTO")
    if not upsert:
        reader.expect("INSERT", "INTO")
    table = statement.table(reader.table_name())
    kind = table.kind
    names = [column.name for column in kind.columns]
    if reader.peek().text == "(" and reader.peek(1).upper not in ("SELECT", "WITH", "VALUES"):
        names = reader.names()
        for name in names:
            kind.column(name)
    statement.call.require("table_insert", table.name)
    source = statement.rewritten(reader.rest())
    _read(statement)
    rows = statement.database.rows.run(source, statement.parameters).fetchall()
    if rows and len(rows[0]) != len(names):
        raise RequestError(f"SQL: {len(rows[0])} values for {len(names)} columns")
    call = statement.call
    result = insert(
        statement.database,
        table,
        [row_of(kind, dict(zip(names, row, strict=True))) for row in rows],
        None,
        InsertOptions(
            update_on_existing_pk=upsert
            or "KI_HINT_UPDATE_ON_EXISTING_PK" in statement.text
            or call.flag("update_on_existing_pk"),
            ignore_existing_pk="KI_HINT_IGNORE_EXISTING_PK" in statement.text
            or call.flag("ignore_existing_pk"),
        ),
    )
    return result.inserted + result.updated


def _update(statement: Statement) -> int:
    """UPDATE table SET column = expression, ... [WHERE condition]."""
    reader = Reader(statement.tokens)
    reader.expect("UPDATE")
    table = statement.table(reader.table_name())
    alias = _alias(reader, table, "SET")
    reader.expect("SET")
    assignments, where = _split_assignments(reader.rest())
    parts = []
    for name, expression in assignments:
        column = table.kind.column(name)
        convert = statement.database.rows.converter(column)
        parts.append(f"{quote(name)} = {convert}({statement.rewritten(expression)})")
    named = {name for name, _ in assignments}
    for column, now in stamps(table.kind, statement.database.traits.moment()):
        if column.name not in named:
            parts.append(f"{quote(column.name)} = '{now}'")
    sql = (
        f"UPDATE {quote(table.name)} AS {quote(alias)} SET {', '.join(parts)} "  # noqa: S608 (quoted names, the client's own SQL)
        f"{statement.rewritten(where)}"
    )
    return _counted(statement, table, "update", sql)


def _delete(statement: Statement) -> int:
    """DELETE FROM table [WHERE condition]."""
    reader = Reader(statement.tokens)
    reader.expect("DELETE", "FROM")
    table = statement.table(reader.table_name())
    alias = _alias(reader, table, "WHERE")
    where = statement.rewritten(reader.rest())
    sql = f"DELETE FROM {quote(table.name)} AS {quote(alias)} {where}"  # noqa: S608 (quoted names, the client's own SQL)
    return _counted(statement, table, "delete", sql)


def _truncate(statement: Statement) -> int:
    """TRUNCATE TABLE table: like a delete of everything."""
    reader = Reader(statement.tokens)
    reader.expect("TRUNCATE", "TABLE")
    table = statement.table(reader.table_name())
    return _counted(statement, table, "delete", f"DELETE FROM {quote(table.name)}")  # noqa: S608 (a quoted name)


def _counted(statement: Statement, table: Table, event: str, sql: str) -> int:
    database = statement.database
    statement.call.require(f"table_{event}", table.name)
    with database.rows.transaction():
        count = database.rows.run(sql, statement.parameters).rowcount
    database.notify_count(table, event, count)
    return count


def _alias(reader: Reader, table: Table, before: str) -> str:
    """Read a table's alias; its bare name if it has none."""
    reader.skip("AS")
    if reader.peek().is_name and reader.peek().upper != before:
        return reader.name()
    return table.name.partition(".")[2]


def _split_assignments(tokens: list[Token]) -> tuple[list[tuple[str, list[Token]]], list[Token]]:
    """Split `a = x, b = y WHERE ...` into its assignments and the rest."""
    reader, assignments = Reader(tokens), []
    while True:
        name = reader.name()
        reader.expect("=")
        expression, depth = [], 0
        while not reader.done:
            token = reader.peek()
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth == 0 and (token.text == "," or token.upper == "WHERE"):
                break
            expression.append(reader.take())
        assignments.append((name, expression))
        if not reader.skip(","):
            return assignments, reader.rest()


def _create(statement: Statement) -> int:
    create_statement(statement.database, Reader(statement.tokens), statement.qualified)
    return 0


def _drop(statement: Statement) -> int:
    drop_statement(statement.database, Reader(statement.tokens), statement.qualified)
    return 0


def _alter(statement: Statement) -> int:
    alter_statement(statement.database, Reader(statement.tokens), statement.qualified)
    return 0


_VERBS: Mapping[str, Callable[[Statement], int]] = {
    "INSERT": _insert,
    "UPSERT": _insert,
    "UPDATE": _update,
    "DELETE": _delete,
    "TRUNCATE": _truncate,
    "CREATE": _create,
    "DROP": _drop,
    "ALTER": _alter,
}


def _parameters(call: Call) -> list[Any]:
    text = call.option("query_parameters")
    if not text:
        return []
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise RequestError(f"query_parameters is not JSON: {error}") from error
    if not isinstance(parameters, list) or any(isinstance(each, list) for each in parameters):
        raise RequestError("query_parameters must be one list of values")
    return parameters


def _number_parameters(tokens: list[Token]) -> list[Token]:
    """Turn `$1` into what SQLite calls it, `?1`."""
    numbered, position = [], 0
    while position < len(tokens):
        token = tokens[position]
        following = tokens[position + 1] if position + 1 < len(tokens) else Token("end", "")
        if token.text in ("$", "?") and following.kind == "number":
            numbered.append(Token("sign", f"?{following.text}"))
            position += 2
            continue
        numbered.append(token)
        position += 1
    return numbered
