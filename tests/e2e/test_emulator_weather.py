"""`kinetica-bridge emulator --weather`: something to read from, for who has no Kinetica."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from services.kinetica import Program
from services.process import EmulatorProcess

from bridge.wire.client import Access, Http

COMMAND = [sys.executable, "-m", "bridge", "emulator"]


def test_the_fed_emulator_has_a_table_that_grows_and_ends_on_sigterm() -> None:
    """The ready line comes when the table is there; rows follow by themselves; exit code 0."""
    ports = ["--port", "0", "--monitor-port", "0"]
    with subprocess.Popen([*COMMAND, *ports, "--weather"], stdout=subprocess.PIPE) as emulator:
        try:
            assert emulator.stdout is not None
            http = Http(json.loads(emulator.stdout.readline())["url"], Access(), timeout=10.0)

            first = _rows(http)
            deadline = time.monotonic() + 30
            while (rows := _rows(http)) <= first and time.monotonic() < deadline:
                time.sleep(0.1)
            http.close()
            emulator.terminate()
            code = emulator.wait(20)
        finally:
            emulator.kill()

    assert rows > first
    assert code == 0


def test_faults_can_be_asked_of_an_emulator_in_another_process() -> None:
    """By HTTP, under their names, and ended in the same way."""
    with EmulatorProcess() as emulator:
        program = Program(emulator.url)
        program.create("t")
        program.ask("forbid", permission="table_insert", on="ki_home.t")
        with pytest.raises(AssertionError, match="table_insert"):
            program.insert("t", [1])

        program.ask("heal")
        program.insert("t", [1])
        program.ask("recreate", table="t")

        assert program.access("t")["write_count"] == "0"


def test_a_feed_and_a_login_exclude_each_other() -> None:
    """The feed has no credentials: asking for both is refused, with exit code 2."""
    asked = [*COMMAND, "--weather", "--user", "admin"]

    ran = subprocess.run(asked, capture_output=True, text=True, check=False)

    assert ran.returncode == 2
    assert "--user: not allowed with argument --weather" in ran.stderr


def _rows(http: Http) -> int:
    shown = http.call(
        "/show/table", {"table_name": "demo.weather", "options": {"get_sizes": "true"}}
    )
    return int(shown["total_size"])
