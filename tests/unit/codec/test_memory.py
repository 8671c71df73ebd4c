"""The C code survives a failing allocation, and gives back what it takes."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import Any

import pytest

from bridge.errors import DecodeError
from bridge.events import Column, Schema

SCHEMA = Schema(
    "1",
    (
        Column("l", "long", "long"),
        Column("d", "double", "double", nullable=True),
        Column("s", "string", "string"),
        Column("b", "bytes", "bytes"),
    ),
)
RECORD = b"\x80\x80\x80\x01" + b"\x00" + b"\x01" * 8 + b"\x0ctext !" + b"\x04xy"

FAIL_EACH_ALLOCATION = f"""
import _testcapi
from bridge.codec._native import Malformed, Plan

operations = [("l", "long", False, -(2**63), 2**63 - 1), ("d", "double", True, 0, 1),
              ("s", "string", False, 0, 100), ("b", "bytes", False, 0, 100)]
record = {RECORD!r}
plan = Plan(operations)

def attempts():
    yield lambda: Plan(operations)
    yield lambda: plan.decode(record * 3, 3)
    yield lambda: plan.split(record * 3, 3)
    yield lambda: plan.validate([record, b"", record[:-1]] * 2)
    def malformed():
        try:
            plan.decode(record + b"1", 1)
        except Malformed as error:
            return error
    yield malformed

for attempt in attempts():
    attempt()
    for nth in range(500):
        failed = False
        _testcapi.set_nomemory(nth, nth + 1)
        try:
            attempt()
        except MemoryError:
            failed = True
        finally:
            _testcapi.remove_mem_hooks()
        if not failed:
            break
    else:
        raise SystemExit("never got through")
    if nth == 0:
        raise SystemExit("no allocation failed: the test proves nothing")
print("survived")
"""


def test_every_allocation_may_fail(native_codec: Any) -> None:
    """Failing the first, the second, … allocation of each call raises MemoryError, no more."""
    pytest.importorskip("_testcapi", reason="this interpreter was built without its test module")

    done = subprocess.run(
        [sys.executable, "-c", FAIL_EACH_ALLOCATION],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr


def test_no_reference_is_kept_or_lost(native_codec: Any) -> None:
    """Good and bad payloads alike leave the keys' and the interpreter's counts where they were."""
    codec = native_codec(SCHEMA)
    key = next(iter(codec.decode(RECORD, 1)[0]))

    def work() -> None:
        for _ in range(200):
            codec.decode(RECORD * 2, 2)
            codec.split(RECORD, 1)
            codec.validate([RECORD, b"", RECORD + b"1"])
            for bad in (RECORD[:-1], RECORD + b"1", b"\x00\x04"):
                with pytest.raises(DecodeError):
                    codec.decode(bad, 1)

    work()
    gc.collect()
    before = sys.getrefcount(key), sys.getrefcount(None), len(gc.get_objects())
    work()
    gc.collect()
    after = sys.getrefcount(key), sys.getrefcount(None), len(gc.get_objects())

    # Other threads and caches move the last two a little; a leak would move them by hundreds.
    assert after[0] == before[0]
    assert abs(after[1] - before[1]) < 100
    assert abs(after[2] - before[2]) < 100
