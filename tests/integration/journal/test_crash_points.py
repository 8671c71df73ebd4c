"""Killed at each call that changes a file, one after the other: nothing that was promised is lost.

A life of a journal is cut off before its n-th creation, run of writes to a file, sync, truncation,
renaming or deletion, for n from 1 on until it comes to its end; then it is opened again and looked
at. All lives are forks of one small process that has no thread and no file open.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from .child import run
from .test_format_1 import DATA

HARNESS = """
import json, shutil, signal
import bridge.codec

def forked(act, *arguments):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act(*arguments)
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitpid(child, 0)[1]

def lives(template, live, look, stride):
    # Parts of the range are left out where a stride is given; the first and the last never are.
    at, ended = 1, False
    while not ended:
        place = path / f"{at}"
        shutil.copytree(template, place)
        told = path / f"{at}.told"
        told.touch()
        status = forked(cut_short, live, place, told, at)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0, f"the life cut at {at} failed by itself"
        disk.end("kill-between")
        ended = not killed
        promised = [json.loads(line) for line in told.read_text().splitlines()]
        assert forked(look, place, promised) == 0, f"cut before change {at}"
        shutil.rmtree(place)
        at += stride
    print(at)

def cut_short(live, place, told, at):
    file = os.open(told, os.O_WRONLY | os.O_APPEND)
    disk.begin("kill-between", f"{place}/", at)
    live(place, lambda *fact: os.write(file, (json.dumps(fact) + "\\n").encode()))
"""

THINNING = (
    HARNESS
    + """
now = [1000.0]
STEP = 101

def make(place):
    return Journal(place, segment_size=2**16, max_age=800.0, clock=lambda: now[0])

def append(journal):
    head = journal.head
    return journal.append([block("held", head, 1), block("busy", head + 1, 100, 500)])

def fill(place):
    with make(place) as journal:
        journal.register("s", ["held", "busy"])
        for _ in range(5):
            append(journal)

def keep_up(journal):
    while journal.upkeep() == 0:
        pass

def live(place, tell):
    now[0] = 5000.0
    journal = make(place)
    journal.open()
    tell("head", append(journal))
    runs = tuple(Settled(STEP * n + 1, 100, "delivered") for n in range(6))
    journal.settle("s", [Move("busy", 6 * STEP, runs, (7, STEP + 9, 3 * STEP + 4))])
    tell("busy", 6 * STEP, [7, STEP + 9, 3 * STEP + 4])
    keep_up(journal)
    letter = DeadLetter("s", "busy", 7, "id", 1, "refused", b"{}")
    journal.settle("s", [Move("busy", 0, (Settled(7, 1, "dead_lettered"),), (), (letter,))])
    tell("busy", 6 * STEP, [STEP + 9, 3 * STEP + 4])
    runs = tuple(Settled(STEP * n, 1, "delivered") for n in range(3))
    journal.settle("s", [Move("held", 2 * STEP + 1, runs[:2], (2 * STEP,))])
    tell("held", 2 * STEP + 1, [2 * STEP])
    for _ in range(2):
        tell("head", append(journal))
    now[0] = 9000.0
    keep_up(journal)
    runs = tuple(Settled(STEP * n, 1, "delivered") for n in range(2, 8))
    journal.settle("s", [Move("held", journal.head, runs)])
    journal.close()
    tell("held", 8 * STEP, [])

def look(place, promised):
    now[0] = 9001.0
    last = {}
    for name, *fact in promised:
        last[name] = fact
    with make(place) as journal:
        head = journal.head
        assert head >= last.get("head", [5 * STEP])[0] and head % STEP == 0, head
        assert journal.damaged() == []
        lanes = journal.lanes("s")
        for table, accounts in (("held", journal.accounts()[1]), ("busy", journal.accounts()[0])):
            lane = lanes[table]
            cursor, waiting = last.get(table, (0, []))
            assert lane.cursor >= cursor, (table, lane, cursor)
            if lane.cursor == cursor and lane.waiting:
                assert set(lane.waiting) <= set(waiting), (table, lane, waiting)
            mine = lambda offset: (offset % STEP == 0) == (table == "held")
            pending = {o for o in range(lane.cursor, head) if mine(o)} | set(lane.waiting)
            assert accounts.pending == len(pending), (accounts, len(pending))
            assert accounts.received == sum(map(mine, range(head)))
            seen = {}
            with journal.reader() as reader:
                position = lane.start
                while position < head:
                    page = reader.read(position, tables=[table])
                    assert page.damaged == [], page.damaged
                    for offset, count, entry in page.entries:
                        size = len(entry.payload) // count
                        for n in range(count):
                            seen[offset + n] = entry.payload[n * size : (n + 1) * size]
                    position = page.next
            assert pending <= seen.keys(), sorted(pending - seen.keys())[:9]
            assert all(int(text[-20:]) == offset for offset, text in seen.items())
        with journal.reader() as reader:
            letters = [letter.offset for letter in reader.dead_letters()]
        assert letters == [7] * journal.accounts()[0].dead_lettered
        assert append(journal) == head + STEP
    assert not list(place.rglob("thinning*")) and not list(place.rglob("building*"))

path.mkdir()
assert forked(fill, path / "template") == 0
lives(path / "template", live, look, int(sys.argv[2]))
"""
)

UPGRADING = (
    HARNESS
    + """
template = Path(sys.argv[3])
told = json.loads((template / "expected.json").read_text())

def live(place, tell):
    journal = Journal(place, max_size=2**22, segment_size=2**16, max_age=1e9)
    journal.open()
    tell(journal.append([Count("a", "c", 1, "update", 3)]))
    journal.close()

def look(place, promised):
    with Journal(place, max_size=2**22, segment_size=2**16, max_age=1e9) as journal:
        more = journal.head - told["head"]
        assert len(promised) <= more <= 1
        assert journal.damaged() == []
        for sink, cursor in told["cursors"].items():
            assert {lane.cursor for lane in journal.lanes(sink).values()} == {cursor}
        pending = {(a.sink, a.table): a.pending for a in journal.accounts()}
        for sink, table, *_, left in told["accounts"]:
            assert pending[sink, table] == left + (more if table == "a" else 0)
        offsets, damaged = read_all(journal)
        assert offsets == list(range(told["oldest"], journal.head)) and damaged == []
        with journal.reader() as reader:
            assert len(reader.dead_letters()) == len(told["dead_letters"])

path.mkdir()
lives(template, live, look, int(sys.argv[2]))
"""
)


def test_thinning_cut_off_anywhere_loses_nothing_that_waits(memory_path: Path) -> None:
    """Opening, appending, settling, carrying forward, merging, deleting and closing."""
    assert int(run(THINNING, memory_path / "lives", "3")) > 90


def test_an_upgrade_cut_off_anywhere_is_made_up_for(memory_path: Path) -> None:
    with tarfile.open(DATA) as archive:
        archive.extractall(memory_path, filter="data")

    assert int(run(UPGRADING, memory_path / "lives", "2", memory_path / "format-1")) > 20
    shutil.rmtree(memory_path / "lives")
