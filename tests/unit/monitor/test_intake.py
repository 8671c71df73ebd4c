"""The intake makes entries of what was received, a commit at a time, and no fault ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.errors import DecodeError, JournalError, JournalFull
from bridge.events import Block, Column, Count, Entry, Gap, Schema, Undecodable
from bridge.monitor.arrivals import Arrival, Damaged, Loss
from bridge.monitor.intake import Intake
from bridge.monitor.mark import Mark
from bridge.monitor.moment import NEVER, Moment
from bridge.monitor.route import Route, make_route
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import ByColumn, TableOptions

SCHEMA = Schema("7", (Column("n", "int", "int"),))
COUNT = Schema("count", (Column("count", "long", "long", nullable=True),))
TABLE = "s.t"


class Journal:
    """Records what it is given; `refuse` is raised while it is set, `gate` holds it up."""

    def __init__(self) -> None:
        self.commits: list[list[Entry]] = []
        self.marks: list[dict[str, str]] = []
        self.refuse: Callable[[Sequence[Entry]], Exception | None] = lambda _: None
        self.tries = 0
        self.gate = threading.Event()
        self.gate.set()

    def emit(self, entries: Sequence[Entry], marks: Mapping[str, str]) -> None:
        self.tries += 1
        assert self.gate.wait(10)
        refusal = self.refuse(entries)
        if refusal is not None:
            raise refusal
        self.commits.append(list(entries))
        self.marks.append(dict(marks))

    @property
    def entries(self) -> list[Entry]:
        return [entry for commit in self.commits for entry in commit]


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def intake(journal: Journal) -> Iterator[Intake]:
    made = Intake(journal.emit, lambda: None, max_bytes=100_000)
    made.start()
    yield made
    journal.gate.set()
    journal.refuse = lambda _: None
    assert made.stop(10)


@pytest.fixture
def table(intake: Intake) -> TableMonitor:
    return TableMonitor(TableOptions(TABLE), intake.post)


def route(table: TableMonitor, event: str = "insert") -> Route:
    return make_route(table, event, "http://a", SCHEMA if event == "insert" else COUNT)


def rows(table: TableMonitor, *numbers: int, time_: int = 1) -> Arrival[Route]:
    payload = b"".join(bytes([n * 2]) for n in numbers)
    return Arrival(route(table), payload, len(numbers), time_)


def end_gap(table: TableMonitor) -> Gap | None:
    """As a good probe now does, and one that comes a probe interval later."""
    now = Moment.now()
    table.gaps.end(now, "http://a")
    return table.gaps.settle(now, "http://a", None, force=True)


def until(fact: Callable[[], Any], patience: float = 10.0) -> None:
    deadline = time.monotonic() + patience
    while not fact():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.005)


def test_what_was_received_becomes_entries_in_order(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """Blocks as they are; a bad frame with its reason; counts one by one."""
    counts = Arrival(route(table, "delete"), b"\x00\x06\x00\x08", 2, 3)
    bad = Damaged(route(table), b"\xff", DecodeError(0, 0, "no"), 2)

    intake.put([rows(table, 1, 2), bad, counts])
    intake.barrier(10)

    block, undecodable, *deleted = journal.entries
    assert block == Block(TABLE, "http://a", "insert", SCHEMA, b"\x02\x04", 2, ((2, 1),))
    assert undecodable == Undecodable(TABLE, "http://a", 2, b"\xff", "insert: byte 0: no")
    assert deleted == [Count(TABLE, "http://a", 3, "delete", n) for n in (3, 4)]
    assert table.counts.received == {"insert": 2, "delete": 2}
    assert table.counts.deleted_rows == 7


def test_what_gathers_while_one_commit_runs_is_the_next(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """However many there are."""
    journal.gate.clear()
    intake.put([rows(table, 0)])
    until(lambda: journal.tries == 1)
    for number in range(50):
        intake.put([rows(table, number)])
    journal.gate.set()
    intake.barrier(10)

    assert [len(commit) for commit in journal.commits] == [1, 50]


def test_a_null_count_is_undecodable_and_the_rest_goes_on(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """Its bytes are kept; the thread lives."""
    intake.put([Arrival(route(table, "update"), b"\x00\x06\x02\x00\x08", 3, 3)])
    intake.barrier(10)

    first, null, last = journal.entries
    assert isinstance(first, Count)
    assert first.count == 3
    assert isinstance(null, Undecodable)
    assert null.payload == b"\x02"
    assert isinstance(last, Count)
    assert last.count == 4


def test_a_fault_of_ours_costs_one_item_and_is_a_gap(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """What came before and after it is emitted."""
    broken = Arrival(route(table, "update"), b"\x02", 2, 3)  # says more than it holds

    intake.put([rows(table, 1), broken, rows(table, 2)])
    intake.barrier(10)

    blocks = [entry.payload for entry in journal.entries if isinstance(entry, Block)]
    assert blocks == [b"\x02", b"\x04"]
    assert [(gap.reason, gap.since) for gap in table.gaps.open] == [("unaccounted", 3)]
    assert intake.loops[0].faults == 0


def test_a_fault_of_ours_gives_back_what_was_taken(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """Whatever is raised: the room is there again, and nobody waits for a barrier for ever."""

    def fail(*_: object) -> None:
        raise SystemExit

    table.heard = fail  # type: ignore[method-assign]
    intake.put([rows(table, 1)])
    intake.post(Count(TABLE, "http://a", 3, "delete", 1))

    assert intake.barrier(10)
    assert intake.barrier(10)
    assert intake.queued_bytes == 0
    assert [entry for entry in journal.entries if isinstance(entry, Count)]


class Costly(Arrival[Route]):
    """One whose cost cannot be told at some of the times that it is asked for."""

    faults: list[BaseException | None]

    @property
    def cost(self) -> int:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        return super().cost


def test_a_fault_while_items_are_taken_takes_none(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """Neither of those before it nor after it: the next pass takes them all, in order."""
    costly = Costly(*rows(table, 2))
    costly.faults = [None, MemoryError(), MemoryError()]  # put, then taken
    intake.put([rows(table, 1), costly, rows(table, 3)])
    intake.post(Mark("good_at/s.t", "7.0"))
    intake.barrier(10)

    blocks = [entry.payload for entry in journal.entries if isinstance(entry, Block)]
    assert blocks == [b"\x02", b"\x04", b"\x06"]
    assert {"good_at/s.t": "7.0"} in journal.marks
    assert intake.loops[0].faults == 2
    assert table.gaps.open == ()
    until(lambda: intake.queued_bytes == 0)


def test_what_was_lost_and_could_not_be_said_is_met_again(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """Nothing before it is emitted twice, nothing after it is lost."""
    begin, faults = table.gaps.begin, [MemoryError(), MemoryError()]

    def begin_later(*args: Any) -> str:
        if faults:
            raise faults.pop()
        return begin(*args)

    table.gaps.begin = begin_later  # type: ignore[method-assign]
    broken = Arrival(route(table, "update"), b"\x02", 2, 3)  # says more than it holds
    intake.put([rows(table, 1), broken, rows(table, 2)])
    intake.barrier(10)

    blocks = [entry.payload for entry in journal.entries if isinstance(entry, Block)]
    assert blocks == [b"\x02", b"\x04"]
    assert [gap.reason for gap in table.gaps.open] == ["unaccounted"]
    assert intake.loops[0].faults == 2


def test_rows_whose_column_cannot_be_compared_are_stored_all_the_same(
    intake: Intake, journal: Journal
) -> None:
    """The column was altered from a number to text: capture does not depend on reading."""
    options = TableOptions(TABLE, catch_up=ByColumn("n"))
    table = TableMonitor(options, intake.post, closable=True)
    text = Schema("8", (Column("n", "string", "string"),))
    table.adopt_schema(SCHEMA, "http://a")
    renamed = make_route(table, "insert", "http://a", text)
    intake.put([rows(table, 1), Arrival(renamed, b"\x02z", 1, 5), rows(table, 3)])
    intake.barrier(10)

    blocks = [entry.payload for entry in journal.entries if isinstance(entry, Block)]
    assert blocks == [b"\x02", b"\x02z", b"\x06"]
    assert table.gaps.open == ()


def test_a_span_over_which_the_clock_was_set_back_reaches_over_both_times(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """Not from a later moment until an earlier one."""
    now = Moment.now()
    later = now.wall + 600
    table.gaps.begin("start", Moment(now.order - 1, later), "a test")

    gap = end_gap(table)

    assert gap is not None
    assert gap.since < gap.until == round(later * 1e6)


def test_an_entry_that_cannot_be_emitted_is_found_and_lost_alone(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """A fault that is none of the journal's is tried again, then parted until it is found."""

    def refuse(entries: Sequence[Entry]) -> Exception | None:
        poison = any(isinstance(e, Block) and e.payload == b"\x04" for e in entries)
        return RuntimeError("a fault of ours") if poison else None

    journal.refuse = refuse
    intake.put([rows(table, n) for n in range(5)])
    intake.barrier(30)

    blocks = [entry.payload for entry in journal.entries if isinstance(entry, Block)]
    assert blocks == [b"\x00", b"\x02", b"\x06", b"\x08"]
    assert [gap.reason for gap in table.gaps.open] == ["unaccounted"]


def test_marks_are_kept_by_name_and_behind_what_they_speak_of(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """While the journal stands still they take no more room, however many are written."""
    journal.gate.clear()
    intake.put([rows(table, 1)])
    until(lambda: journal.tries == 1)
    intake.post(Mark("good_at/s.t", "0"))
    intake.post(Mark("other", "x"))
    held = intake.queued_bytes
    for number in range(1, 1000):
        intake.post(Mark("good_at/s.t", str(number % 10)))
    assert intake.queued_bytes == held

    intake.put([rows(table, 2)])
    intake.post(Mark("good_at/s.t", "end"))
    journal.gate.set()
    intake.barrier(10)

    place = next(i for i, marks in enumerate(journal.marks) if "good_at/s.t" in marks)
    assert journal.marks[place] == {"other": "x", "good_at/s.t": "end"}
    before = [e for commit in journal.commits[: place + 1] for e in commit]
    assert [entry.payload for entry in before if isinstance(entry, Block)] == [b"\x02", b"\x04"]
    until(lambda: intake.queued_bytes == 0)


def test_a_full_journal_is_one_gap_that_is_open_while_it_lasts(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """No probe ends it before there is room again; no entry is lost that was taken."""
    journal.refuse = lambda _: JournalFull("full")
    intake.put([rows(table, 1)])
    until(lambda: journal.tries > 1)
    for _ in range(3):
        intake.put([], [Loss(route(table), 1, 10, 100, 7_000_000)])
        end_gap(table)
        table.prove_good(Moment.now())

    assert table.counts.gaps_open == 1
    (gap,) = table.gaps.open
    assert (gap.reason, gap.since) == ("journal_full", 7_000_000)
    assert table.good == NEVER
    assert table.counts.discarded == {"insert": 30}

    journal.refuse = lambda _: None
    intake.barrier(10)
    until(lambda: end_gap(table))
    intake.barrier(10)
    (gap,) = [entry for entry in journal.entries if isinstance(entry, Gap)]
    assert (gap.reason, gap.since) == ("journal_full", 7_000_000)
    assert [e.payload for e in journal.entries if isinstance(e, Block)] == [b"\x02"]


def test_a_journal_with_little_room_takes_what_it_can(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """A block that is too large for it is parted, each record whole and once."""

    def refuse(entries: Sequence[Entry]) -> Exception | None:
        large = sum(e.count for e in entries if isinstance(e, Block)) > 3
        return JournalFull("full") if large else None

    journal.refuse = refuse
    intake.put([rows(table, *range(10))])
    intake.barrier(10)

    blocks = [entry for entry in journal.entries if isinstance(entry, Block)]
    assert b"".join(block.payload for block in blocks) == bytes(n * 2 for n in range(10))
    assert all(block.times == ((block.count, 1),) for block in blocks)


@pytest.mark.parametrize("error", [JournalError("away"), OSError(5, "EIO"), MemoryError()])
def test_what_the_journal_refuses_is_tried_again(
    intake: Intake, journal: Journal, table: TableMonitor, error: Exception
) -> None:
    """Nothing is given up."""
    journal.refuse = lambda _: error if journal.tries < 3 else None

    intake.put([rows(table, 1)])
    intake.barrier(10)

    assert [entry.payload for entry in journal.entries if isinstance(entry, Block)] == [b"\x02"]


def test_room_counts_what_is_held_in_its_present_form(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """Each block costs more than its bytes, until it is safe."""
    journal.gate.clear()
    room = intake.room()
    intake.put([rows(table, 1) for _ in range(10)])

    assert intake.room() <= room - 10 * 500
    journal.gate.set()
    until(lambda: intake.room() == room)


def test_what_waits_behind_a_mark_that_a_full_journal_refuses_stands_still(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """The gap is open from the first refusal on, whatever it was that was refused."""
    journal.refuse = lambda _: JournalFull("full")
    intake.post(Mark("a", "b"))
    until(lambda: intake.refused)
    intake.put([rows(table, 1)])
    until(lambda: table.gaps.open)
    journal.refuse = lambda _: None
    until(lambda: not table.gaps.open)
    assert intake.barrier(10)
    assert not [entry for entry in journal.entries if isinstance(entry, Gap)]


def test_a_full_journal_that_takes_a_little_at_a_time_is_still_full(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """One gap until it took all that waited, and one line; not one for each refusal."""
    journal.gate.clear()
    journal.refuse = lambda e: JournalFull("full") if len(e) > 1 or journal.tries % 2 else None
    with capture_logs() as logs:
        for number in range(3):
            intake.put([rows(table, number)])
        journal.gate.set()
        assert intake.barrier(10)
    assert len([entry for entry in journal.entries if isinstance(entry, Block)]) == 3
    assert journal.tries > 5
    events = [line["event"] for line in logs]
    assert (events.count("gap_opened"), events.count("gap_withdrawn")) == (1, 1)
    assert events.count("journal_refuses") == 1


def test_a_full_journal_whose_disk_fails_then_is_one_gap_until_it_is_well(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """Whatever is refused in between; else it would stay open, and hide the gaps that follow."""
    journal.refuse = lambda _: JournalFull("full")
    intake.put([rows(table, 1)])
    until(lambda: table.gaps.going_on)
    journal.refuse = lambda _: JournalError("EIO")
    until(lambda: intake.refused == "EIO")
    journal.refuse = lambda _: None
    assert intake.barrier(10)
    until(lambda: not table.gaps.going_on)


def test_a_full_journal_is_a_gap_since_the_first_of_what_it_refused(
    intake: Intake, journal: Journal, table: TableMonitor
) -> None:
    """Though more was taken together with it."""
    journal.gate.clear()
    journal.refuse = lambda _: JournalFull("full")
    intake.put([Arrival(route(table), b"\x02", 1, at) for at in (1_000_000, 900_000_000)])
    journal.gate.set()
    until(lambda: table.gaps.open)
    assert table.gaps.open[0].since == 1_000_000


def test_what_a_full_journal_did_not_take_at_the_end_is_not_called_taken(
    journal: Journal,
) -> None:
    """It was lost, which one line says."""
    intake = Intake(journal.emit, lambda: None)
    table = TableMonitor(TableOptions(TABLE), intake.post)
    intake.start()
    journal.refuse = lambda _: JournalFull("full")
    with capture_logs() as logs:
        intake.put([rows(table, 1)])
        until(lambda: table.gaps.going_on)
        assert intake.stop(10)
    events = [line["event"] for line in logs]
    assert "received_and_not_stored" in events
    assert "gap_withdrawn" not in events


def test_what_a_full_journal_takes_no_more_at_the_end_is_said_once_and_no_mark_passes_it(
    journal: Journal,
) -> None:
    """However many entries; a mark that would still fit would say that all before it is safe."""
    journal.refuse = lambda entries: JournalFull("full") if entries else None
    intake = Intake(journal.emit, lambda: None, linger=0.0)
    table = TableMonitor(TableOptions(TABLE), intake.post)
    intake.put([rows(table, n, n, time_=n) for n in range(1, 50)])
    with capture_logs() as logs:
        intake.start()
        until(lambda: journal.tries > 1)
        intake.post(Mark("good_at/s.t", "7.0"))
        assert intake.stop(10)

    lost = [line for line in logs if line["event"] == "received_and_not_stored"]
    assert [(line["events"], line["tables"]) for line in lost] == [(98, {TABLE: 98})]
    assert lost[0]["log_level"] == "error"
    assert lost[0]["since"] == "1970-01-01T00:00:00.000001Z"
    assert len(logs) < 5
    assert (journal.entries, journal.marks) == ([], [])
    assert intake.queued_bytes == 0
