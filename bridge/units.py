"""Durations and sizes as people write them: `500ms`, `20m`, `64KiB`, `10GiB`.

`Duration` and `Size` are pydantic field types. A number without its unit is refused,
because it is read as milliseconds by one half of the world and as seconds by the other.
"""

from __future__ import annotations

import math
import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def parse_duration(value: Any) -> float:
    """Read `500ms`, `30s`, `20m`, `2h` or `7d` as seconds.

    Raises:
        ValueError: no unit, an unknown one, or no number.

    >>> parse_duration("500ms")
    0.5
    """
    number, unit = _split(value, "a duration like 500ms, 30s, 20m, 2h or 7d", _SECONDS, "s")
    return number * _SECONDS[unit]


def parse_size(value: Any) -> int:
    """Read `512B`, `64KiB`, `1MB` or `10GiB` as bytes.

    Raises:
        ValueError: no unit, an unknown one, or no number.

    >>> parse_size("64KiB")
    65536
    """
    number, unit = _split(value, "a size like 64KiB, 1MiB or 10GiB", _BYTES, "MiB")
    return round(number * _BYTES[unit])


def size_text(size: int) -> str:
    """Write a number of bytes in its largest unit.

    >>> size_text(512), size_text(1_400_000), size_text(10 * 2**30)
    ('512 B', '1.3 MiB', '10.0 GiB')
    """
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def parse_moment(text: str, now: float | None = None) -> int:
    """Read an RFC 3339 time, or an age such as `2h`, as microseconds since the epoch.

    Args:
        text: what was written; a time without a zone is UTC, one before 1970 is 1970.
        now: from which an age counts, seconds since the epoch; None for the present.

    Raises:
        ValueError: it is neither.

    >>> parse_moment("1970-01-01T00:00:01Z"), parse_moment("1s", now=3.0)
    (1000000, 2000000)
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            present = time.time() if now is None else now
            return round(max(0.0, present - parse_duration(text)) * 1e6)
        except ValueError:
            example = "a time like 2026-11-23T08:42:00Z or an age like 2h"
            raise ValueError(f"{text!r} is not {example}") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return max(0, round(found.timestamp() * 1e6))


def _split(value: Any, wanted: str, units: dict[str, Any], example: str) -> tuple[float, str]:
    match = _NUMBER_AND_UNIT.fullmatch(value if isinstance(value, str) else repr(value))
    if match is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is not {wanted}")
    number, unit = match.groups()
    if not unit:
        raise ValueError(f"{number} has no unit: write {wanted}, for example {number}{example}")
    if unit not in units:
        raise ValueError(f"unknown unit {unit!r}: known are {', '.join(units)}")
    if not math.isfinite(float(number)):
        raise ValueError(f"{value!r} is too large to be {wanted}")
    return float(number), unit


# Defaults are not validated by pydantic: they are given in code as plain seconds and bytes.
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)$", "examples": ["20m"]}
    ),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)?\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$",
            "examples": ["64KiB"],
        }
    ),
]
