"""A row of a table as it might be, made from the layout alone; no row is read anywhere."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from io import BytesIO

import fastavro

from bridge.events import Column, Schema
from bridge.types import Type, type_of

_WHEN = datetime(2026, 11, 23, 8, 42, tzinfo=UTC)
_MOST_ELEMENTS = 1_000_000
_NUMBERS = {
    "boolean": 1,
    "int8": 8,
    "int16": 16,
    "int": 42,
    "long": 1234,
    "timestamp": int(_WHEN.timestamp() * 1000) + 123,
}
_TEXTS = {
    "date": "2026-11-23",
    "time": "08:42:00.123",
    "datetime": "2026-11-23 08:42:00.123",
    "ulong": "1234",
    "ipv4": "192.0.2.1",
    "uuid": "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    "json": '{"name":"value"}',
    "wkt": "POINT (1 2)",
}
_ELEMENTS = {"string": '"text"', "boolean": "true", "float": "1.5", "double": "1.5"}


def sample_row(schema: Schema) -> bytes:
    r"""Return a record of a layout, in Avro, with a value in every column.

    >>> from bridge.events import Column
    >>> sample_row(Schema("7", (Column("n", "long", "long"), Column("c", "string", "char4"))))
    b'\xa4\x13\x08text'
    """
    fields = [
        {
            "name": f"column_{place}",  # Avro forbids many a column's name
            "type": [column.base, "null"] if column.nullable else column.base,
        }
        for place, column in enumerate(schema.columns)
    ]
    layout = fastavro.parse_schema({"type": "record", "name": "row", "fields": fields})
    row = {f"column_{place}": _value(column) for place, column in enumerate(schema.columns)}
    out = BytesIO()
    fastavro.schemaless_writer(out, layout, row)
    return out.getvalue()


def _value(column: Column) -> int | float | str | bytes:
    kind = type_of(column)
    match column.base:
        case "int" | "long":
            return _NUMBERS.get(kind.family, _NUMBERS[column.base])
        case "float" | "double":
            return 1.5
        case "bytes":
            return _bytes(kind)
        case _:
            return _text(kind)


def _text(kind: Type) -> str:
    if kind.family == "decimal":
        return _decimal(kind)
    if kind.family == "array":
        element, count = (*kind.parameters, "", "")[:2]
        values = [_ELEMENTS.get(element, "1")] * min(_number(count) or 2, _MOST_ELEMENTS)
        return f"[{','.join(values)}]"
    return _TEXTS.get(kind.family, "text")[: kind.high]


def _decimal(kind: Type) -> str:
    precision, scale = (*map(_number, kind.parameters), 0, 0)[:2]
    if not precision:
        return "12.50"
    whole = "12"[: max(precision - scale, 0)] or "0"
    return f"{whole}.{'50'.ljust(scale, '0')[:scale]}" if scale else whole


def _bytes(kind: Type) -> bytes:
    if kind.family != "vector":
        return b"bytes"
    count = min(_number(kind.parameters[0] if kind.parameters else "") or 2, _MOST_ELEMENTS)
    return struct.pack("<f", 0.5) * count


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
