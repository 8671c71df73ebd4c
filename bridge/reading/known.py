"""What is known of a table's rows, for a read to be held against: the baseline and what came since.

It answers as the index of what was received does (`received`), from the baseline, which it first
brings up to what the journal has. Known is a row whose values are those of the baseline, unless a
delete was counted since they were known: it may have been this row's, and an equal one have been
inserted unheard. Where a column was dropped or changed since, the key alone decides.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Protocol

from bridge.codec import Codec, compile_schema
from bridge.errors import DecodeError
from bridge.events import Block, Count, Drop, Entry, Schema
from bridge.reading.baseline import Baseline, KnownRow
from bridge.reading.received import Answer, Rows, signed

# Rows that are written at a time.
_BATCH = 50_000


class Stream(Protocol):
    """One table's entries in the order of the journal, from an offset on.

    Attributes:
        position: up to where they were given.
        journal: the journal's id, to which positions belong.
    """

    position: int
    journal: str

    def more(self) -> Iterator[tuple[int, Entry | None]]:
        """Yield the entries written since the last call, each with its offset.

        None in place of an entry says that some before that offset are lost, or were pruned.
        """

    def close(self) -> None:
        """Let go of the place."""


class Streams(Protocol):
    """What was received, readable again in its order."""

    def stream(self, table: str, position: int | None) -> Stream:
        """Return a table's entries from an offset on, None for all that are stored."""


class Known:
    """The rows of a table that are known. Used by one thread.

    Args:
        baseline: open.
        schema: the layout that reads have.
        stream: of the table's entries, from the baseline's position on.
        arrived: returns once all that was received before is in the stream.
        hidden: how many deletes were counted that are not in the stream.
        lost: spans of which the journal lost entries, microseconds since the epoch: rows that came
            in one are not known any more.

    Attributes:
        confused: never; what would be cannot be asked.
        dropped: whether the table was dropped since the read began.
    """

    def __init__(
        self,
        baseline: Baseline,
        schema: Schema,
        stream: Stream,
        arrived: Callable[[], object],
        hidden: Callable[[], int],
        *,
        lost: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._baseline = baseline
        self._codec = compile_schema(schema)
        self._stream = stream
        self._arrived = arrived
        self._hidden = hidden
        self._own_from: int | None = None
        self._lost = [(since // 1_000_000, -(-until // 1_000_000)) for since, until in lost]
        self._columns = columns_of(schema)
        self._key = schema.primary_key
        self._codecs: dict[Schema, Codec] = {}
        self._names: dict[int, tuple[str, ...] | None] = {}
        self._recent: deque[tuple[int, Counter[int]]] = deque()
        self._since: Counter[int] = Counter()
        self._used: Counter[int] = Counter()
        self._deleted_at: int | None = None
        self.confused = False
        self.dropped = False

    def begin(self) -> None:
        """Note that a read begins: who is deleted from now on was not missed before."""
        self._deleted_at = self._baseline.facts.deleted_at
        self._own_from = self.mark()
        self._since.clear()
        self.dropped = False

    @property
    def arrived_since(self) -> Counter[int]:
        """How often each row without a key came since the read began, by its digest."""
        return self._since

    def catch_up(self) -> None:
        """Take in what has been received since the last time.

        Raises:
            BaselineUnusable: the disk is full, or fails.
        """
        facts = self._baseline.facts
        # Counted before: an arrival of before a hidden delete is in the stream by then.
        hidden = self._hidden()
        self._arrived()
        before = self.mark()
        coming = Arrivals(self._baseline, self._own_from)
        with self._baseline.changing():
            for offset, entry in self._stream.more():
                if isinstance(entry, Block):
                    codec = self._codecs.get(entry.schema)
                    if codec is None:
                        codec = self._codecs[entry.schema] = compile_schema(entry.schema)
                    coming.take(offset, entry, codec)
                elif isinstance(entry, Count):
                    coming.count(offset, entry)
                elif isinstance(entry, Drop):
                    coming.forget()
                    self.dropped = True
                elif entry is None:
                    coming.doubt(offset)
                    known = self._baseline.facts
                    known.pruned_at = max(known.pruned_at, offset)
            coming.write()
            facts = self._baseline.facts
            facts.position = self._stream.position
            if hidden != facts.hidden:
                coming.doubt(self._stream.position)
                facts.deleted += max(0, hidden - facts.hidden)
                facts.hidden = hidden
        if not self._key and coming.counted:
            self._recent.append((before, coming.counted))
            self._since.update(coming.counted)

    def mark(self) -> int:
        """Return the offset up to which all was taken in."""
        position = self._baseline.facts.position
        return 0 if position is None else position

    def forget_before(self, mark: int) -> None:
        """Keep apart no longer what came before a mark."""
        while self._recent and self._recent[0][0] < mark:
            self._recent.popleft()

    def use_up(self, rows: Sequence[Rows]) -> None:
        """Let each row's answer be given no more, as equal rows may come on another page."""
        payload = b"".join(row.frame for row in rows)
        for row, key in zip(rows, self.keys(payload, len(rows)), strict=True):
            self._used[key] += row.times

    def answers(self, rows: Sequence[Rows], mark: int = 0) -> list[Answer]:
        """Tell for each row how often it is known, and how often of that since a mark."""
        payload = b"".join(row.frame for row in rows)
        keys = self.keys(payload, len(rows))
        known = self._baseline.find(keys)
        if not self._key:
            return [self._counted(key, known.get(key), mark) for key in keys]
        values = self._values_of(payload, len(rows), known)
        return [
            Answer(int(self._is_known(known.get(key), place, values, mark)), 0)
            for place, key in enumerate(keys)
        ]

    def keys(self, payload: bytes, count: int) -> list[int]:
        """Return the digests by which rows of the read's layout are told apart."""
        return signed(self._codec.digests(payload, count, self._key or None)).tolist()

    def values(self, payload: bytes, count: int, layout: int) -> list[int] | None:
        """Return digests of rows' values as a layout has them; None where the key alone decides."""
        if layout not in self._names:
            columns = self._baseline.layouts()[layout]
            whole = all(column in self._columns for column in columns)
            self._names[layout] = tuple(column[0] for column in columns) if whole else None
        names = self._names[layout]
        if names is None:
            return None
        return signed(self._codec.digests(payload, count, names)).tolist()

    def changed(self, payload: bytes, count: int) -> dict[int, int]:
        """Return those of some rows whose key is known with other values: as fresh as each was."""
        keys = self.keys(payload, count)
        known = self._baseline.find(keys)
        values = self._values_of(payload, count, known)
        changed: dict[int, int] = {}
        for place, key in enumerate(keys):
            row = known.get(key)
            digests = None if row is None else values[row.layout]
            if row is not None and digests is not None and digests[place] != row.value:
                changed[key] = row.at
        return changed

    def _values_of(
        self, payload: bytes, count: int, known: Mapping[int, KnownRow]
    ) -> dict[int, list[int] | None]:
        """Return digests of rows' values for each layout that what is known of them has."""
        layouts = {row.layout for row in known.values()}
        return {layout: self.values(payload, count, layout) for layout in layouts}

    def _is_known(
        self, row: KnownRow | None, place: int, values: dict[int, list[int] | None], mark: int
    ) -> bool:
        if row is None or self._is_doubtful(row):
            return False
        digests = values[row.layout]
        # What came since the page was asked for is newer than what the page shows.
        return digests is None or digests[place] == row.value or row.at >= mark

    def _counted(self, key: int, row: KnownRow | None, mark: int) -> Answer:
        if row is None or self._is_doubtful(row):
            return Answer(0, 0)
        late = sum(counts[key] for before, counts in self._recent if before >= mark)
        times = max(0, row.times - self._used[key])
        return Answer(times, min(late, times))

    def _is_doubtful(self, row: KnownRow) -> bool:
        deleted_at = self._deleted_at
        if deleted_at is None:
            deleted_at = self._baseline.facts.deleted_at
        lost = any(since <= row.came <= until for since, until in self._lost)
        return lost or row.at < deleted_at


class Arrivals:
    """Entries of one table on the way into its baseline, within one transaction.

    Args:
        baseline: open, and changing.
        own_from: blocks of rows read from this offset on are this read's own, and answer for
            nothing; None where there are none.

    Attributes:
        counted: rows without a key, how often each came, by its digest.
    """

    def __init__(self, baseline: Baseline, own_from: int | None) -> None:
        self._baseline = baseline
        self._own_from = own_from
        self._put: dict[int, tuple[int, int, int, int]] = {}
        self._add: dict[int, tuple[int, int, int, int]] = {}
        self.counted: Counter[int] = Counter()

    def take(self, offset: int, block: Block, codec: Codec) -> None:
        """Take in rows that were received, or read and delivered."""
        came = block.time // 1_000_000
        facts, key = self._baseline.facts, key_of(block.schema)
        if facts.key is None:
            facts.key = key
        if facts.key != key:
            return  # it can be held against nothing that is known
        layout = self._baseline.layout(columns_of(block.schema))
        with contextlib.suppress(DecodeError):  # damaged since: it will be delivered again
            if key:
                keys = signed(codec.digests(block.payload, block.count, block.schema.primary_key))
                values = signed(codec.digests(block.payload, block.count))
                rows = zip(values, repeat(layout), repeat(offset), repeat(came))
                self._put.update(zip(keys, rows, strict=False))
            else:
                self._take_counted(offset, block, codec, layout)
        if len(self._put) + len(self._add) >= _BATCH:
            self.write()

    def _take_counted(self, offset: int, block: Block, codec: Codec, layout: int) -> None:
        own = self._own_from is not None and offset >= self._own_from
        if block.type == "read" and block.cause != "update" and own:
            return  # a read must not meet its own rows
        came = block.time // 1_000_000
        digests = Counter(signed(codec.digests(block.payload, block.count)))
        if block.cause == "update":
            # It is the row that an update has made, and may be known as that already.
            self.write()
            self._baseline.attest((key, layout, offset, came) for key in sorted(digests))
            return
        self.counted.update(digests)
        for key, times in digests.items():
            before = self._add.get(key)
            self._add[key] = layout, offset, came, times + (before[3] if before else 0)

    def count(self, offset: int, entry: Count) -> None:
        """Take in that rows were updated or deleted, by their number."""
        facts = self._baseline.facts
        if entry.type == "update":
            facts.updated += entry.count
            return
        facts.deleted += entry.count
        self.doubt(offset + 1)

    def doubt(self, offset: int) -> None:
        """Take in that any row known from before an offset may have been deleted."""
        self.write()
        facts = self._baseline.facts
        facts.deleted_at = max(facts.deleted_at, offset)

    def forget(self) -> None:
        """Take in that the table was dropped: all rows of what has its name now are new."""
        self._put, self._add = {}, {}
        self.counted.clear()
        self._baseline.forget()
        self._baseline.facts.complete = True

    def write(self) -> None:
        """Write what was taken in."""
        self._baseline.put((key, *self._put[key]) for key in sorted(self._put))
        self._baseline.add((key, *self._add[key]) for key in sorted(self._add))
        self._put, self._add = {}, {}


def columns_of(schema: Schema) -> list[list[str]]:
    """Return what makes a layout: name, base and type of its columns."""
    return [[column.name, column.base, column.type] for column in schema.columns]


def key_of(schema: Schema) -> list[list[str]]:
    """Return the columns of the primary key: name, base and type."""
    columns = {column.name: column for column in schema.columns}
    key = [columns[name] for name in schema.primary_key]
    return [[column.name, column.base, column.type] for column in key]
