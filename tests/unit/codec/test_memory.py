"""The C code survives a failing allocation, and gives back what it takes."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from typing import Any

import pytest

from bridge.codec import Member, Slot
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
from bridge.codec._native import Form, Malformed, Plan

operations = [("l", "long", False, -(2**63), 2**63 - 1), ("d", "double", True, 0, 1),
              ("s", "string", False, 0, 1000), ("b", "bytes", False, 0, 1000)]
record = {RECORD!r}
large = record[:-3] + b"\\x80\\x08" + bytes(512)  # its buffer has to grow
plan = Plan(operations)
members = ((0, "number", b'"l":', None, b""), (1, "double", b'"d":', "hash", b"key"),
           (3, "base64", b'"b":', None, b""))
form = Form(plan, members, members[:1])
template = [b"head " * 1000, 0, 2, 6, 7, 9]

def attempts():
    yield lambda: Plan(operations)
    yield lambda: plan.decode(record * 3, 3)
    yield lambda: plan.ends(record * 3, 3)
    yield lambda: plan.join([record, b"", record[:-1]] * 2)
    yield lambda: plan.highest(record * 3, 3, 0, "number")
    yield lambda: plan.lowest(record * 3, 3, 0, "number")
    yield lambda: Form(plan, members, members[:1])
    yield lambda: form.lines(record * 3, 3, template, 0, ((2, 5), (1, 6)), b"<", b">")
    yield lambda: form.lines(large * 300, 300, template, 0, ((300, 6),), b"<", b">")
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
    from bridge.codec.native import NativeForm

    codec = native_codec(SCHEMA)
    key = next(iter(codec.decode(RECORD, 1)[0]))
    masked = Member("l", "l", "hash", b"key")

    def work() -> None:
        for _ in range(200):
            codec.decode(RECORD * 2, 2)
            codec.ends(RECORD, 1)
            codec.highest(RECORD * 2, 2, "l")
            codec.lowest(RECORD * 2, 2, "l")
            codec.join([RECORD, b"", RECORD + b"1"])
            form = NativeForm(codec.plan, SCHEMA, "declared", [masked], [masked])
            form.lines(RECORD, 1, template=[Slot.KEY, b"x"], first=0, times=((1, 0),))
            with pytest.raises(DecodeError):
                form.lines(RECORD[:-1], 1, template=[Slot.KEY, b"x"], first=0, times=((1, 0),))
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


ESCAPES = """
import resource, sys, tracemalloc
from bridge.codec import IMPLEMENTATION, Slot, compile_schema
from bridge.events import Column, Schema

codec = compile_schema(Schema("1", (Column("x", "string", "json"),)))
text = {text}
size, length = 2 * len(text), bytearray()
while size > 127:
    length.append(size & 127 | 128)
    size >>= 7
payload = bytes(length) + bytes([size]) + text
form = codec.form()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
form.lines(payload, 1, template=(Slot.RECORD,), first=0, times=((1, 0),))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) // 1024)
"""


@pytest.mark.parametrize("implementation", ["c", "fastavro"])
@pytest.mark.parametrize(
    "text",
    [
        """b'"' + b'\\\\n' * 2**21 + b'"'""",
        """b'"' + b'\\\\n' * 2**21""",
        """b'"\\\\' * 2**21""",
        """b'[' * 2**22""",
        """b'[' + b'{},' * 2**20 + b'1]'""",
        """b'[' + b'1 ,' * 2**20 + b'1]'""",
    ],
)
def test_hostile_text_takes_a_few_times_its_size(implementation: str, text: str) -> None:
    """4 MiB of escapes, of brackets, of nothing but tokens: under 64 MiB, in C and without."""
    done = subprocess.run(
        [sys.executable, "-c", ESCAPES.format(text=text)],
        env={**os.environ, "KINETICA_BRIDGE_CODEC": implementation},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert int(done.stdout) < 64
