"""The stdout sink, in a process of its own: into the descriptor, past every buffer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.testing import make_event

PROGRAM = """
import os, sys
from services.batches import batch_of
from bridge.sinks.stdout import StdoutSettings, StdoutSink
from bridge.testing import make_event

sink = StdoutSink(StdoutSettings(type="stdout"))
def deliver(count, text=""):
    sink.deliver(batch_of([make_event(n, record={"text": text}) for n in range(count)]))
def report(count=1):
    try:
        deliver(count)
    except Exception as error:
        print(type(error).__name__, error, file=sys.stderr)
"""


def start(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM + code, *arguments]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("blocking", [True, False])
def test_more_than_a_pipe_holds_arrives_whole(blocking: bool) -> None:
    """A reader gets every byte, also where the pipe was left non-blocking."""
    process = start(f"os.set_blocking(1, {blocking}); deliver(1000, 'x' * 1000)")

    out, errors = process.communicate(timeout=60)

    events = [make_event(n, record={"text": "x" * 1000}) for n in range(1000)]
    assert out == b"".join(event.value + b"\n" for event in events)
    assert (process.returncode, errors) == (0, b"")


def test_what_was_printed_before_comes_first() -> None:
    """The sink and `print` share one output."""
    out, _ = start("print('before'); deliver(1); print('after')").communicate(timeout=60)

    assert out.splitlines() == [b"before", make_event(0, record={"text": ""}).value, b"after"]


def test_a_reader_that_went_away_is_said_and_nothing_is_kept_back() -> None:
    """The process ends in order: Python's own buffer has nothing left to write."""
    process = start("sys.stdin.read(); report(); report()")
    process.stdout.close()
    process.stdout = None

    _, errors = process.communicate(timeout=60)

    reason = b"Retry standard output: nobody reads it any more (broken pipe)"
    assert errors.splitlines() == [reason, reason]
    assert process.returncode == 0


def test_a_closed_output_is_said() -> None:
    """As under a supervisor that gives a process no output."""
    _, errors = start("os.close(1); report()").communicate(timeout=60)

    assert errors.startswith(b"Retry standard output: Bad file descriptor")


def test_a_line_torn_by_a_full_disk_stays_by_itself(tmp_path: Path) -> None:
    """What is written of it cannot be taken back; the batch follows whole on lines of its own."""
    limited = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
os.dup2(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_APPEND), 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (2500, resource.RLIM_INFINITY))
report(20)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
report(20)
"""
    path = tmp_path / "out"
    process = start(limited, str(path))
    _, errors = process.communicate(timeout=60)

    assert errors.splitlines() == [b"Retry standard output: File too large"]
    lines = path.read_bytes().splitlines()
    assert lines[-20:] == [make_event(n, record={"text": ""}).value for n in range(20)]
    assert b"" not in lines
