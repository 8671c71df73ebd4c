"""A disk that is full, or fails: what was accepted is kept, what was not is said."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.journal import Page

PRELUDE = """
import logging, resource, sys
from pathlib import Path
import structlog
from bridge.errors import JournalFull
from bridge.events import Block, Column, Schema
from bridge.journal import Journal, Lane, Move, Settled

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
SCHEMA = Schema("1", (Column("text", "string", "string"),))
RECORD = bytes([0x90, 0x4e]) + b"x" * 5000
ROWS = Block("t", "c", "insert", SCHEMA, RECORD * 5, 5, ((5, 1),))
path = Path(sys.argv[1])
"""

FAILING = """
with Journal(path) as journal:
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * 2**19, 3 * 2**19))
    for _ in range(200):
        journal.append([ROWS])
    print(journal.head, journal.stats().segments)
"""

FULL = """
with Journal(path, segment_size=2**18) as journal:
    journal.register("s", ["t"])
    try:
        while True:
            journal.append([ROWS])
    except JournalFull as error:
        assert "the disk is full" in str(error), error
    full = journal.head
    journal.settle("s", [Move("t", full, (Settled(0, full, "delivered"),))])
    head = journal.append([ROWS])
    assert head == full + 5
    assert journal.stats().oldest > 0
    account = journal.accounts()[0]
    assert (account.received, account.delivered, account.pending) == (head, full, 5), account
with Journal(path, segment_size=2**18) as journal:
    assert journal.head == head
    assert journal.lanes("s") == {"t": Lane(full, (), full)}
    print(full)
"""


def test_a_write_that_fails_goes_to_another_segment_and_nothing_is_lost(
    tmp_path: Path, read_all: Callable[..., Page]
) -> None:
    """No file may grow above 1.5 MiB: each time, the write fails in the middle of a commit."""
    done = run([sys.executable, "-c", PRELUDE + FAILING, str(tmp_path / "j")])

    head, segments = map(int, done.stdout.split())
    page = read_all(tmp_path / "j")
    assert segments > 1
    assert sum(stored.count for stored in page.entries) == page.next == head == 1000
    assert page.damaged == []


def test_a_full_disk_refuses_entries_but_lets_cursors_move_and_old_segments_go(
    tmp_path: Path,
) -> None:
    """On a real file system of 4 MiB, in a mount namespace of its own."""
    unshare = shutil.which("unshare")
    namespace = [str(unshare), "--mount", "--map-root-user"]
    if unshare is None or subprocess.run([*namespace, "true"], check=False).returncode != 0:
        pytest.skip("needs unshare(1) and user namespaces")
    script = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" -c "$3" "$1/j"'

    done = run(
        [*namespace, "sh", "-c", script, "sh", str(tmp_path), sys.executable, PRELUDE + FULL]
    )

    assert int(done.stdout) > 0


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done
