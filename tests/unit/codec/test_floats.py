"""A float is written with the fewest digits that read back equal at its width, the nearest ones.

For doubles `repr` says the same, by another algorithm; for 32 bits exact fractions do, and
`tests/fuzz/check_floats.cpp` asks `std::to_chars` about every one of them.
"""

from __future__ import annotations

import math
import os
import random
import struct
import subprocess
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec import Codec, Slot
from bridge.codec.fallback import FallbackCodec
from bridge.events import Column, Schema

DOUBLES = Schema("1", (Column("x", "double", "double"),))
FLOATS = Schema("2", (Column("x", "float", "float"),))
MANY = int(os.environ.get("FUZZ_RUNS", "300000"))
SIGN = 1 << 63


def written(codec: Codec, payload: bytes) -> list[str]:
    width = 8 if codec.schema is DOUBLES else 4
    count = len(payload) // width
    lines = codec.form().lines(
        payload, count, template=(Slot.RECORD,), first=0, times=((count, 0),)
    )
    return [line[5:-1].strip('"') for line in lines.lines.decode().splitlines()]


def doubles(codec: Codec, values: Sequence[float]) -> list[str]:
    return written(codec, struct.pack(f"<{len(values)}d", *values))


def floats(codec: Codec, bits: Sequence[int]) -> list[str]:
    return written(codec, struct.pack(f"<{len(bits)}I", *bits))


def from_bits(bits: int) -> float:
    value: float = struct.unpack("<d", struct.pack("<Q", bits))[0]
    return value


def from_bits32(bits: int) -> float:
    value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return value


def by_repr(value: float) -> str:
    """What `repr` says, in the notation of JSON lines."""
    text = repr(value)
    if "e" not in text:
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, text)
    digits, exponent = text.split("e")
    if exponent == "-05":
        return format(Decimal(text), "f")
    return f"{digits}e{int(exponent):+d}"


def boundary_bits() -> Iterable[int]:
    """Every power of two with its neighbours, zeros, subnormals, the ends."""
    for exponent in range(2048):
        for step in (-2, -1, 0, 1, 2):
            bits = (exponent << 52) + step
            if 0 <= bits < SIGN:
                yield bits
                yield bits | SIGN
    yield from range(2000)


def near_powers_of_ten() -> Iterable[float]:
    for ten in range(-330, 309):
        for digits in (1, 2, 5, 9, 12345, 99999999, 123456789012345678):
            value = float(f"{digits}e{ten}")
            yield from (value, math.nextafter(value, 0), math.nextafter(value, math.inf))


@pytest.mark.parametrize(
    "values",
    [
        [from_bits(bits) for bits in boundary_bits()],
        list(near_powers_of_ten()),
        [float(n) for n in range(100_000)] + [n / 100 for n in range(100_000)],
        [2.0**53 + n for n in range(-1000, 1000)],
        [1e15, 1e16, 1e17, 1e-3, 1e-4, 1e-5, 1e-6, 1.5e-5, 123456789012345678.0, 1e22, 1e23],
    ],
    ids=["powers of two", "powers of ten", "plain", "the last whole ones", "notations"],
)
def test_doubles_at_boundaries_are_written_as_repr_does(
    native_codec: Any, values: list[float]
) -> None:
    """Where algorithms for shortest digits are known to go wrong."""
    wanted = [by_repr(value) for value in values]

    assert doubles(native_codec(DOUBLES), values) == wanted
    assert doubles(FallbackCodec(DOUBLES), values) == wanted


def test_random_doubles_are_written_as_repr_does(native_codec: Any) -> None:
    """Of all exponents, and of those that people use."""
    seed = random.SystemRandom().randrange(2**32)
    generator = random.Random(seed)
    values = list(struct.unpack(f"<{MANY}d", generator.randbytes(8 * MANY)))
    values += [generator.uniform(-1e6, 1e6) for _ in range(MANY // 3)]
    values += [round(generator.uniform(-1e6, 1e6), 2) for _ in range(MANY // 3)]

    found = doubles(native_codec(DOUBLES), values)

    wrong = [(v, f) for v, f in zip(values, found, strict=True) if f != by_repr(v)]
    assert wrong == [], seed


def best_decimal(bits: int) -> tuple[Fraction, int]:
    """The shortest decimal that reads back as a positive float, by exact arithmetic; its digits."""
    value = Fraction(from_bits32(bits))
    above = from_bits32(bits + 1)
    below = Fraction(from_bits32(bits - 1)) if bits else -value
    high = (value + (Fraction(above) if math.isfinite(above) else 2 * value - below)) / 2
    low = (value + below) / 2
    decade = math.floor(math.log10(value))
    for digits in range(1, 10):
        good = []
        for exponent in (decade - 1, decade, decade + 1):
            unit = Fraction(10) ** (exponent - digits + 1)
            nearest = round(value / unit)
            for candidate in range(max(nearest - 1, 1), nearest + 2):
                at = candidate * unit
                if candidate > 10**digits:
                    continue
                # A tie goes to the float whose last bit is 0.
                if low < at < high or (bits % 2 == 0 and at in {low, high}):
                    good.append((abs(at - value), candidate % 2, at))
        if good:
            return min(good)[2], digits
    raise AssertionError(bits)


def assert_shortest(codecs: Iterable[Codec], bits: Sequence[int]) -> None:
    wanted = [best_decimal(each) for each in bits]
    for codec in codecs:
        for each, text, (decimal, digits) in zip(bits, floats(codec, bits), wanted, strict=True):
            assert Fraction(text) == decimal, (hex(each), text)
            assert len(text.split("e")[0].replace(".", "").strip("0")) <= digits, text
        negative = floats(codec, [each | 1 << 31 for each in bits])
        assert negative == [f"-{text}" for text in floats(codec, bits)]


@given(bits=st.lists(st.integers(1, 0x7F7FFFFF), min_size=1))
def test_no_shorter_and_no_nearer_decimal_reads_back_equal(
    native_codec: Any, bits: list[int]
) -> None:
    """Of any finite float, subnormals among them."""
    assert_shortest((native_codec(FLOATS), FallbackCodec(FLOATS)), bits)


def test_powers_of_two_and_the_least_floats_have_no_shorter_decimal(native_codec: Any) -> None:
    """Where the gaps above and below differ, and where there are few digits; all of them."""
    bits = [b + step for e in range(1, 255) for b in (e << 23,) for step in (-1, 0, 1)]

    assert_shortest((native_codec(FLOATS), FallbackCodec(FLOATS)), [*bits, *range(1, 300)])


def test_c_and_the_fallback_agree_on_random_floats(native_codec: Any) -> None:
    """Two ways to compute one thing: a table of powers, and whole numbers of any size."""
    seed = random.SystemRandom().randrange(2**32)
    bits = struct.unpack(f"<{MANY // 10}I", random.Random(seed).randbytes(4 * (MANY // 10)))

    assert floats(native_codec(FLOATS), bits) == floats(FallbackCodec(FLOATS), bits), seed


def test_the_table_of_powers_is_what_its_script_makes() -> None:
    """The script proves the formulas that go with it, and no digit was typed."""
    folder = Path(__file__).resolve().parents[3] / "csrc"

    made = subprocess.run(
        [sys.executable, folder / "make_powers.py"], capture_output=True, text=True, check=True
    )

    assert made.stdout == (folder / "powers.h").read_text()


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0x15AE43FE, "7.0385313e-26"),  # 7.038531e-26 is a 32-bit reader's neighbour
        (0x95AE43FE, "-7.0385313e-26"),
        (0x00000001, "1e-45"),
        (0x7F7FFFFF, "3.4028235e+38"),
        (0x3DCCCCCD, "0.1"),
        (0x4B800000, "16777216.0"),
        (0x0F800000, "1.2621775e-29"),
        (0x00000000, "0.0"),
        (0x80000000, "-0.0"),
        (0x7F800000, "Infinity"),
        (0xFFC00000, "NaN"),
    ],
)
def test_floats_that_were_once_written_wrong_or_are_edges(
    make_codec: Any, bits: int, text: str
) -> None:
    """Each as a 32-bit reader has to find it."""
    assert floats(make_codec(FLOATS), [bits]) == [text]
