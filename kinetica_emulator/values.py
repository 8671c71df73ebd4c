"""Column values: what a column accepts, the form it is kept in, and the forms it is given in.

Kept is what SQLite compares rightly: dates and times in their full canonical text, NaN as the
text `NaN` (SQLite has no NaN), everything else as on the wire. A column whose type restricts
nothing has no check at all, so that bulk inserts only pay for what needs looking at.
Source: protocol, section 5.2.
"""

from __future__ import annotations

import json
import math
import re
import struct
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from bridge.events import Column
from kinetica_emulator.errors import RequestError

Check = Callable[[Any], Any]
BulkTest = Callable[[list[Any]], bool]

_RANGES: Mapping[str, tuple[int, int]] = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "boolean": (0, 1),
    # Milliseconds from the year 1000 to the end of 2900.
    "timestamp": (-30_610_224_000_000, 29_379_542_399_999),
}
_TIME = r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?"
_DATE = r"(\d{4})-(\d{1,2})-(\d{1,2})"
_TIME_FORM = re.compile(_TIME)
_DATE_FORM = re.compile(_DATE)
_DATETIME_FORM = re.compile(rf"{_DATE}(?:[ T]{_TIME})?Z?")
_DECIMAL_FORM = re.compile(r"[+-]?(\d+)(?:\.(\d*))?")
_IPV4_FORM = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})")
_PARAMETERS = re.compile(r"(\w+?)\(([^)]*)\)")
_CHAR = re.compile(r"char(\d+)")
# Bare `decimal` is decimal(18,4). Source: protocol, section 5.2.
_BARE_DECIMAL = (18, 4)
_LARGEST_ULONG = 2**64 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_of(column: Column, *, truncate: bool = False) -> Check | None:
    """Return the function that brings one value to the form it is kept in.

    Args:
        column: the column.
        truncate: cut strings too long for a charN column instead of refusing them.

    Returns:
        A function of one value, None excluded, that raises ValueError with the reason; None
        where every value that decodes is kept as it is.
    """
    name, arguments = _split(column.type)
    char = _CHAR.fullmatch(name)
    if char:
        return _char_check(int(char[1]), truncate=truncate)
    if name in ("int8", "int16", "boolean", "timestamp"):
        return _range_check(name)
    if name in ("float", "double"):
        return _nan_as_text
    if name == "decimal":
        precision, scale = _decimal_size(arguments)
        return _decimal_check(precision, scale)
    if name == "vector":
        return _vector_check(int(arguments[0])) if arguments else None
    return _BY_NAME.get(name)


def bulk_test_of(column: Column) -> BulkTest:
    """Return a quick test whether all of many values, none of them None, are kept as they are.

    True is certain; False only means that each value has to go through `check_of`. Texts are
    tested together: joined, by one regular expression that knows the common canonical forms.
    """
    name, arguments = _split(column.type)
    char = _CHAR.fullmatch(name)
    if char:
        size = int(char[1])
        return lambda values: len(max(values, key=len)) <= size and "".join(values).isascii()
    if name in ("int8", "int16", "boolean", "timestamp"):
        low, high = _RANGES[name]
        return lambda values: low <= min(values) and max(values) <= high
    if name in ("float", "double"):
        # A sum is NaN if any summand is; infinities of both signs make one too, no harm.
        return lambda values: not math.isnan(sum(values))
    if name == "decimal":
        precision, scale = _decimal_size(arguments)
        whole = precision - scale
        digits = rf"-?+\d{{1,{whole}}}+" if whole else "-?+0"
        return _all_match(rf"{digits}(?:\.\d{{1,{scale}}}+)?+" if scale else digits)
    form = _COMMON_FORMS.get(name)
    return _all_match(form) if form else lambda values: not values


# Canonical texts that need no calendar to be right. Days after the 28th go the long way.
_COMMON_DATE = r"(?:1\d|2[0-8])\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
_COMMON_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}"
_COMMON_FORMS: Mapping[str, str] = {
    "date": _COMMON_DATE,
    "time": _COMMON_TIME,
    "datetime": f"{_COMMON_DATE} {_COMMON_TIME}",
    "ulong": r"\d{1,19}+",
    "ipv4": r"(?:\d{1,2}|1\d\d)(?:\.(?:\d{1,2}|1\d\d)){3}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}


def _all_match(form: str) -> BulkTest:
    # Atomic and possessive: no state is kept per value, however many there are.
    pattern = re.compile(rf"(?>(?:{form})\n)*+", re.ASCII)

    def test(values: list[str]) -> bool:
        joined = "\n".join(values) + "\n"
        # A value with a line feed of its own would pass as two.
        return joined.count("\n") == len(values) and pattern.fullmatch(joined) is not None

    return test


def _decimal_size(arguments: list[str]) -> tuple[int, int]:
    if not arguments:
        return _BARE_DECIMAL
    return int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0


def _split(type_name: str) -> tuple[str, list[str]]:
    match = _PARAMETERS.fullmatch(type_name)
    return (match[1], match[2].split(",")) if match else (type_name, [])


def _char_check(size: int, *, truncate: bool) -> Check:
    def check(value: str) -> str:
        if len(value) <= size and (value.isascii() or len(value.encode()) <= size):
            return value
        if truncate:
            return value.encode()[:size].decode(errors="ignore")
        raise ValueError(f"string of {len(value.encode())} bytes is too long for char{size}")

    return check


def _range_check(name: str) -> Check:
    low, high = _RANGES[name]

    def check(value: int) -> int:
        if low <= value <= high:
            return value
        raise ValueError(f"{value} is out of range for {name}")

    return check


def _nan_as_text(value: float) -> float | str:
    return value if value == value else "NaN"  # noqa: PLR0124 (only NaN differs from itself)


def _decimal_check(precision: int, scale: int) -> Check:
    whole = precision - scale

    def check(value: str) -> str:
        match = _DECIMAL_FORM.fullmatch(value)
        if match is None:
            raise ValueError(f"{value!r} is not a decimal")
        if len(match[2] or "") > scale:
            value = str(Decimal(value).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP))
            match = _DECIMAL_FORM.fullmatch(value)
        if match and len(match[1].lstrip("0")) > whole:
            raise ValueError(f"{value} is out of range for decimal({precision},{scale})")
        return value

    return check


def _vector_check(dimensions: int) -> Check:
    def check(value: bytes) -> bytes:
        if len(value) == 4 * dimensions:
            return value
        raise ValueError(f"a vector of {dimensions} has {4 * dimensions} bytes, not {len(value)}")

    return check


def _date(value: str) -> str:
    match = _DATE_FORM.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is not a date")
    return _canonical_date(match.groups())


def _time(value: str) -> str:
    match = _TIME_FORM.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is not a time")
    return _canonical_time(match.groups())


def _datetime(value: str) -> str:
    match = _DATETIME_FORM.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is not a datetime")
    parts = match.groups()
    return f"{_canonical_date(parts[:3])} {_canonical_time(parts[3:])}"


def _canonical_date(parts: tuple[str, ...]) -> str:
    year, month, day = map(int, parts)
    datetime(year, month, day, tzinfo=UTC)
    return f"{year:04d}-{month:02d}-{day:02d}"


def _canonical_time(parts: tuple[str | None, ...]) -> str:
    hour, minute, second = (int(part or 0) for part in parts[:3])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"no such time: {hour}:{minute}:{second}")
    return f"{hour:02d}:{minute:02d}:{second:02d}.{(parts[3] or '').ljust(3, '0')[:3]}"


def _ulong(value: str) -> str:
    if value.isdecimal() and value.isascii() and int(value) <= _LARGEST_ULONG:
        return value
    raise ValueError(f"{value!r} is out of range for ulong")


def _ipv4(value: str) -> str:
    match = _IPV4_FORM.fullmatch(value)
    if match and all(int(part) <= 255 for part in match.groups()):
        return value
    raise ValueError(f"{value!r} is not an IPv4 address")


def _uuid(value: str) -> str:
    return str(uuid.UUID(value))


_BY_NAME: Mapping[str, Check] = {
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "ulong": _ulong,
    "ipv4": _ipv4,
    "uuid": _uuid,
}


def from_json(column: Column, value: Any) -> Any:
    """Turn a value of a JSON record, or of an SQL result, into the column's wire form.

    Bytes are a string whose code points are the byte values. Source: protocol, section 1.5.

    Raises:
        RequestError: the column cannot hold it.
    """
    if value is None:
        if not column.nullable:
            raise RequestError(f"Column '{column.name}' cannot be null")
        return None
    try:
        return _CONVERT[column.base](column, value)
    except (ValueError, TypeError, OverflowError, InvalidOperation) as error:
        raise RequestError(f"Column '{column.name}': {error}") from error


def _to_integer(column: Column, value: Any) -> int:
    if column.type == "timestamp" and isinstance(value, str) and not _is_integer(value):
        moment = datetime.fromisoformat(_datetime(value)).replace(tzinfo=UTC)
        delta = moment - _EPOCH
        return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000
    if column.type == "boolean" and isinstance(value, str) and value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    number = int(value)
    if isinstance(value, float) and value != number:
        raise ValueError(f"{value} is not a whole number")
    low, high = _RANGES[column.base]
    if not low <= number <= high:
        raise ValueError(f"{number} is out of range for {column.base}")
    return number


_TRUTH = {"true": 1, "false": 0}


def _is_integer(text: str) -> bool:
    return text.lstrip("+-").isdecimal()


def _to_float(column: Column, value: Any) -> float:
    number = float(value)
    if column.base == "float" and math.isfinite(number):
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    return number


def _to_string(column: Column, value: Any) -> str:
    del column
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        raise TypeError("bytes are no string")
    return json.dumps(value)


def _to_bytes(column: Column, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if column.type.startswith("vector"):
        numbers = json.loads(value) if isinstance(value, str) and value[:1] == "[" else value
        if isinstance(numbers, list):
            return struct.pack(f"<{len(numbers)}f", *numbers)
    return str(value).encode("latin-1")


_CONVERT: Mapping[str, Callable[[Column, Any], Any]] = {
    "int": _to_integer,
    "long": _to_integer,
    "float": _to_float,
    "double": _to_float,
    "string": _to_string,
    "bytes": _to_bytes,
}


def to_json(value: Any) -> Any:
    """Turn a wire value into one that JSON has: bytes as code points, NaN and such as text."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def to_wire(column: Column, value: Any) -> Any:
    """Turn a kept value into the column's wire form."""
    return math.nan if value == "NaN" and column.base in ("float", "double") else value


def now_text(column: Column, moment: datetime) -> Any:
    """Return a moment as the column's type writes it: milliseconds, or one of the texts."""
    if column.base == "long":
        return int(moment.timestamp() * 1000)
    text = moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
    return {"date": text[:10], "time": text[11:]}.get(column.type, text)
