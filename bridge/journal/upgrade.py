"""A `state.db` of format 1 (a cursor a sink) becomes one of this format, in one transaction.

Each lane of a sink begins at the sink's cursor, or where its table began to count if that is
further on. Segments of format 1 need no upgrade: they are read as they are.
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

_NEW_COLUMNS = (
    "ALTER TABLE dead_letters ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE dead_letters ADD COLUMN answer TEXT",
)


def upgrade_state(connection: sqlite3.Connection) -> None:
    """Upgrade an open file whose facts were verified.

    Raises:
        ValueError: what it holds is not what was written; nothing changed.
        sqlite3.Error: it could not be written; nothing changed.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        cursors = _cursors(connection)
        oldest = connection.execute("SELECT value FROM meta WHERE name = 'oldest'").fetchone()
        accounts = connection.execute(QUERIES["get_accounts_of_format_1"]).fetchall()
        for statement in _statements(STATE_SCHEMA):
            connection.execute(statement)
        for statement in _NEW_COLUMNS:
            connection.execute(statement)
        for sink, (_, registered) in cursors.items():
            row = sink, registered
            connection.execute(QUERIES["put_sink"], (*row, checksum(*row)))
        for account in accounts:
            lane = _lane(account, cursors)
            connection.execute(QUERIES["put_lane"], (*lane, checksum(*lane)))
        pruned = int(oldest[0]) if oldest is not None else 0
        facts = {
            "format": str(FORMAT),
            "thinned": json.dumps([[0, pruned]] if pruned else []),
        }
        connection.executemany(QUERIES["put_meta"], with_checksums(facts))
        connection.execute("DELETE FROM meta WHERE name = 'oldest'")
        connection.execute("DROP TABLE cursors")
        connection.execute("DROP TABLE accounts")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


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
