"""The shortest decimal that reads back equal at 32 bits.

A float column's value arrives widened to a double, whose own shortest form shows digits that
the column never had: 0.1 becomes 0.10000000149011612. `shortest` returns the double that
*prints* as the column's value should.
"""

from __future__ import annotations

from math import copysign
from struct import Struct

_SINGLE = Struct("<f")
# Any decimal of 6 digits survives the way through a normal 32-bit float, so 6 digits are the
# first to try; 9 always suffice. Below the least normal number, fewer digits distinguish.
_LEAST_NORMAL = 2.0**-126
_FORMATS = tuple(f"%.{digits}g" for digits in (6, 7, 8))
_SUBNORMAL_FORMATS = tuple(f"%.{digits}g" for digits in range(1, 9))
# The nearest decimal of n digits reads back if any of n digits does, except at a power of two,
# whose neighbours above are twice as far apart as those below. These are all such: 8 digits
# suffice, and the nearest 8 do not.
_FARTHER_BUT_SHORTER = {
    2.0**-96: 1.2621775e-29,
    2.0**87: 1.5474251e26,
    2.0**90: 1.2379401e27,
}


def shortest(value: float) -> float:
    """Return the double whose shortest decimal is that of a finite 32-bit float.

    >>> shortest(0.10000000149011612)
    0.1
    """
    pack = _SINGLE.pack
    wanted = pack(value)
    formats = _FORMATS if abs(value) >= _LEAST_NORMAL else _SUBNORMAL_FORMATS
    for form in formats:
        candidate = float(form % value)
        if pack(candidate) == wanted:
            return candidate
    if (farther := _FARTHER_BUT_SHORTER.get(abs(value))) is not None:
        return copysign(farther, value)
    return float(f"{value:.9g}")
