"""The example of a sink in its own package passes its own test, as its author would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "sqlite_sink"


def test_the_example_passes_the_suite_and_is_as_short_as_said() -> None:
    """Run by pytest in its folder; settings and class are no longer than thirty lines."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    run = subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
    source = (EXAMPLE / "sqlite_sink.py").read_text()
    code = source[source.index("class SqliteSettings") :]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
