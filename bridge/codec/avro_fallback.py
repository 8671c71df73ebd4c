"""Avro of another schema, in Python: equal results, slower."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Sequence
from datetime import date
from itertools import accumulate
from struct import unpack
from typing import Any

from bridge.codec.avro import AvroColumn, AvroForm, AvroWriter, AvroWritten
from bridge.codec.form import unsigned
from bridge.codec.json_values import bare
from bridge.codec.walk import Walker, read_long
from bridge.events import Schema
from bridge.types import ulong

_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,9}))?")
_DECIMAL = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?")
_UUID = re.compile(r"([0-9a-f]{8})(-?)([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{4})\2([0-9a-f]{12})")

Boundaries = Callable[[bytes, int], Sequence[int]]


class FallbackAvroWriter(AvroWriter):
    """Writes what a walk finds.

    Args:
        boundaries: of the codec that it belongs to: where each record begins and the last ends.
        walker: likewise.
    """

    def __init__(
        self,
        boundaries: Boundaries,
        walker: Walker,
        schema: Schema,
        columns: Sequence[AvroColumn],
    ) -> None:
        super().__init__(schema, columns)
        self._boundaries = boundaries
        self._walker = walker

    def write(self, payload: bytes, count: int, header: bytes) -> AvroWritten:
        """See `AvroWriter.write`."""
        starts = self._boundaries(payload, count)[:count]
        values, refused = [], []
        for index, start in enumerate(starts):
            bounds = self._walker.columns(payload, start)
            fields = [self._field(column, payload, bounds) for column in self.columns]
            if None in fields:
                refused.append((index, fields.index(None)))
            else:
                values.append(header + b"".join(filter(None, fields)))
        if refused:
            raise self._unwritable(refused)
        return AvroWritten(b"".join(values), unsigned(accumulate(map(len, values))))

    def _field(self, column: AvroColumn, data: bytes, bounds: Sequence[int]) -> bytes | None:
        """Write one value; None where it has no form."""
        begin, end = bounds[column.place], bounds[column.place + 1]
        kind, before = self.schema.columns[column.place], b""
        if column.form is AvroForm.REDACT:
            return b"\6***"
        if kind.nullable:
            index, begin = read_long(data, begin)
            if index == 1:
                return b"\0"
            before = b"\2"
        raw = data[begin:end]
        if column.form is AvroForm.HASH:
            value: bytes | None = _hash(column, _read(kind.base, raw))
        else:
            value = _value(column, raw)
        return None if value is None else before + value


def _read(base: str, raw: bytes) -> Any:
    """Read a value that stands on the wire."""
    if base in {"float", "double"}:
        return unpack("<f" if base == "float" else "<d", raw)[0]
    number, at = read_long(raw, 0)
    if base in {"int", "long"}:
        return number
    return raw[at:].decode() if base == "string" else raw[at:]


def _hash(column: AvroColumn, value: Any) -> bytes:
    text = b"" if column.json is None else bare(column.json, value)
    digits = hmac.digest(column.mask_key, text, "sha256").hex().encode()
    return zigzag(len(digits)) + digits


def _value(column: AvroColumn, raw: bytes) -> bytes | None:
    """Write a value as it stands on the wire in its form."""
    if column.form is AvroForm.COPY:
        return raw
    number, at = read_long(raw, 0)  # itself, or a length
    if column.form is AvroForm.BOOLEAN:
        return b"\1" if number else b"\0"
    if column.form is AvroForm.VECTOR:
        return _vector(raw[at:])
    text = raw[at:].decode()
    return _decimal(text, column) if column.form is AvroForm.DECIMAL else _TEXT[column.form](text)


def _vector(data: bytes) -> bytes | None:
    if len(data) % 4:
        return None
    return zigzag(len(data) // 4) + data + b"\0" if data else b"\0"


def zigzag(number: int) -> bytes:
    r"""Write a number of 64 bits as Avro does.

    >>> [zigzag(number) for number in (0, -1, 64)]
    [b'\x00', b'\x01', b'\x80\x01']
    """
    bits = (number << 1) ^ (number >> 63)
    written = bytearray()
    while bits > 0x7F:
        written.append(bits & 0x7F | 0x80)
        bits >>= 7
    written.append(bits)
    return bytes(written)


def _days(text: str) -> int | None:
    found = _DATE.fullmatch(text)
    try:
        return date(*map(int, found.groups())).toordinal() - _EPOCH if found else None
    except ValueError:
        return None


def _ms(text: str) -> int | None:
    found = _TIME.fullmatch(text)
    if not found:
        return None
    hour, minute, second, fraction = found.groups()
    ms = int((fraction or "")[:3].ljust(3, "0"))
    return ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 1000 + ms


def _date(text: str) -> bytes | None:
    days = _days(text)
    return None if days is None else zigzag(days)


def _time(text: str) -> bytes | None:
    ms = _ms(text)
    return None if ms is None else zigzag(ms)


def _date_time(text: str) -> bytes | None:
    days, rest = _days(text[:10]), text[10:]
    ms = _ms(rest[1:]) if rest[:1] in {" ", "T"} else None
    if days is None or (rest and ms is None):
        return None
    return zigzag(days * _DAY_MS + (ms or 0))


def _decimal(text: str, column: AvroColumn) -> bytes | None:
    found = _DECIMAL.fullmatch(text)
    if not found:
        return None
    sign, whole, fraction = found[1], found[2], found[3] or ""
    if not (whole or fraction) or fraction[column.scale :].strip("0"):
        return None
    whole = whole.lstrip("0")
    if len(whole) > column.digits - column.scale:
        return None
    number = int((whole + fraction[: column.scale].ljust(column.scale, "0")) or "0")
    return _unscaled(-number if sign == "-" else number)


def _unscaled(number: int) -> bytes:
    """Write a number in two's complement, in as few bytes as hold it."""
    size = ((number if number >= 0 else ~number).bit_length() + 8) // 8
    return zigzag(size) + number.to_bytes(size, "big", signed=True)


def _ulong(text: str) -> bytes | None:
    number = ulong(text)
    return None if number is None else _unscaled(number)


def _uuid(text: str) -> bytes | None:
    # Only the letters of ASCII: `lower` makes ones of others.
    found = _UUID.fullmatch(text.lower()) if text.isascii() else None
    if not found:
        return None
    written = "-".join(found.group(1, 3, 4, 5, 6))
    return zigzag(len(written)) + written.encode()


_TEXT: dict[AvroForm, Callable[[str], bytes | None]] = {
    AvroForm.DATE: _date,
    AvroForm.TIME: _time,
    AvroForm.DATETIME: _date_time,
    AvroForm.ULONG: _ulong,
    AvroForm.UUID: _uuid,
}
