"""Any bytes give the same from the compiled module and from the fallback.

Runs in an interpreter of its own: MODULE CORPUS SEED RUNS, mutations of the corpus; or inside
fuzz_decode.c. The corpus files are read as fuzz.h reads them.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from bridge.codec import Member, Slot, members
from bridge.codec.fallback import FallbackCodec
from bridge.errors import DecodeError
from bridge.events import Column, Schema

# (base, declared types that the spare bits of a column's byte choose among)
TYPES = (
    ("int", ("int", "boolean", "int8", "int16")),
    ("long", ("timestamp", "long", "long", "timestamp")),
    ("float", ("float",) * 4),
    ("double", ("double",) * 4),
    ("string", ("string", "datetime", "ulong", "json")),
    ("bytes", ("bytes", "vector(2)", "wkt", "vector(2)")),
    ("string", ("char4", "time", "decimal(4,2)", "array(int)")),
    ("int", ("int8", "int16", "boolean", "int")),
)
TEMPLATE = (b'{"o":', Slot.OFFSET, b',"t":"', Slot.TIME, b'","r":', Slot.RECORD, b"}")


def load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("_native", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def native_over(module: Any) -> Any:
    """The codec over a module of one's choice, such as one under sanitizers."""
    import bridge.codec

    sys.modules["bridge.codec._native"] = module
    bridge.codec._native = module  # type: ignore[attr-defined]
    sys.modules.pop("bridge.codec.native", None)
    return importlib.import_module("bridge.codec.native").NativeCodec


def schema_of(choices: bytes) -> Schema:
    columns = []
    for place, choice in enumerate(choices):
        base, declared = TYPES[choice & 7]
        columns.append(Column(f"c{place}", base, declared[choice >> 6], bool(choice & 8)))
    return Schema("1", tuple(columns))


def mutated(generator: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(generator.randrange(6)):
        at = generator.randrange(len(data) + 1)
        taken, put = generator.randrange(3), generator.randrange(3)
        data[at : at + taken] = generator.choices((0, 1, 2, 4, 0x7F, 0x80, 0xED, 0xFF), k=put)
    return bytes(data)


def outcome(call: Any, *arguments: Any, **named: Any) -> Any:
    try:
        return repr(plain(call(*arguments, **named)))
    except DecodeError as error:
        return error.index, error.offset, error.reason


def plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return list(value)
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


def masked_members(names: list[str], options: int) -> tuple[Member, ...]:
    """Columns of which each is hashed, redacted or neither."""
    masks: tuple[Any, ...] = ("hash", None, "redact", None)
    return tuple(
        Member(name, name, masks[(place + options) % 4], b"key" * options)
        for place, name in enumerate(names)
    )


def outcomes(codec: Any, payload: bytes, count: int, options: int) -> list[Any]:
    names = [column.name for column in codec.schema.columns]
    form = codec.form(
        values="kinetica" if options & 1 else "declared",
        columns=members(names[::-1]) if options & 2 else None,
        key=members(names[:2]) if options & 4 else None,
    )
    times = ((min(count, 1), 0), (count - min(count, 1), 1_795_423_320_123_456))
    keyed = (*TEMPLATE, Slot.KEY, Slot.KEY_TEXT)
    template = keyed if options & 12 == 12 else TEMPLATE
    masked = codec.form(columns=masked_members(names, options), key=masked_members(names[:1], 1))
    shaped = {"template": (Slot.CSV,), "key_template": (b"<", Slot.KEY, b">")}
    joined = codec.join([payload, payload[:-1]])
    return [
        outcome(codec.decode, payload, count),
        outcome(codec.ends, payload, count),
        outcome(codec.highest, payload, count, names[options % len(names)]),
        outcome(codec.lowest, payload, count, names[options % len(names)]),
        outcome(codec.digests, payload, count),
        outcome(form.lines, payload, count, template=template, first=7, times=times),
        outcome(masked.lines, payload, count, template=template[:6], first=7, times=times),
        outcome(masked.lines, payload, count, first=7, times=times, **shaped),
        (joined.payload, joined.count, repr(joined.bad)),
    ]


@lru_cache(maxsize=1024)
def codecs_of(native: Any, choices: bytes) -> tuple[Any, Any]:
    schema = schema_of(choices)
    return native(schema), FallbackCodec(schema)


def check(native: Any, data: bytes) -> None:
    columns = 1 + data[0] % 16 if data else 0
    if not data or len(data) < 1 + columns:
        return
    codecs = codecs_of(native, data[1 : 1 + columns])
    payload, options = data[1 + columns :], data[0] // 16
    for count in (1, 2, 1000):
        one, other = (outcomes(codec, payload, count, options) for codec in codecs)
        assert one == other, (data.hex(), one, other)


_linked: list[Any] = []


def check_linked(data: bytes) -> None:
    """Check the module that is linked into the interpreter."""
    if not _linked:
        _linked.append(native_over(importlib.import_module("_native")))
    check(_linked[0], data)


def main(path: str, corpus: str, seed: str, runs: str) -> None:
    native = native_over(load(path))
    generator = random.Random(int(seed))
    seeds = [file.read_bytes() for file in sorted(Path(corpus).iterdir())]
    for data in seeds:
        check(native, data)
    for _ in range(int(runs)):
        check(native, mutated(generator, generator.choice(seeds)))
    print(f"{runs} runs")


if __name__ == "__main__":
    main(*sys.argv[1:])
