"""Events into a table of an SQLite database: a whole sink, to begin your own from.

Delivered means committed and synced. An event that comes twice is stored once, since its id is
the key. Retried: a database that is locked or full. Rejected: nothing.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

from pydantic import Field

from bridge.sinks import Batch, Sink, SinkSettings


class SqliteSettings(SinkSettings):
    """Settings of the sink `sqlite`."""

    type: Literal["sqlite"] = Field(description="Stores each event as a row of a database.")
    path: Path = Field(description="The database file.")


class SqliteSink(Sink):
    """Stores each event as a row of the table `events`."""

    Settings = SqliteSettings

    def __init__(self, settings: SqliteSettings) -> None:
        self.path = settings.path

    def open(self) -> None:
        """Open the database and see that the table is there."""
        self.database = sqlite3.connect(self.path, isolation_level=None)
        self.database.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, value BLOB)")

    def deliver(self, batch: Batch) -> None:
        """Store the events in one transaction."""
        rows = [(event.id, event.value) for event in batch]
        with self.database:
            self.database.execute("BEGIN")
            self.database.executemany("INSERT OR IGNORE INTO events VALUES (?, ?)", rows)

    def close(self) -> None:
        """Close the database."""
        if hasattr(self, "database"):
            self.database.close()
