"""Files flipped, cut short and deleted: opening never fails, and what is sound is read."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bridge.errors import JournalUnavailable
from bridge.events import Block, Count
from bridge.journal import DeadLetter, Journal, Move, Page, Settled, Stored, overview
from bridge.journal.lock import noted_head

from .conftest import block

MakeRows = Callable[..., Block]
ReadAll = Callable[..., Page]

TABLES = ("a", "b")
SINK_AT = 200


def open_journal(path: Path) -> Journal:
    return Journal(path, max_size=8 * 2**20, segment_size=2**17)


def fill(path: Path, *, close: bool) -> Journal:
    """Some segments with entries small and large, one sink in the middle, a dead letter."""
    journal = open_journal(path)
    journal.open()
    journal.register("s", TABLES)
    for n in range(60):
        for k in (1, 2):
            texts = [b"%06d" % (n * 100 + i) * (300 if i == 3 else 3) for i in range(5)]
            journal.append([block(table, texts, n * 10 + k) for table in TABLES])
        journal.append([Count("a", "c", n * 10 + 5, "update", n)], {"n": str(n)})
    letter = DeadLetter("s", "a", 3, "id", 7, "refused", b"{}")
    runs: dict[str, list[Settled]] = {table: [] for table in TABLES}
    with journal.reader() as reader:
        position = 0
        while position < SINK_AT:
            page = reader.read(position, max_entries=1)
            entry = page.entries[0]
            runs[entry.entry.table].append(Settled(entry.offset, entry.count, "delivered"))
            position = page.next
    journal.settle(
        "s",
        [
            Move("a", position, tuple(runs["a"]), dead_letters=(letter,)),
            Move("b", position, tuple(runs["b"])),
        ],
    )
    if close:
        journal.close()
    return journal


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal that was closed properly."""
    path = tmp_path_factory.mktemp("closed") / "j"
    fill(path, close=True)
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal as a kill leaves it: the newest segment's entries are in its log alone."""
    folder = tmp_path_factory.mktemp("killed")
    journal = fill(folder / "live", close=False)
    shutil.copytree(folder / "live", folder / "j")
    journal.close()
    return folder / "j"


def check(path: Path, sound: Page, read_all: ReadAll, head: int, untouched: list[int]) -> Page:
    """Open a damaged copy, read it, append to it, and compare with what was written."""
    with capture_logs(), open_journal(path) as journal:
        assert journal.head >= head, "offsets would be given twice"
        page = read_all(path, 0)
        written = {stored.offset: stored for stored in sound.entries}
        for stored in page.entries:
            assert written[stored.offset] == stored, "read other than written"
        covered = 0
        for first, last in spans(page):
            assert first == covered, "neither read nor reported"
            covered = last
        assert covered == page.next == journal.head
        offsets = {stored.offset for stored in page.entries}
        missing = [
            stored.offset
            for stored in sound.entries
            if segment_of(stored.offset, untouched) and stored.offset not in offsets
        ]
        assert missing == [], "sound, but not read"

        settle_all(journal, page)
        for account in journal.accounts():
            parts = account.delivered, account.dead_lettered, account.discarded
            assert account.received == sum(parts)
            assert account.pending == 0
        again = journal.append([Count("a", "c", 1, "delete", 9)])
        assert again == journal.head
        last = read_all(path, again - 1)
        assert last.entries == [Stored(again - 1, 1, Count("a", "c", 1, "delete", 9))]
    return page


def spans(page: Page) -> Iterator[tuple[int, int]]:
    stored = [(one.offset, one.offset + one.count) for one in page.entries]
    damaged = [(one.first, one.last + 1) for one in page.damaged]
    yield from sorted(stored + damaged)


def segment_of(offset: int, bounds: list[int]) -> bool:
    """Whether an offset lies in one of the spans (first, end, first, end, ...)."""
    pairs = zip(bounds[::2], bounds[1::2], strict=True)
    return any(first <= offset < end for first, end in pairs)


def settle_all(journal: Journal, page: Page) -> None:
    moves = []
    for table, lane in journal.register("s", TABLES).items():
        runs = [
            Settled(one.offset, one.count, "delivered")
            for one in page.entries
            if one.entry.table == table and one.offset + one.count > lane.cursor
        ]
        moves.append(Move(table, journal.head, tuple(runs)))
    journal.settle("s", moves)


def copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def segments(path: Path) -> list[Path]:
    return sorted((path / "segments").glob("*.db"))


def others(path: Path, touched: Path, head: int) -> list[int]:
    """The spans of all segments but one."""
    firsts = [int(segment.stem) for segment in segments(path)]
    ends = [*firsts[1:], head]
    pairs = zip(segments(path), firsts, ends, strict=True)
    return [bound for segment, *span in pairs if segment != touched for bound in span]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), which=st.sampled_from(["closed", "killed"]))
def test_any_damage_to_any_file_costs_no_more_than_that_file(
    data: st.DataObject,
    which: str,
    closed: Path,
    killed: Path,
    read_all: ReadAll,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Flip bytes of one file, cut it short, fill it with zeros, or delete it."""
    source = {"closed": closed, "killed": killed}[which]
    sound = read_all(source)
    path = copy(source, tmp_path_factory.getbasetemp() / "damaged")
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != "lock")
    file = data.draw(st.sampled_from(files), label="file")
    size = file.stat().st_size
    damage = data.draw(st.sampled_from(["flip", "zeros", "cut", "delete"]), label="damage")
    at = data.draw(st.integers(0, max(0, size - 1)), label="at")
    content = bytearray(file.read_bytes())
    match damage:
        case "flip" if size:
            content[at] ^= data.draw(st.integers(1, 255))
            file.write_bytes(content)
        case "zeros":
            length = min(data.draw(st.integers(1, 9000)), size - at)
            content[at : at + length] = bytes(length)
            file.write_bytes(content)
        case "cut":
            file.write_bytes(content[:at])
        case "delete":
            file.unlink()
    owner = file.with_name(file.name.removesuffix("-wal").removesuffix("-shm"))

    untouched = others(source, source / owner.relative_to(path), sound.next)
    check(path, sound, read_all, sound.next, untouched)


def test_one_bad_page_costs_the_entries_on_it_alone(
    closed: Path, tmp_path: Path, read_all: ReadAll
) -> None:
    """Every page of a sealed segment in turn, but the first, which holds the root of all."""
    sound = read_all(closed)
    target = segments(closed)[1]
    first, end = int(target.stem), int(segments(closed)[2].stem)
    pages = target.stat().st_size // 4096
    lost: list[int] = []
    for number in range(1, pages):
        path = copy(closed, tmp_path / "j")
        file = path / "segments" / target.name
        content = bytearray(file.read_bytes())
        content[number * 4096 : (number + 1) * 4096] = b"\xa5" * 4096
        file.write_bytes(content)

        page = read_all(path)

        assert all(first <= damage.first <= damage.last < end for damage in page.damaged)
        lost.append(sum(damage.last + 1 - damage.first for damage in page.damaged))
    events = end - first
    assert sum(events == one for one in lost) <= 2, "only root pages may cost a whole segment"
    assert sorted(lost)[len(lost) // 2] < events / 3
    assert sound.next == read_all(closed).next


def test_a_segment_cut_short_anywhere_gives_what_is_left_of_it(
    closed: Path, tmp_path: Path, read_all: ReadAll
) -> None:
    sound = read_all(closed)
    target = segments(closed)[1]
    first, end = int(target.stem), int(segments(closed)[2].stem)
    read: list[int] = []
    path = copy(closed, tmp_path / "j")
    file = path / "segments" / target.name
    for size in range(0, target.stat().st_size, 3001):
        file.write_bytes(target.read_bytes()[:size])

        page = read_all(path, 0)

        assert all(first <= damage.first <= damage.last < end for damage in page.damaged)
        written = {stored.offset: stored for stored in sound.entries}
        assert all(written[stored.offset] == stored for stored in page.entries)
        read.append(len(page.entries))
    assert read[-1] > read[len(read) // 2] > read[0]


def test_a_deleted_segment_is_reported_and_its_events_count_as_discarded(
    closed: Path, tmp_path: Path, read_all: ReadAll
) -> None:
    sound, path = read_all(closed), copy(closed, tmp_path / "j")
    victim = segments(path)[1]
    first, end = int(victim.stem), int(segments(path)[2].stem)
    victim.unlink()

    page = check(path, sound, read_all, sound.next, others(closed, segments(closed)[1], sound.next))

    assert (page.damaged[0].first, page.damaged[0].last) == (first, end - 1)
    accounts = overview(path).sinks[0].accounts
    assert sum(account.discarded for account in accounts) == end - max(first, SINK_AT)


def test_a_log_cut_short_is_noticed_and_its_offsets_are_not_given_again(
    killed: Path, tmp_path: Path, read_all: ReadAll
) -> None:
    sound, path = read_all(killed), copy(killed, tmp_path / "j")
    log = next((path / "segments").glob("*-wal"))
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])

    with capture_logs() as logs, open_journal(path) as journal:
        assert journal.head > sound.next
        damage = read_all(path).damaged[-1]
        assert journal.stats().damaged == 1
        assert int(journal.marks()["n"]) < 59

    assert damage.last == journal_first(path) - 1
    assert any(event["event"] == "journal_damaged" for event in logs)


def journal_first(path: Path) -> int:
    return int(segments(path)[-1].stem)


def test_a_lost_state_is_made_anew_and_sinks_start_at_the_oldest_entry(
    closed: Path, tmp_path: Path, read_all: ReadAll
) -> None:
    path = copy(closed, tmp_path / "j")
    identifier = overview(path).id
    (path / "state.db").unlink()

    with capture_logs() as logs, open_journal(path) as journal:
        assert journal.id == identifier
        assert {lane.start for lane in journal.register("s", TABLES).values()} == {0}
        assert sum(account.pending for account in journal.accounts()) == journal.head

    assert [event["event"] for event in logs if event["log_level"] == "error"] == [
        "journal_state_rebuilt"
    ]


def test_dead_letters_are_saved_out_of_a_damaged_state(closed: Path, tmp_path: Path) -> None:
    path = copy(closed, tmp_path / "j")
    with sqlite3.connect(path / "state.db") as connection:
        connection.execute("UPDATE lanes SET crc = crc + 1")
    connection.close()

    with capture_logs(), open_journal(path) as journal, journal.reader() as reader:
        assert {lane.start for lane in journal.register("s", TABLES).values()} == {0}
        letters = reader.dead_letters()

    assert [(letter.offset, letter.reason) for letter in letters] == [(3, "refused")]
    assert (path / "state.db.damaged").exists()


def test_a_segment_of_another_journal_is_set_aside(
    closed: Path, tmp_path: Path, rows: MakeRows, read_all: ReadAll
) -> None:
    path = tmp_path / "j"
    with open_journal(path) as journal:
        journal.append([rows(size=200_000)])
        journal.append([rows(size=200_000)])
    foreign = segments(closed)[1]
    shutil.copy(foreign, segments(path)[0])
    shutil.copy(foreign, path / "segments" / foreign.name)

    with capture_logs() as logs, open_journal(path):
        page = read_all(path, 0)

    assert [stored.offset for stored in page.entries] == [1]
    assert [event["event"] for event in logs].count("journal_segment_foreign") == 1


def test_a_segment_that_is_damaged_while_it_is_written_is_followed_by_another(
    tmp_path: Path, rows: MakeRows, read_all: ReadAll
) -> None:
    """No entry that was accepted afterwards is lost, and offsets go on without a jump."""
    path = tmp_path / "j"
    with capture_logs(), Journal(path, max_size=64 * 2**20) as journal:
        for _ in range(300):
            journal.append([rows(count=3, size=4000)])
        newest = segments(path)[-1]
        with sqlite3.connect(newest) as other:  # moves the log into the file, to damage it there
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        with newest.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (newest.stat().st_size - 4096))
        head = journal.head

        for _ in range(10):
            journal.append([rows(count=3, size=4000)])

        assert journal.head == head + 30
        page = read_all(path, head)
    assert (page.entries[0].offset, page.next, page.damaged) == (head, head + 30, [])


def test_a_newer_format_is_refused_and_left_alone(closed: Path, tmp_path: Path) -> None:
    path = copy(closed, tmp_path / "j")
    from bridge.journal.rows import checksum

    with sqlite3.connect(path / "state.db") as connection:
        connection.execute(
            "UPDATE meta SET value = '99', crc = ? WHERE name = 'format'",
            (checksum("format", "99"),),
        )
    connection.close()

    with pytest.raises(JournalUnavailable, match="newer version"):
        open_journal(path).open()


@pytest.mark.parametrize("written", [b"9" * 19, b"-7", b"\xff\0", b"8"])
def test_a_damaged_note_of_the_head_says_nothing(
    closed: Path, tmp_path: Path, written: bytes
) -> None:
    """It neither keeps the journal from opening nor moves the head."""
    path = tmp_path / "j"
    shutil.copytree(closed, path)
    with open_journal(path) as journal:
        head = journal.head
    note = (path / "lock").read_bytes()
    (path / "lock").write_bytes(note[:12] + written + note[12 + len(written) :])

    with open_journal(path) as journal:
        assert (journal.head, journal.damaged()) == (head, [])


def test_a_note_of_the_head_holds_whatever_stands_behind_it(closed: Path, tmp_path: Path) -> None:
    """The file is never cut, so what damage has put there stays."""
    path = tmp_path / "j"
    shutil.copytree(closed, path)
    (path / "lock").write_bytes(b"\xff" * 4096)

    with open_journal(path) as journal:
        head = journal.append([Count("a", "c", 1, "update", 1)])

    assert noted_head(path) == head
