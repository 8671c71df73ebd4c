"""A clock that stands still, entries to store, and ways to look at a journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.events import Column, Rows, Schema
from bridge.journal import JournalReader, Page, Stored

SCHEMA = Schema("1", (Column("id", "long", "long"),), ("id",))


@dataclass
class Clock:
    """Seconds since the epoch, moved by the test."""

    seconds: float = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rows() -> Callable[..., Rows]:
    """Make rows of `count` records of `size` bytes for a table."""

    def make(table: str = "t", count: int = 1, size: int = 10, time: int = 1) -> Rows:
        return Rows(table, "http://k:9191", time, "insert", SCHEMA, [b"x" * size] * count)

    return make


@pytest.fixture
def read_all() -> Callable[..., Page]:
    """Read a journal from an offset to its head, as one page."""

    def read(path: Path, start: int | None = None, **limits: int) -> Page:
        entries: list[Stored] = []
        damaged = []
        with JournalReader(path) as reader:
            position = reader.bounds()[0] if start is None else start
            while True:
                page = reader.read(position, **limits)
                entries += page.entries
                damaged += page.damaged
                if page.next == position:
                    return Page(entries, position, damaged)
                position = page.next

    return read
