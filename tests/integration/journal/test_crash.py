"""Killed at any moment: what append returned for is there, whole, and no offset comes twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.events import Block
from bridge.journal import Journal, Move, Page, Settled

from .conftest import texts

WRITER = """
import logging, random, sys
from pathlib import Path
import structlog
from bridge.events import Block, Column, Schema
from bridge.journal import Journal, Move, Settled
from bridge.errors import JournalFull

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
SCHEMA = Schema("1", (Column("text", "string", "string"),))
path, seed = Path(sys.argv[1]), int(sys.argv[2])
draw = random.Random(seed)
journal = Journal(path, max_size=2**20, segment_size=2**16)
journal.open()
lane = journal.register("s", ["t"])["t"]
cursor, waiting = lane.cursor, set(lane.waiting)
print("head", journal.head, flush=True)
def record(text):
    length = 2 * len(text)
    return (bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])) + text
while True:
    head = journal.head
    entries, at = [], head
    for _ in range(draw.randint(1, 20)):
        count, copies = draw.randint(1, 5), draw.choice((1, 1, 1, 50))
        frames = [record(b"%020d" % (at + n) * copies) for n in range(count)]
        times = ((len(frames), at + 1),)
        entries.append(Block("t", "c", "insert", SCHEMA, b"".join(frames), len(frames), times))
        at += len(frames)
    try:
        head = journal.append(entries, {"head": str(at)})
    except JournalFull:
        pass
    else:
        print("head", head, flush=True)
    if draw.random() < 0.5:
        to = draw.randint(cursor, head)
        new = {draw.randrange(cursor, to) for _ in range(draw.randint(0, 2)) if cursor < to}
        done = {offset for offset in waiting if draw.random() < 0.2}
        runs = [Settled(offset, 1, "delivered") for offset in done]
        start = cursor
        for offset in sorted(new | {to}):
            if offset > start:
                runs.append(Settled(start, offset - start, "delivered"))
            start = offset + 1
        waiting = waiting - done | new
        journal.settle("s", [Move("t", to, tuple(runs), tuple(sorted(waiting)))])
        cursor = to
        print("cursor", cursor, flush=True)
    if draw.random() < 0.2:
        while journal.upkeep() == 0:
            pass
"""


def test_a_killed_writer_loses_nothing_it_was_told_is_durable(
    tmp_path: Path, read_all: Callable[..., Page]
) -> None:
    """Twelve lives of one journal, each ended by SIGKILL after a random number of commits."""
    path = tmp_path / "j"
    draw = random.Random()
    durable = 0
    for life in range(12):
        told = kill_after(path, draw.randint(1, 120), seed=life)
        assert told["first head"] >= durable, "an offset would be given twice"
        durable = told["head"]

        with Journal(path, max_size=2**20, segment_size=2**16) as journal:
            lane, head = journal.lanes("s")["t"], journal.head
            assert head >= durable
            # A move that made nothing wait is written a moment later.
            assert lane.cursor <= head
            assert int(journal.marks()["head"]) == head
            account = journal.accounts()[0]
            pending = {*lane.waiting, *range(lane.cursor, head)}
            assert account.received == head
            assert account.pending == len(pending)
            page = read_all(path)
            assert page.damaged == []
            assert page.next == head
            assert pending <= check_entries(page), "what waits is gone"
            durable = head
            if life % 3 == 2:  # room for the next lives
                runs = tuple(Settled(offset, 1, "delivered") for offset in sorted(pending))
                journal.settle("s", [Move("t", head, runs)])


def check_entries(page: Page) -> set[int]:
    """Each record says its own offset; return all of them."""
    seen: set[int] = set()
    for offset, count, entry in page.entries:
        assert isinstance(entry, Block)
        assert [int(text[:20]) for text in texts(entry.payload)] == [*range(offset, offset + count)]
        assert sum(records for records, _ in entry.times) == count
        seen.update(range(offset, offset + count))
    return seen


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
