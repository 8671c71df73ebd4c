"""Which rows were received already: what a read of the table must leave out.

The memory of that is the stream itself: the supervisor lends a way to read back what was
received, the journal's entries in the service. A read takes it in as an index on disk, a digest
of each row and how often it came, so that memory stays small however much there is. Rows of an
older layout are compared by the columns that both layouts have.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from bridge.codec import Codec, compile_schema
from bridge.errors import BridgeError, DecodeError
from bridge.events import Schema

# What SQLite may hold of an index in memory, KiB. More saves no time: the system has the file.
_CACHE_KIB = 16 * 1024
# Rows written at a time; in order, so that each page of the index is touched once for all.
_BATCH = 200_000

_TABLE = """
    CREATE TABLE received (
        layout INTEGER NOT NULL,  -- by which columns; 0 is the read's own layout
        digest INTEGER NOT NULL,
        times INTEGER NOT NULL,
        PRIMARY KEY (layout, digest)
    ) WITHOUT ROWID"""
_ADD = """
    INSERT INTO received VALUES (?, ?, 1)
    ON CONFLICT (layout, digest) DO UPDATE SET times = times + 1"""
_REMEMBER = "INSERT OR IGNORE INTO received VALUES (0, ?, 1)"
_USE_UP = "UPDATE received SET times = max(0, times - ?) WHERE layout = 0 AND digest = ?"
_COUNTS = """
    SELECT digest, times FROM received
    WHERE layout = ? AND digest IN (SELECT value FROM json_each(?)) AND times > 0"""


class ReceivedRows(Protocol):
    """Rows as received, a block of them."""

    @property
    def schema(self) -> Schema:
        """Their layout."""

    @property
    def payload(self) -> bytes:
        """Their bytes, one after another."""

    @property
    def count(self) -> int:
        """How many there are."""


class Follow(Protocol):
    """A place in the stream of one table's received rows."""

    def more(self) -> Iterator[ReceivedRows]:
        """Yield what was received and stored since the last call.

        What was read from the table and delivered after the place was taken is left out: a read
        must not meet its own rows.
        """

    def close(self) -> None:
        """Let go of the place."""


class History(Protocol):
    """What was received, readable again."""

    def follow(self, table: str, since: float) -> Follow:
        """Return the place at a moment, seconds since the epoch; 0 for the beginning."""

    def kept(self, since: float) -> bool:
        """Whether all that was received since a moment can still be read."""


class IndexUnusable(BridgeError):
    """The index of what was received cannot be kept: the disk is full, or fails."""


class Rows(NamedTuple):
    """Equal rows of a table: their bytes, and how many there are."""

    frame: bytes
    times: int


class Answer(NamedTuple):
    """How often a row was received: in all, and since a mark."""

    received: int
    late: int


class Memory(Protocol):
    """What a read is held against."""

    confused: bool

    def catch_up(self) -> None:
        """Take in what has been received since the last time."""

    def mark(self) -> int:
        """Return what has been taken in up to now."""

    def forget_before(self, mark: int) -> None:
        """Keep apart no longer what came before a mark."""

    def answers(self, rows: Sequence[Rows], mark: int = 0) -> list[Answer]:
        """Tell for each row how often it is there already, and how often of that since a mark."""

    def use_up(self, rows: Sequence[Rows]) -> None:
        """Let each row's answer be given no more."""


class Received:
    """Rows received since a moment, as often as each was. Used by one thread.

    Args:
        path: the file of the index; its folder exists, and there is no such file.
        schema: the layout that reads have.
        follow: where the received rows come from.
        recall: whether it must tell what came since a mark, as long as the mark is kept.

    Attributes:
        rows: how many it has taken in.
        confused: whether rows received in an older layout could not be told apart.
    """

    def __init__(self, path: Path, schema: Schema, follow: Follow, *, recall: bool = False) -> None:
        self._path = path
        self._schema = schema
        self._codec = compile_schema(schema)
        self._follow = follow
        self._recall = recall
        self._codecs: dict[Schema, Codec] = {}
        self._own = tuple(column.name for column in schema.columns)
        # The number of each choice of columns by which rows are compared.
        self._layouts: dict[tuple[str, ...], int] = {self._own: 0}
        self._epoch = 0
        self._marked = False
        self._recent: deque[tuple[int, int, Counter[int]]] = deque()
        self.rows = 0
        self.confused = False
        with self._translated():
            self._index = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._index.execute("PRAGMA journal_mode=OFF")
            self._index.execute("PRAGMA synchronous=OFF")
            self._index.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._index.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            self._index.execute(_TABLE)

    def close(self) -> None:
        """Let go of the place, and take the index away."""
        self._follow.close()
        self._index.close()
        self._path.unlink(missing_ok=True)

    def catch_up(self) -> None:
        """Take in what has been received since the last time.

        Raises:
            IndexUnusable: the disk is full, or fails.
        """
        self._epoch += 1
        waiting: dict[int, list[int]] = {}
        count = 0
        for rows in self._follow.more():
            names = self._common(rows.schema)
            if not names:
                continue
            codec = self._codecs.get(rows.schema)
            if codec is None:
                codec = self._codecs[rows.schema] = compile_schema(rows.schema)
            with contextlib.suppress(DecodeError):  # damaged since: it will be delivered again
                digests = codec.digests(rows.payload, rows.count, names)
                waiting.setdefault(self._layout(names), []).extend(signed(digests))
                count += rows.count
            if count >= _BATCH:
                self._write(waiting)
                waiting, count = {}, 0
        self._write(waiting)

    def remember(self, digests: Collection[int]) -> None:
        """Count rows of the read's own layout as received once at least."""
        rows = [(digest - 2**64 if digest >= 2**63 else digest,) for digest in digests]
        with self._translated():
            self._index.executemany(_REMEMBER, rows)

    def mark(self) -> int:
        """Return what has been taken in up to now; what comes later is kept apart from here on."""
        self._marked = True
        return self._epoch

    def forget_before(self, mark: int) -> None:
        """Keep apart no longer what came before a mark."""
        while self._recent and self._recent[0][0] <= mark:
            self._recent.popleft()

    def answers(self, rows: Sequence[Rows], mark: int = 0) -> list[Answer]:
        """Tell for each row how often it was received, and how often of that since a mark."""
        payload = b"".join(row.frame for row in rows)
        found = [Answer(0, 0)] * len(rows)
        for names, layout in self._layouts.items():
            digests = list(signed(self._codec.digests(payload, len(rows), names)))
            counts = self._counts(layout, digests)
            if not counts:
                continue
            late = self._since(layout, mark)
            if layout:
                self._share(rows, digests, counts)
            for place, digest in enumerate(digests):
                if digest in counts:
                    before = found[place]
                    found[place] = Answer(
                        before.received + counts[digest], before.late + late.get(digest, 0)
                    )
        return found

    def use_up(self, rows: Sequence[Rows]) -> None:
        """Let each row's answer be given no more, as equal rows may come on another page."""
        payload = b"".join(row.frame for row in rows)
        digests = signed(self._codec.digests(payload, len(rows), self._own))
        used = [(row.times, digest) for row, digest in zip(rows, digests, strict=True)]
        with self._translated():
            self._index.executemany(_USE_UP, used)

    def _share(self, rows: Sequence[Rows], digests: Sequence[int], counts: dict[int, int]) -> None:
        """Note where rows that differ now were equal in the columns of an older layout.

        Which of them was received then cannot be told, unless all were.
        """
        wanted: Counter[int] = Counter()
        for row, digest in zip(rows, digests, strict=True):
            wanted[digest] += row.times
        shared = {digest for digest, n in Counter(digests).items() if n > 1}
        if any(counts.get(digest, wanted[digest]) < wanted[digest] for digest in shared):
            self.confused = True

    def _counts(self, layout: int, digests: Sequence[int]) -> dict[int, int]:
        with self._translated():
            return dict(self._index.execute(_COUNTS, (layout, json.dumps(sorted(digests)))))

    def _since(self, layout: int, mark: int) -> Counter[int]:
        late: Counter[int] = Counter()
        for epoch, of, counts in self._recent:
            if epoch > mark and of == layout:
                late.update(counts)
        return late

    def _write(self, waiting: dict[int, list[int]]) -> None:
        for layout, digests in waiting.items():
            digests.sort()
            with self._translated():
                self._index.execute("BEGIN")
                self._index.executemany(_ADD, ((layout, digest) for digest in digests))
                self._index.execute("COMMIT")
            self.rows += len(digests)
            if self._recall and self._marked:
                self._recent.append((self._epoch, layout, Counter(digests)))

    def _layout(self, names: tuple[str, ...]) -> int:
        return self._layouts.setdefault(names, len(self._layouts))

    def _common(self, schema: Schema) -> tuple[str, ...]:
        """Return the columns that a layout has as the read's own, in its order.

        None where the key is not among them: then nothing tells which row is which.
        """
        theirs = {(column.name, column.base, column.type) for column in schema.columns}
        names = tuple(
            column.name
            for column in self._schema.columns
            if (column.name, column.base, column.type) in theirs
        )
        return names if set(self._schema.primary_key) <= set(names) else ()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise IndexUnusable(f"{self._path}: {error}") from error


def signed(digests: memoryview) -> memoryview:
    """Show digests as SQLite has integers."""
    return digests.cast("B").cast("q")
