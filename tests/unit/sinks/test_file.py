"""The file sink: whole lines, on the disk, in the right file, whatever the disk answers."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from services.batches import batch_of

from bridge.errors import Retry
from bridge.events import rfc3339
from bridge.sinks.base import Batch
from bridge.sinks.file import FileSettings, FileSink
from bridge.sinks.file_paths import expand
from bridge.sinks.writing import MOST_PIECES
from bridge.testing import drive, make_event


def make_sink(path: Path | str) -> FileSink:
    sink = FileSink(FileSettings(type="file", path=str(path)))
    sink.open()
    return sink


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "events.jsonl"


@pytest.fixture
def sink(path: Path) -> Iterator[FileSink]:
    sink = make_sink(path)
    yield sink
    sink.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def offsets(path: Path) -> list[int]:
    data = path.read_bytes()
    assert data.endswith(b"\n") or not data
    return [orjson.loads(line)["offset"] for line in data.splitlines()]


# Paths


@given(st.text(min_size=1))
def test_no_table_name_leaves_its_folder(table: str) -> None:
    """Whatever a table is called, its file stands in the folder that the template names."""
    found = expand("/out/{table}", table)
    deep = expand("/out/{table}/x", table)

    assert Path(os.path.normpath(found)).parent == Path("/out")
    assert Path(os.path.normpath(deep)).parent.parent == Path("/out")


@given(st.lists(st.text(), unique=True, min_size=2, max_size=2))
def test_two_tables_never_share_a_file(tables: list[str]) -> None:
    """The encoding can be undone."""
    assert expand("{table}.jsonl", tables[0]) != expand("{table}.jsonl", tables[1])


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("ki_home.orders", "ki_home.orders.jsonl"),
        ("ki_home.a/b", "ki_home.a%2Fb.jsonl"),
        ("größe 量", "größe 量.jsonl"),
        ("a.{name}", "a.{name}.jsonl"),
    ],
)
def test_a_table_names_its_file(table: str, name: str) -> None:
    """The qualified name, `/` percent-encoded."""
    assert expand("{table}.jsonl", table) == name


@pytest.mark.parametrize("path", ["", "out/", "{tabel}.jsonl", "{day}.{table}", "a\0b"])
def test_a_path_that_names_no_file_is_refused(path: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValidationError):
        FileSettings(type="file", path=path)


# Lines


OURS = make_event(0).value + b"\n"
TORN = make_event(1, record={"text": "x" * 150_000, "more": {"a": {}}}).value


@pytest.mark.parametrize("length", [30, 100, 140_000, len(TORN) - 2, len(TORN) - 1])
def test_a_line_torn_by_a_crash_is_cut_off(path: Path, length: int) -> None:
    """It was never acknowledged, and what is whole stays."""
    path.parent.mkdir()
    path.write_bytes(OURS + TORN[:length])

    append(path, 2)

    assert offsets(path) == [0, 2]


@pytest.mark.parametrize("rest", [TORN[:length] for length in range(1, 24)] + [b"\0" * 70_000])
def test_a_torn_line_too_short_to_tell_is_ours_behind_one_of_ours(path: Path, rest: bytes) -> None:
    """So are the zeros that a power cut leaves where data did not reach the disk."""
    path.parent.mkdir()
    path.write_bytes(OURS + rest)

    append(path, 2)

    assert offsets(path) == [0, 2]


@pytest.mark.parametrize(
    "text",
    [
        b"x" * 200_000,
        b'{"offset":1',
        b'{"id":"0000000000000000-1","type":"ins',
        b"{",
        b"\0\0",
        make_event(1).value,
    ],
)
def test_a_last_line_that_is_not_ours_is_never_cut(path: Path, text: bytes) -> None:
    """Nor is a whole one of ours: both get the line feed that they lack, before our first line."""
    path.parent.mkdir()
    path.write_bytes(b"foreign\n" + text)

    append(path, 2)

    assert path.read_bytes() == b"foreign\n" + text + b"\n" + make_event(2).value + b"\n"


def test_what_another_appends_meanwhile_is_kept_apart(sink: FileSink, path: Path) -> None:
    """Its last line gets its line feed before our next one."""
    sink.deliver(batch_of([make_event(0)]))
    with path.open("ab") as file:
        file.write(b"foreign")

    sink.deliver(batch_of([make_event(1)]))

    lines = [make_event(0).value, b"foreign", make_event(1).value, b""]
    assert path.read_bytes().split(b"\n") == lines


def append(path: Path, offset: int) -> None:
    sink = make_sink(path)
    sink.deliver(batch_of([make_event(offset)]))
    sink.close()


def test_more_lines_than_one_system_call_takes_arrive(sink: FileSink, path: Path) -> None:
    """Each event in a slice of its own, as where tables alternate."""
    events = [make_event(offset, table=f"t{offset % 2}") for offset in range(3 * MOST_PIECES + 1)]
    batch = batch_of(events)
    assert len(batch.slices) == len(events)

    sink.deliver(batch)

    assert path.read_bytes() == b"".join(event.value + b"\n" for event in events)


def test_midnight_parts_a_slice(tmp_path: Path) -> None:
    """`{date}` is the day of each event in UTC; one slice may have many days."""
    sink = make_sink(tmp_path / "{schema}" / "{name}.{date}.jsonl")
    hour = 3_600_000_000
    events = [make_event(n, time=1_795_509_720_000_000 + n * 6 * hour) for n in range(10)]
    whole = batch_of(events).slices[0]
    assert len(whole) == 10

    sink.deliver(Batch([whole.part(0, 1), whole.part(1, 8), whole.part(8, 10)]))
    sink.close()

    days: dict[str, list[int]] = {}
    for event in events:
        days.setdefault(rfc3339(event.time)[:10], []).append(event.offset)
    assert len(days) == 3
    found = {file.name: offsets(file) for file in (tmp_path / "ki_home").iterdir()}
    assert found == {f"orders.{day}.jsonl": wanted for day, wanted in days.items()}


@pytest.mark.parametrize("rotate", [Path.unlink, lambda path: path.rename(f"{path}.1")])
def test_a_rotated_file_is_opened_anew(
    sink: FileSink, path: Path, rotate: Callable[[Path], None]
) -> None:
    """The next batch goes to the path, and not to where the old file went."""
    sink.deliver(batch_of([make_event(0)]))
    rotate(path)

    sink.deliver(batch_of([make_event(1)]))

    assert offsets(path) == [1]


def test_a_file_emptied_by_another_goes_on(sink: FileSink, path: Path) -> None:
    """As `copytruncate` of logrotate does."""
    sink.deliver(batch_of([make_event(0)]))
    os.truncate(path, 0)

    sink.deliver(batch_of([make_event(1)]))

    assert offsets(path) == [1]


def test_a_removed_folder_comes_back(sink: FileSink, path: Path) -> None:
    """Folders are created whenever they are missing."""
    sink.deliver(batch_of([make_event(0)]))
    path.unlink()
    path.parent.rmdir()

    sink.deliver(batch_of([make_event(1)]))

    assert offsets(path) == [1]


def test_many_tables_share_a_bounded_number_of_descriptors(
    tmp_path: Path,
) -> None:
    """More files than may be open are written in one batch, and in the next."""
    sink = FileSink(FileSettings(type="file", path=f"{tmp_path}/{{table}}"), max_open=3)
    events = [make_event(offset, table=f"t{offset % 10}") for offset in range(100)]
    before = descriptors()

    for begin in range(0, 100, 50):
        sink.deliver(batch_of(events[begin : begin + 50]))
        assert descriptors() <= before + 3

    sink.close()
    assert descriptors() == before
    for table in range(10):
        assert offsets(tmp_path / f"t{table}") == list(range(table, 100, 10))


def test_two_sinks_do_not_write_one_file(sink: FileSink, path: Path) -> None:
    """The second is told, and goes on when the first has let go."""
    sink.deliver(batch_of([make_event(0)]))
    second = make_sink(path)

    with pytest.raises(Retry, match="is being written by another sink or process"):
        second.deliver(batch_of([make_event(1)]))
    sink.close()
    second.deliver(batch_of([make_event(1)]))
    second.close()

    assert offsets(path) == [0, 1]


# Faults


class FailingDisk:
    """Lets the calls of one function through but the n-th; a write before it writes a part."""

    def __init__(self, function: Callable[..., Any], n: int, code: int) -> None:
        self.function, self.left, self.code = function, n, code

    def __call__(self, *arguments: Any) -> Any:
        self.left -= 1
        if not self.left:
            raise OSError(self.code, os.strerror(self.code))
        if self.function is REAL["writev"]:
            descriptor, pieces = arguments
            return os.write(descriptor, b"".join(pieces)[:300])
        return self.function(*arguments)


REAL = {name: getattr(os, name) for name in ("writev", "fsync", "open", "ftruncate")}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("name", ["writev", "fsync", "open"])
@pytest.mark.parametrize("n", range(1, 13))
def test_each_event_is_there_once_whichever_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, n: int, code: int
) -> None:
    """A write that stopped half way is undone; one that was not synced is written again."""
    sink = make_sink(tmp_path / "new" / "{table}")
    disk = FailingDisk(REAL[name], n, code)
    monkeypatch.setattr(os, name, disk)
    events = [make_event(offset, table=f"t{offset % 2}") for offset in range(20)]

    result = drive(sink, events[:10])
    result.retries += drive(sink, events[10:]).retries
    sink.close()
    monkeypatch.undo()

    assert len(result.retries) >= (disk.left <= 0)
    assert all(os.strerror(code) in str(error) for error in result.retries)
    for table in range(2):
        assert offsets(tmp_path / "new" / f"t{table}") == list(range(table, 20, 2))


@pytest.mark.parametrize("n", range(1, 9))
def test_no_line_is_torn_even_if_a_write_cannot_be_undone(
    path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    """Then events may be there twice, never half: what is torn is cut when it is opened anew."""
    sink = make_sink(path)
    monkeypatch.setattr(os, "writev", FailingDisk(REAL["writev"], n, errno.EIO))
    monkeypatch.setattr(os, "ftruncate", FailingDisk(REAL["ftruncate"], 1, errno.EIO))
    events = [make_event(offset) for offset in range(10)]

    drive(sink, events)
    sink.close()
    monkeypatch.undo()

    assert set(offsets(path)) == set(range(10))
    assert offsets(path)[-10:] == list(range(10))


def test_one_failing_file_holds_up_no_other(tmp_path: Path) -> None:
    """A folder in its place, or a name that no file can have: it waits, with the reason."""
    (tmp_path / "b").mkdir()
    long = "x" * 300
    sink = make_sink(tmp_path / "{table}")
    tables = ("a", "b", long)
    batch = batch_of([make_event(offset, table=tables[offset % 3]) for offset in range(9)])

    sink.deliver(batch)
    sink.close()

    assert not batch.failed_events
    assert {table: type(error) for table, error in batch.failed_tables.items()} == {
        "b": Retry,
        long: Retry,
    }
    assert f"{tmp_path}/b: Is a directory" in str(batch.failed_tables["b"])
    assert "File name too long" in str(batch.failed_tables[long])
    assert offsets(tmp_path / "a") == [0, 3, 6]


def test_one_file_for_all_tables_fails_as_a_whole(tmp_path: Path) -> None:
    """No table is to blame: the sink waits."""
    sink = make_sink(tmp_path / "out-{date}")
    sink.deliver(batch_of([make_event(0)]))
    (file,) = tmp_path.iterdir()
    sink.close()
    file.unlink()
    file.mkdir()
    batch = batch_of([make_event(offset, table="ab"[offset % 2]) for offset in range(6)])

    with pytest.raises(Retry, match="Is a directory"):
        sink.deliver(batch)

    assert not batch.failed_tables


def test_an_append_is_not_undone_over_what_another_wrote(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then our lines may be there twice; what is not ours is never taken away."""
    sink = make_sink(path)

    def fail(descriptor: int) -> None:
        with path.open("ab") as file:
            file.write(b"foreign\n")
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    sink.deliver(batch_of([make_event(0)]))
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Retry):
        sink.deliver(batch_of([make_event(1)]))
    monkeypatch.undo()
    sink.deliver(batch_of([make_event(1)]))
    sink.close()

    lines = [make_event(0).value, make_event(1).value, b"foreign", make_event(1).value, b""]
    assert path.read_bytes().split(b"\n") == lines


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_no_regular_file_is_refused_by_check(path: Path, kind: str) -> None:
    """A pipe or a device cannot be synced, so nothing could be promised."""
    path.parent.mkdir()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    sink = FileSink(FileSettings(type="file", path=str(path)))

    with pytest.raises(Retry, match="no regular file"):
        sink.check()
    with pytest.raises(Retry):
        sink.deliver(batch_of([make_event(0)]))


def test_check_names_what_stands_in_the_way(tmp_path: Path) -> None:
    """A file where a folder should be, at any depth, with `{table}` or without."""
    (tmp_path / "taken").write_text("")
    for path in ("taken/{table}.jsonl", "taken/a/b.jsonl"):
        with pytest.raises(Retry, match="taken is no folder"):
            FileSink(FileSettings(type="file", path=f"{tmp_path}/{path}")).check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_check_says_that_permission_is_lacking(tmp_path: Path) -> None:
    """For a file and for the folder that a file would be created in."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("")
    (tmp_path / "mine" / "file").chmod(0o400)
    (tmp_path / "mine").chmod(0o500)
    for name in ("file", "new"):
        with pytest.raises(Retry, match="permission denied"):
            FileSink(FileSettings(type="file", path=f"{tmp_path}/mine/{name}")).check()
