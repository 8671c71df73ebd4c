"""How many records a second does one thread join, decode and write as event lines?

C, the fallback and the vendor's own decoder do the same work on the same records, one after
another in every round, so that a slow moment of the machine strikes all of them; the table
has medians, and ratios to C. The line `C again` measures C a second time: what it differs
from 1 is noise.

    python -m benchmarks.bench_codec [--rounds N]
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import fastavro
from gpudb.protocol import RecordType

from benchmarks import orders
from bridge.codec import Codec, Member, Slot, members
from bridge.codec.fallback import FallbackCodec
from bridge.codec.native import NativeCodec
from bridge.events import Column, Schema
from bridge.types import declared_type

RECORDS = 1000

TEMPLATE = (
    b'{"id":"9f86d081884c7d65-',
    Slot.OFFSET,
    b'","type":"insert","table":"ki_home.orders","cluster":"http://kinetica-a:9191","time":"',
    Slot.TIME,
    b'","offset":',
    Slot.OFFSET,
    b',"record":',
    Slot.RECORD,
    b"}",
)

ORDERS = Schema(
    "orders",
    tuple(
        Column(name, base, declared_type(base, properties), "nullable" in properties)
        for name, base, *properties in orders.COLUMNS
    ),
    ("id",),
)
TYPED = Schema(
    "typed",
    (
        Column("id", "long", "long"),
        Column("at", "long", "timestamp"),
        Column("open", "int", "boolean"),
        Column("price", "double", "double"),
        Column("weight", "float", "float", nullable=True),
        Column("total", "string", "decimal(10,2)"),
        Column("day", "string", "date"),
        Column("seen", "string", "datetime", nullable=True),
        Column("serial", "string", "ulong"),
        Column("tags", "string", "array(string)"),
        Column("details", "string", "json"),
        Column("digest", "bytes", "bytes"),
    ),
)


def order_row(number: int) -> dict[str, Any]:
    return orders.row(10_000_000 + number, 1_795_423_320_000_000 + number)


def typed_row(number: int) -> dict[str, Any]:
    return {
        "id": 10_000_000 + number,
        "at": 1_795_423_320_000 + number * 13,
        "open": number % 2,
        "price": number / 7,
        "weight": None if number % 5 == 0 else number / 10,
        "total": f"{number}.50",
        "day": "2026-11-23",
        "seen": "2026-11-23 08:42:00.123",
        "serial": str(2**64 - 1 - number),
        "tags": '["red", "green"]',
        "details": f'{{"number": {number}, "ratio": 1.10, "note": "as it came"}}',
        "digest": bytes(range(16)),
    }


def avro_of(schema: Schema) -> dict[str, Any]:
    fields = [
        {"name": column.name, "type": [column.base, "null"] if column.nullable else column.base}
        for column in schema.columns
    ]
    return {"type": "record", "name": "type_name", "fields": fields}


def encoded(schema: Schema, row: Callable[[int], dict[str, Any]]) -> list[bytes]:
    avro = fastavro.parse_schema(avro_of(schema))
    frames = []
    for number in range(RECORDS):
        written = io.BytesIO()
        fastavro.schemaless_writer(written, avro, row(number))
        frames.append(written.getvalue())
    return frames


def written_out(record: dict[str, Any]) -> dict[str, Any]:
    """Bytes are no JSON; whoever writes it has to do something about them."""
    return {
        name: value.hex() if isinstance(value, bytes) else value for name, value in record.items()
    }


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do one piece of work on all the records."""

    name: str
    work: Callable[[], object]


def contenders(schema: Schema, frames: list[bytes]) -> dict[str, list[Contender]]:
    payload = b"".join(frames)
    native, fallback = NativeCodec(schema), FallbackCodec(schema)
    vendor = RecordType.from_type_schema("", json.dumps(avro_of(schema)), {})

    def of(make: Callable[[Codec], Callable[[], object]]) -> list[Contender]:
        return [
            Contender("C", make(native)),
            Contender("C again", make(native)),
            Contender("fastavro", make(fallback)),
        ]

    def vendor_decode() -> list[dict[str, Any]]:
        return [dict(vendor.decode_records(frame)[0].items()) for frame in frames]

    def vendor_json() -> list[str]:
        return [json.dumps(written_out(record)) for record in vendor_decode()]

    times = ((RECORDS, 1_795_423_320_123_456),)

    def lines(codec: Codec) -> Callable[[], object]:
        form = codec.form(values="declared", key=members(schema.primary_key))
        return lambda: form.lines(payload, RECORDS, template=TEMPLATE, first=10**6, times=times)

    def masked(codec: Codec) -> Callable[[], object]:
        first, *others = (column.name for column in schema.columns)
        form = codec.form(columns=[Member(first, first, "hash", b"a key"), *members(others)])
        return lambda: form.lines(payload, RECORDS, template=TEMPLATE, first=10**6, times=times)

    def csv(codec: Codec) -> Callable[[], object]:
        form = codec.form()
        return lambda: form.lines(payload, RECORDS, template=(Slot.CSV,), first=0, times=times)

    return {
        "join": of(lambda codec: lambda: codec.join(frames)),
        "ends": of(lambda codec: lambda: codec.ends(payload, RECORDS)),
        "decode": [
            *of(lambda codec: lambda: codec.decode(payload, RECORDS)),
            Contender("vendor", vendor_decode),
        ],
        "transcode": [*of(lines), Contender("vendor", vendor_json)],
        "one hash": of(masked),
        "csv": of(csv),
    }


def measure(field: list[Contender], rounds: int) -> dict[str, float]:
    """Median seconds of each contender; every round shuffles them, as each leaves caches behind."""
    order = random.Random(0)
    taken: dict[str, list[float]] = {contender.name: [] for contender in field}
    for contender in field:
        contender.work()
    for _ in range(rounds):
        for contender in order.sample(field, len(field)):
            begin = time.perf_counter()
            contender.work()
            taken[contender.name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41, help="measurements of each contender")
    rounds = parser.parse_args(arguments).rounds

    print(f"{platform.machine()}, CPython {platform.python_version()}, medians of {rounds} rounds")
    print(f"{'records':<22}{'work':<11}{'by':<10}{'records/s':>12}{'MB/s':>8}{'time : C':>10}")
    for schema, row in ((ORDERS, order_row), (TYPED, typed_row)):
        frames = encoded(schema, row)
        size = sum(map(len, frames))
        label = f"{schema.type_id}, {len(schema.columns)} columns"
        for work, field in contenders(schema, frames).items():
            medians = measure(field, rounds)
            for name, seconds in medians.items():
                print(
                    f"{label:<22}{work:<11}{name:<10}{RECORDS / seconds:>12,.0f}"
                    f"{size / seconds / 1e6:>8,.0f}{seconds / medians['C']:>10.2f}"
                )


if __name__ == "__main__":
    main()
