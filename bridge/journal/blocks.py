"""Blocks joined, split and cut, always between records.

Small blocks are joined, as a row costs as much as many records; large ones are split, so that a
reader's page, and the damage that one bad page does, stay small.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from bridge.codec import Codec, compile_schema
from bridge.events import Block, Schema, Times
from bridge.journal.records import Stored, StoredEntry

MAX_PAYLOAD = 2**19
# Receive times that a row keeps apart.
MAX_RUNS = 1024


def join(blocks: Sequence[Block]) -> Block:
    """Return blocks of one origin as one."""
    if len(blocks) == 1:
        return blocks[0]
    return replace(
        blocks[0],
        payload=b"".join([block.payload for block in blocks]),
        count=sum(block.count for block in blocks),
        times=_merged(run for block in blocks for run in block.times),
    )


def split(block: Block, most: int = MAX_PAYLOAD) -> Iterator[Block]:
    """Cut a block into parts of at most `most` bytes, or of a single record.

    Raises:
        DecodeError: the payload is not records of the schema.
    """
    if len(block.payload) <= most or block.count == 1:
        yield block
        return
    ends = record_ends(block)
    first = begin = 0
    while first < block.count:
        fitting = bisect_right(ends, begin + most, first)
        last = max(fitting, first + 1)
        yield _part(block, ends, first, last - first)
        first, begin = last, ends[last - 1]


def cut(block: Block, runs: Iterable[tuple[int, int]]) -> Iterator[Block]:
    """Return parts of a block.

    Args:
        block: the block.
        runs: for each part its first record, from 0, and how many.

    Raises:
        DecodeError: the payload is not records of the schema.
    """
    ends: Sequence[int] = ()
    for first, count in runs:
        if count == block.count:
            yield block
            continue
        ends = ends or record_ends(block)
        yield _part(block, ends, first, count)


def one_event(stored: Stored, offset: int, ends: Sequence[int] = ()) -> StoredEntry:
    """Return the entry of one event of an entry.

    Args:
        stored: the entry.
        offset: of the event.
        ends: where its records end, if that is known.

    Raises:
        DecodeError: the payload is not records of the schema.
    """
    entry = stored.entry
    if not isinstance(entry, Block) or entry.count == 1:
        return entry
    return _part(entry, ends or record_ends(entry), offset - stored.offset, 1)


def record_ends(block: Block) -> Sequence[int]:
    """Return where each record of a block ends.

    Raises:
        DecodeError: the payload is not records of the schema.
    """
    return _codec(block.schema).ends(block.payload, block.count)


@lru_cache(maxsize=256)
def _codec(schema: Schema) -> Codec:
    return compile_schema(schema)


def _part(block: Block, ends: Sequence[int], first: int, count: int) -> Block:
    begin = ends[first - 1] if first else 0
    return replace(
        block,
        payload=block.payload[begin : ends[first + count - 1]],
        count=count,
        times=times_of(block.times, first, count),
    )


def times_of(times: Times, first: int, count: int) -> Times:
    """Return the runs of some records: of so many, from the first one on."""
    cut: list[tuple[int, int]] = []
    for records, time in times:
        taken = min(records - min(first, records), count)
        if taken > 0:
            cut.append((taken, time))
        first, count = max(0, first - records), count - taken
    return tuple(cut)


def _merged(runs: Iterable[tuple[int, int]]) -> Times:
    merged: list[tuple[int, int]] = []
    for records, time in runs:
        if merged and merged[-1][1] == time:
            merged[-1] = merged[-1][0] + records, time
        else:
            merged.append((records, time))
    return tuple(merged)
