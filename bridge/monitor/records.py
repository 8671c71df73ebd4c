"""The records of a payload, where some of them are looked at one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from bridge.codec import Codec
from bridge.codec import compile_schema as _compile
from bridge.events import Block, Times

# Records decoded at a time: as dicts they are many times their bytes.
CHUNK = 1_000

# Layouts are few, and looked at again and again.
compile_schema = lru_cache(maxsize=64)(_compile)


def chunks(
    codec: Codec, payload: bytes, count: int, size: int = CHUNK
) -> Iterator[tuple[bytes, int]]:
    """Cut a payload into payloads of at most `size` records, with how many each has.

    Raises:
        DecodeError: it is no payload of so many records.
    """
    if count <= size:
        yield payload, count
        return
    ends = codec.ends(payload, count)
    begin = 0
    for first in range(0, count, size):
        after = min(first + size, count)
        end = ends[after - 1]
        yield payload[begin:end], after - first
        begin = end


def pick(codec: Codec, payload: bytes, count: int, indices: Sequence[int]) -> bytes:
    """Return a payload of some records of another.

    Raises:
        DecodeError: it is no payload of so many records.
    """
    if count == 1:
        return payload if indices else b""
    ends = codec.ends(payload, count)
    return b"".join(payload[ends[i - 1] if i else 0 : ends[i]] for i in indices)


def halves(block: Block) -> tuple[Block, Block]:
    """Part a block of more than one record in two."""
    middle = block.count // 2
    first, second = _part(block.times, middle)
    end = compile_schema(block.schema).ends(block.payload, block.count)[middle - 1]
    return (
        replace(block, payload=block.payload[:end], count=middle, times=first),
        replace(block, payload=block.payload[end:], count=block.count - middle, times=second),
    )


def _part(times: Times, middle: int) -> tuple[Times, Times]:
    first, second = [], []
    for records, time in times:
        taken = min(records, middle)
        middle -= taken
        if taken:
            first.append((taken, time))
        if records > taken:
            second.append((records - taken, time))
    return tuple(first), tuple(second)
