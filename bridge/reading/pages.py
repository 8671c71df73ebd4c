"""A table's rows, page by page, so that rows deleted or inserted meanwhile shift no others.

`/get/records` sorts by one column and has an offset. An offset counts from rows that may be gone
by the next page, so it is not used to go on: the next page begins at a value. Where one value
fills a page, the rows that have it are read in the same way by another column, and so on until
a page ends or the rows are equal in all columns, when only their number matters. What is left,
rows that differ in nothing that can be ordered, is read by offset, and said to be uncertain.
Source: protocol, section 2.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.codec import compile_schema
from bridge.errors import RequestRefused
from bridge.events import Column, Schema
from bridge.types import comparable, literal, type_of
from bridge.wire.calls import Cluster, Query, RowsPage, all_of

PAGE_ROWS = 10_000
PAGE_BYTES = 8 * 2**20
# Two rows tell whether a page ends with the value it began with.
_LEAST_ROWS = 2
# Rows of a page whose size nobody knows yet, and by how much the next may be larger.
_FIRST_ROWS = 16
_GROWTH = 8
# Of a column that may hold anything: what is no number or short text has no order to rely on.
_UNORDERED = frozenset({"json", "array", "wkt", "vector", "bytes", "float", "double"})
_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class PageLimits:
    """How large a page may be: rows, and about how many bytes."""

    rows: int = PAGE_ROWS
    size: int = PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a table.

    Attributes:
        frames: their bytes.
        times: how often each of them stands there.
        where: a condition that selects these rows, and with them all equal ones; None selects
            the whole range. Equal rows never stand in two pages that are certain.
        certain: whether none can have been passed over, whatever was written meanwhile.
    """

    frames: list[bytes]
    times: int
    where: str | None
    certain: bool

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.frames) * self.times


class Pages:
    """Reads a table, or a range of it. Used by one thread.

    Args:
        cluster: where to read.
        table: the qualified name.
        schema: its layout; a page in another one fails.
        filter_: a condition that rows must meet.
        order: columns to read by, the first one first: the growing column, the primary key.
        limits: of a page.

    Attributes:
        expected: how many rows there are in all, as far as the cluster has said.
    """

    def __init__(
        self,
        cluster: Cluster,
        table: str,
        schema: Schema,
        *,
        filter_: str | None = None,
        order: Sequence[str] = (),
        limits: PageLimits | None = None,
    ) -> None:
        self._cluster = cluster
        self._table = table
        self._schema = schema
        self._codec = compile_schema(schema)
        self._columns = {column.name: column for column in schema.columns}
        self._filter = filter_
        self._order = tuple(order)
        self._free = [column.name for column in schema.columns if _has_order(column)]
        self._limits = limits or PageLimits()
        self._limit = self._first_limit()
        self.expected = 0

    def read(self, low: Any = None, where: str | None = None) -> Iterator[Page]:
        """Yield every row of a range.

        Args:
            low: the least value of the first column, as on the wire; rows that have null there
                are left out with it. None for all rows.
            where: a further condition, such as a page's.

        Raises:
            WireError: a read failed, or the table was altered meanwhile.
        """
        conditions = () if where is None else (where,)
        if self._order:
            yield from self._by(self._order[0], self._order[1:], conditions, (), low)
            return
        page = self._read(conditions, None)
        self.expected = max(self.expected, page.total)
        if not page.more:
            yield from _page(page.frames, conditions)
            return
        column = self._most_telling((), page.frames)
        yield from self._next(column, (), conditions, ())

    # How a stretch of rows that are equal in the columns `told` is read on.

    def _next(
        self,
        column: str | None,
        rest: tuple[str, ...],
        conditions: tuple[str, ...],
        told: tuple[str, ...],
    ) -> Iterator[Page]:
        if column is None:
            yield from self._by_offset(conditions, told)
            return
        begun = False
        try:
            for page in self._by(column, rest, conditions, told, None):
                begun = True
                yield page
        except RequestRefused:
            # A text without a bound may be no column to sort by; what is wrong otherwise shows.
            if begun or column in self._order or type_of(self._columns[column]).family != "string":
                raise
            self._free.remove(column)
            yield from self._next(self._most_telling(told, ()), (), conditions, told)

    def _by(
        self,
        name: str,
        rest: tuple[str, ...],
        conditions: tuple[str, ...],
        told: tuple[str, ...],
        low: Any,
    ) -> Iterator[Page]:
        column, sign = self._columns[name], ">="
        told = (*told, name)
        if column.nullable and low is None:
            null = (*conditions, f"{name} is null")
            page = self._read(null, None)
            if page.more:
                yield from self._onward(rest, null, told, page.frames)
            else:
                yield from _page(page.frames, null)
            conditions = (*conditions, f"not {name} is null")
        while True:
            here, asked = conditions, self._limit
            if low is not None:
                here = (*conditions, f"{name} {sign} {literal(column, low)}")
            page = self._read(here, name)
            if not told[1:]:
                self.expected = max(self.expected, page.total)
            frames = page.frames
            if not frames:
                return
            first, last = self._value(frames[0], name), self._value(frames[-1], name)
            within = (*conditions, f"{name} >= {literal(column, first)}")
            if not page.more:
                yield from _page(frames, (*within, f"{name} <= {literal(column, last)}"))
                return
            whole = self._first_of_last(frames, column, last)
            if whole:
                # The last value may go on in the next page: it is read there from its start.
                end = self._value(frames[whole - 1], name)
                yield from _page(frames[:whole], (*within, f"{name} <= {literal(column, end)}"))
                low, sign = last, ">="
                continue
            if self._limit >= 2 * asked:
                continue  # a larger page may reach beyond the value
            equal = (*conditions, f"{name} = {literal(column, last)}")
            yield from self._onward(rest, equal, told, frames)
            low, sign = last, ">"

    def _onward(
        self,
        rest: tuple[str, ...],
        conditions: tuple[str, ...],
        told: tuple[str, ...],
        frames: Sequence[bytes],
    ) -> Iterator[Page]:
        rest = tuple(name for name in rest if name not in told)
        column = rest[0] if rest else self._most_telling(told, frames)
        yield from self._next(column, rest[1:], conditions, told)

    def _by_offset(self, conditions: tuple[str, ...], told: tuple[str, ...]) -> Iterator[Page]:
        """Read rows that nothing tells apart any more.

        Of rows that are equal in all columns only the number matters, and that is never too
        small: who deletes some of those passed brings others forward, but no more than go.
        """
        equal = len(told) == len(self._columns)
        one: list[bytes] = []
        offset = 0
        while True:
            page = self._read(conditions, None, offset)
            offset += len(page.frames)
            if equal:
                one = one or page.frames[:1]
            elif page.frames:
                yield Page(page.frames, 1, all_of(*conditions), certain=False)
            if not page.more or not page.frames:
                break
        if one:
            yield Page(one, offset, all_of(*conditions), certain=True)

    def _most_telling(self, told: Sequence[str], frames: Sequence[bytes]) -> str | None:
        """Return the column that has the most values among some rows."""
        left = [name for name in self._free if name not in told]
        if len(left) < 2 or not frames:
            return left[0] if left else None
        sample = frames[:: max(1, len(frames) // _SAMPLE)]
        rows = self._codec.decode(b"".join(sample), len(sample))
        return max(left, key=lambda name: len({row[name] for row in rows}))

    def _first_of_last(self, frames: Sequence[bytes], column: Column, last: Any) -> int:
        """Return where the rows that have a page's last value begin."""
        ended = comparable(column, last)
        return bisect_left(
            frames,
            True,  # the rows before have another value
            key=lambda frame: comparable(column, self._value(frame, column.name)) == ended,
        )

    def _value(self, frame: bytes, name: str) -> Any:
        return self._codec.decode(frame, 1)[0][name]

    def _read(self, conditions: Sequence[str], by: str | None, offset: int = 0) -> RowsPage:
        query = Query(self._table, all_of(self._filter, *conditions), by)
        page = self._cluster.read_rows(query, offset, self._limit)
        if page.frames and page.type_id != self._schema.type_id:
            raise RequestRefused(
                self._cluster.url, "/get/records", f"{self._table} was altered meanwhile"
            )
        self._learn(page.frames)
        return page

    def _first_limit(self) -> int:
        bounds = [type_of(column) for column in self._schema.columns]
        open_ended = any(kind.base in ("string", "bytes") and kind.high > 256 for kind in bounds)
        most = sum(kind.high if kind.base in ("string", "bytes") else 10 for kind in bounds)
        return min(_FIRST_ROWS, self._limits.rows) if open_ended else self._fitting(most)

    def _learn(self, frames: Sequence[bytes]) -> None:
        if frames:
            average = sum(map(len, frames)) / len(frames)
            self._limit = min(self._fitting(average), max(self._limit, len(frames)) * _GROWTH)

    def _fitting(self, average: float) -> int:
        return max(_LEAST_ROWS, min(self._limits.rows, int(self._limits.size / max(average, 1))))


def _has_order(column: Column) -> bool:
    """Whether all values but null have a place in an order, and a constant that means them."""
    kind = type_of(column)
    return kind.family not in _UNORDERED and kind.base != "bytes"


def _page(frames: list[bytes], conditions: Sequence[str]) -> Iterator[Page]:
    if frames:
        yield Page(frames, 1, all_of(*conditions), certain=True)
