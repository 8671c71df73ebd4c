"""How texts compare whose types order otherwise than by their bytes, for SQLite.

Values are kept in one canonical form, but constants in an expression are the client's own: a
datetime may come there without its milliseconds, a decimal with a zero more. Numbers and addresses
compare as such, exactly.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from bridge.events import Column


def _comparing(convert: Callable[[str], Any]) -> Callable[[str, str], int]:
    """Return a comparison of converted texts; of the texts themselves where one is none."""

    def compare(left: str, right: str) -> int:
        try:
            a, b = convert(left), convert(right)
        except (InvalidOperation, ValueError):
            a, b = left, right
        return int(a > b) - int(a < b)

    return compare


def _moment(text: str) -> str:
    """Return a date and time, or a time, so that it compares by its text.

    >>> _moment("2024-01-02T03:04:05.600") == _moment("2024-01-02 03:04:05.6")
    True
    """
    if text[4:5] == "-":
        text = text[:10] + " " + (text[11:] or "00:00:00")
    if "." in text:
        text = text.rstrip("0")
    return text.removesuffix(".")


BY_NAME: Mapping[str, Callable[[str, str], int]] = {
    "NUMERIC_TEXT": _comparing(Decimal),
    "MOMENT_TEXT": _comparing(_moment),
    "IPV4_TEXT": _comparing(ipaddress.IPv4Address),
}
_BY_TYPE: Mapping[str, str] = {
    "decimal": "NUMERIC_TEXT",
    "ulong": "NUMERIC_TEXT",
    "datetime": "MOMENT_TEXT",
    "time": "MOMENT_TEXT",
    "ipv4": "IPV4_TEXT",
}


def collation_of(column: Column) -> str | None:
    """Return the name of the collation of a column, None if its values need none."""
    return _BY_TYPE.get(column.type.partition("(")[0])
