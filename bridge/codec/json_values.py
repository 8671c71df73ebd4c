"""Each declared type's JSON form, as a rewrite of one column over a batch of records.

A rewrite runs down the batch and replaces the values that orjson would not write as they
should be; one loop a column costs less than one call a value. A type without a rewrite is
written by orjson as it is. Nulls stay.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from math import isfinite
from struct import unpack
from typing import Any

from bridge.codec.float32 import shortest
from bridge.codec.json_text import embed
from bridge.events import Column

Records = Sequence[dict[str, Any]]
Rewrite = Callable[[Records, str], None]

# Milliseconds since the epoch of the first and the last moment of the years 0001 to 9999.
_FIRST_MS = -62_135_596_800_000
_LAST_MS = 253_402_300_799_999
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (only its distance from others counts, all UTC)
_MILLISECONDS = tuple(f".{millisecond:03d}Z" for millisecond in range(1000))
_ULONG_DIGITS = 20
_ULONG_MAX = 2**64 - 1


@lru_cache(maxsize=4096)
def _moment(second: int) -> str:
    # Rows of one batch share few seconds; the calendar is asked once for each.
    return (_EPOCH + timedelta(seconds=second)).isoformat()


def _timestamps(records: Records, name: str) -> None:
    # 2026-11-23T08:42:00.123Z; a moment outside of the years 0001 to 9999 stays a number.
    for record in records:
        value = record[name]
        if value is not None and _FIRST_MS <= value <= _LAST_MS:
            record[name] = _moment(value // 1000) + _MILLISECONDS[value % 1000]


def date_time(value: str) -> str:
    """Write `2026-11-23 08:42:00.123` with a T, all else as received."""
    return value.replace(" ", "T", 1)


def ulong(value: str) -> int | str:
    """Read digits as the number they are; text that is no 64-bit number stays text."""
    if not (value.isascii() and value.isdigit() and len(value) <= _ULONG_DIGITS):
        return value
    number = int(value)
    return number if number <= _ULONG_MAX else value


def single(value: float) -> float | str:
    """Give a 32-bit float its own shortest digits, and non-finite ones their names."""
    return shortest(value) if isfinite(value) else _non_finite(value)


def vector(value: bytes) -> list[float | str] | str:
    """Read little-endian 32-bit floats; base64 of bytes that are not whole ones."""
    count, rest = divmod(len(value), 4)
    if rest:
        return base64(value)
    return [single(element) for element in unpack(f"<{count}f", value)]


def base64(value: bytes) -> str:
    """Write bytes in base64 with padding, RFC 4648 section 4."""
    return b2a_base64(value, newline=False).decode("ascii")


def _non_finite(value: float) -> str:
    if value != value:  # noqa: PLR0124 (only NaN differs from itself)
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _each(convert: Callable[[Any], Any]) -> Rewrite:
    def rewrite(records: Records, name: str) -> None:
        for record in records:
            value = record[name]
            if value is not None:
                record[name] = convert(value)

    return rewrite


def _doubles(records: Records, name: str) -> None:
    # orjson writes the shortest form by itself, but null for what is not finite.
    for record in records:
        value = record[name]
        if value is not None and not isfinite(value):
            record[name] = _non_finite(value)


_BY_BASE: Mapping[str, Rewrite] = {
    "float": _each(single),
    "double": _doubles,
    "bytes": _each(base64),
}
_BY_DECLARED_TYPE: Mapping[tuple[str, str], Rewrite] = {
    ("int", "boolean"): _each(bool),
    ("long", "timestamp"): _timestamps,
    ("string", "datetime"): _each(date_time),
    ("string", "ulong"): _each(ulong),
    ("string", "json"): _each(embed),
    ("string", "array"): _each(embed),
    ("bytes", "vector"): _each(vector),
}


def kinetica_rewrite(column: Column) -> Rewrite | None:
    """Choose the rewrite that JSON itself needs; None where there is none."""
    return _BY_BASE.get(column.base)


def declared_rewrite(column: Column) -> Rewrite | None:
    """Choose the rewrite to what the declared type means; None where there is none."""
    family = column.type.partition("(")[0]
    return _BY_DECLARED_TYPE.get((column.base, family)) or kinetica_rewrite(column)
