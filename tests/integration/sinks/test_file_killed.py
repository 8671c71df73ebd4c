"""A process that is killed while it writes leaves no torn line behind, and no gap."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from services.batches import batch_of

from bridge.sinks.file import FileSettings, FileSink
from bridge.testing import make_event

ROUNDS = 5

WRITER = """
import sys
import structlog
from services.batches import batch_of
from bridge.sinks.file import FileSettings, FileSink
from bridge.testing import make_event

# A line that the kill before this one tore is cut, and logged; stdout has offsets alone.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
sink = FileSink(FileSettings(type="file", path=sys.argv[1]))
offset = int(sys.argv[2])
text = "x" * 20_000
while True:
    batch = batch_of([make_event(offset + n, record={"text": text}) for n in range(50)])
    sink.deliver(batch)
    offset += 50
    print(offset, flush=True)
"""


def test_what_was_confirmed_before_a_kill_is_whole(tmp_path: Path) -> None:
    """Killed again and again, at whatever point it stands: every confirmed line is there."""
    path = tmp_path / "events.jsonl"
    confirmed = 0
    for _ in range(ROUNDS):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(confirmed)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
        )
        for _ in range(10):
            confirmed = int(process.stdout.readline())
        process.kill()
        rest, _ = process.communicate()
        confirmed = int(([str(confirmed).encode(), *rest.split()])[-1])

    sink = FileSink(FileSettings(type="file", path=str(path)))
    sink.deliver(batch_of([make_event(confirmed)]))
    sink.close()

    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    found = [orjson.loads(line)["offset"] for line in lines]
    assert set(found) >= set(range(confirmed + 1))
    assert confirmed >= ROUNDS * 500


DYING = """
import os, sys
from services.batches import batch_of
from bridge.sinks.file import FileSettings, FileSink
from bridge.testing import make_event

left = int(sys.argv[2])

def dying(function):
    def call(descriptor, *arguments):
        global left
        left -= 1
        if left == 0 and function is os_writev:
            os.write(descriptor, b"".join(arguments[0])[:-50])  # the last line is torn
        if left == 0:
            os._exit(9)
        return function(descriptor, *arguments)
    return call

os_writev = os.writev
os.writev, os.fsync = dying(os.writev), dying(os.fsync)
sink = FileSink(FileSettings(type="file", path=sys.argv[1] + "/{table}"))
for first in range(int(sys.argv[3]), 40, 10):
    sink.deliver(batch_of([make_event(n, table=f"t{n % 2}") for n in range(first, first + 10)]))
    print(f"acknowledged={first + 10}", flush=True)
"""


CLOSING = """
import itertools, os, sys
from dataclasses import replace
from services.batches import batch_of
from bridge.lines import Slice
from bridge.sinks.base import Batch
from bridge.sinks.file import FileSettings, FileSink
from bridge.testing import make_event

last = int(sys.argv[2])
calls = itertools.count(1)  # two threads count: the sink's, and the one that compresses

def dying(name):
    function = getattr(os, name)
    def call(*arguments, **named):
        if next(calls) != last:
            return function(*arguments, **named)
        if name == "writev":
            os.write(arguments[0], b"".join(arguments[1])[:-50])
        elif last % 2:
            function(*arguments, **named)  # done, and nobody was told
        os._exit(9)
    setattr(os, name, call)

for name in ("writev", "fsync", "pwrite", "link", "unlink", "rename"):
    dying(name)

header = sys.argv[4].encode() or None
sink = FileSink(FileSettings.model_validate({
    "type": "file", "path": sys.argv[1] + "/{table}.txt", "format": "csv" if header else "json",
    "rotate": {"max_size": "2KiB"}, "compress": sys.argv[5] or None,
}))
sink.open()
for first in range(int(sys.argv[3]), 60, 10):
    slices = batch_of([make_event(n) for n in range(first, first + 10)]).slices
    sink.deliver(Batch([replace(s, lines=replace(s.lines, header=header)) for s in slices]))
    print(f"acknowledged={first + 10}", flush=True)
sink.close()
"""


@pytest.mark.parametrize(("header", "compress"), [("", "gzip"), ("the,header\n", "")])
@pytest.mark.parametrize("calls", range(1, 60, 5))
def test_a_kill_at_any_call_of_a_closing_loses_and_tears_nothing(
    tmp_path: Path, calls: int, header: str, compress: str
) -> None:
    """Whole files with final names, each line whole, each acknowledged event in one of them."""
    acknowledged = 0
    for left in (calls, 7, 0):
        process = subprocess.run(
            [
                *(sys.executable, "-c", CLOSING, str(tmp_path), str(left), str(acknowledged)),
                *(header, compress),
            ],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            check=False,
        )
        said = re.findall(rb"^acknowledged=(\d+)$", process.stdout, re.MULTILINE)
        acknowledged = int(said[-1]) if said else acknowledged
        assert set(written(tmp_path, header)) >= set(range(acknowledged))

    assert acknowledged == 60
    found = written(tmp_path, header, whole=True)
    assert set(found) == set(range(60))
    assert len(found) <= 60 + 2 * 10


def written(folder: Path, header: str, *, whole: bool = False) -> list[int]:
    """Return the offsets in all files, those of the live one but its last line if it is torn."""
    found = []
    for file in sorted(folder.iterdir()):
        if file.name.startswith("."):
            continue
        data = file.read_bytes()
        data = gzip.decompress(data) if file.suffix == ".gz" else data
        lines = data.split(b"\n")
        torn = lines.pop()
        live = re.search(r"\.\d+\.(\d+\.)?txt", file.name) is None
        assert not torn or (live and not whole), file
        if header and lines:
            assert lines.pop(0) + b"\n" == header.encode(), file
        found += [orjson.loads(line)["offset"] for line in lines]
        plain = file.with_name(file.name.removesuffix(".gz"))
        if plain != file and plain.exists():
            del found[-len(lines) :]  # compressed, and the plain one not removed yet
    return found


@pytest.mark.parametrize("calls", range(1, 24))
def test_a_kill_at_any_call_loses_and_tears_nothing(tmp_path: Path, calls: int) -> None:
    """At the n-th write or sync, and once more after the restart; then it goes on to the end."""
    acknowledged = 0
    for left in (calls, 3, 0):
        process = subprocess.run(
            [sys.executable, "-c", DYING, str(tmp_path), str(left), str(acknowledged)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            check=False,
        )
        said = re.findall(rb"^acknowledged=(\d+)$", process.stdout, re.MULTILINE)
        acknowledged = int(said[-1]) if said else acknowledged
        found = {
            offset
            for file in tmp_path.iterdir()
            for line in file.read_bytes().split(b"\n")[:-1]
            for offset in [orjson.loads(line)["offset"]]
        }
        assert found >= set(range(acknowledged))

    assert acknowledged == 40
    for table in range(2):
        lines = (tmp_path / f"t{table}").read_bytes().split(b"\n")
        assert lines.pop() == b""
        offsets = [orjson.loads(line)["offset"] for line in lines]
        assert list(dict.fromkeys(offsets)) == list(range(table, 40, 2))
