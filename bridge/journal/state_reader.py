"""Reading `state.db`: cursors, counts and dead letters; also beside a running bridge."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from bridge.errors import JournalError, JournalUnavailable
from bridge.journal.database import connect_reader
from bridge.journal.layout import state_path, unwritable
from bridge.journal.queries import QUERIES
from bridge.journal.records import DeadLetter
from bridge.journal.rows import checksum
from bridge.journal.tally import Tally

_Result = TypeVar("_Result")


class StateReader:
    """A read-only connection to `state.db`, open inside a `with` block.

    Every method raises JournalError where the file cannot be read.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        path = state_path(self._journal)
        if not path.exists():
            raise JournalUnavailable(
                f"journal {self._journal}: {path.name} is missing",
                hint="start the bridge once: it rebuilds the file",
            )
        if not os.access(path, os.R_OK):
            raise unwritable(self._journal, path, "it cannot be read")
        self._connection = self._guard(lambda: connect_reader(path))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def journal_id(self) -> str:
        """Return the journal's id."""
        return self._ask(load_meta)["journal_id"]

    def oldest(self) -> int:
        """Return the offset before which all was pruned."""
        return int(self._ask(load_meta).get("oldest", "0"))

    def cursors(self) -> list[tuple[str, int]]:
        """Return the registered sinks with their cursors."""
        return [
            (sink, cursor)
            for sink, (cursor, registered) in sorted(self._ask(load_cursors).items())
            if registered
        ]

    def tallies(self) -> dict[str, tuple[int, dict[str, Tally]]]:
        """Return cursor and counts of every registered sink, of one moment."""
        cursors, tallies = self._ask(_load_cursors_and_tallies)
        return {
            sink: (cursor, tallies.get(sink, {}))
            for sink, (cursor, registered) in cursors.items()
            if registered
        }

    def dead_letters(self, sink: str | None, limit: int) -> list[DeadLetter]:
        """Return events set aside, the newest first."""
        values = {"sink": sink, "limit": limit}
        rows = self._ask(
            lambda connection: connection.execute(QUERIES["get_dead_letters"], values).fetchall()
        )
        return [DeadLetter(*row) for row in rows]

    def count_dead_letters(self) -> dict[str, int]:
        """Return how many events each sink has set aside."""
        return self._ask(
            lambda connection: dict(connection.execute(QUERIES["count_dead_letters"]).fetchall())
        )

    def _ask(self, question: Callable[[sqlite3.Connection], _Result]) -> _Result:
        connection = self._connection
        if connection is None:
            raise JournalError(f"journal {self._journal}: state.db is not open")
        return self._guard(lambda: question(connection))

    def _guard(self, act: Callable[[], _Result]) -> _Result:
        try:
            return act()
        except (sqlite3.Error, ValueError, KeyError) as error:
            raise JournalError(
                f"journal {self._journal}: cannot read state.db: {error}",
                hint="if it is damaged, restart the bridge: it rebuilds the file",
            ) from error


def load_meta(connection: sqlite3.Connection) -> dict[str, str]:
    """Read the facts of the file.

    Raises:
        ValueError: one of them is not what was written.
        sqlite3.Error: the file cannot be read.
    """
    return dict(_intact(connection, "get_meta", 2))


def load_cursors(connection: sqlite3.Connection) -> dict[str, tuple[int, bool]]:
    """Read cursor and registration of every sink; raises as `load_meta`."""
    return {
        sink: (offset, bool(registered))
        for sink, offset, registered in _intact(connection, "get_cursors", 3)
    }


def load_tallies(connection: sqlite3.Connection) -> dict[str, dict[str, Tally]]:
    """Read all counts by sink and table; raises as `load_meta`."""
    tallies: dict[str, dict[str, Tally]] = {}
    for sink, table, *numbers in connection.execute(QUERIES["get_accounts"]):
        if not all(isinstance(number, int) for number in numbers):
            raise ValueError(f"the counts of {sink} and {table} are damaged")
        since, base, delivered, dead_lettered, discarded, active = numbers
        tallies.setdefault(sink, {})[table] = Tally(
            since, base, delivered, dead_lettered, discarded, bool(active)
        )
    return tallies


def _load_cursors_and_tallies(
    connection: sqlite3.Connection,
) -> tuple[dict[str, tuple[int, bool]], dict[str, dict[str, Tally]]]:
    connection.execute("BEGIN")
    try:
        return load_cursors(connection), load_tallies(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _intact(connection: sqlite3.Connection, query: str, width: int) -> list[tuple[Any, ...]]:
    rows = connection.execute(QUERIES[query]).fetchall()
    for row in rows:
        if checksum(*row[:width]) != row[width]:
            raise ValueError(f"state.db is damaged: {row[0]!r} is not what was written")
    return [row[:width] for row in rows]
