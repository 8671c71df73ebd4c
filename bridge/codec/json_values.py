"""Each JSON form in Python: from a wire value to its JSON bytes. Nulls are the caller's."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from math import isfinite
from struct import unpack
from typing import Any

import orjson

from bridge.codec.float32 import shortest
from bridge.codec.json_text import compact
from bridge.types import JsonForm, ulong

# Milliseconds since the epoch of the first and the last moment of the years 0001 to 9999.
_FIRST_MS = -62_135_596_800_000
_LAST_MS = 253_402_300_799_999
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (only its distance from others counts, all UTC)


@lru_cache(maxsize=4096)
def _moment(second: int) -> str:
    # Rows of one batch share few seconds; the calendar is asked once for each.
    return (_EPOCH + timedelta(seconds=second)).isoformat()


def _timestamp(value: int) -> bytes:
    # 2026-11-23T08:42:00.123Z; a moment outside of the years 0001 to 9999 stays a number.
    if not _FIRST_MS <= value <= _LAST_MS:
        return b"%d" % value
    return b'"%b.%03dZ"' % (_moment(value // 1000).encode(), value % 1000)


def _boolean(value: int) -> bytes:
    return b"true" if value else b"false"


def _text(value: str) -> bytes:
    return orjson.dumps(value)


def _date_time(value: str) -> bytes:
    # `2026-11-23 08:42:00.123` with a T, all else as received.
    return orjson.dumps(value.replace(" ", "T", 1))


def _ulong(value: str) -> bytes:
    # Text that is no 64-bit number stays text.
    number = ulong(value)
    return orjson.dumps(value) if number is None else b"%d" % number


def _double(value: float) -> bytes:
    """Write the shortest decimal that reads back equal, its exponent as a number.

    >>> [_double(value) for value in (1e16, 1e-5, 1e-7)]
    [b'1e+16', b'0.00001', b'1e-7']
    """
    if not isfinite(value):
        return _non_finite(value)
    digits, letter, exponent = repr(value).partition("e")
    if not letter:
        return digits.encode()
    power = int(exponent)
    if power != -5:
        return b"%be%+d" % (digits.encode(), power)
    sign = "-" if digits[0] == "-" else ""
    return f"{sign}0.0000{digits.lstrip('-').replace('.', '')}".encode()


def _single(value: float) -> bytes:
    return _double(shortest(value)) if isfinite(value) else _non_finite(value)


def _vector(value: bytes) -> bytes:
    # Little-endian 32-bit floats; base64 of bytes that are not whole ones.
    count, rest = divmod(len(value), 4)
    if rest:
        return _base64(value)
    return b"[%b]" % b",".join(map(_single, unpack(f"<{count}f", value)))


def _base64(value: bytes) -> bytes:
    # With padding, RFC 4648 section 4.
    return b'"%b"' % b2a_base64(value, newline=False)


def _json(value: str) -> bytes:
    embedded = compact(value)
    return orjson.dumps(value) if embedded is None else embedded.encode()


def bare(form: JsonForm, value: Any) -> bytes:
    """Write a value as text that is no JSON: a string as itself, all else as its JSON.

    >>> bare(JsonForm.TEXT, 'a "b"'), bare(JsonForm.JSON, '{"a": "b"}')
    (b'a "b"', b'{"a":"b"}')
    """
    if form is JsonForm.JSON:
        embedded = compact(value)
        return (value if embedded is None else embedded).encode()
    written = WRITERS[form](value)
    return orjson.loads(written).encode() if written.startswith(b'"') else written


def _non_finite(value: float) -> bytes:
    if value != value:  # noqa: PLR0124 (only NaN differs from itself)
        return b'"NaN"'
    return b'"Infinity"' if value > 0 else b'"-Infinity"'


WRITERS: Mapping[JsonForm, Callable[[Any], bytes]] = {
    JsonForm.NUMBER: b"%d".__mod__,
    JsonForm.BOOLEAN: _boolean,
    JsonForm.TIMESTAMP: _timestamp,
    JsonForm.FLOAT: _single,
    JsonForm.DOUBLE: _double,
    JsonForm.TEXT: _text,
    JsonForm.DATETIME: _date_time,
    JsonForm.ULONG: _ulong,
    JsonForm.JSON: _json,
    JsonForm.VECTOR: _vector,
    JsonForm.BASE64: _base64,
}
