"""Write powers.h: the powers of ten that shortest.c multiplies by, from exact integers.

    python make_powers.py > powers.h

A power is its 128 highest bits, rounded up, so that the first bit is set. Also proves the two
integer formulas for logarithms that shortest.c uses, for every exponent that occurs.
"""

from __future__ import annotations

from fractions import Fraction

FIRST, LAST = -292, 324


def power(ten: int) -> int:
    value = Fraction(10) ** ten
    shift = 128 - (floor_log2(ten) + 1)
    scaled = value * Fraction(2) ** shift
    return -(-scaled.numerator // scaled.denominator)


def floor_log2(ten: int) -> int:
    if ten >= 0:
        return (10**ten).bit_length() - 1
    return -(10**-ten - 1).bit_length()


def floor_log10(value: Fraction) -> int:
    ten = len(str(value.numerator)) - len(str(value.denominator))
    return ten if Fraction(10) ** ten <= value else ten - 1


def main() -> None:
    for ten in range(FIRST, LAST + 1):
        assert ten * 1741647 >> 19 == floor_log2(ten), ten
    for two in range(-1074, 972):
        width = Fraction(2) ** two
        assert two * 1262611 >> 22 == floor_log10(width), two
        assert two * 1262611 - 524031 >> 22 == floor_log10(width * 3 / 4), two
        assert FIRST <= -(two * 1262611 - 524031 >> 22) <= LAST, two

    print("/* Made by make_powers.py: 10^k for k from POWERS_FIRST on, its 128 highest bits")
    print(" * rounded up, the higher half first. */")
    print("#ifndef KINETICA_BRIDGE_POWERS_H")
    print("#define KINETICA_BRIDGE_POWERS_H")
    print()
    print("#include <stdint.h>")
    print()
    print(f"#define POWERS_FIRST ({FIRST})")
    print()
    print("static const struct power {")
    print("    uint64_t high, low;")
    print(f"}} powers[{LAST - FIRST + 1}] = {{")
    cells = []
    for ten in range(FIRST, LAST + 1):
        bits = power(ten)
        assert bits.bit_length() == 128
        cells.append(f"{{0x{bits >> 64:016x}, 0x{bits & (1 << 64) - 1:016x}}}")
    for place in range(0, len(cells), 2):
        print("    " + ", ".join(cells[place : place + 2]) + ",")
    print("};")
    print()
    print("#endif")


if __name__ == "__main__":
    main()
