"""Write powers.h: the powers of ten that shortest.c multiplies by, from exact integers.

    python make_powers.py > powers.h

A power is its 128 highest bits, rounded up, so that the first bit is set. Also proves the two
integer formulas for logarithms that shortest.c uses, for every exponent that occurs.
"""

from __future__ import annotations

from fractions import Fraction

FIRST, LAST = -292, 324
# A double is a whole number times one of these powers of two.
FIRST_TWO, LAST_TWO = -1074, 971


def power(ten: int) -> int:
    """Return the 128 highest bits of 10^ten, rounded up."""
    value = Fraction(10) ** ten * Fraction(2) ** (127 - floor_log2(ten))
    return -(-value.numerator // value.denominator)


def floor_log2(ten: int) -> int:
    """Return the largest power of two that 10^ten reaches."""
    return (10**ten).bit_length() - 1 if ten >= 0 else -(10**-ten - 1).bit_length()


def floor_log10(value: Fraction) -> int:
    """Return the largest power of ten that a value reaches."""
    ten = len(str(value.numerator)) - len(str(value.denominator))
    return ten if Fraction(10) ** ten <= value else ten - 1


def prove(formula: int, logarithm: int) -> None:
    """Stop where a formula of shortest.c is not the logarithm."""
    if formula != logarithm:
        raise ArithmeticError(f"{formula} is not {logarithm}")


def prove_all() -> None:
    """Hold both formulas against exact numbers."""
    for ten in range(FIRST, LAST + 1):
        prove(ten * 1741647 >> 19, floor_log2(ten))
        prove(power(ten).bit_length(), 128)
    for two in range(FIRST_TWO, LAST_TWO + 1):
        width = Fraction(2) ** two
        prove(two * 1262611 >> 22, floor_log10(width))
        prove(two * 1262611 - 524031 >> 22, floor_log10(width * 3 / 4))
        if not FIRST <= -floor_log10(width * 3 / 4) <= LAST:
            raise ArithmeticError(f"no power for 2^{two}")


def main() -> None:
    """Print the header."""
    prove_all()
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
        high, low = divmod(power(ten), 1 << 64)
        cells.append(f"{{0x{high:016x}, 0x{low:016x}}}")
    for place in range(0, len(cells), 2):
        print("    " + ", ".join(cells[place : place + 2]) + ",")
    print("};")
    print()
    print("#endif")


if __name__ == "__main__":
    main()
