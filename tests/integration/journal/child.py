"""Python in a process of its own, whose calls of the C library can be made to fail."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from services.disk_fault import CompilerMissing, DiskFault

TESTS = Path(__file__).parents[2]

PRELUDE = """
import errno, logging, os, sys, time
from pathlib import Path
import structlog
from bridge.errors import JournalDiskError, JournalError, JournalFull, JournalUnavailable
from bridge.events import Block, Column, Count, Schema
from bridge.journal import DeadLetter, Journal, JournalReader, Move, Settled
from services.disk_fault import Faults

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
SCHEMA = Schema("1", (Column("text", "string", "string"),))
READS, WRITES, OPENS, HANGS = FAULTS = ("eio-read", "eio-write", "eio-open", "stall-sync")
path = Path(sys.argv[1])
disk = Faults(Path(os.environ["DISK_FAULT"]))

def fault(number=0, kind="", text=""):
    for other in FAULTS:
        disk.end(other)
    if kind:
        disk.begin(kind, text, number)

def block(table, first, count, size=20):
    length, head = 2 * size, b""
    while length > 127:
        head, length = head + bytes([length & 127 | 128]), length >> 7
    head += bytes([length])
    payload = b"".join(head + b"%0*d" % (size, first + n) for n in range(count))
    return Block(table, "c", "insert", SCHEMA, payload, count, ((count, 1),))

def read_all(journal, start=0, tables=None):
    offsets, damaged = [], []
    with journal.reader() as reader:
        while start < journal.head:
            page = reader.read(start, tables=tables)
            damaged += page.damaged
            for stored in page.entries:
                offsets += range(stored.offset, stored.offset + stored.count)
            start = page.next
    return offsets, damaged
"""


def start(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start code behind the prelude; its first argument is the journal's folder."""
    try:
        disk = DiskFault(Path(tempfile.mkdtemp()))
    except CompilerMissing:
        pytest.skip("needs Linux and a C compiler (apt install gcc)")
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | disk.env | {"PYTHONPATH": str(TESTS)},
    )


def run(code: str, *arguments: str | Path) -> str:
    """Run code to its end, and return what it printed; what it raised fails the test."""
    with start(code, *arguments) as process:
        told, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return told
