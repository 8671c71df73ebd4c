"""Rows of every column type: what the vendor's client inserts, and the JSON that must arrive."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple


class Typed(NamedTuple):
    """A column: its definition for the vendor's client, and its n-th value in and out."""

    spec: list[str]
    given: Callable[[int], Any]
    expected: Callable[[int], Any]


def _same(make: Callable[[int], Any]) -> tuple[Callable[[int], Any], Callable[[int], Any]]:
    return make, make


def _iso(n: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1_700_000_000_000 + n)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _float32(n: int) -> float:
    # A value that float32 holds exactly and prints shortly: n / 8.
    return n / 8


COLUMNS: dict[str, Typed] = {
    "id": Typed(["long", "primary_key"], *_same(lambda n: n)),
    "i": Typed(["int"], *_same(lambda n: n - 2**31)),
    "i8": Typed(["int", "int8"], *_same(lambda n: n % 256 - 128)),
    "i16": Typed(["int", "int16"], *_same(lambda n: n % 65536 - 32768)),
    "flag": Typed(["int", "boolean"], lambda n: n % 2, lambda n: n % 2 == 1),
    "big": Typed(["long"], *_same(lambda n: 2**63 - 1 - n)),
    "stamp": Typed(["long", "timestamp"], lambda n: 1_700_000_000_000 + n, _iso),
    "f": Typed(["float"], *_same(_float32)),
    "d": Typed(["double"], *_same(lambda n: n / 3)),
    "s": Typed(["string"], *_same(lambda n: f'täxt "{n}" \\ \n 東京')),
    "c8": Typed(["string", "char8"], *_same(lambda n: f"c{n}")),
    "c256": Typed(["string", "char256"], *_same(lambda n: "x" * (n % 256))),
    "day": Typed(["string", "date"], *_same(lambda n: f"2026-11-{n % 30 + 1:02d}")),
    "clock": Typed(["string", "time"], *_same(lambda n: f"08:42:{n % 60:02d}.123")),
    "when": Typed(
        ["string", "datetime"],
        lambda n: f"2026-11-23 08:42:{n % 60:02d}.123",
        lambda n: f"2026-11-23T08:42:{n % 60:02d}.123",
    ),
    "price": Typed(["string", "decimal(10,2)"], *_same(lambda n: f"{n}.50")),
    "unsigned": Typed(["string", "ulong"], lambda n: str(2**64 - 1 - n), lambda n: 2**64 - 1 - n),
    "ip": Typed(["string", "ipv4"], *_same(lambda n: f"10.0.{n // 256 % 256}.{n % 256}")),
    "uuid": Typed(["string", "uuid"], *_same(lambda n: f"f47ac10b-58cc-4372-a567-{n:012x}")),
    "doc": Typed(["string", "json"], lambda n: f'{{"n": [{n}, null]}}', lambda n: {"n": [n, None]}),
    "list": Typed(["string", "array(int)"], lambda n: f"[1,{n}]", lambda n: [1, n]),
    "shape": Typed(["string", "wkt"], *_same(lambda n: f"POINT ({n} 2)")),
    "vec": Typed(
        ["bytes", "vector(2)"],
        lambda n: struct.pack("<2f", n / 4, 0.5),
        lambda n: [n / 4, 0.5],
    ),
    "raw": Typed(
        ["bytes"],
        lambda n: n.to_bytes(4, "big"),
        lambda n: base64.b64encode(n.to_bytes(4, "big")).decode(),
    ),
}
# Every seventh row is null in every column that may be.
_NULL_EVERY = 7


def columns() -> list[list[str]]:
    """Return the columns as the vendor's client takes them, all nullable but the key."""
    return [
        [name, *column.spec, *([] if name == "id" else ["nullable"])]
        for name, column in COLUMNS.items()
    ]


def given(n: int) -> list[Any]:
    """Return the n-th row as it is inserted."""
    empty = n % _NULL_EVERY == 0
    return [None if empty and name != "id" else column.given(n) for name, column in COLUMNS.items()]


def expected(n: int) -> dict[str, Any]:
    """Return the n-th row as it must arrive."""
    empty = n % _NULL_EVERY == 0
    return {
        name: None if empty and name != "id" else column.expected(n)
        for name, column in COLUMNS.items()
    }
