"""The example programs do what they say, as processes of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import gpudb
import pytest
from services.process import EmulatorProcess

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT = 120.0


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_the_logging_monitor_logs_every_event(kinetica: EmulatorProcess, db: gpudb.GPUdb) -> None:
    """Twelve reports, each raw and decoded, both counts, and the drop, with which it ends."""
    ended = run("table_monitor_log.py", kinetica.url)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    lines = [line.partition(" weather ")[2] for line in ended.stderr.splitlines()]
    lines = [line for line in lines if line]
    decoded = [line for line in lines if line.startswith("inserted: {")]
    assert len([line for line in lines if re.match(r"inserted, \d+ bytes: [0-9a-f]+$", line)]) == 12
    assert len(decoded) == 12
    assert decoded[0].startswith("inserted: {'report_id': 1, 'city': '")
    assert lines[24:26] == ["updated: 6 rows", "deleted: 3 rows"]
    # Between the last look at the table and the drop something may have happened unheard.
    assert "may have been missed: monitor_lost" in lines[26]
    assert lines[27:] == ["dropped: examples.weather_log"]
    assert db.show_table_monitors([""])["monitor_ids"] == []


def test_the_queued_monitor_feeds_a_thread_of_the_application(
    kinetica: EmulatorProcess, db: gpudb.GPUdb
) -> None:
    """The application prints all that came through the queue, then what it made of it."""
    ended = run("table_monitor_queue.py", kinetica.url, "--table", "elsewhere.weather")

    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines[:19]] == [
        *["inserted"] * 15,
        "updated",
        "deleted",
        "error",
        "dropped",
    ]
    assert lines[15:17] == ["updated: 5", "deleted: 10"]
    assert "may have been missed: monitor_lost" in lines[17]
    assert lines[18] == "dropped: elsewhere.weather"
    assert all(re.fullmatch(r"[A-Z][a-z]+: -?[0-9.]+", line) for line in lines[19:])
    assert lines[19:] == sorted(lines[19:]) != []
    assert db.show_table_monitors([""])["monitor_ids"] == []


@pytest.mark.parametrize("name", ["table_monitor_log.py", "table_monitor_queue.py"])
def test_an_example_without_kinetica_fails_with_its_cause(name: str) -> None:
    """Nobody answers at the URL: the program ends, and says so."""
    ended = run(name, "http://127.0.0.1:1")

    assert ended.returncode == 1
    assert "127.0.0.1" in ended.stderr
    assert "refused" in ended.stderr
