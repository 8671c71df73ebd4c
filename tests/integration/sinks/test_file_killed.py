"""A process that is killed while it writes leaves no torn line behind, and no gap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
from services.batches import batch_of

from bridge.sinks.file import FileSettings, FileSink
from bridge.testing import make_event

ROUNDS = 5

WRITER = """
import sys
from services.batches import batch_of
from bridge.sinks.file import FileSettings, FileSink
from bridge.testing import make_event

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
