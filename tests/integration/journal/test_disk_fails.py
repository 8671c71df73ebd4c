"""An I/O error is not damage: it is tried again, and nothing is skipped, rebuilt or discarded.

The faults are real for SQLite: the C library's calls fail in a process of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .child import run

FILL = """
with Journal(path, segment_size=2**16) as journal:
    journal.register("s", ["a", "b"])
    for n in range(60):
        journal.append([block("a", n, 10, 500), block("b", n, 2)])
    runs = tuple(Settled(12 * n, 10, "delivered") for n in range(20))
    journal.settle("s", [Move("a", 240, runs[:-1], (230, 235))])
    lanes, accounts, head, everything = (
        journal.lanes("s"), journal.accounts(), journal.head, read_all(journal)
    )
    assert everything[1] == [] and len(everything[0]) == head
"""

READING = (
    FILL
    + """
journal = Journal(path, segment_size=2**16)
journal.open()
for number, kind in ((errno.EIO, READS), (errno.EMFILE, OPENS), (errno.ENFILE, OPENS)):
    for text in ("/segments/", "state.db"):
        with journal.reader() as reader:
            position, offsets, failures = 0, [], 0
            while position < head:
                fault(number, kind, text if failures < 5 and position > head // 3 else "none")
                try:
                    page = reader.read(position)
                except JournalError as error:
                    assert isinstance(error, JournalDiskError), error
                    failures += 1
                    reader.close()
                    continue
                assert page.damaged == []
                for stored in page.entries:
                    offsets += range(stored.offset, stored.offset + stored.count)
                position = page.next
            fault()
        assert offsets == everything[0]
        assert failures == (5 if text == "/segments/" else 0), (failures, text)
assert (journal.lanes("s"), journal.accounts(), journal.damaged()) == (lanes, accounts, [])
journal.close()
"""
)

# SQLite says "malformed" where a statement that runs meets a page that cannot be read.
MIDST = """
with Journal(path, memory=0) as journal:
    journal.register("s", ["a"])
    for n in range(80):
        journal.append([block("a", n, 100, 1000)])
    head = journal.head
    for close in (False, True):
        with journal.reader() as reader:
            position, offsets, failures = 0, [], 0
            while position < head:
                fault(errno.EIO, READS, "/segments/" if failures < 9 and position > 900 else "none")
                try:
                    page = reader.read(position, max_bytes=100_000)
                except JournalDiskError:
                    failures += 1
                    if close:
                        reader.close()
                    continue
                assert page.damaged == [], page.damaged
                for stored in page.entries:
                    offsets += range(stored.offset, stored.offset + stored.count)
                position = page.next
            fault()
        assert offsets == list(range(head)) and failures == 9, failures
    assert journal.damaged() == []
"""

STARTING = (
    FILL
    + """
def files():
    return sorted(str(file) for file in path.rglob("*") if not file.name.endswith(("-shm", "-wal")))

before = files()
refused = 0
for number, kind in (
    (errno.EIO, READS), (errno.EIO, OPENS), (errno.EMFILE, OPENS), (errno.EIO, WRITES),
    (errno.ENOSPC, WRITES),
):
    for text in ("/segments/", "0.db", "state.db", "lock", "/j"):
        journal = Journal(path, segment_size=2**16)
        fault(number, kind, text)
        try:
            journal.open()
        except JournalError as error:
            assert isinstance(error, JournalDiskError), (error, number, kind, text)
            refused += 1
        fault()
        journal.close()
        assert files() == before, (number, kind, text)
        with Journal(path, segment_size=2**16) as journal:
            assert journal.head == head, (number, kind, text)
            assert (journal.lanes("s"), journal.accounts()) == (lanes, accounts)
            assert journal.damaged() == []
            assert read_all(journal) == everything
assert refused >= 10, refused
"""
)

WRITING = (
    FILL
    + """
letter = DeadLetter("s", "b", 10, "id", 1, "refused", b"{}")
move = Move("b", 12, (Settled(10, 1, "dead_lettered"), Settled(11, 1, "delivered")), (), (letter,))
with Journal(path, segment_size=2**16) as journal:
    for number in (errno.EIO, errno.ENOSPC):
        for text in ("/segments/", ".db-wal", ".db"):
            fault(number, WRITES, text)
            refused = 0
            for n in range(3):
                try:
                    journal.append([block("a", 0, 10)])
                except (JournalDiskError, JournalFull):
                    refused += 1
            try:
                journal.settle("s", [move])
            except (JournalDiskError, JournalFull):
                assert journal.lanes("s") == lanes
            fault()
            assert refused == 3
            assert journal.append([block("a", 0, 10)]) == head + 10
            head += 10
    journal.settle("s", [move])
    with journal.reader() as reader:
        assert len(reader.dead_letters()) == 1
    assert len(read_all(journal)[0]) == head
with Journal(path, segment_size=2**16) as journal:
    assert journal.head == head and journal.damaged() == []
    offsets, damaged = read_all(journal)
    assert offsets == list(range(head)) and damaged == []
    account = next(a for a in journal.accounts() if a.table == "b")
    assert (account.delivered, account.dead_lettered) == (1, 1), account
"""
)

UPKEEP = """
with Journal(path, max_size=2**20, segment_size=2**17) as journal:
    journal.register("s", ["held", "busy"])
    for n in range(60):
        first = journal.head
        while True:
            try:
                journal.append([block("held", n, 1), block("busy", n, 100, 500)])
                break
            except (JournalDiskError, JournalFull):
                fault()
        journal.settle("s", [Move("busy", first + 101, (Settled(first + 1, 100, "delivered"),))])
        fault(*((errno.EIO, READS), (errno.EIO, WRITES), (errno.ENOSPC, WRITES))[n % 3],
              ("/segments/", "thinning", "state.db")[n // 3 % 3])
        try:
            journal.upkeep()
        except (JournalDiskError, JournalFull):
            pass
        if n % 4:
            fault()
    fault()
    assert journal.damaged() == []
    lane = journal.lanes("s")["held"]
    offsets, damaged = read_all(journal, lane.start, ["held"])
    assert damaged == []
    assert set(range(0, 60 * 101, 101)) <= set(offsets)
    assert journal.stats().oldest > 0 or journal.stats().segments < 20
    assert {a.table: a.pending for a in journal.accounts()} == {"held": 60, "busy": 0}
"""

BAD_SECTOR = (
    FILL
    + """
names = sorted(file.name for file in (path / "segments").glob("*.db"))
bad, first, end = names[2], int(names[2][:20]), int(names[3][:20])
now = [0.0]
journal = Journal(path, segment_size=2**16, monotonic=lambda: now[0])
journal.open()

def attempt(number, kind, text):
    fault(number, kind, text)
    try:
        with journal.reader() as reader:
            return reader.read(first + 12)
    except JournalDiskError:
        return None
    finally:
        fault()

assert attempt(errno.EIO, READS, bad) is None
now[0] += 599
assert attempt(errno.EIO, READS, bad) is None
now[0] += 2
assert attempt(errno.EIO, READS, "/segments/") is None, "nothing can be read: that is no damage"
page = attempt(errno.EIO, READS, bad)
assert [(d.first, d.last) for d in page.damaged] == [(first + 12, end - 1)], page.damaged
assert page.entries[0].offset == end
assert [d.last for d in journal.damaged()] == [end - 1]
with journal.reader() as reader:
    assert reader.read(first + 12).entries[0].offset == first + 12, "it was not skipped for good"
now[0] += 1
assert attempt(errno.EIO, READS, bad) is None, "it could be read meanwhile"
journal.close()
"""
)

DESCRIPTORS = (
    FILL
    + """
import resource
journal = Journal(path, segment_size=2**16)
journal.open()
held = []
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
try:
    read_all(journal)
except JournalDiskError:
    pass
else:
    raise AssertionError("there was no descriptor left")
for descriptor in held:
    os.close(descriptor)
assert read_all(journal) == everything
assert journal.damaged() == []
journal.close()
"""
)

HANGING = """
journal = Journal(path)
journal.open()
journal.register("s", ["a"])
journal.append([block("a", 0, 10)])
import threading
fault(0, HANGS, "/j/")
stuck = threading.Thread(target=journal.append, args=([block("a", 0, 10)],), daemon=True)
stuck.start()
time.sleep(0.2)
before = time.monotonic()
journal.settle("s", [Move("a", 5, (Settled(0, 5, "delivered"),))])
assert journal.accounts()[0].pending == 5
assert journal.stats().head == 10
assert journal.upkeep() > 0
assert journal.close(0.5) is False
assert time.monotonic() - before < 30, "it hung with the disk"
try:
    journal.append([])
    raise AssertionError("it is closed")
except JournalUnavailable:
    pass
print("done", flush=True)
"""


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(READING, id="reads-fail-during-a-backlog"),
        pytest.param(MIDST, id="reads-fail-in-the-midst-of-a-segment"),
        pytest.param(STARTING, id="anything-fails-at-the-start"),
        pytest.param(WRITING, id="writes-fail"),
        pytest.param(UPKEEP, id="anything-fails-while-segments-are-thinned"),
        pytest.param(BAD_SECTOR, id="a-read-that-fails-for-ten-minutes-is-damage"),
        pytest.param(DESCRIPTORS, id="no-descriptor-is-left"),
    ],
)
def test_nothing_is_lost_while_the_disk_fails(code: str, tmp_path: Path) -> None:
    """Nothing skipped, rebuilt or discarded; head, cursors and counts are as they were."""
    run(code, tmp_path / "j")


def test_closing_leaves_a_disk_that_hangs_to_itself(tmp_path: Path) -> None:
    """Neither what is shown, nor settling, nor the end of the process waits for the fsync."""
    assert run(HANGING, tmp_path / "j") == "done\n"
