"""A 32-bit float is written with the fewest digits that read back equal."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codec.float32 import shortest


def from_bits(bits: int) -> float:
    value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return value


def digits_of(value: float) -> int:
    return len(repr(value).split("e")[0].replace(".", "").strip("0"))


def shorter_exists(bits: int, digits: int) -> bool:
    """Whether a decimal of `digits` digits reads back as the float, by exact arithmetic."""
    value = Fraction(from_bits(bits))
    below = Fraction(from_bits(bits - 1))
    above = from_bits(bits + 1)
    low = (value + below) / 2
    high = (value + (Fraction(above) if math.isfinite(above) else 2 * value - below)) / 2
    decade = math.floor(math.log10(value))
    for exponent in (decade - 1, decade, decade + 1):
        unit = Fraction(10) ** (exponent - digits + 1)
        first = math.ceil(low / unit)
        for candidate in (first, first + 1):
            if not 10 ** (digits - 1) <= candidate <= 10**digits:
                continue
            # A tie goes to the float whose last bit is 0.
            ties = bits % 2 == 0 and low <= candidate * unit <= high
            if ties or low < candidate * unit < high:
                return True
    return False


def assert_shortest(bits: int) -> None:
    value = from_bits(bits)
    written = shortest(value)
    assert struct.pack("<f", float(repr(written))) == struct.pack("<f", value)
    assert shortest(-value) == -written
    digits = digits_of(written)
    assert digits == 1 or not shorter_exists(bits, digits - 1), (value, written)


@given(bits=st.integers(1, 0x7F7FFFFF))
def test_no_shorter_decimal_reads_back_equal(bits: int) -> None:
    """Of any finite float, subnormals among them."""
    assert_shortest(bits)


@pytest.mark.parametrize("exponent", range(1, 255))
def test_powers_of_two_have_no_shorter_decimal(exponent: int) -> None:
    """Where the gaps above and below differ; all of them."""
    assert_shortest(exponent << 23)


def test_zeros_keep_their_sign() -> None:
    """Minus zero is a value of its own."""
    assert [math.copysign(1, shortest(zero)) for zero in (0.0, -0.0)] == [1, -1]
