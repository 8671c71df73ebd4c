"""The whole test of a sink: how to make it, and how to read back what it wrote."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlite_sink import SqliteSettings, SqliteSink

from bridge.testing import SinkConformance


class TestSqliteSink(SinkConformance):
    """The suite does the rest."""

    order = "all"

    @pytest.fixture(autouse=True)
    def destination(self, tmp_path: Path) -> None:
        """Give each test a database of its own."""
        self.path = tmp_path / "events.db"

    def make_sink(self) -> SqliteSink:
        """Return a sink that is not opened."""
        return SqliteSink(SqliteSettings(type="sqlite", path=self.path))

    def read_back(self) -> list[bytes]:
        """Return the values in the order of their rows."""
        if not self.path.exists():
            return []
        database = sqlite3.connect(self.path)
        try:
            return [
                value for (value,) in database.execute("SELECT value FROM events ORDER BY rowid")
            ]
        finally:
            database.close()
