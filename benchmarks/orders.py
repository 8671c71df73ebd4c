"""The records of the end-to-end benchmarks: eight columns, about 62 bytes of Avro each.

`id` counts from 0 and shows order and loss at the destination; `sent` is when the publisher
sent the record, microseconds since the epoch.
"""

from __future__ import annotations

import io
from typing import Any

import fastavro

COLUMNS = [
    ["id", "long"],
    ["sent", "long"],
    ["placed", "long", "timestamp"],
    ["customer", "string", "char32"],
    ["city", "string", "char32", "nullable"],
    ["quantity", "int"],
    ["price", "double"],
    ["status", "string", "char16"],
]

_AVRO = fastavro.parse_schema(
    {
        "type": "record",
        "name": "type_name",
        "fields": [
            {"name": name, "type": [base, "null"] if "nullable" in properties else base}
            for name, base, *properties in COLUMNS
        ],
    }
)
_CITIES = ("Arlington", "Zürich", None, "Springfield")
_STATES = ("placed", "shipped", "delivered")


def row(number: int, sent: int) -> dict[str, Any]:
    return {
        "id": number,
        "sent": sent,
        "placed": 1_795_423_320_000 + number,
        "customer": f"customer {number:09d}",
        "city": _CITIES[number % len(_CITIES)],
        "quantity": number % 50 + 1,
        "price": number % 10_000 / 8,
        "status": _STATES[number % len(_STATES)],
    }


def encode(number: int, sent: int) -> bytes:
    """Return one record as a table monitor sends it."""
    written = io.BytesIO()
    fastavro.schemaless_writer(written, _AVRO, row(number, sent))
    return written.getvalue()
