"""Rows as Kinetica sends them, written by fastavro: what another implementation makes of them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import fastavro

from bridge.events import Schema


def frames(schema: Schema, rows: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Return each row's bytes; columns are taken by their names."""
    fields = [
        {"name": f"c{place}", "type": [column.base, "null"] if column.nullable else column.base}
        for place, column in enumerate(schema.columns)
    ]
    avro = fastavro.parse_schema({"type": "record", "name": "received", "fields": fields})
    written = []
    for row in rows:
        record = {f"c{place}": row[column.name] for place, column in enumerate(schema.columns)}
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, avro, record)
        written.append(stream.getvalue())
    return written


def read_back(text: str, values: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return what fastavro reads in values of a schema, each to its last byte."""
    schema = fastavro.parse_schema(json.loads(text))
    rows = []
    for value in values:
        stream = io.BytesIO(value)
        rows.append(fastavro.schemaless_reader(stream, schema, None))
        assert stream.read() == b""
    return rows
