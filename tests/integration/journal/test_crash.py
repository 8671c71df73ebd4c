"""Killed at any moment: what append returned for is there, whole, and no offset comes twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.journal import Journal, Page, Records, Settled

WRITER = """
import logging, random, sys
from pathlib import Path
import structlog
from bridge.events import Column, Rows, Schema
from bridge.journal import Journal, Settled
from bridge.errors import JournalFull

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
SCHEMA = Schema("1", (Column("id", "long", "long"),), ("id",))
path, seed = Path(sys.argv[1]), int(sys.argv[2])
draw = random.Random(seed)
journal = Journal(path, max_size=2**20, segment_size=2**16)
journal.open()
cursor = journal.register("s", ["t"])
print("head", journal.head, flush=True)
while True:
    head = journal.head
    entries, at = [], head
    for _ in range(draw.randint(1, 20)):
        count, copies = draw.randint(1, 5), draw.choice((1, 1, 1, 50))
        frames = [b"%020d" % (at + n) * copies for n in range(count)]
        entries.append(Rows("t", "c", at, "insert", SCHEMA, frames))
        at += len(frames)
    try:
        head = journal.append(entries, {"head": str(at)})
    except JournalFull:
        pass
    else:
        print("head", head, flush=True)
    if draw.random() < 0.3:
        to = draw.randint(cursor, head)
        journal.advance("s", to, [Settled("t", cursor, to - cursor, "delivered")])
        cursor = to
        print("cursor", cursor, flush=True)
    if draw.random() < 0.1:
        journal.prune()
"""


def test_a_killed_writer_loses_nothing_it_was_told_is_durable(
    tmp_path: Path, read_all: Callable[..., Page]
) -> None:
    """Twelve lives of one journal, each ended by SIGKILL after a random number of commits."""
    path = tmp_path / "j"
    draw = random.Random()
    durable = cursor = 0
    for life in range(12):
        told = kill_after(path, draw.randint(1, 120), seed=life)
        assert told["first head"] >= durable, "an offset would be given twice"
        durable, cursor = told["head"], max(cursor, told["cursor"])

        unrepaired = read_all(path)
        with Journal(path, max_size=2**20, segment_size=2**16) as journal:
            assert journal.head >= durable
            assert journal.cursor("s") >= cursor
            assert int(journal.marks()["head"]) == journal.head
            account = journal.accounts()[0]
            assert account.received == journal.head
            assert account.delivered == journal.cursor("s")
            assert account.pending == journal.head - journal.cursor("s")
            page = read_all(path)
            # Opening may have finished a pruning that the kill cut off, and nothing else.
            assert page.entries == unrepaired.entries[-len(page.entries) :]
            assert unrepaired.damaged == []
            assert page.damaged == []
            assert page.next == journal.head
            assert check_entries(page) <= journal.cursor("s")
            cursor, durable = journal.cursor("s"), journal.head
            if life % 3 == 2:  # room for the next lives
                run = Settled("t", cursor, durable - cursor, "delivered")
                journal.advance("s", durable, [run])


def check_entries(page: Page) -> int:
    """Each record says its own offset; return the first."""
    expected = first = page.entries[0].offset
    for offset, count, entry in page.entries:
        assert offset == expected
        assert isinstance(entry, Records)
        text = entry.payload.decode()
        numbers = list(dict.fromkeys(text[n : n + 20] for n in range(0, len(text), 20)))
        assert numbers == [f"{n:020d}" for n in range(offset, offset + count)]
        expected += count
    assert expected == page.next
    return first


def kill_after(path: Path, lines: int, seed: int) -> dict[str, int]:
    """Start a writer, kill it after some lines, and return what it said last."""
    told = {"cursor": 0}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):
            if number == lines:
                process.send_signal(signal.SIGKILL)
            # After the kill, what the pipe still holds was said while it lived.
            if line.endswith("\n"):
                name, value = line.split()
                told.setdefault("first head", int(value))
                told[name] = int(value)
    assert process.returncode == -signal.SIGKILL
    return told
