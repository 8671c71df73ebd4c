"""How many arenas glibc has."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# Threads that all live at once, each with a block of its own; then glibc says what it has.
PROGRAM = """
import ctypes, sys, threading
from bridge.cli.arenas import limit_arenas
limit_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(20)
def take():
    libc.malloc(100_000)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
out = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, out)
libc.fclose(out)
"""


def arenas(**env: str) -> int:
    """Return how many a process has in which twenty threads were."""
    own = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={**own, **env},
    )
    return told.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_many_threads_share_two_arenas() -> None:
    """By itself glibc gives eight a core, and none gives back what its threads once had."""
    assert arenas() == 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_who_sets_the_variable_of_glibc_has_that() -> None:
    """`MALLOC_ARENA_MAX` stays the operator's."""
    assert arenas(MALLOC_ARENA_MAX="5") == 5
