"""A `state.db` of an older format becomes one of this format, in one transaction.

Of format 1 (a cursor a sink), each lane of a sink begins at the sink's cursor, or where its table
began to count if that is further on. Dead letters of older formats have no entry. Segments need no
upgrade: they are read as they are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from bridge.journal.database import roll_back
from bridge.journal.layout import FORMAT
from bridge.journal.queries import QUERIES, STATE_SCHEMA
from bridge.journal.rows import checksum, with_checksums

_LETTER_COLUMNS = (
    "attempts INTEGER NOT NULL DEFAULT 0",
    "answer TEXT",
    "size INTEGER NOT NULL DEFAULT 0",
    "kind TEXT",
    "cluster TEXT",
    "schema_id INTEGER",
    "checksum INTEGER",
    "detail TEXT",
    "payload BLOB",
)


def upgrade_state(connection: sqlite3.Connection, version: int) -> None:
    """Upgrade an open file whose facts were verified.

    Args:
        connection: writes it.
        version: its format.

    Raises:
        ValueError: what it holds is not what was written; nothing changed.
        sqlite3.Error: it could not be written; nothing changed.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        present = {row[1] for row in connection.execute("PRAGMA table_info(dead_letters)")}
        for column in _LETTER_COLUMNS:
            if column.split()[0] not in present:
                connection.execute(f"ALTER TABLE dead_letters ADD COLUMN {column}")
        if version > 1:
            connection.execute("ALTER TABLE lanes ADD COLUMN events TEXT")
        for statement in _statements(STATE_SCHEMA):
            connection.execute(statement)
        connection.execute(QUERIES["size_dead_letters"])
        lanes = _lanes_of_format_1(connection) if version == 1 else _lanes_of_format_2(connection)
        for lane in lanes:
            connection.execute(QUERIES["put_lane"], (*lane, None, checksum(*lane, None)))
        put_facts(connection, {"format": str(FORMAT)})
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def put_facts(connection: sqlite3.Connection, facts: Mapping[str, str]) -> None:
    """Write facts of the file, within a transaction."""
    connection.executemany(QUERIES["put_meta"], with_checksums(facts))


def _lanes_of_format_2(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    lanes = connection.execute(QUERIES["get_lanes_of_format_2"]).fetchall()
    for *lane, crc in lanes:
        if checksum(*lane) != crc:
            raise ValueError(f"the lane of {lane[1]} for {lane[0]} is not what was written")
    return [tuple(lane) for *lane, _ in lanes]


def _lanes_of_format_1(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Return the lanes, and take what stood in their place away."""
    cursors = _cursors(connection)
    oldest = connection.execute("SELECT value FROM meta WHERE name = 'oldest'").fetchone()
    accounts = connection.execute(QUERIES["get_accounts_of_format_1"]).fetchall()
    for sink, (_, registered) in cursors.items():
        row = sink, registered
        connection.execute(QUERIES["put_sink"], (*row, checksum(*row)))
    pruned = int(oldest[0]) if oldest is not None else 0
    put_facts(connection, {"thinned": json.dumps([[0, pruned]] if pruned else [])})
    connection.execute("DELETE FROM meta WHERE name = 'oldest'")
    connection.execute("DROP TABLE cursors")
    connection.execute("DROP TABLE accounts")
    return [_lane(account, cursors) for account in accounts]


def _lane(account: tuple[Any, ...], cursors: Mapping[str, tuple[int, int]]) -> tuple[object, ...]:
    sink, table, since, *numbers = account
    if not all(isinstance(number, int) for number in (since, *numbers)):
        raise ValueError(f"the counts of {sink} and {table} are damaged")
    return (sink, table, max(since, cursors.get(sink, (0, 0))[0]), *numbers, 0, 0)


def _cursors(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    cursors: dict[str, tuple[int, int]] = {}
    for sink, offset, registered, crc in connection.execute(QUERIES["get_cursors_of_format_1"]):
        if checksum(sink, offset, registered) != crc:
            raise ValueError(f"the cursor of {sink} is not what was written")
        cursors[sink] = offset, registered
    return cursors


def _statements(script: str) -> list[str]:
    """Cut a script into statements; none of ours has a semicolon elsewhere."""
    code = "\n".join(line for line in script.splitlines() if not line.startswith("--"))
    return [statement for statement in code.split(";") if statement.strip()]
