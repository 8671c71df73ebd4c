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

from bridge.errors import Reject, Retry
from bridge.sinks import file as file_module
from bridge.sinks.base import Batch
from bridge.sinks.file import FileSettings, FileSink, expand
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
    ],
)
def test_a_table_names_its_file(table: str, name: str) -> None:
    """The qualified name, `/` percent-encoded."""
    assert expand("{table}.jsonl", table) == name


@pytest.mark.parametrize("path", ["", "out/", "{tabel}.jsonl", "{schema}.{table}", "a\0b"])
def test_a_path_that_names_no_file_is_refused(path: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValidationError):
        FileSettings(type="file", path=path)


# Lines


def test_a_line_torn_by_a_crash_is_cut_off(path: Path) -> None:
    """It was never acknowledged, and what is whole stays."""
    path.parent.mkdir()
    for rest in (b'{"offset":1', b"x" * 200_000, b"\0" * 70_000):
        path.write_bytes(b'{"offset":0}\n' + rest)
        sink = make_sink(path)
        sink.deliver(Batch([make_event(2)]))
        sink.close()
        assert offsets(path) == [0, 2]


def test_a_file_of_one_torn_line_is_emptied(path: Path) -> None:
    """There is no line end to go back to."""
    path.parent.mkdir()
    path.write_bytes(b"x" * 150_000)
    sink = make_sink(path)
    sink.deliver(Batch([make_event(2)]))
    sink.close()

    assert offsets(path) == [2]


@pytest.mark.parametrize("rotate", [Path.unlink, lambda path: path.rename(f"{path}.1")])
def test_a_rotated_file_is_opened_anew(
    sink: FileSink, path: Path, rotate: Callable[[Path], None]
) -> None:
    """The next batch goes to the path, and not to where the old file went."""
    sink.deliver(Batch([make_event(0)]))
    rotate(path)

    sink.deliver(Batch([make_event(1)]))

    assert offsets(path) == [1]


def test_a_file_emptied_by_another_goes_on(sink: FileSink, path: Path) -> None:
    """As `copytruncate` of logrotate does."""
    sink.deliver(Batch([make_event(0)]))
    os.truncate(path, 0)

    sink.deliver(Batch([make_event(1)]))

    assert offsets(path) == [1]


def test_a_removed_folder_comes_back(sink: FileSink, path: Path) -> None:
    """Folders are created whenever they are missing."""
    sink.deliver(Batch([make_event(0)]))
    path.unlink()
    path.parent.rmdir()

    sink.deliver(Batch([make_event(1)]))

    assert offsets(path) == [1]


def test_many_tables_share_a_bounded_number_of_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More files than may be open are written in one batch, and in the next."""
    monkeypatch.setattr(file_module, "MAX_OPEN_FILES", 3)
    sink = make_sink(tmp_path / "{table}")
    events = [make_event(offset, table=f"t{offset % 10}") for offset in range(100)]
    before = descriptors()

    for begin in range(0, 100, 50):
        sink.deliver(Batch(events[begin : begin + 50]))
        assert descriptors() <= before + 3

    sink.close()
    assert descriptors() == before
    for table in range(10):
        assert offsets(tmp_path / f"t{table}") == list(range(table, 100, 10))


def test_two_sinks_do_not_write_one_file(sink: FileSink, path: Path) -> None:
    """The second is told, and goes on when the first has let go."""
    sink.deliver(Batch([make_event(0)]))
    second = make_sink(path)

    with pytest.raises(Retry, match="is being written by another sink or process"):
        second.deliver(Batch([make_event(1)]))
    sink.close()
    second.deliver(Batch([make_event(1)]))
    second.close()

    assert offsets(path) == [0, 1]


# Faults


class FailingDisk:
    """Lets the calls of one function through but the n-th; a failing write writes a part."""

    def __init__(self, function: Callable[..., Any], n: int, code: int) -> None:
        self.function, self.left, self.code = function, n, code

    def __call__(self, *arguments: Any) -> Any:
        self.left -= 1
        if self.left != 0:
            if self.function is REAL["write"]:
                descriptor, data = arguments
                return self.function(descriptor, data[:300])  # the disk takes it in pieces
            return self.function(*arguments)
        if self.function is REAL["write"]:
            descriptor, data = arguments
            self.function(descriptor, data[:70])
        raise OSError(self.code, os.strerror(self.code))


REAL = {name: getattr(os, name) for name in ("write", "fsync", "open", "ftruncate")}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("name", ["write", "fsync", "open"])
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
    monkeypatch.setattr(os, "write", FailingDisk(REAL["write"], n, errno.EIO))
    monkeypatch.setattr(os, "ftruncate", FailingDisk(REAL["ftruncate"], 1, errno.EIO))
    events = [make_event(offset) for offset in range(10)]

    drive(sink, events)
    sink.close()
    monkeypatch.undo()

    assert set(offsets(path)) == set(range(10))
    assert offsets(path)[-10:] == list(range(10))


def test_one_failing_file_holds_up_no_other(tmp_path: Path) -> None:
    """Only its own events are marked to be sent again, with the reason."""
    (tmp_path / "b").mkdir()
    sink = make_sink(tmp_path / "{table}")
    batch = Batch([make_event(offset, table="ab"[offset % 2]) for offset in range(6)])

    sink.deliver(batch)

    assert sorted(batch.failures) == [1, 3, 5]
    assert all(isinstance(error, Retry) for error in batch.failures.values())
    assert f"{tmp_path}/b: Is a directory" in str(batch.failures[1])
    assert offsets(tmp_path / "a") == [0, 2, 4]
    sink.close()


def test_a_table_whose_name_no_file_can_have_is_rejected(tmp_path: Path) -> None:
    """Trying again would not shorten it."""
    sink = make_sink(tmp_path / "{table}")

    with pytest.raises(Reject, match="too long"):
        sink.deliver(Batch([make_event(0, table="x" * 300)]))


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_what_is_no_regular_file_is_refused_by_check(path: Path, kind: str) -> None:
    """A pipe or a device cannot be synced, so nothing could be promised."""
    path.parent.mkdir()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    sink = FileSink(FileSettings(type="file", path=str(path)))

    with pytest.raises(Retry, match="no regular file"):
        sink.check()
    with pytest.raises(Retry):
        sink.deliver(Batch([make_event(0)]))


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
