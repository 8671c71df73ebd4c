"""Events into a table of an SQLite database: a whole sink, to begin your own from.

Delivered means committed and synced. An event that comes twice is stored once, since its id is
the key. Retried: a database that is locked or full. Rejected: nothing.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

from pydantic import Field

from bridge.sinks import Batch, Retry, Sink, SinkSettings


class SqliteSettings(SinkSettings):
    """Settings of the sink `sqlite`."""

    type: Literal["sqlite"] = Field(description="Stores each event as a row of a database.")
    path: Path = Field(description="The database file.")


class SqliteSink(Sink):
    """Stores each event as a row of the table `events`."""

    Settings = SqliteSettings
    keyed = False

    def __init__(self, settings: SqliteSettings) -> None:
        self.path = settings.path

    def open(self) -> None:
        """Open the database, for whichever thread delivers, and see that the table is there."""
        self.database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._transact("CREATE TABLE IF NOT EXISTS events (id PRIMARY KEY, value)")

    def deliver(self, batch: Batch) -> None:
        """Store the events in one transaction."""
        rows = [(event.id, event.value) for event in batch]
        self._transact("INSERT OR IGNORE INTO events VALUES (?, ?)", rows)

    def _transact(self, statement: str, rows: list[tuple[str, bytes]] | None = None) -> None:
        try:
            with self.database:
                self.database.execute("BEGIN")
                run = self.database.execute if rows is None else self.database.executemany
                run(statement, rows or ())
        except sqlite3.OperationalError as error:
            raise Retry(f"{self.path}: {error}") from error

    def close(self) -> None:
        """Close the database."""
        if hasattr(self, "database"):
            self.database.close()
