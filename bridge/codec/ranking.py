"""The greatest and the least value among decoded records, for the orders that C does not have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bridge.events import Column
from bridge.types import comparable


def highest(column: Column, records: Iterable[Mapping[str, Any]]) -> tuple[Any, list[int]] | None:
    """Find a column's greatest value and who has it; as `Codec.highest`."""
    best: tuple[Any, Any, list[int]] | None = None
    for index, record in enumerate(records):
        value = record[column.name]
        if value is None:
            continue
        rank = comparable(column, value)
        if best is None or rank > best[0]:
            best = rank, value, [index]
        elif rank == best[0]:
            best[2].append(index)
    return None if best is None else best[1:]


def lowest(column: Column, records: Iterable[Mapping[str, Any]]) -> tuple[Any, bool] | None:
    """Find a column's least value, and whether there are nulls; as `Codec.lowest`."""
    best: tuple[Any, Any] | None = None
    nulls = False
    for record in records:
        value = record[column.name]
        if value is None:
            nulls = True
            continue
        rank = comparable(column, value)
        if best is None or rank < best[0]:
            best = rank, value
    return None if best is None else (best[1], nulls)
