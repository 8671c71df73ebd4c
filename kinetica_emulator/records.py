"""Records between their wire form and rows: whole batches at a time, one codec call where it can.

A batch of binary records is decoded as one Avro array, laid together from the frames as they
are; only if that fails is each frame tried alone, to say which one is at fault.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import fastavro

from kinetica_emulator.columns import RecordType
from kinetica_emulator.errors import RequestError
from kinetica_emulator.values import bulk_test_of, check_of, from_json, to_json, to_wire

Row = tuple[Any, ...]
# What the codec raises for bytes that are no record of the schema.
_CODEC_ERRORS = (
    EOFError,
    ValueError,
    IndexError,
    OverflowError,
    TypeError,
    MemoryError,
    struct.error,
)


def decode_frames(kind: RecordType, frames: Sequence[bytes]) -> tuple[list[Row], dict[int, str]]:
    """Decode binary records.

    Returns:
        The rows of the frames that decode, in order, and for each one that does not its
        index and the reason.
    """
    together = zigzag_long(len(frames)) + b"".join(frames) + b"\0" if frames else b"\0"
    stream = io.BytesIO(together)
    try:
        records: Any = fastavro.schemaless_reader(stream, kind.array, None)
        if len(records) == len(frames) and stream.tell() == len(together):
            return list(map(tuple, map(dict.values, records))), {}
    except _CODEC_ERRORS:
        pass
    rows, errors = [], {}
    for index, frame in enumerate(frames):
        stream = io.BytesIO(frame)
        try:
            record: Any = fastavro.schemaless_reader(stream, kind.record, None)
        except _CODEC_ERRORS as error:
            errors[index] = f"record does not decode: {error}"
            continue
        if stream.tell() != len(frame):
            errors[index] = f"record has {len(frame) - stream.tell()} bytes too many"
            continue
        rows.append(tuple(record.values()))
    return rows, errors


def parse_records(kind: RecordType, texts: Iterable[str]) -> tuple[list[Row], dict[int, str]]:
    """Read JSON records, like `decode_frames`; a column that is missing gets its default."""
    rows, errors = [], {}
    for index, text in enumerate(texts):
        try:
            rows.append(row_of(kind, json.loads(text)))
        except (ValueError, RequestError) as error:
            errors[index] = str(error)
    return rows, errors


def row_of(kind: RecordType, record: Any) -> Row:
    """Build a row from named values; a column that is missing gets its default, else null.

    Raises:
        RequestError: not named values, an unknown column, or a value its column cannot hold.
    """
    if not isinstance(record, dict):
        raise RequestError("record is not a JSON object")
    unknown = record.keys() - {column.name for column in kind.columns}
    if unknown:
        raise RequestError(f"Column '{min(unknown)}' does not exist")
    return tuple(
        from_json(column, record.get(column.name, kind.default(column.name)))
        for column in kind.columns
    )


def keep(kind: RecordType, rows: list[Row], *, truncate: bool) -> tuple[list[Row], dict[int, str]]:
    """Bring rows to the form in which they are kept.

    Returns:
        The rows in that form, and the reasons for those refused, by their index; a refused
        row stands unchanged in the list.
    """
    errors: dict[int, str] = {}
    changed: dict[int, list[Any]] = {}
    for position, column in enumerate(kind.columns):
        check = check_of(column, truncate=truncate)
        if check is None:
            continue
        values = [row[position] for row in rows]
        present = values if None not in values else [each for each in values if each is not None]
        if not present or bulk_test_of(column)(present):
            continue
        for index, value in enumerate(values):
            try:
                values[index] = None if value is None else check(value)
            except ValueError as error:
                errors.setdefault(index, f"Column '{column.name}': {error}")
        changed[position] = values
    if changed:
        columns = list(zip(*rows, strict=True))
        for position, values in changed.items():
            columns[position] = tuple(values)
        rows = list(zip(*columns, strict=True))
    return rows, errors


def encode_rows(kind: RecordType, rows: Iterable[Row]) -> list[bytes]:
    """Write kept rows as binary records."""
    names = [column.name for column in kind.columns]
    frames = []
    for row in rows:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, kind.record, dict(zip(names, row, strict=True)))
        frames.append(stream.getvalue())
    return frames


def format_rows(kind: RecordType, rows: Iterable[Row]) -> list[str]:
    """Write kept rows as JSON records, in ASCII."""
    names = [column.name for column in kind.columns]
    return [json.dumps(dict(zip(names, map(to_json, row), strict=True))) for row in rows]


def wire_rows(kind: RecordType, rows: Iterable[Row]) -> list[Row]:
    """Bring kept rows to wire values; only floats differ, and only by NaN."""
    if not any(column.base in ("float", "double") for column in kind.columns):
        return list(rows)
    columns = kind.columns
    return [tuple(map(to_wire, columns, row)) for row in rows]


def zigzag_long(number: int) -> bytes:
    """Write a non-negative number as Avro's zigzag varint."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
