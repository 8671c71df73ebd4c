"""How long, and in how much memory, 5,000,000 rows received are compared with as many read?

The rows are received once (as blocks, of eight columns), taken into the index on disk, and then
every row of the table is looked up, 10,000 at a time, one in a thousand of them new.

    python -m benchmarks.bench_received [--rows 5000000]
"""

from __future__ import annotations

import argparse
import random
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bridge.events import Column, Schema
from bridge.reading.received import Received, Rows

BLOCK = 10_000
SCHEMA = Schema(
    "1",
    (
        Column("id", "long", "long"),
        Column("customer", "int", "int"),
        Column("name", "string", "char32"),
        Column("at", "long", "timestamp"),
        Column("made", "string", "datetime"),
        Column("price", "string", "decimal(10,2)"),
        Column("weight", "double", "double"),
        Column("note", "string", "char64", nullable=True),
    ),
    primary_key=("id",),
)


def _varint(number: int) -> bytes:
    bits = number << 1
    written = bytearray()
    while bits >= 0x80:
        written.append(bits & 0x7F | 0x80)
        bits >>= 7
    written.append(bits)
    return bytes(written)


def _text(text: str) -> bytes:
    return _varint(len(text)) + text.encode()


def frame(number: int) -> bytes:
    return b"".join(
        (
            _varint(number),
            _varint(number % 1000),
            _text(f"name of {number % 5000}"),
            _varint(1_700_000_000_000 + number),
            _text(f"2026-11-25 08:{number // 60 % 60:02}:{number % 60:02}.120"),
            _text(f"{number % 100}.50"),
            struct.pack("<d", number / 7),
            b"\x02",
        )
    )


class Block:
    def __init__(self, first: int, count: int) -> None:
        self.schema, self.count = SCHEMA, count
        self.payload = b"".join(frame(n) for n in range(first, first + count))


class Stream:
    def __init__(self, rows: int) -> None:
        self._rows = rows

    def more(self) -> Iterator[Block]:
        for first in range(0, self._rows, BLOCK):
            yield Block(first, min(BLOCK, self._rows - first))

    def close(self) -> None:
        pass


def resident() -> tuple[int, int]:
    """Return MiB of this process now, and the most it ever had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return int(found["VmRSS"].split()[0]) // 1024, int(found["VmHWM"].split()[0]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    count = parser.parse_args().rows
    start = time.perf_counter()
    for _ in Stream(count).more():
        pass
    making = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.db"
        received = Received(path, SCHEMA, Stream(count))
        start = time.perf_counter()
        received.catch_up()
        taken_in = time.perf_counter() - start - making
        print(f"taken in: {taken_in:.1f} s, {path.stat().st_size / 2**20:.0f} MiB on disk")
        new = 0
        looked_up = 0.0
        for first in range(0, count, BLOCK):
            numbers = [
                n if random.random() > 0.001 else n + count
                for n in range(first, min(first + BLOCK, count))
            ]
            rows = [Rows(frame(n), 1) for n in numbers]
            start = time.perf_counter()
            new += sum(answer.received == 0 for answer in received.answers(rows))
            looked_up += time.perf_counter() - start
        received.close()
    now, most = resident()
    print(f"looked up: {looked_up:.1f} s, {new:,} new of {count:,}")
    print(f"resident: {now} MiB now, {most} MiB at most")


if __name__ == "__main__":
    main()
