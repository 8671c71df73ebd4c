"""Rows in SQLite: one in-memory database, one table per Kinetica table.

Counts, expressions, orders and updates are SQLite's. Not thread-safe: the database above holds
its lock around every call. Texts that order otherwise than by their bytes have a collation
of their type. SQLite takes any value for any column, so whatever SQL computes for a
column goes through that column's converter, as everything else went through its check.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from bridge.events import Column
from kinetica_emulator import collations
from kinetica_emulator.columns import RecordType
from kinetica_emulator.errors import RequestError
from kinetica_emulator.records import Row
from kinetica_emulator.sqltext import quote
from kinetica_emulator.values import check_of, from_json

_STORED = {
    "int": "INTEGER",
    "long": "INTEGER",
    "float": "REAL",
    "double": "REAL",
    "string": "TEXT",
    "bytes": "BLOB",
}

# Rows from which sorting them for each page costs more than an index.
_LARGE = 50_000


class RowStore:
    """The rows of every table.

    Args:
        moment: the server's wall clock, in UTC.
    """

    def __init__(self, moment: Callable[[], datetime]) -> None:
        self._connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=256
        )
        for name, compare in collations.BY_NAME.items():
            self._connection.create_collation(name, compare)
        for name in ("NOW", "CURRENT_DATETIME"):
            self._connection.create_function(name, 0, lambda: _text(moment()))
        self._connection.create_function("IS_NULL", 1, _is_null, deterministic=True)
        self._converters: dict[Column, str] = {}
        # Why a converter refused a value: SQLite only says that a function failed.
        self._refusal = ""

    def close(self) -> None:
        """Let go of all rows."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all that is done inside, or nothing of it.

        Raises:
            RequestError: SQLite refused something; its words are in the message.
        """
        self.run("SAVEPOINT request")
        try:
            yield
        except BaseException as error:
            self._connection.execute("ROLLBACK TO request")
            self._connection.execute("RELEASE request")
            if isinstance(error, sqlite3.Error):
                raise RequestError(self._words(error)) from error
            raise
        self._connection.execute("RELEASE request")

    def create(self, name: str, kind: RecordType) -> None:
        """Make the table `name`."""
        columns = ", ".join(_column_definition(column) for column in kind.columns)
        self._connection.execute(f"CREATE TABLE {quote(name)} ({columns})")
        if kind.primary_key:
            keys = ", ".join(map(quote, kind.primary_key))
            self._connection.execute(
                f"CREATE UNIQUE INDEX {quote(name + ' key')} ON {quote(name)} ({keys})"
            )

    def exists(self, name: str) -> bool:
        """Say whether there is a table `name`."""
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
        return bool(self.run(query, (name,)).fetchone()[0])

    def drop(self, name: str) -> None:
        """Drop the table `name`."""
        self._connection.execute(f"DROP TABLE {quote(name)}")

    def clear(self, name: str) -> None:
        """Delete all rows of the table `name`."""
        self._connection.execute(f"DELETE FROM {quote(name)}")  # noqa: S608 (a quoted name)

    def rebuild(
        self, old: str, new: str, kind: RecordType, sources: Sequence[tuple[str, tuple[Any, ...]]]
    ) -> None:
        """Make table `new` from `old`, an SQL expression with its parameters per column."""
        self._connection.execute(f"ALTER TABLE {quote(old)} RENAME TO {quote(old + ' old')}")
        self._connection.execute(f"DROP INDEX IF EXISTS {quote(old + ' key')}")
        self.create(new, kind)
        expressions = ", ".join(text for text, _ in sources)
        self._connection.execute(
            f"INSERT INTO {quote(new)} SELECT {expressions} FROM {quote(old + ' old')} "  # noqa: S608 (names are quoted, expressions are the client's own SQL)
            "ORDER BY _rowid_",
            [value for _, values in sources for value in values],
        )
        self._connection.execute(f"DROP TABLE {quote(old + ' old')}")

    def append(self, name: str, rows: Sequence[Row]) -> tuple[int, int]:
        """Insert rows; the first and the last of their row ids, which are consecutive.

        Raises:
            sqlite3.IntegrityError: a key exists.
        """
        before = self.last_id(name)
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self._connection.executemany(
                f"INSERT INTO {quote(name)} VALUES ({marks})",  # noqa: S608 (a quoted name)
                rows,
            )
        return before + 1, before + len(rows)

    def prepare_order(self, name: str, column: str) -> None:
        """Make reading a large table page by page in the order of a column cheap."""
        if self.last_id(name) >= _LARGE:
            self.run(
                f"CREATE INDEX IF NOT EXISTS {quote(f'{name} by {column}')} "
                f"ON {quote(name)} ({quote(column)})"
            )

    def last_id(self, name: str) -> int:
        """Return the largest row id of a table, 0 if it is empty."""
        query = f"SELECT max(_rowid_) FROM {quote(name)}"  # noqa: S608 (a quoted name)
        return self.run(query).fetchone()[0] or 0

    def converter(self, column: Column) -> str:
        """Return the name of an SQL function that brings a value to a column's kept form."""
        name = self._converters.get(column)
        if name is None:
            name = self._converters[column] = f"to_column_{len(self._converters)}"
            check = check_of(column)

            def convert(value: Any) -> Any:
                try:
                    value = from_json(column, value)
                    # An empty text stands for a value never given, in columns of every type.
                    return check(value) if check and value not in (None, "") else value
                except (RequestError, ValueError) as error:
                    self._refusal = str(error)
                    raise

            self._connection.create_function(name, 1, convert, deterministic=True)
        return name

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement.

        Raises:
            RequestError: SQLite refused it.
        """
        try:
            return self._connection.execute(sql, parameters)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise RequestError(self._words(error)) from error

    def count(self, name: str, where: str = "TRUE") -> int:
        """Count the rows of a table that match an SQL condition."""
        query = f"SELECT count(*) FROM {quote(name)} WHERE {where}"  # noqa: S608 (a quoted name, the client's own condition)
        return int(self.run(query).fetchone()[0])

    def _words(self, error: Exception) -> str:
        text = str(error)
        refusal, self._refusal = self._refusal, ""
        if "user-defined function" in text and refusal:
            return refusal
        if "UNIQUE constraint" in text:
            return f"Primary key exists already: {text.partition(': ')[2]}"
        return f"SQL: {text}"


def _column_definition(column: Column) -> str:
    parts = [quote(column.name), _STORED[column.base]]
    collation = collations.collation_of(column)
    if collation:
        parts.append(f"COLLATE {collation}")
    if not column.nullable:
        parts.append("NOT NULL")
    return " ".join(parts)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _is_null(value: Any) -> bool:
    return value is None
