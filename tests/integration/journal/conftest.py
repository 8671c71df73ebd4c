"""A clock that stands still, entries to store, and ways to look at a journal."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.events import Block, Column, Schema
from bridge.journal import JournalReader, Page, Stored

SCHEMA = Schema("1", (Column("text", "string", "string"),), ("text",))


@dataclass
class Clock:
    """Seconds, moved by the test."""

    seconds: float = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A folder where an fsync costs nothing, for tests with many; else any folder."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def record(text: bytes) -> bytes:
    """Return a row of one string as Avro writes it."""
    length, head = len(text) * 2, bytearray()
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length]) + text


def texts(payload: bytes) -> list[bytes]:
    """Return the strings of some records."""
    found: list[bytes] = []
    at = 0
    while at < len(payload):
        length = shift = 0
        while True:
            byte = payload[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        found.append(payload[at : at + length // 2])
        at += length // 2
    return found


def block(table: str, records: list[bytes], time: int = 1, schema: Schema = SCHEMA) -> Block:
    """Return records, given as texts, as a block."""
    payload = b"".join(map(record, records))
    return Block(
        table, "http://k:9191", "insert", schema, payload, len(records), ((len(records), time),)
    )


@pytest.fixture
def rows() -> Callable[..., Block]:
    """Make a block of `count` records with a text of `size` bytes each."""

    def make(table: str = "t", count: int = 1, size: int = 10, time: int = 1) -> Block:
        return block(table, [b"x" * size] * count, time)

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
