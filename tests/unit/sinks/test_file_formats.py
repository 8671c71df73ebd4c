"""Files of other formats: headers, what is no row, what stood there, and what a crash tore."""

from __future__ import annotations

import csv
import errno
import io
import os
import tempfile
from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.batches import batch_of

from bridge.errors import Retry
from bridge.lines import Lines, Slice
from bridge.sinks.base import Batch
from bridge.sinks.file import FileSettings, FileSink
from bridge.sinks.file_note import Kind
from bridge.sinks.torn import Announced
from bridge.testing import make_event, slices_of

HEADER = b"id,text\n"


def sink_of(path: Path, format: str = "csv", **settings: Any) -> FileSink:  # noqa: A002
    values = {"type": "file", "path": str(path), "format": format, **settings}
    sink = FileSink(FileSettings.model_validate(values))
    sink.open()
    return sink


def lines_of(first: int, texts: Sequence[bytes], header: bytes | None = HEADER) -> Lines:
    (model,) = slices_of([make_event(first + index) for index in range(len(texts))])
    ends = memoryview(array("Q", accumulate(len(text) + 1 for text in texts)))
    buffer = b"".join(text + b"\n" for text in texts)
    return replace(model.lines, buffer=buffer, ends=ends, header=header)


def rows(first: int, *texts: bytes, header: bytes | None = HEADER) -> Batch:
    lines = lines_of(first, texts, header)
    return Batch([Slice(lines, 0, len(lines))])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "{name}.csv"


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name[0] != ".")


def test_the_header_stands_first_in_each_file_and_nowhere_else(path: Path) -> None:
    """Over batches, restarts and rotations."""
    for begin in (10, 12):
        sink = sink_of(path, rotate={"max_size": "28B"})
        sink.deliver(rows(begin, b"1,a", b"2,b"))
        sink.deliver(rows(begin + 20, b"3,c"))
        sink.close()

    assert names(path.parent) == ["orders.10.csv", "orders.csv"]
    assert (path.parent / "orders.10.csv").read_bytes() == HEADER + b"1,a\n2,b\n3,c\n1,a\n2,b\n"
    assert (path.parent / "orders.csv").read_bytes() == HEADER + b"3,c\n"


def test_another_header_begins_another_file(path: Path) -> None:
    """A column was added: within a batch, and while the bridge was down."""
    sink = sink_of(path)
    batch = rows(10, b"1,a")
    batch.slices.extend(rows(11, b"2,b,x", header=b"id,text,more\n").slices)

    sink.deliver(batch)
    sink.close()
    again = sink_of(path)
    again.deliver(rows(12, b"3", header=b"id\n"))
    again.close()

    folder = path.parent
    assert names(folder) == ["orders.10.csv", "orders.11.csv", "orders.csv"]
    assert (folder / "orders.10.csv").read_bytes() == b"id,text\n1,a\n"
    assert (folder / "orders.11.csv").read_bytes() == b"id,text,more\n2,b,x\n"
    assert (folder / "orders.csv").read_bytes() == b"id\n3\n"


def test_what_is_no_row_goes_beside_the_rows_as_json(path: Path) -> None:
    """To `<path>.notifications.jsonl`, in order, on the disk as well."""
    sink = sink_of(path)
    (drop,) = slices_of([make_event(11, type="drop")])
    note = Slice(replace(drop.lines, notification=True), 0, 1)

    sink.deliver(Batch([*rows(10, b"1,a").slices, note, *rows(12, b"2,b").slices]))
    sink.close()

    folder = path.parent
    assert names(folder) == ["orders.csv", "orders.csv.notifications.jsonl"]
    assert (folder / "orders.csv").read_bytes() == HEADER + b"1,a\n2,b\n"
    line = (folder / "orders.csv.notifications.jsonl").read_bytes()
    assert line == make_event(11, type="drop").value + b"\n"


def test_a_file_of_json_events_is_closed_when_the_format_changes(tmp_path: Path) -> None:
    """Under the offset of its first; the other way round too."""
    path = tmp_path / "events.txt"
    first = sink_of(path, "json")
    first.deliver(batch_of([make_event(10)]))
    first.close()
    second = sink_of(path, "debezium")
    second.deliver(rows(11, b'{"before":null}', header=None))
    second.close()
    third = sink_of(path, "json")
    third.deliver(batch_of([make_event(12)]))
    third.close()

    assert names(tmp_path) == ["events.10.txt", "events.11.txt", "events.txt"]
    assert (tmp_path / "events.11.txt").read_bytes() == b'{"before":null}\n'
    assert orjson.loads(path.read_bytes())["offset"] == 12


def test_rows_never_stand_behind_what_is_none(path: Path) -> None:
    """A file that is not ours is left as it is: its table waits, and the others go on."""
    path.parent.mkdir()
    theirs = path.parent / "orders.csv"
    theirs.write_bytes(b"other,columns\n1,2\n")
    sink = sink_of(path)
    batch = rows(10, b"1,a")
    other = replace(lines_of(11, [b"2,b"]), table="ki_home.other")

    batch.slices.append(Slice(other, 0, 1))
    sink.deliver(batch)
    sink.close()

    assert "move it away, or choose another path" in str(batch.failed_tables["ki_home.orders"])
    assert isinstance(batch.failed_tables["ki_home.orders"], Retry)
    assert theirs.read_bytes() == b"other,columns\n1,2\n"
    assert (path.parent / "other.csv").read_bytes() == HEADER + b"2,b\n"


def test_a_file_with_the_same_header_is_gone_on_with(path: Path) -> None:
    """Whoever wrote it, and where the note beside it was lost."""
    path.parent.mkdir()
    (path.parent / "orders.csv").write_bytes(HEADER + b"0,z")
    sink = sink_of(path)

    sink.deliver(rows(10, b"1,a"))
    sink.close()

    assert (path.parent / "orders.csv").read_bytes() == HEADER + b"0,z\n1,a\n"


# What a crash tore

TEXTS = (b"1,a", b'2,"x\n,""y""\n"', b"3," + b"z" * 70_000, b'4,"\n"')


def crash(path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """Append a batch of which only so many bytes reach the file, and nothing after that."""

    class Killed(BaseException):
        pass

    def write(descriptor: int, pieces: Any) -> int:
        os.write(descriptor, b"".join(pieces)[:kept])
        raise Killed

    sink = sink_of(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "writev", write)
        with pytest.raises(Killed):
            sink.deliver(rows(20, *TEXTS))
    sink.close()


@pytest.mark.parametrize("kept", [*range(27), 40, 66_000, 70_010, 70_020, 70_027, 70_028])
def test_whatever_a_crash_tore_whole_rows_stay_and_none_is_half(
    path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Cut is what was not acknowledged and is no whole row, also within quotes."""
    sink = sink_of(path)
    sink.deliver(rows(10, b"0,y"))
    sink.close()
    crash(path, monkeypatch, kept)

    again = sink_of(path)
    again.deliver(rows(20, *TEXTS))
    again.close()

    data = (path.parent / "orders.csv").read_bytes()
    found = list(csv.reader(io.StringIO(data.decode(), newline="")))
    wanted = list(csv.reader(io.StringIO(b"\n".join(TEXTS).decode(), newline="")))
    assert found[:2] == [["id", "text"], ["0", "y"]]
    assert found[-4:] == wanted
    assert found[2:-4] == wanted[: len(found) - 6]


def test_a_crash_in_the_first_append_leaves_a_file_to_begin_with(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a header is no header."""
    for kept in (0, 3, len(HEADER) - 1, len(HEADER), 2):
        crash(path, monkeypatch, kept)
    sink = sink_of(path)
    sink.deliver(rows(20, b"1,a"))
    sink.close()

    assert (path.parent / "orders.csv").read_bytes() == HEADER + b"1,a\n"


@pytest.mark.parametrize("text", [b"theirs", b"theirs\nmore", b'"', b"\0\0\0"])
def test_what_others_wrote_is_never_cut(path: Path, text: bytes) -> None:
    """Behind what was acknowledged nothing of ours can be torn."""
    sink = sink_of(path)
    sink.deliver(rows(10, b"1,a"))
    sink.close()
    file = path.parent / "orders.csv"
    file.write_bytes(file.read_bytes() + text)

    again = sink_of(path)
    again.deliver(rows(11, b"2,b"))
    again.close()

    assert file.read_bytes() == HEADER + b"1,a\n" + text + b"\n2,b\n"


@pytest.mark.parametrize("failed", [False, True])
def test_what_others_wrote_where_an_append_was_to_stand_is_never_cut(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, failed: bool
) -> None:
    """Once what a crash tore is cut, or what failed is taken back, nothing is under way there."""
    file = path.parent / "orders.csv"
    sink = sink_of(path)
    sink.deliver(rows(10, b"0,y"))
    if failed:

        def full(descriptor: int, pieces: Any) -> int:
            if len(pieces) and not written:
                written.append(os.write(descriptor, b"".join(pieces)[:5]))
                return written[0]
            raise OSError(errno.ENOSPC, "full")

        written: list[int] = []
        with monkeypatch.context() as patched:
            patched.setattr(os, "writev", full)
            sink.deliver(rows(20, *TEXTS))
        assert written == [5]
    sink.close()
    if not failed:
        crash(path, monkeypatch, 2)
        again = sink_of(path)
        again._open(file, Kind("csv", HEADER), 20, b"")
        again.close()
    before = file.read_bytes()
    assert before == HEADER + b"0,y\n"
    file.write_bytes(before + b"theirs")

    last = sink_of(path)
    last.deliver(rows(20, b"1,a"))
    last.close()

    assert file.read_bytes() == before + b"theirs\n1,a\n"


@given(
    st.lists(st.sampled_from([b"a", b"\n", b'"', b'""', b",", b"x" * 3]), max_size=40),
    st.integers(0, 60),
)
def test_rows_end_where_a_reader_of_csv_sees_their_end(pieces: list[bytes], cut: int) -> None:
    """A line feed between quotes ends no row, wherever the file is cut."""
    data = b"".join(pieces)[:cut]
    if not data:
        return
    ends = [i + 1 for i, c in enumerate(data) if c == 10 and data[:i].count(b'"') % 2 == 0]
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        torn = Announced(0, len(data) + 1, quotes=True)

        assert torn.whole(file.fileno(), len(data)) == max(ends, default=0)
