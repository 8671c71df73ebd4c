"""Python in a process of its own, whose calls of the C library can be made to fail."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PRELUDE = """
import ctypes, errno, logging, os, sys, time
from pathlib import Path
import structlog
from bridge.errors import JournalDiskError, JournalError, JournalFull, JournalUnavailable
from bridge.events import Block, Column, Count, Schema
from bridge.journal import DeadLetter, Journal, JournalReader, Move, Settled

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
SCHEMA = Schema("1", (Column("text", "string", "string"),))
READS, WRITES, OPENS, HANGS = 1, 2, 4, 8
path = Path(sys.argv[1])
faults = ctypes.CDLL(None)

def fault(number=0, kinds=0, text=""):
    faults.faults_set(number, kinds, text.encode())

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


@functools.cache
def library() -> Path:
    """Build the library that fails on demand; skip the test where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler (apt install gcc)")
    target = Path(tempfile.mkdtemp()) / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(target), str(source), "-ldl"], check=True
    )
    return target


def start(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start code behind the prelude; its first argument is the journal's folder."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"LD_PRELOAD": str(library())},
    )


def run(code: str, *arguments: str | Path) -> str:
    """Run code to its end, and return what it printed; what it raised fails the test."""
    with start(code, *arguments) as process:
        told, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return told
