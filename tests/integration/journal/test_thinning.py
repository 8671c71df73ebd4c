"""What is kept for a sink that is away: what waits for it, and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.errors import JournalFull
from bridge.events import Block
from bridge.journal import Journal, Lane, Move, Page, Settled, overview

from .conftest import block, texts

MakeRows = Callable[..., Block]
ReadAll = Callable[..., Page]
MIB = 2**20


def small(path: Path, **options: object) -> Journal:
    return Journal(path, max_size=MIB, segment_size=2**17, **options)  # type: ignore[arg-type]


def settle_to_head(journal: Journal, sink: str, table: str) -> None:
    """Deliver all of a table."""
    with journal.reader() as reader:
        position, runs = journal.lanes(sink)[table].start, []
        while position < journal.head:
            page = reader.read(position, tables=[table])
            runs += [Settled(one.offset, one.count, "delivered") for one in page.entries]
            position = page.next
    journal.settle(sink, [Move(table, journal.head, tuple(runs))])


def keep_up(journal: Journal) -> None:
    for _ in range(100):
        if journal.upkeep() > 0:
            return
    pytest.fail("upkeep never ends")


def waiting_texts(journal: Journal, sink: str, table: str) -> list[bytes]:
    """Read what a lane has yet to get, as its worker would."""
    lane = journal.lanes(sink)[table]
    found: list[bytes] = []
    with journal.reader() as reader:
        position = lane.start
        while position < journal.head:
            page = reader.read(position, tables=[table])
            assert page.damaged == []
            for offset, _, entry in page.entries:
                assert isinstance(entry, Block)
                for index, text in enumerate(texts(entry.payload)):
                    if offset + index >= lane.cursor or offset + index in lane.waiting:
                        found.append(text)
            position = page.next
    return found


def test_ten_rows_that_wait_never_stop_a_busy_table(tmp_path: Path, rows: MakeRows) -> None:
    """An unreachable sink has ten rows of a quiet table; a busy one passes forty times the size."""
    with small(tmp_path / "j") as journal:
        journal.register("away", ["quiet"])
        journal.register("well", ["quiet", "busy"])
        wanted = [b"row %d" % n for n in range(10)]
        for text in wanted:
            journal.append([block("quiet", [text]), rows("busy", 2, 2000)])

        for _ in range(400):
            journal.append([rows("busy", 10, 10_000)])
            for table in ("quiet", "busy"):
                settle_to_head(journal, "well", table)

        assert waiting_texts(journal, "away", "quiet") == wanted
        assert journal.stats().bytes <= MIB
        away = next(account for account in journal.accounts() if account.sink == "away")
        assert (away.received, away.pending) == (10, 10)
        settle_to_head(journal, "away", "quiet")
        assert all(account.pending == 0 for account in journal.accounts())


def test_an_idle_lane_keeps_nothing_although_its_cursor_never_moves(
    tmp_path: Path, rows: MakeRows
) -> None:
    with small(tmp_path / "j") as journal:
        journal.register("s", ["idle", "busy"])
        for _ in range(100):
            journal.append([rows("busy", 10, 5000)])
            settle_to_head(journal, "s", "busy")

        assert journal.lanes("s")["idle"] == Lane(0, (), journal.head)
        assert journal.stats().oldest > 0


def test_single_events_that_wait_are_cut_out_of_their_blocks(
    tmp_path: Path, rows: MakeRows
) -> None:
    """Each stood in a block of a thousand; what is carried forward is those records alone."""
    with small(tmp_path / "j") as journal:
        journal.register("s", ["t"])
        waiting = []
        for n in range(30):
            first = journal.head
            journal.append([block("t", [b"%d.%d" % (n, k) + b"." * 90 for k in range(1000)])])
            waiting += [first + 7, first + 8, first + 500]
            run = Settled(first, 1000, "delivered")
            journal.settle("s", [Move("t", first + 1000, (run,), tuple(waiting))])

        texts_left = waiting_texts(journal, "s", "t")

        assert [text.rstrip(b".") for text in texts_left] == [
            b"%d.%d" % (n, k) for n in range(30) for k in (7, 8, 500)
        ]
        assert journal.accounts()[0].pending == 90
        journal.settle("s", [Move("t", 0, tuple(Settled(o, 1, "discarded") for o in waiting))])
        assert (journal.accounts()[0].pending, journal.accounts()[0].discarded) == (0, 90)


def test_old_entries_go_although_others_of_their_segment_wait(
    tmp_path: Path, rows: MakeRows, clock: Callable[[], float], read_all: ReadAll
) -> None:
    """By age alone, in a journal that is far from full."""
    with Journal(tmp_path / "j", max_age=80.0, segment_size=2**20, clock=clock) as journal:
        journal.register("s", ["a", "b"])
        for n in range(10):
            journal.append([rows("a", 5, 1000, n), block("b", [b"b%d" % n], n), rows("a", 5, 9000)])
            settle_to_head(journal, "s", "a")
        clock.seconds += 1000.0  # type: ignore[attr-defined]

        keep_up(journal)

        assert {stored.entry.table for stored in read_all(tmp_path / "j").entries} == {"b"}
        assert waiting_texts(journal, "s", "b") == [b"b%d" % n for n in range(10)]
    shown = overview(tmp_path / "j")
    assert [(one.thinned, one.events) for one in shown.segments] == [(True, 10), (False, 0)]


def test_a_sink_that_wants_everything_is_waited_for(tmp_path: Path, rows: MakeRows) -> None:
    """What waits is as large as the journal: it is full, and says so again and again."""
    with small(tmp_path / "j") as journal:
        journal.register("away", ["t"])
        with suppress(JournalFull):
            for _ in range(100):
                journal.append([rows("t", 1, 50_000)])
        for _ in range(3):
            with pytest.raises(JournalFull):
                journal.append([rows("t", 1, 50_000)])
        head = journal.head

        settle_to_head(journal, "away", "t")

        assert journal.append([rows("t", 1, 50_000)]) == head + 1


def test_what_a_full_journal_waits_for_in_the_middle_is_passed_over(
    tmp_path: Path, rows: MakeRows
) -> None:
    """The oldest segments are all wanted; those behind them go all the same."""
    with small(tmp_path / "j") as journal:
        journal.register("s", ["held", "busy"])
        for _ in range(8):
            journal.append([rows("held", 1, 50_000)])

        for _ in range(100):
            journal.append([rows("busy", 1, 50_000)])
            settle_to_head(journal, "s", "busy")

        assert len(waiting_texts(journal, "s", "held")) == 8
        assert journal.lanes("s")["held"].start == 0


def test_thinned_segments_that_are_small_become_one(tmp_path: Path, rows: MakeRows) -> None:
    """A row waits in each of a hundred segments: a hundred files would be more than the rows."""
    with small(tmp_path / "j") as journal:
        journal.register("s", ["held", "busy"])
        for n in range(100):
            journal.append([block("held", [b"%d" % n]), rows("busy", 2, 60_000)])
            settle_to_head(journal, "s", "busy")
            keep_up(journal)

        assert waiting_texts(journal, "s", "held") == [b"%d" % n for n in range(100)]
        assert journal.stats().segments < 12


def test_all_of_it_is_there_after_opening_again(tmp_path: Path, rows: MakeRows) -> None:
    with small(tmp_path / "j") as journal:
        journal.register("s", ["held", "busy"])
        for n in range(60):
            journal.append([block("held", [b"%d" % n]), rows("busy", 1, 60_000)])
            settle_to_head(journal, "s", "busy")
        before = journal.accounts(), journal.lanes("s"), waiting_texts(journal, "s", "held")

    with small(tmp_path / "j") as journal:
        after = journal.accounts(), journal.lanes("s"), waiting_texts(journal, "s", "held")
        assert after == before
        assert journal.damaged() == []
        for _ in range(60):
            journal.append([rows("busy", 1, 60_000)])
            settle_to_head(journal, "s", "busy")
        assert waiting_texts(journal, "s", "held") == before[2]


def test_a_new_sink_may_begin_where_nothing_was_pruned(tmp_path: Path, rows: MakeRows) -> None:
    with small(tmp_path / "j") as journal:
        journal.register("s", ["held", "busy"])
        for n in range(40):
            journal.append([block("held", [b"%d" % n]), rows("busy", 1, 60_000)])
            settle_to_head(journal, "s", "busy")

        lanes = journal.register("late", ["busy", "held"], begin=0)

        got = len(waiting_texts(journal, "late", "busy"))
        late = {one.table: one.pending for one in journal.accounts() if one.sink == "late"}
        assert 0 < got == late["busy"] == late["held"] < 40
        assert lanes["busy"].cursor > 0
        settle_to_head(journal, "late", "busy")
        settle_to_head(journal, "late", "held")
        assert all(one.discarded == 0 for one in journal.accounts())
