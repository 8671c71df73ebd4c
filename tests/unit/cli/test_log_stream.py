"""What the log is written through: it loses lines, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bridge.cli.logs import LogStream


def test_whole_lines_are_written_in_their_order(tmp_path: Path) -> None:
    """Also those longer than a pipe takes at once."""
    with (tmp_path / "log").open("wb") as file:
        stream = LogStream(file.fileno())
        for letter in "abc":
            stream.write(letter * 10_000 + "\n")

    written = (tmp_path / "log").read_text().splitlines()
    assert written == ["a" * 10_000, "b" * 10_000, "c" * 10_000]
    assert stream.lost_lines == 0


def test_a_pipe_without_a_reader_costs_lines(tmp_path: Path) -> None:
    """Each is counted; none raises."""
    read, write = os.pipe()
    os.close(read)
    stream = LogStream(write)

    stream.write("one\n")
    stream.write("two\n")

    assert stream.lost_lines == 2
    os.close(write)


def test_a_closed_descriptor_costs_lines() -> None:
    """Whoever closed it meant it."""
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    stream = LogStream(write)

    stream.write("one\n")

    assert stream.lost_lines == 1


def test_a_pipe_that_nobody_reads_is_waited_for_once() -> None:
    """Then lines are left out until there is room, and the next one begins a line of its own."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    stream = LogStream(write, patience=0.01)
    while stream.lost_lines < 3:
        stream.write("x" * 99 + "\n")

    received = bytearray()
    done = threading.Event()

    def drain() -> None:
        while b"the end\n" not in received:
            received.extend(os.read(read, 65536))
        done.set()

    reader = threading.Thread(target=drain)
    reader.start()
    while not done.wait(0.01):
        stream.write("the end\n")
    reader.join()

    lines = bytes(received).decode().splitlines()
    assert set(lines) <= {"x" * 99, "the end"}
    for end in (read, write):
        os.close(end)


_RAISES = """
import structlog
from bridge.cli import logs

logs.configure("info", "console")

def login():
    password = "hunter" + "2" * 3
    raise ValueError("refused")

try:
    login()
except ValueError:
    structlog.get_logger().exception("login_failed")
"""


def test_a_traceback_for_people_shows_no_local_variable() -> None:
    """Also where `rich` is installed, as it is here."""
    pytest.importorskip("rich")
    ran = subprocess.run(
        [sys.executable, "-c", _RAISES], capture_output=True, text=True, check=True
    )

    assert "ValueError: refused" in ran.stderr
    assert "hunter222" not in ran.stderr
