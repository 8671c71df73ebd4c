"""Results whose columns only the query knows: column-major records with their own schema.

`column_1`..`column_N` are arrays, then come their headers and types. Source: protocol, section 2.4.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import fastavro

from bridge.events import Column
from kinetica_emulator.records import Row
from kinetica_emulator.values import to_json, to_wire


def dynamic_reply(columns: Sequence[Column], rows: Sequence[Row], encoding: str) -> dict[str, Any]:
    """Write kept rows as the fields of a reply: schema, and the data in the encoding asked for."""
    fields: list[dict[str, Any]] = [
        {
            "name": f"column_{number}",
            "type": {
                "type": "array",
                "items": [column.base, "null"] if column.nullable else column.base,
            },
        }
        for number, column in enumerate(columns, 1)
    ]
    texts = {"type": "array", "items": "string"}
    fields += [{"name": name, "type": texts} for name in ("column_headers", "column_datatypes")]
    schema = {"type": "record", "name": "generic_response", "fields": fields}
    record: dict[str, Any] = {
        f"column_{number}": [to_wire(column, row[number - 1]) for row in rows]
        for number, column in enumerate(columns, 1)
    }
    record["column_headers"] = [column.name for column in columns]
    record["column_datatypes"] = [column.type for column in columns]
    reply: dict[str, Any] = {"response_schema_str": json.dumps(schema, separators=(",", ":"))}
    if encoding == "json":
        plain = {name: [to_json(value) for value in values] for name, values in record.items()}
        return {**reply, "json_encoded_response": json.dumps(plain)}
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), record)
    return {**reply, "binary_encoded_response": stream.getvalue()}


def columns_of_result(
    headers: Sequence[str], rows: Sequence[Row], known: Sequence[Column]
) -> list[Column]:
    """Describe the columns of an SQL result.

    A header that names a column of a table in the query keeps that column's type, as long as
    the values fit; any other gets the base type of its values.

    Args:
        headers: names of the columns.
        rows: the values.
        known: columns of the tables that the query reads.
    """
    by_name = {column.name: column for column in reversed(known)}
    columns = []
    for position, header in enumerate(headers):
        values = [row[position] for row in rows]
        found = {type(value) for value in values}
        nullable = type(None) in found
        column = by_name.get(header)
        found.discard(type(None))
        if column is not None and found <= _FITS[column.base]:
            nullable = nullable or column.nullable
            columns.append(Column(header, column.base, column.type, nullable))
            continue
        base = next((base for kind, base in _BASES if kind in found), "string")
        columns.append(Column(header, base, base, nullable))
    return columns


_FITS: dict[str, set[type]] = {
    "int": {int},
    "long": {int},
    "float": {float, str},
    "double": {float, str},
    "string": {str},
    "bytes": {bytes},
}
# A column of several kinds of values takes the first that is among them.
_BASES: Sequence[tuple[type, str]] = (
    (str, "string"),
    (bytes, "bytes"),
    (float, "double"),
    (int, "long"),
)
