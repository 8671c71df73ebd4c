"""The shortest decimal that reads back equal at 32 bits.

A float column's value arrives widened to a double, whose own shortest form shows digits that
the column never had: 0.1 becomes 0.10000000149011612. `shortest` returns the double that
*prints* as the column's value should: the fewest digits that a 32-bit reader takes for the
value, and of those the nearest to it.

The interval of what reads back lies between the midpoints to the neighbours. A power of ten
that is not wider than it, but ten times that is, leaves at most two candidates with one digit
less and two without; all is compared exactly, in integers. Source: Giulietti, "The Schubfach
way to render doubles", whose fast form is `csrc/shortest.c`.
"""

from __future__ import annotations

from struct import Struct

_SINGLE = Struct("<f")
_BITS = Struct("<I")
_HIDDEN = 1 << 23


def shortest(value: float) -> float:
    """Return the double whose shortest decimal is that of a finite 32-bit float.

    >>> shortest(0.10000000149011612)
    0.1
    """
    (bits,) = _BITS.unpack(_SINGLE.pack(value))
    fraction, exponent = bits & (_HIDDEN - 1), bits >> 23 & 0xFF
    if not bits & 0x7FFFFFFF:
        return value
    significand = fraction | _HIDDEN if exponent else fraction
    power = max(exponent, 1) - 150
    digits, ten = _decimal(significand, power, closer=fraction == 0 and exponent > 1)
    return float(f"{'-' if bits >> 31 else ''}{digits}e{ten}")


def _decimal(significand: int, power: int, *, closer: bool) -> tuple[int, int]:
    """Return digits and their power of ten; `closer`: the neighbour below is half as far."""
    # floor(log10) of the interval's width, which is 2^power, or three quarters of that.
    ten = power * 1262611 - (524031 if closer else 0) >> 22
    # All below counts in quarters of 2^power, times `over`, in units of 10^ten.
    times = 10**-ten if ten < 0 else 1
    over = 10**ten if ten > 0 else 1
    if power >= 0:
        times <<= power
    else:
        over <<= -power
    low, value, high = (
        (4 * significand + distance) * times for distance in (-1 if closer else -2, 0, 2)
    )
    ends = significand & 1 == 0  # a tie goes to the even float, so its ends read back too

    def inside(digits: int) -> bool:
        at = 4 * digits * over
        return low < at < high or (ends and at in {low, high})

    digits = value // (4 * over)
    tens = digits // 10
    for candidates, scale in (((10 * tens, 10 * tens + 10), 10), ((digits, digits + 1), 1)):
        good = [candidate for candidate in candidates if candidate and inside(candidate)]
        if good:
            # Of two at one distance, the even one.
            best = min(good, key=lambda d: (abs(4 * d * over - value), d // scale & 1))
            return best, ten
    raise AssertionError("an interval of at least one unit has a decimal")
