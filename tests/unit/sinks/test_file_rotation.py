"""Files that are closed: when, under which names, whole, and over no other file."""

from __future__ import annotations

import errno
import fcntl
import gzip
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from services.batches import batch_of, failures_of
from services.process import wait_until

from bridge.errors import Retry
from bridge.sinks.base import Batch
from bridge.sinks.file import FileSettings, FileSink
from bridge.sinks.file_compress import Compressor, compress
from bridge.sinks.file_note import Kind
from bridge.sinks.file_paths import ending_of, note_of
from bridge.sinks.file_runs import Part, runs_of
from bridge.testing import drive, make_event, slices_of

LINE = len(make_event(10).value) + 1


class Clocks:
    """Both of them, to be moved by hand."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.wall = 1_800_000_000.0

    def pass_(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def make(folder: Path, clocks: Clocks) -> Iterator[Callable[..., FileSink]]:
    """Makes sinks, opened; they are closed in the end."""
    made: list[FileSink] = []

    def make(name: str = "{name}.jsonl", **settings: Any) -> FileSink:
        values = {"type": "file", "path": f"{folder}/{name}", **settings}
        sink = FileSink(
            FileSettings.model_validate(values),
            clock=lambda: clocks.monotonic,
            wall=lambda: clocks.wall,
        )
        sink.open()
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close()


def some(start: int, stop: int, **settings: Any) -> Batch:
    return batch_of([make_event(offset, **settings) for offset in range(start, stop)])


def offsets(path: Path) -> list[int]:
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return [orjson.loads(line)["offset"] for line in data.splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


# When, and under which name


def test_a_file_is_closed_before_it_would_be_too_large(
    make: Callable[..., FileSink], folder: Path
) -> None:
    """Between two events, also within a batch; its name has the offset of its first event."""
    sink = make(rotate={"max_size": f"{5 * LINE}B"})

    sink.deliver(some(10, 13))
    sink.deliver(some(13, 27))
    sink.deliver(some(27, 28))

    assert names(folder) == [
        "orders.10.jsonl",
        "orders.15.jsonl",
        "orders.20.jsonl",
        "orders.25.jsonl" if (folder / "orders.25.jsonl").exists() else "orders.jsonl",
    ]
    found = [offset for name in names(folder) for offset in offsets(folder / name)]
    assert found == list(range(10, 28))
    assert all((folder / name).stat().st_size <= 5 * LINE for name in names(folder))


def test_an_event_larger_than_a_file_has_one_of_its_own(
    make: Callable[..., FileSink], folder: Path
) -> None:
    """It is not refused for a setting of ours."""
    sink = make(rotate={"max_size": f"{2 * LINE}B"})
    large = make_event(11, record={"text": "x" * 10 * LINE})

    sink.deliver(batch_of([make_event(10), large, make_event(12)]))

    assert names(folder) == ["orders.10.jsonl", "orders.11.jsonl", "orders.jsonl"]
    assert offsets(folder / "orders.11.jsonl") == [11]


def test_each_table_and_what_is_no_row_rotate_by_themselves(
    make: Callable[..., FileSink], folder: Path
) -> None:
    """A path is a file with a life of its own."""
    sink = make("{schema}/{name}", rotate={"max_size": f"{2 * LINE}B"})

    for begin in range(10, 20, 5):
        sink.deliver(some(begin, begin + 5, table="a.x"))
    sink.deliver(some(20, 21, table="b.x"))

    assert names(folder / "a") == ["x", "x.10", "x.12", "x.14", "x.16"]
    assert names(folder / "b") == ["x"]


def test_what_is_no_row_keeps_its_ending_when_it_is_closed(
    make: Callable[..., FileSink], folder: Path
) -> None:
    """It is JSON: who takes all that ends like the rows must not find it among them."""
    sink = make("{name}.csv", format="csv", rotate={"max_size": "1B"})
    for offset in (10, 11):
        (events,) = slices_of([make_event(offset, type="drop")])
        sink.deliver(Batch([replace(events, lines=replace(events.lines, notification=True))]))

    assert names(folder) == [
        "orders.csv.notifications.10.jsonl",
        "orders.csv.notifications.jsonl",
    ]


def test_no_file_is_ever_written_over(make: Callable[..., FileSink], folder: Path) -> None:
    """Nor is one taken for ours that is compressed: then a number tells them apart."""
    folder.mkdir()
    (folder / "orders.10.jsonl").write_text("theirs")
    (folder / "orders.10.2.jsonl.gz").write_text("theirs")
    sink = make(rotate={"max_size": f"{2 * LINE}B"})

    sink.deliver(some(10, 13))

    assert offsets(folder / "orders.10.3.jsonl") == [10, 11]
    assert (folder / "orders.10.jsonl").read_text() == "theirs"


def test_a_file_is_closed_when_it_is_old_though_nothing_comes(
    make: Callable[..., FileSink], folder: Path, clocks: Clocks
) -> None:
    """From its first event on, by the clock that nobody sets."""
    sink = make(rotate={"max_age": "10m"})
    sink.deliver(some(10, 12))
    clocks.pass_(599)
    clocks.wall += 10_000
    sink.idle()
    assert names(folder) == ["orders.jsonl"]

    clocks.pass_(2)
    sink.idle()

    assert names(folder) == ["orders.10.jsonl"]
    assert hidden(folder) == []
    sink.idle()
    sink.deliver(some(12, 13))
    assert offsets(folder / "orders.jsonl") == [12]


def test_an_old_file_is_closed_before_the_next_event_too(
    make: Callable[..., FileSink], folder: Path, clocks: Clocks
) -> None:
    """A sink that is never idle closes its files all the same."""
    sink = make(rotate={"max_age": "10m"})
    sink.deliver(some(10, 12))
    clocks.pass_(601)

    sink.deliver(some(12, 13))

    assert offsets(folder / "orders.10.jsonl") == [10, 11]
    assert offsets(folder / "orders.jsonl") == [12]


@pytest.mark.parametrize("quiet", [True, False])
def test_age_goes_on_while_nobody_runs(
    make: Callable[..., FileSink], folder: Path, clocks: Clocks, *, quiet: bool
) -> None:
    """It counts from the file's birth, which stands beside it; events may come or not."""
    first = make(rotate={"max_age": "10m"})
    first.deliver(some(10, 12))
    first.close()
    clocks.wall += 590
    clocks.monotonic = 5.0  # another boot
    second = make(rotate={"max_age": "10m"})
    if not quiet:
        second.deliver(some(12, 13))
    second.idle()
    assert names(folder) == ["orders.jsonl"]

    clocks.pass_(11)
    second.idle()

    assert offsets(folder / "orders.10.jsonl") == [10, 11] if quiet else [10, 11, 12]
    assert names(folder) == ["orders.10.jsonl"]


def test_a_file_begun_without_rotation_has_its_first_offset_too(
    make: Callable[..., FileSink], folder: Path
) -> None:
    """It stands in its first line; somebody else's file has that of our first event in it."""
    plain = make()
    plain.deliver(some(10, 12))
    plain.close()
    (folder / "theirs.jsonl").write_text("theirs\n")
    sink = make(rotate={"max_size": f"{2 * LINE}B"})

    sink.deliver(some(12, 13))
    sink.deliver(batch_of([make_event(n, table="x.theirs") for n in range(13, 16)]))

    assert offsets(folder / "orders.10.jsonl") == [10, 11]
    assert (folder / "theirs.13.jsonl").read_text().startswith("theirs\n")


def test_another_sink_of_the_folder_is_left_alone(
    make: Callable[..., FileSink], folder: Path, clocks: Clocks
) -> None:
    """Though its path could be one of ours: what is written beside a file says whose it is."""
    other = make("audit.jsonl", rotate={"max_age": "1h"})
    other.deliver(some(10, 12))
    other.close()
    clocks.pass_(3000)
    ours = make("{name}.jsonl", rotate={"max_age": "10m"})

    ours.idle()

    assert names(folder) == ["audit.jsonl"]


def test_what_another_took_away_is_not_missed(
    make: Callable[..., FileSink], folder: Path, clocks: Clocks
) -> None:
    """logrotate may go on beside ours: no file comes from nothing."""
    sink = make(rotate={"max_age": "10m"})
    sink.deliver(some(10, 12))
    (folder / "orders.jsonl").rename(folder / "moved")
    clocks.pass_(601)

    sink.idle()
    assert names(folder) == ["moved"]
    sink.deliver(some(12, 13))
    assert names(folder) == ["moved", "orders.jsonl"]
    clocks.pass_(601)
    sink.idle()
    assert names(folder) == ["moved", "orders.12.jsonl"]


# Whatever fails


CALLS = [("link", os.link), ("fsync", os.fsync), ("pwrite", os.pwrite), ("open", os.open)]


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize(("name", "call"), CALLS)
def test_a_closing_that_fails_anywhere_is_made_up_for(
    make: Callable[..., FileSink],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    call: Callable[..., Any],
    n: int,
) -> None:
    """By the next try: every event is there, each line whole, and nothing is left lying about."""
    sink = make(rotate={"max_size": f"{3 * LINE}B"})
    left = n

    def fails(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return call(*arguments, **named)

    monkeypatch.setattr(os, name, fails)
    drive(sink, [make_event(offset) for offset in range(10, 20)])
    monkeypatch.undo()
    sink.close()

    found = [offset for each in names(folder) for offset in offsets(folder / each)]
    assert set(found) == set(range(10, 20))
    assert set(hidden(folder)) <= {".orders.jsonl%note"}


@pytest.mark.parametrize("name", ["{name}.jsonl", "all.jsonl"])
def test_what_is_in_closed_files_is_not_written_again(
    make: Callable[..., FileSink], folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Else a disk that fills up again and again would fill with copies, and nothing go on."""
    sink = make(name, rotate={"max_size": f"{3 * LINE}B"})
    written, room = os.writev, 0

    def writev(descriptor: int, pieces: Any) -> int:
        nonlocal room
        room -= sum(map(len, pieces))
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(descriptor, pieces)

    monkeypatch.setattr(os, "writev", writev)
    tries = 0
    batch = some(10, 40)
    while not tries or failures_of(batch):
        tries, room, batch = tries + 1, 7 * LINE, some(10, 40)
        with suppress(Retry):
            sink.deliver(batch)
            continue
        batch.fail("ki_home.orders", Retry("all of it"))
    monkeypatch.undo()

    def found() -> list[int]:
        return sorted(n for each in names(folder) for n in offsets(folder / each))

    assert (found(), tries) == ([*range(10, 40)], 5)
    sink.deliver(some(10, 12))  # by hand, say
    assert found() == sorted([*range(10, 40), 10, 11])


def test_a_closed_file_that_was_not_synced_is_undone(
    make: Callable[..., FileSink], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel forgets which pages it could not write: what comes again must not follow them."""
    sink = make(rotate={"max_size": f"{3 * LINE}B"})
    synced, sizes = os.fsync, []

    def fsync(descriptor: int) -> None:
        if (size := os.fstat(descriptor).st_size) == 3 * LINE and not sizes:
            sizes.append(size)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    batch = some(10, 14)
    sink.deliver(batch)

    assert set(batch.failed_tables) == {"ki_home.orders"}
    assert (folder / "orders.jsonl").stat().st_size == 0


def test_a_note_that_cannot_be_read_holds_up_its_file_alone(
    make: Callable[..., FileSink], folder: Path, clocks: Clocks
) -> None:
    """Also when the sink is opened; as a folder does that has become read-only."""
    sink = make(rotate={"max_age": "10m"})
    events = [make_event(n, table=f"s.{table}") for n, table in enumerate("abab", 10)]
    sink.deliver(batch_of(events[:2]))
    sink.close()
    note = note_of(folder / "a.jsonl")
    note.unlink()
    note.mkdir()

    sink = make(rotate={"max_age": "10m"})
    batch = batch_of(events[2:])
    sink.deliver(batch)
    clocks.pass_(601)
    with pytest.raises(Retry, match=r"a\.jsonl%note"):
        sink.idle()

    assert set(batch.failed_tables) == {"s.a"}
    assert names(folder) == ["a.jsonl", "b.11.jsonl"]


def test_without_links_a_file_is_renamed(
    make: Callable[..., FileSink], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FAT; what has the name is still not written over."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    folder.mkdir()
    (folder / "orders.10.jsonl").write_text("theirs")
    sink = make(rotate={"max_size": f"{2 * LINE}B"})

    sink.deliver(some(10, 13))

    assert (folder / "orders.10.jsonl").read_text() == "theirs"
    assert offsets(folder / "orders.10.2.jsonl") == [10, 11]


def test_one_file_that_cannot_be_closed_holds_up_no_other(
    make: Callable[..., FileSink], folder: Path, clocks: Clocks
) -> None:
    """It is said, and tried again; a name may be too long for an offset."""
    sink = make("{name}", rotate={"max_age": "10m"})
    long = "x" * 249
    first = 10**9
    events = [make_event(first, table=f"s.{long}"), make_event(first + 1, table="s.a")]
    sink.deliver(batch_of(events))
    clocks.pass_(601)

    with pytest.raises(Retry, match="File name too long"):
        sink.idle()

    assert names(folder) == ["a.1000000001", long]


# Compressed


def unpacked(path: Path) -> list[int]:
    read = gzip.decompress if path.suffix == ".gz" else zstd.decompress
    return [orjson.loads(line)["offset"] for line in read(path.read_bytes()).splitlines()]


@pytest.mark.parametrize(("method", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_closed_files_are_compressed(
    make: Callable[..., FileSink], folder: Path, method: str, ending: str
) -> None:
    """By a thread of their own; the plain file goes when the other is whole."""
    sink = make(rotate={"max_size": f"{5 * LINE}B"}, compress=method)

    sink.deliver(some(10, 27))

    wanted = [f"orders.{n}.jsonl{ending}" for n in (10, 15, 20)] + ["orders.jsonl"]
    wait_until(lambda: names(folder) == wanted, "they are compressed")
    wait_until(lambda: hidden(folder) == [".orders.jsonl%note"], "nothing is left")
    assert [unpacked(folder / name) for name in wanted[:3]] == [
        list(range(n, n + 5)) for n in (10, 15, 20)
    ]


def test_what_a_crash_left_is_compressed_at_the_next_start(
    make: Callable[..., FileSink], folder: Path
) -> None:
    """Closed and not compressed, half compressed, compressed and not removed; others are not."""
    settings: dict[str, Any] = {"rotate": {"max_size": f"{5 * LINE}B"}, "compress": "gzip"}
    values = {"type": "file", "path": f"{folder}/{{name}}.jsonl", **settings}
    sink = FileSink(FileSettings.model_validate(values))  # not open: its thread does not run
    sink.deliver(some(10, 27))
    sink.close()
    assert names(folder)[0] == "orders.10.jsonl"
    (folder / "orders.7.jsonl").write_text("theirs")

    again = make(**settings)

    wanted = ["orders.10.jsonl.gz", "orders.15.jsonl.gz", "orders.20.jsonl.gz"]
    wait_until(lambda: names(folder)[:3] == wanted, "they are compressed")
    again.close()
    assert (folder / "orders.7.jsonl").read_text() == "theirs"


@pytest.mark.parametrize("stage", ["half", "named", "gone"])
def test_each_stage_of_compressing_may_be_the_last(folder: Path, stage: str) -> None:
    """Begun again it comes to the same end."""
    folder.mkdir()
    path = folder / "a.1.jsonl"
    if stage != "gone":
        path.write_bytes(b"x" * 10_000)
    if stage == "half":
        (folder / ".a.1.jsonl%part").write_bytes(b"half")
    if stage == "named":
        (folder / "a.1.jsonl.gz").write_bytes(gzip.compress(b"x" * 10_000))
    note_of(path).write_text("{}")

    compress(path, "gzip")
    compress(path, "gzip")

    assert hidden(folder) == []
    if stage != "gone":
        assert gzip.decompress((folder / "a.1.jsonl.gz").read_bytes()) == b"x" * 10_000
        assert not path.exists()


def test_a_stop_leaves_a_closed_file_as_it_is(folder: Path) -> None:
    """A large one is not waited for; it is begun again."""
    folder.mkdir()
    path = folder / "a.1.jsonl"
    path.write_bytes(b"x" * 3 * 2**20)

    compress(path, "gzip", stopping=lambda: True)

    assert names(folder) == ["a.1.jsonl"]
    assert hidden(folder) == []


@pytest.mark.parametrize(
    "settings",
    [{"compress": "gzip"}, {"rotate": {}}, {"rotate": {"max_size": "0B"}}, {"compress": "lzma"}],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any]) -> None:
    """Before anything starts."""
    with pytest.raises(ValidationError):
        FileSettings.model_validate({"type": "file", "path": "a"} | settings)


def test_a_missing_library_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """At start, and not when the first file is closed."""
    monkeypatch.setattr("bridge.sinks.extras.find_spec", lambda _: None)
    values = {"type": "file", "path": "a", "rotate": {"max_size": "1MiB"}, "compress": "zstd"}

    with pytest.raises(ValidationError, match=r"pip install 'kinetica-bridge\[zstd\]'"):
        FileSettings.model_validate(values)


# Which lines go where


def test_lines_are_divided_by_size_and_kind() -> None:
    """A new kind begins a new file, also without a limit."""
    (whole,) = slices_of([make_event(offset) for offset in range(10, 20)])
    csv = Kind("csv", b"a,b\n")

    def runs(parts: list[Part], kind: Kind, size: int, most: int | None) -> list[Any]:
        return [
            (run.fresh, run.first, sum(map(len, run.pieces)) // LINE)
            for run in runs_of(parts, kind, size, most)
        ]

    json = Kind("json")
    assert runs([Part(whole, json)], json, 0, None) == [(False, 10, 10)]
    assert runs([Part(whole, json)], csv, 50, None) == [(True, 10, 10)]
    assert runs([Part(whole, json)], csv, 0, None) == [(False, 10, 10)]
    assert runs([Part(whole, json), Part(whole, csv)], json, 0, None) == [
        (False, 10, 10),
        (True, 10, 10),
    ]
    assert runs([Part(whole, json)], json, 2 * LINE, 5 * LINE) == [
        (False, 10, 3),
        (True, 13, 5),
        (True, 18, 2),
    ]
    assert runs([Part(whole, json)], json, 5 * LINE, 5 * LINE)[0] == (True, 10, 5)
    assert runs([Part(whole.part(0, 2), json)], json, 0, 1) == [(False, 10, 1), (True, 11, 1)]
    assert runs([Part(whole, csv)], csv, 0, 5 * LINE + 4)[0] == (False, 10, 5)
    assert runs([Part(whole, csv)], csv, 0, 5 * LINE + 3)[0] == (False, 10, 4)


@pytest.mark.parametrize(
    ("template", "ending"),
    [
        ("out/{table}.jsonl", ".jsonl"),
        ("out/{table}", ""),
        ("a.b/{name}.{date}", ""),
        (".hidden", ""),
        ("x.tar.csv", ".csv"),
    ],
)
def test_an_ending_is_never_a_part_of_a_name(template: str, ending: str) -> None:
    """A table's name has a dot too."""
    assert ending_of(template) == ending


def test_two_never_compress_one_file(folder: Path) -> None:
    """A sink that is replaced by a reload may still be at it."""
    folder.mkdir()
    path = folder / "a.1.jsonl"
    path.write_bytes(b"x")
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        compress(path, "gzip")
        assert names(folder) == ["a.1.jsonl"]

    compress(path, "gzip")

    assert names(folder) == ["a.1.jsonl.gz"]


def test_what_cannot_be_compressed_is_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the disk failed or we did: the file stays, and its turn comes again."""
    folder.mkdir()
    path = folder / "a.1.jsonl"
    path.write_bytes(b"x")
    errors: list[Exception] = [OSError(errno.ENOSPC, "full"), ValueError("a fault of ours")]
    made = gzip.GzipFile

    def fails(*arguments: Any, **named: Any) -> gzip.GzipFile:
        if errors:
            raise errors.pop(0)
        return made(*arguments, **named)

    monkeypatch.setattr(gzip, "GzipFile", fails)
    compressor = Compressor("gzip", pause=0.01)
    compressor.add(path)
    compressor.start()

    wait_until(lambda: names(folder) == ["a.1.jsonl.gz"], "it is compressed")
    compressor.stop()

    assert hidden(folder) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_comes_each_event_is_there_once_and_in_order(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Many tables, few open files, restarts, days, sizes and ages."""
    folder = tmp_path_factory.mktemp("any")
    clocks = Clocks()
    size = data.draw(st.sampled_from([1, LINE, 3 * LINE, 10**6]))
    values = {
        "type": "file",
        "path": f"{folder}/{data.draw(st.sampled_from(['{name}', '{name}.{date}.x']))}",
        "rotate": {"max_size": f"{size}B", "max_age": "100s"},
    }

    def opened() -> FileSink:
        sink = FileSink(
            FileSettings.model_validate(values),
            data.draw(st.integers(1, 3)),
            lambda: clocks.monotonic,
            lambda: clocks.wall,
        )
        sink.open()
        return sink

    sink, offset = opened(), 10
    for step in data.draw(st.lists(st.sampled_from(["batch", "age", "restart"]), max_size=12)):
        if step == "batch":
            tables = data.draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
            hour = 3_600_000_000
            events = [
                make_event(offset + n, table=f"s.{table}", time=(offset + n) * hour)
                for n, table in enumerate(tables)
            ]
            assert not drive(sink, events).retries
            offset += len(tables)
        elif step == "age":
            clocks.pass_(60)
            sink.idle()
        else:
            sink.close()
            clocks.wall += 30
            sink = opened()
    clocks.pass_(101)
    sink.idle()
    sink.close()

    found = []
    for table in "abcd":
        files = [path for path in folder.glob(f"{table}*") if path.name[0] != "."]
        assert all(re.search(r"\.\d+(\.x)?$", path.name) for path in files)
        firsts = sorted((offsets(path)[0], offsets(path)) for path in files)
        mine = [each for _, part in firsts for each in part]
        assert mine == sorted(mine)
        found += mine
    assert sorted(found) == list(range(10, offset))
    assert hidden(folder) == []
