"""The records of the benchmarks: eight columns, about 62 bytes of Avro each.

`id` counts from 0 and shows order and loss at the destination; `sent` is when the publisher
made the record, microseconds since the epoch. `frames.c` writes them.
"""

from __future__ import annotations

from typing import Any

COLUMNS = [
    ["id", "long"],
    ["sent", "long"],
    ["placed", "long", "timestamp"],
    ["customer", "string"],
    ["city", "string", "char32", "nullable"],
    ["quantity", "int"],
    ["price", "double"],
    ["status", "string", "char16"],
]
# The same as the bridge names it: name, wire type, declared type, whether it may be null.
LAYOUT = [
    [name, base, next((each for each in more if each != "nullable"), base), "nullable" in more]
    for name, base, *more in COLUMNS
]
AVRO = {
    "type": "record",
    "name": "type_name",
    "fields": [
        {"name": name, "type": [base, "null"] if "nullable" in properties else base}
        for name, base, *properties in COLUMNS
    ],
}
_CITIES = ("Arlington", "Zürich", None, "Springfield")
_STATES = ("placed", "shipped", "delivered")


def row(number: int, sent: int, pad: int = 0) -> dict[str, Any]:
    """Return the values of one record, as Kinetica sends them."""
    return {
        "id": number,
        "sent": sent,
        "placed": 1_795_423_320_000 + number,
        "customer": f"customer {number:09d}" + "x" * pad,
        "city": _CITIES[number % len(_CITIES)],
        "quantity": number % 50 + 1,
        "price": number % 10_000 / 8,
        "status": _STATES[number % len(_STATES)],
    }


def is_right(record: dict[str, Any]) -> bool:
    """Whether a record at a destination has the values that its `id` says it has.

    `placed` is a number with the vendor's client and a text with the bridge.
    """
    expected = row(record["id"], record["sent"])
    pad = len(record["customer"]) - len(expected["customer"])
    expected["customer"] += "x" * pad
    return record | {"placed": None} == expected | {"placed": None}
