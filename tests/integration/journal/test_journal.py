"""A journal on a real disk: append, read, settle, prune, open again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import JournalFull, JournalUnavailable
from bridge.events import Block, Count, Drop, Undecodable
from bridge.journal import (
    Account,
    DeadLetter,
    Journal,
    JournalReader,
    Lane,
    LetterFilter,
    Move,
    Page,
    Settled,
    Stored,
    overview,
)
from bridge.journal.log import SegmentLog

from .conftest import block, record

MIB = 2**20
MakeRows = Callable[..., Block]
ReadAll = Callable[..., Page]


def small(path: Path, **options: object) -> Journal:
    return Journal(path, max_size=MIB, segment_size=2**17, **options)  # type: ignore[arg-type]


def test_what_was_appended_is_read_back_in_order_with_offsets_from_0(
    tmp_path: Path, rows: MakeRows, read_all: ReadAll
) -> None:
    drop, bad = Drop("t", "http://k:9191", 3), Undecodable("t", "http://k:9191", 4, b"?", "short")
    with Journal(tmp_path / "j") as journal:
        assert journal.head == 0
        assert journal.append([rows(count=3, time=2), drop]) == 4
        assert journal.append([bad]) == 5

        page = read_all(tmp_path / "j")

    first = page.entries[0]
    assert isinstance(first.entry, Block)
    assert (first.offset, first.count, first.entry) == (0, 3, rows(count=3, time=2))
    assert page.entries[1:] == [Stored(3, 1, drop), Stored(4, 1, bad)]
    assert (page.next, page.damaged) == (5, [])


def test_a_folder_that_is_made_is_for_its_user_alone(tmp_path: Path) -> None:
    """Rows lie in it. One that is there already keeps what its owner gave it."""
    (tmp_path / "given").mkdir(mode=0o750)

    for name in ("made", "given"):
        with Journal(tmp_path / name):
            pass

    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "given").stat().st_mode & 0o777 == 0o750


def test_a_read_inside_an_entry_gives_the_whole_entry(tmp_path: Path, rows: MakeRows) -> None:
    with Journal(tmp_path / "j") as journal, journal.reader() as reader:
        journal.append([rows(count=10)])
        journal.append([rows(count=10)])

        page = reader.read(13)

    assert [(stored.offset, stored.count) for stored in page.entries] == [(10, 10)]


def test_a_page_ends_with_the_entry_that_reaches_a_limit(tmp_path: Path, rows: MakeRows) -> None:
    with Journal(tmp_path / "j") as journal, journal.reader() as reader:
        for _ in range(10):
            journal.append([rows(size=100)])

        by_bytes = reader.read(0, max_bytes=250)
        by_entries = reader.read(2, max_entries=4)

    assert (len(by_bytes.entries), by_bytes.next) == (3, 3)
    assert (len(by_entries.entries), by_entries.next) == (4, 6)


def test_a_filtered_read_says_where_to_go_on_even_if_nothing_was_wanted(
    tmp_path: Path, rows: MakeRows
) -> None:
    with Journal(tmp_path / "j") as journal, journal.reader() as reader:
        journal.append([rows("a"), rows("b", 2), rows("a")])

        none = reader.read(0, tables=["c"])
        some = reader.read(0, tables=["b"])
        journal.append([rows("c")])
        later = reader.read(4, tables=["c"])

    assert (none.entries, none.next) == ([], 4)
    assert [(stored.offset, stored.count) for stored in some.entries] == [(2, 2)]
    assert [stored.offset for stored in later.entries] == [4]


def test_blocks_of_a_commit_are_joined_by_table_and_keep_their_times(
    tmp_path: Path, read_all: ReadAll
) -> None:
    """Order per table is kept; what is no block ends a run."""
    first, second = block("a", [b"1", b"2"], 10), block("a", [b"3"], 20)
    count, other = Count("a", "http://k:9191", 30, "update", 7), block("b", [b"x"], 11)
    with Journal(tmp_path / "j") as journal:
        journal.append([first, other, second, count, second])

        entries = read_all(tmp_path / "j").entries

    joined = replace(
        first, payload=first.payload + second.payload, count=3, times=((2, 10), (1, 20))
    )
    assert entries == [
        Stored(0, 3, joined),
        Stored(3, 1, count),
        Stored(4, 1, second),
        Stored(5, 1, other),
    ]


def test_a_large_block_is_split_between_records(tmp_path: Path, read_all: ReadAll) -> None:
    records = [b"%d" % n * 1000 for n in range(100, 700)]
    large = replace(block("t", records), times=((350, 1), (250, 2)))
    huge = block("t", [b"y" * (3 * MIB)])
    with Journal(tmp_path / "j") as journal:
        journal.append([large, huge])

        entries = read_all(tmp_path / "j").entries

    blocks = [stored.entry for stored in entries if isinstance(stored.entry, Block)]
    assert b"".join(one.payload for one in blocks[:-1]) == large.payload
    assert max(len(one.payload) for one in blocks[:-1]) <= MIB
    assert [sum(n for n, _ in one.times) for one in blocks] == [stored.count for stored in entries]
    times = [time for one in blocks[:-1] for n, time in one.times for _ in range(n)]
    assert times == [1] * 350 + [2] * 250
    assert blocks[-1].payload == record(b"y" * (3 * MIB))


@pytest.mark.parametrize("cause", ["gap", "snapshot", "update"])
def test_why_rows_were_read_is_kept(
    tmp_path: Path, rows: MakeRows, read_all: ReadAll, cause: str
) -> None:
    entry = replace(rows(count=2), type="read", cause=cause)
    with Journal(tmp_path / "j") as journal:
        journal.append([entry])

        assert read_all(tmp_path / "j").entries == [Stored(0, 2, entry)]


def test_equal_schemas_of_different_segments_are_one_object(
    tmp_path: Path, rows: MakeRows, read_all: ReadAll
) -> None:
    with small(tmp_path / "j") as journal:
        for _ in range(3):
            journal.append([rows(size=100_000)])
        entries = read_all(tmp_path / "j").entries

    schemas = [stored.entry.schema for stored in entries if isinstance(stored.entry, Block)]
    assert len(schemas) == 3
    assert all(schema is schemas[0] for schema in schemas)


def test_everything_is_there_after_reopening(
    tmp_path: Path, rows: MakeRows, read_all: ReadAll
) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.register("s", ["t"])
        journal.append([rows(count=5)], {"column": "42"})
        journal.settle("s", [Move("t", 2, (Settled(0, 2, "delivered"),))])
        before = journal.id, read_all(tmp_path / "j"), journal.accounts()

    with Journal(tmp_path / "j") as journal:
        assert (journal.id, read_all(tmp_path / "j"), journal.accounts()) == before
        assert journal.marks() == {"column": "42"}
        assert (journal.head, journal.register("s", ["t"])) == (5, {"t": Lane(2, (), 2)})
        assert journal.append([rows()]) == 6


def test_marks_are_carried_from_segment_to_segment(tmp_path: Path, rows: MakeRows) -> None:
    with small(tmp_path / "j") as journal:
        journal.append([], {"a": "1", "b": "1"})
        journal.append([rows(size=100_000)], {"b": "2"})
        journal.append([rows(size=100_000)])

    with small(tmp_path / "j") as journal:
        assert journal.marks() == {"a": "1", "b": "2"}
        assert journal.stats().segments == 2


def test_a_new_sink_starts_at_the_head_and_counts_from_there(
    tmp_path: Path, rows: MakeRows
) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append([rows(count=7)])

        assert journal.register("s", ["t"]) == {"t": Lane(7, (), 7)}
        journal.append([rows(count=2)])

        assert journal.accounts() == [Account("s", "t", 2, 0, 0, 0, 2)]


def test_a_table_that_is_new_to_a_sink_begins_at_the_head(tmp_path: Path, rows: MakeRows) -> None:
    """Whatever else the sink still has to get, and wherever its other lanes stand."""
    with Journal(tmp_path / "j") as journal:
        journal.register("s", ["a"])
        journal.append([rows("a", 3), rows("b", 5)])

        lanes = journal.register("s", ["a", "b"])
        journal.append([rows("b", 2)])

        assert lanes == {"a": Lane(0, (), 0), "b": Lane(8, (), 8)}
        assert journal.accounts() == [
            Account("s", "a", 3, 0, 0, 0, 3),
            Account("s", "b", 2, 0, 0, 0, 2),
        ]


def test_a_table_taken_from_a_sink_has_its_pending_events_discarded(
    tmp_path: Path, rows: MakeRows
) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.register("s", ["a", "b"])
        journal.append([rows("a", 3), rows("b", 5)])

        journal.register("s", ["a"])
        journal.append([rows("b", 1)])
        gone = journal.accounts()[1]
        journal.register("s", ["a", "b"])
        journal.append([rows("b", 2)])
        back = journal.accounts()[1]

    assert gone == Account("s", "b", 5, 0, 0, 5, 0)
    assert back == Account("s", "b", 7, 0, 0, 5, 2)


def test_a_sink_that_is_gone_keeps_nothing_and_comes_back_at_the_head(
    tmp_path: Path, rows: MakeRows
) -> None:
    with small(tmp_path / "j") as journal:
        journal.register("s", ["t"])
        journal.append([rows(size=100)])
        with pytest.raises(KeyError):
            journal.lanes("other")

        journal.unregister("s")
        for _ in range(30):
            journal.append([rows(size=100_000)])

        assert journal.sinks() == []
        assert journal.register("s", ["t"]) == {"t": Lane(31, (), 31)}
        assert journal.accounts() == [Account("s", "t", 1, 0, 0, 1, 0)]


def test_dead_letters_are_stored_with_the_cursor_that_passes_them(
    tmp_path: Path, rows: MakeRows, clock: Callable[[], float]
) -> None:
    letter = DeadLetter("s", "t", 1, "id-1", 77, "refused", b"{}", attempts=4, answer="HTTP 422")
    raw = DeadLetter("s", "t", 2, "id-2", 78, "torn", None, b"\x00")
    with Journal(tmp_path / "j", clock=clock) as journal, journal.reader() as reader:
        journal.register("s", ["t"])
        journal.append([rows(count=3)])
        runs = Settled(0, 1, "delivered"), Settled(1, 2, "dead_lettered")

        journal.settle("s", [Move("t", 3, runs, dead_letters=(letter, raw))])
        journal.settle("s", [Move("t", 3, runs, dead_letters=(letter,))])

        assert journal.accounts() == [Account("s", "t", 3, 1, 2, 0, 0)]
        stored = reader.dead_letters(LetterFilter("s"))

    assert [(one.number, one.offset, one.value, one.raw) for one in stored] == [
        (1, 1, b"{}", None),
        (2, 2, None, b"\x00"),
    ]
    assert stored[0].set_aside == 1_000_000_000_000
    assert [(one.attempts, one.answer) for one in stored] == [(4, "HTTP 422"), (0, None)]


def test_dead_letters_are_listed_by_sink_table_time_and_number(
    tmp_path: Path, rows: MakeRows, clock: Callable[[], float]
) -> None:
    def letter(sink: str, table: str, offset: int) -> DeadLetter:
        return DeadLetter(sink, table, offset, "id", 1, "refused", b"{}")

    with Journal(tmp_path / "j", clock=clock) as journal, journal.reader() as reader:
        journal.append([])
        for sink in ("one", "two"):
            journal.register(sink, ["a", "b"])
        journal.append([rows("a"), rows("b")])
        for sink in ("one", "two"):
            for offset, table in enumerate("ab"):
                move = Move(table, 2, dead_letters=(letter(sink, table, offset),))
                journal.settle(sink, [move])
            clock.seconds += 60.0  # type: ignore[attr-defined]

        def numbers(*of: str, limit: int = 10, **filters: Any) -> list[int]:
            which = LetterFilter(*of, **filters)
            return [found.number for found in reader.dead_letters(which, limit=limit)]

        assert numbers() == [1, 2, 3, 4]
        assert numbers("two") == [3, 4]
        assert numbers("one", "b") == [2]
        assert numbers(since=1_000_060_000_000) == [3, 4]
        assert numbers(after=1, limit=2) == [2, 3]
        assert numbers(reason="REFUS") == [1, 2, 3, 4]
        assert numbers(reason="torn") == []
        assert numbers(numbers=frozenset((2, 4, 9))) == [2, 4]


def test_what_waits_is_remembered_and_settled_out_of_order(tmp_path: Path, rows: MakeRows) -> None:
    """The cursor goes on; what waits keeps its place, over a restart too."""
    with Journal(tmp_path / "j") as journal:
        journal.register("s", ["t"])
        journal.append([rows(count=10)])
        runs = Settled(0, 3, "delivered"), Settled(4, 3, "delivered")
        journal.settle("s", [Move("t", 7, runs, (3,))])

        assert journal.lanes("s") == {"t": Lane(7, (3,), 3)}

    with Journal(tmp_path / "j") as journal:
        assert journal.lanes("s") == {"t": Lane(7, (3,), 3)}
        assert journal.accounts() == [Account("s", "t", 10, 6, 0, 0, 4)]

        journal.settle(
            "s", [Move("t", 10, (Settled(3, 1, "delivered"), Settled(7, 3, "delivered")))]
        )

        assert journal.lanes("s") == {"t": Lane(10, (), 10)}
        assert journal.accounts() == [Account("s", "t", 10, 10, 0, 0, 0)]


def test_too_much_that_waits_is_refused_and_nothing_changes(tmp_path: Path, rows: MakeRows) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.register("s", ["t"])
        journal.append([rows(count=20_000)])

        with pytest.raises(ValueError, match="would wait"):
            journal.settle("s", [Move("t", 20_000, (), tuple(range(10_001)))])

        assert journal.lanes("s") == {"t": Lane(0, (), 0)}
        journal.settle("s", [Move("t", 10_000, (), tuple(range(10_000)))])
        assert journal.accounts() == [Account("s", "t", 20_000, 0, 0, 0, 20_000)]


def test_a_move_of_a_table_that_the_sink_lost_meanwhile_changes_nothing(
    tmp_path: Path, rows: MakeRows
) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.register("s", ["a", "b"])
        journal.append([rows("a"), rows("b")])
        journal.register("s", ["b"])

        run = (Settled(0, 2, "delivered"),)
        journal.settle("s", [Move("a", 1, run), Move("b", 2, (Settled(1, 1, "delivered"),))])

        assert [(one.delivered, one.discarded) for one in journal.accounts()] == [(0, 1), (1, 0)]


def test_moves_are_on_disk_a_moment_later_and_at_once_where_something_waits(
    tmp_path: Path, rows: MakeRows
) -> None:
    """What another process sees of the first comes by itself, the second at once."""
    with Journal(tmp_path / "j") as journal:
        journal.register("s", ["t"])
        journal.append([rows(count=10)])

        journal.settle("s", [Move("t", 3, (Settled(0, 3, "delivered"),))])
        deadline = time.monotonic() + 30
        while overview(tmp_path / "j").sinks[0].lanes["t"].cursor != 3:
            assert time.monotonic() < deadline, "it was never written"
            time.sleep(0.01)
        journal.settle("s", [Move("t", 5, (Settled(3, 1, "delivered"),), (4,))])

        assert overview(tmp_path / "j").sinks[0].lanes["t"] == Lane(5, (4,), 4)


def test_a_cursor_never_moves_back_nor_beyond_the_head(tmp_path: Path, rows: MakeRows) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.register("s", ["t"])
        journal.append([rows(count=4)])
        journal.settle("s", [Move("t", 3, (Settled(0, 3, "delivered"),))])

        journal.settle("s", [Move("t", 1, (Settled(0, 1, "delivered"),))])
        with pytest.raises(ValueError, match="beyond the head"):
            journal.settle("s", [Move("t", 5)])

        assert journal.lanes("s")["t"].cursor == 3
        assert journal.accounts() == [Account("s", "t", 4, 3, 0, 0, 1)]


def test_waiting_ends_with_the_append_or_with_the_journal(tmp_path: Path, rows: MakeRows) -> None:
    journal = Journal(tmp_path / "j")
    journal.open()
    seen: list[bool] = []
    threads = [threading.Thread(target=lambda: seen.append(journal.wait(0, 60)))]
    threads[0].start()
    journal.append([rows()])
    threads[0].join()
    threads.append(threading.Thread(target=lambda: seen.append(journal.wait(1, 60))))
    threads[1].start()

    journal.close()
    threads[1].join()

    assert seen == [True, False]
    assert not journal.wait(0, 60)


def append_until_full(journal: Journal, entry: Block) -> int:
    for _ in range(100):
        try:
            journal.append([entry])
        except JournalFull:
            return journal.head
    pytest.fail("the journal takes more than its size")


def test_a_full_journal_refuses_until_a_sink_has_caught_up(
    tmp_path: Path, rows: MakeRows, read_all: ReadAll
) -> None:
    with small(tmp_path / "j") as journal:
        journal.register("s", ["t"])
        full = append_until_full(journal, rows(size=50_000))
        assert len(read_all(tmp_path / "j").entries) == full

        journal.settle("s", [Move("t", full, (Settled(0, full, "delivered"),))])
        journal.append([rows(size=50_000)])

        assert journal.stats().oldest > 0
        assert journal.accounts() == [Account("s", "t", full + 1, full, 0, 0, 1)]


def test_a_batch_larger_than_half_a_full_journal_is_refused_without_dropping_anything(
    tmp_path: Path, rows: MakeRows
) -> None:
    with small(tmp_path / "j", on_full="drop_oldest") as journal:
        journal.append([rows(size=500_000)])

        with pytest.raises(JournalFull, match="too much"):
            journal.append([rows(count=2, size=400_000)])

        assert (journal.stats().oldest, journal.head) == (0, 1)


def test_drop_oldest_counts_what_it_drops_and_moves_the_cursor(
    tmp_path: Path, rows: MakeRows
) -> None:
    with small(tmp_path / "j", on_full="drop_oldest") as journal:
        journal.register("s", ["a"])
        for _ in range(100):
            journal.append([rows("a", 2, 20_000), rows("b")])

        cursor, stats = journal.lanes("s")["a"].cursor, journal.stats()
        journal.settle("s", [Move("a", cursor + 2, (Settled(0, 300, "delivered"),))])

    assert cursor == stats.oldest > 0
    assert stats.bytes <= MIB
    (account,) = overview(tmp_path / "j").sinks[0].accounts
    assert account.received == 200
    assert account.discarded == stats.discarded == cursor // 3 * 2
    assert account.delivered == 2
    assert account.pending == 200 - account.discarded - 2


def test_only_acknowledged_entries_go_with_age(
    tmp_path: Path, rows: MakeRows, clock: object
) -> None:
    with small(tmp_path / "j", max_age=80.0, clock=clock) as journal:
        journal.register("s", ["t"])
        for _ in range(10):
            journal.append([rows(size=1000, time=int(clock() * 1e6))])  # type: ignore[operator]
            clock.seconds += 20.0  # type: ignore[attr-defined]
        journal.upkeep()
        kept = journal.stats()
        journal.settle("s", [Move("t", 5, (Settled(0, 5, "delivered"),))])
        journal.upkeep()
        some = journal.stats()
        journal.settle("s", [Move("t", 10, (Settled(5, 5, "delivered"),))])
        clock.seconds += 1000.0  # type: ignore[attr-defined]
        journal.upkeep()
        none = journal.stats()

    assert (kept.oldest, kept.segments) == (0, 11)
    assert (some.oldest, some.oldest_time) == (5, 1_000_100_000_000)
    assert (none.oldest, none.oldest_time, none.segments) == (10, None, 1)


def test_a_reader_goes_on_where_pruning_took_the_segment_away(
    tmp_path: Path, rows: MakeRows
) -> None:
    with small(tmp_path / "j", on_full="drop_oldest") as journal, journal.reader() as reader:
        journal.append([rows(size=60_000) for _ in range(2)])
        first = reader.read(0, max_entries=1)
        for _ in range(40):
            journal.append([rows(size=60_000)])

        page = reader.read(first.next)

        assert page.entries[0].offset == journal.stats().oldest > 1
        assert page.damaged == []


def test_time_of_is_that_of_the_event_at_or_after_an_offset(tmp_path: Path, rows: MakeRows) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append([rows(count=3, time=100)])
        journal.append([rows(count=2, time=200)])

        with journal.reader() as reader:
            assert [reader.time_of(offset) for offset in (0, 2, 3, 5)] == [100, 100, 200, None]


def test_the_overview_has_segments_sinks_and_counts(tmp_path: Path, rows: MakeRows) -> None:
    with small(tmp_path / "j") as journal:
        journal.register("s", ["t"])
        journal.append([rows(size=100_000, time=10)])
        journal.append([rows(size=100_000, time=20)])
        journal.settle("s", [Move("t", 1, (Settled(0, 1, "delivered"),))])
        identifier = journal.id

    shown = overview(tmp_path / "j")
    assert (shown.id, shown.oldest, shown.head) == (identifier, 0, 2)
    assert [(one.first, one.end, one.events, one.oldest_time) for one in shown.segments] == [
        (0, 1, 1, 10),
        (1, 2, 1, 20),
    ]
    assert shown.sinks[0].lanes == {"t": Lane(1, (), 1)}
    assert shown.sinks[0].accounts == [Account("s", "t", 2, 1, 0, 0, 1)]


def test_counts_of_updates_come_back(tmp_path: Path, read_all: ReadAll) -> None:
    entry = Count("t", "http://k:9191", 9, "delete", 12)
    with Journal(tmp_path / "j") as journal:
        journal.append([entry])

        assert read_all(tmp_path / "j").entries == [Stored(0, 1, entry)]


def test_a_second_writer_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(JournalUnavailable, match=str(os.getpid())):
        Journal(tmp_path / "j").open()

    with Journal(tmp_path / "j"):
        pass


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    with Journal(tmp_path / "no" / "j"):
        assert (tmp_path / "no" / "j").is_dir()


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("")

    with pytest.raises(JournalUnavailable, match="is no folder"):
        Journal(tmp_path / "j").open()


@pytest.mark.parametrize("target", ["j", "j/segments", "j/state.db", "j/lock"])
def test_what_this_user_may_not_write_is_named(target: str) -> None:
    """Opened as another user where the test runs as root, whom nothing stops."""
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from bridge.errors import JournalUnavailable\n"
        "from bridge.journal import Journal\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: Journal(Path(sys.argv[1])).open()\n"
        "except JournalUnavailable as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        with Journal(Path(folder) / "j") as journal:
            journal.append([])
        if os.geteuid() == 0:
            for path in (Path(folder), *Path(folder).rglob("*")):
                os.chown(path, 65534, 65534)
        path = Path(folder) / target
        path.chmod(0o555 if path.is_dir() else 0o444)

        done = subprocess.run(
            [sys.executable, "-c", program, str(Path(folder) / "j")],
            capture_output=True,
            text=True,
            check=False,
        )

        path.chmod(0o755)
    assert f"{path}: " in done.stdout, done.stderr
    assert "uid" in done.stdout


def test_reading_where_there_is_no_journal_says_so(tmp_path: Path) -> None:
    with JournalReader(tmp_path) as reader, pytest.raises(JournalUnavailable, match="no journal"):
        reader.bounds()


def test_a_closed_journal_can_be_closed_and_opened_again(tmp_path: Path, rows: MakeRows) -> None:
    journal = Journal(tmp_path / "j")
    journal.close()
    journal.open()
    journal.append([rows()])
    journal.close()
    journal.close()

    with pytest.raises(JournalUnavailable, match="not open"):
        journal.append([rows()])
    with journal:
        assert journal.head == 1


@pytest.mark.parametrize(
    "options", [{"max_size": 1}, {"segment_size": 1}, {"max_age": 0.0}], ids=str
)
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Journal(tmp_path, **options)  # type: ignore[arg-type]


def test_commits_are_timed_and_counted(tmp_path: Path, rows: MakeRows) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append([rows(count=3, size=100)])
        stats = journal.stats()

    assert (stats.commits.count, stats.appended_events) == (1, 3)
    assert stats.commits.seconds > 0
    assert stats.appended_bytes >= 300


def test_an_error_in_the_middle_of_an_append_leaves_nothing(
    tmp_path: Path, rows: MakeRows, read_all: ReadAll
) -> None:
    bad = Drop("t", "http://k:9191", 2**70)  # no time SQLite can hold
    with Journal(tmp_path / "j") as journal:
        journal.append([rows(count=2)])
        with pytest.raises(OverflowError):
            journal.append([rows("new", 3), bad], {"m": "1"})

        assert (journal.head, journal.marks()) == (2, {})
        journal.append([rows("new", 1)])

        assert [s.entry.table for s in read_all(tmp_path / "j").entries] == ["t", "new"]


def test_sinks_and_a_writer_at_once_lose_and_repeat_nothing(tmp_path: Path, rows: MakeRows) -> None:
    """Two sinks follow a writer across many segments while another thread prunes."""
    total = 3000
    with Journal(tmp_path / "j", max_size=4 * MIB, segment_size=2**17) as journal:
        seen: dict[str, list[int]] = {"a": [], "b": []}
        done = threading.Event()

        def follow(sink: str) -> None:
            with journal.reader() as reader:
                position = 0
                while position < total:
                    if not journal.wait(position, 30):
                        return
                    page = reader.read(position, max_entries=50)
                    assert not page.damaged
                    for stored in page.entries:
                        seen[sink].extend(range(stored.offset, stored.offset + stored.count))
                    run = Settled(position, page.next - position, "delivered")
                    journal.settle(sink, [Move("t", page.next, (run,))])
                    position = page.next

        def keep_pruning() -> None:
            while not done.is_set():
                journal.upkeep()
                for account in journal.accounts():
                    assert account.received == account.delivered + account.pending

        for sink in seen:
            journal.register(sink, ["t"])
        threads = [threading.Thread(target=follow, args=(sink,)) for sink in seen]
        threads.append(threading.Thread(target=keep_pruning))
        for thread in threads:
            thread.start()
        while journal.head < total:
            try:
                journal.append([rows(count=10, size=900)])
            except JournalFull:
                journal.wait(journal.head, 0.01)
        for thread in threads[:2]:
            thread.join()
        done.set()
        threads[2].join()

        assert seen == {"a": list(range(total)), "b": list(range(total))}
        assert journal.accounts() == [
            Account(sink, "t", total, total, 0, 0, 0) for sink in ("a", "b")
        ]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=6),
    max_entries=st.integers(1, 7),
    max_bytes=st.integers(1, 100),
)
def test_pages_of_any_size_give_the_same_entries(
    tmp_path_factory: pytest.TempPathFactory,
    rows: MakeRows,
    read_all: ReadAll,
    batches: list[list[int]],
    max_entries: int,
    max_bytes: int,
) -> None:
    path = tmp_path_factory.mktemp("pages") / "j"
    with Journal(path) as journal:
        for batch in batches:
            journal.append([rows("ab"[n % 2], n) for n in batch])

    whole = read_all(path)
    paged = read_all(path, max_entries=max_entries, max_bytes=max_bytes)

    assert paged == whole
    assert whole.next == sum(map(sum, batches))


def test_a_fault_behind_the_commit_does_not_make_the_append_fail(
    tmp_path: Path, rows: MakeRows, read_all: ReadAll, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever appends again what failed would store it twice."""
    append = SegmentLog.append

    def fail(log: SegmentLog, *arguments: Any) -> int:
        append(log, *arguments)
        raise MemoryError

    with Journal(tmp_path / "j") as journal:
        journal.append([rows()])
        with monkeypatch.context() as patch:
            patch.setattr(SegmentLog, "append", fail)
            assert journal.append([rows()]) == 2
        assert journal.append([rows()]) == 3

        assert [stored.offset for stored in read_all(tmp_path / "j").entries] == [0, 1, 2]


def test_the_size_is_known_between_two_looks_at_the_file(tmp_path: Path, rows: MakeRows) -> None:
    """A trickle's commits are not measured one by one: what they add is reckoned."""
    with Journal(tmp_path) as journal:
        for _ in range(300):
            journal.append([rows(size=400)])
        told = journal.stats().bytes

    files = sum(file.stat().st_size for file in (tmp_path / "segments").iterdir())
    assert files > 2**17
    assert abs(told - files) < 2**16


def test_a_clock_set_back_within_a_commit_is_seen(tmp_path: Path) -> None:
    """Under load a commit has many blocks: those before and after the step are not joined."""
    second = 10**6
    with Journal(tmp_path) as journal:
        journal.append(
            [block(table, [b"x"], at * second) for at in (50, 100, 20, 30) for table in ("a", "b")]
        )
        journal.append([block("a", [b"x"], 120 * second)])

        assert journal.offset_at(25 * second) == 0
        assert journal.offset_until(25 * second) == 8
        assert journal.offset_until(15 * second) == 0
        assert (journal.offset_at(110 * second), journal.offset_until(110 * second)) == (8, 8)
