"""SQL that makes, changes and drops schemas and tables.

`ALTER TABLE ... ADD column type FIRST | AFTER column` goes beyond Kinetica, which only appends:
it lets a test have the layouts that a table dropped and made again may have.
"""

from __future__ import annotations

from collections.abc import Callable

from kinetica_emulator.columns import base_of, build_type
from kinetica_emulator.database import Database
from kinetica_emulator.definitions import Definition, Reader, read_definition
from kinetica_emulator.errors import RequestError
from kinetica_emulator.handlers.alter import move_table, rename_table
from kinetica_emulator.layout import LayoutDraft

Qualify = Callable[[str], str]


def create_statement(database: Database, reader: Reader, qualified: Qualify) -> None:
    """CREATE SCHEMA, or CREATE [OR REPLACE] [REPLICATED] TABLE with column definitions."""
    reader.expect("CREATE")
    if reader.skip("SCHEMA"):
        if_missing = reader.skip("IF", "NOT", "EXISTS")
        database.create_schema(reader.name(), if_missing=if_missing)
        return
    replace = reader.skip("OR", "REPLACE")
    replicated = reader.skip("REPLICATED")
    reader.expect("TABLE")
    if_missing = reader.skip("IF", "NOT", "EXISTS")
    name = qualified(reader.table_name())
    definitions, keys = _read_columns(reader)
    for definition in definitions:
        for mark in keys.get(definition.name, ()):
            if mark not in definition.marks:
                definition.marks.append(mark)
            if mark == "primary_key" and "nullable" in definition.marks:
                definition.marks.remove("nullable")
    columns, properties = [], {}
    for definition in definitions:
        base, declared = base_of(definition.type_name)
        marks = [*declared, *definition.marks]
        if definition.default is not None:
            marks.append(f"default({definition.default})")
        columns.append((definition.name, base, "nullable" in marks))
        properties[definition.name] = marks
    kind = build_type(columns, properties)
    if replace:
        database.drop_table(name, if_exists=True)
    table = database.create_table(name, kind, if_missing=if_missing)
    if replicated:
        table.descriptions = ("REPLICATED",)


def _read_columns(reader: Reader) -> tuple[list[Definition], dict[str, list[str]]]:
    """Read the bracketed list of columns and keys: definitions, and marks by column name."""
    definitions: list[Definition] = []
    keys: dict[str, list[str]] = {}
    reader.expect("(")
    while True:
        if reader.skip("PRIMARY", "KEY"):
            for name in reader.names():
                keys.setdefault(name, []).append("primary_key")
        elif reader.skip("SOFT", "PRIMARY", "KEY"):
            for name in reader.names():
                keys.setdefault(name, []).append("soft_primary_key")
        elif reader.skip("SHARD", "KEY"):
            for name in reader.names():
                keys.setdefault(name, []).append("shard_key")
        else:
            definitions.append(read_definition(reader, reader.name()))
        if not reader.skip(","):
            break
    reader.expect(")")
    unknown = keys.keys() - {definition.name for definition in definitions}
    if unknown:
        raise RequestError(f"Column '{min(unknown)}' does not exist")
    if not reader.done:
        raise RequestError(f"SQL: '{reader.peek().text}' after the columns is not emulated")
    return definitions, keys


def drop_statement(database: Database, reader: Reader, qualified: Qualify) -> None:
    """DROP SCHEMA [IF EXISTS] name [CASCADE], or DROP TABLE [IF EXISTS] name."""
    reader.expect("DROP")
    if reader.skip("SCHEMA"):
        if_exists = reader.skip("IF", "EXISTS")
        name = reader.name()
        database.drop_schema(name, cascade=reader.skip("CASCADE"), if_exists=if_exists)
        return
    reader.expect("TABLE")
    if_exists = reader.skip("IF", "EXISTS")
    database.drop_table(qualified(reader.table_name()), if_exists=if_exists)


def alter_statement(database: Database, reader: Reader, qualified: Qualify) -> None:
    """ALTER TABLE: add, drop, rename and modify columns; rename, move, set the time to live."""
    reader.expect("ALTER", "TABLE")
    table = database.table(qualified(reader.table_name()))
    draft = LayoutDraft(database, table)
    if reader.skip("RENAME", "TO"):
        rename_table(database, table, reader.table_name(), {})
        return
    if reader.skip("MOVE", "TO") or reader.skip("SET", "SCHEMA"):
        move_table(database, table, reader.name(), {})
        return
    if reader.skip("SET", "TTL"):
        table.ttl = "".join(token.text for token in reader.rest())
        return
    if reader.skip("RENAME", "COLUMN"):
        old = reader.name()
        reader.expect("TO")
        draft.rename(old, reader.name())
    elif reader.skip("DROP"):
        reader.skip("COLUMN")
        draft.delete(reader.name())
    elif reader.skip("ADD"):
        reader.skip("COLUMN")
        _add(reader, draft)
    elif reader.skip("MODIFY") or reader.skip("ALTER"):
        reader.skip("COLUMN")
        definition = read_definition(reader, reader.name())
        draft.change(definition.name, definition.type_name, definition.marks)
    else:
        raise RequestError(f"SQL: ALTER TABLE ... {reader.peek().text} is not emulated")
    draft.apply()


def _add(reader: Reader, draft: LayoutDraft) -> None:
    definition = read_definition(reader, reader.name())
    position = None
    if reader.skip("FIRST"):
        position = 0
    elif reader.skip("AFTER"):
        position = draft.position(reader.name()) + 1
    draft.add(
        definition.name,
        definition.type_name,
        definition.marks,
        default=definition.default,
        expression=definition.expression,
        position=position,
    )
