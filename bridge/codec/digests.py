"""A number for a record, the same for equal ones, however their values are written.

Kinetica may write a value differently in a notification than in a read (protocol, section
4.5: a `datetime` with six digits of fraction, where the column keeps three). So each value is
brought to one canonical form by its type, and what is digested is those, one after another:

    null    00
    number  01, 8 bytes, little-endian
    real    02, the 8 bytes of a double; one zero, and one for all that is no number
    text    03, the length in 8 bytes, UTF-8
    bytes   04, the length in 8 bytes, as they are

The digest is BLAKE2b with 8 bytes, read as a little-endian number. It is stored and compared with
what another process made, so it does not change.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from bridge.events import Column
from bridge.types import canonical, type_of

_NUMBER = struct.Struct("<bq")
_REAL = struct.Struct("<bd")
_LENGTH = struct.Struct("<bQ")
_NO_NUMBER = b"\2" + struct.pack("<Q", 0x7FF8_0000_0000_0000)

# What the compiled codec brings to its form; a text's family is plain where it is not here.
_FORMS = {"datetime": "moment", "time": "moment", "uuid": "uuid", "decimal": "decimal"}


def native_form(column: Column) -> str | None:
    """Return the compiled codec's name of a column's form, None where it has none."""
    form = _FORMS.get(type_of(column).family) if column.base == "string" else None
    return form or ("plain" if canonical(column) is None else None)


def digests(columns: Sequence[Column], records: Iterable[Mapping[str, Any]]) -> memoryview:
    """Digest decoded records; as `Codec.digests`."""
    parts = [(column.name, _writer(column)) for column in columns]
    found = array("Q")
    for record in records:
        written = b"".join(
            b"\0" if (value := record[name]) is None else write(value) for name, write in parts
        )
        found.append(int.from_bytes(blake2b(written, digest_size=8).digest(), "little"))
    return memoryview(found)


def _writer(column: Column) -> Callable[[Any], bytes]:
    if column.base in ("int", "long"):
        return lambda value: _NUMBER.pack(1, value)
    if column.base in ("float", "double"):
        return _real
    if column.base == "bytes":
        return lambda value: _LENGTH.pack(4, len(value)) + value
    form = canonical(column)
    return _text if form is None else lambda value: _text(form(value))


def _real(value: float) -> bytes:
    return _NO_NUMBER if math.isnan(value) else _REAL.pack(2, value or 0.0)


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")  # JSON may have spelt out half a pair
    return _LENGTH.pack(3, len(data)) + data
