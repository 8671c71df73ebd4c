"""Sanitizer builds of the C code, by its own Makefile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"


def _lack(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A C compiler that has both sanitizers; skips where there is none."""
    found = shutil.which(os.environ.get("CC", "cc"))
    if found is None or shutil.which("make") is None:
        _lack("no C compiler or no make: install gcc or clang, and make")
    folder = tmp_path_factory.mktemp("compiler")
    source = folder / "empty.c"
    source.write_text("int main(void) { return 0; }\n")
    built = subprocess.run(
        [str(found), "-fsanitize=address,undefined", str(source), "-o", str(folder / "empty")],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        _lack(f"the C compiler lacks the sanitizers: install libasan and libubsan\n{built.stderr}")
    return str(found)


@pytest.fixture(scope="session")
def make(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build a target of csrc/Makefile; returns the folder that the results are in."""
    folder = tmp_path_factory.mktemp("csrc")

    def build(target: str) -> Path:
        built = subprocess.run(
            [
                "make",
                "--directory",
                str(CSRC),
                f"OUT={folder}",
                f"PYTHON={sys.executable}",
                f"CC={compiler}",
                target,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert built.returncode == 0, built.stderr
        return folder

    return build
