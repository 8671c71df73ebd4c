"""Reading one segment, sound or not.

Entries follow each other without a hole, so a hole, whatever its cause (a page SQLite cannot
read, a row whose checksum is wrong, a row that is gone), shows as an offset that is not the
one expected. The reader notes the hole as damage and goes on behind it. In a thinned segment
holes are as it should be, and only what cannot be read is damage.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from bridge.events import Block, Undecodable
from bridge.journal.database import connect_reader, is_damage, require_readable
from bridge.journal.layout import Place, place_path
from bridge.journal.probe import first_readable
from bridge.journal.queries import QUERIES
from bridge.journal.records import Page, Stored, StoredEntry
from bridge.journal.rows import (
    Origin,
    checksum,
    parse_schema_text,
    stored_entry,
)
from bridge.journal.scan import Scan, Wanted, columns_intact
from bridge.journal.typed import add, kind_of


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment says of itself.

    Attributes:
        journal_id: whose it is.
        format: of what it holds.
        created: microseconds since the epoch.
        totals: events of each table before it, None where they cannot be trusted.
        kept: of a thinned one, the offset behind each table's last entry; None where that cannot
            be trusted, or of a whole one.
    """

    journal_id: str
    format: int
    created: int
    totals: Mapping[str, int] | None
    kept: Mapping[str, int] | None = None


class Edge(NamedTuple):
    """The first or the last entry of a segment, without its content."""

    offset: int
    end: int
    time: int


class SegmentReader:
    """A connection that reads one segment; not for two threads at once.

    Args:
        journal: the journal's folder.
        place: which segment.
        sealed: whether a later segment exists, so that nobody writes this one.
        is_bad: whether an error means damage; for a disk that goes on failing, more does.

    Raises:
        sqlite3.Error: the file cannot be opened; `is_damage` tells why.
    """

    def __init__(
        self,
        journal: Path,
        place: Place,
        *,
        sealed: bool,
        is_bad: Callable[[sqlite3.Error], bool] = is_damage,
    ) -> None:
        self.place = place
        self.path = place_path(journal, place)
        self._is_bad = is_bad
        self._looked_through = False  # whether the disk was seen to read the whole file
        self._connection = connect_reader(self.path, sealed=sealed)
        self._inode = self._inode_now()
        self._origins: dict[int, Origin] = {}
        self._last_origin = 0
        self._next_entry = place.first  # an offset at which an entry begins, if there is one

    def __repr__(self) -> str:
        return f"<SegmentReader of {self.path.name}>"

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._connection.close()

    def _believe(self, error: sqlite3.Error) -> None:
        """Raise what is no damage, also where SQLite says that it is.

        Raises:
            sqlite3.Error: it is not.
            OSError: the disk cannot read the file.
        """
        if not self._is_bad(error):
            raise error
        if self._is_bad is is_damage and not self._looked_through:
            require_readable(self.path)
            self._looked_through = True

    def is_stale(self, *, sealed: bool) -> bool:
        """Whether it would not see what is in the file that has its name now."""
        frozen = self._connection.immutable and not sealed
        return frozen or self._inode != self._inode_now()

    def _inode_now(self) -> int:
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return -1

    def header(self) -> Header:
        """Read what the segment says of itself.

        Raises:
            ValueError: the header is not what was written.
            sqlite3.Error: the file cannot be read.
        """
        meta = _verified(self._all("get_meta"))
        if not meta.keys() >= {"journal_id", "first_offset", "format", "created"}:
            raise ValueError("the header of the segment is damaged")
        if int(meta["first_offset"]) != self.place.first:
            raise ValueError(f"the file holds the segment of offset {meta['first_offset']}")
        kept = self._table("get_kept") if self.place.thin else None
        return Header(
            meta["journal_id"],
            int(meta["format"]),
            int(meta["created"]),
            self._table("get_totals"),
            kept,
        )

    def _table(self, query: str) -> Mapping[str, int] | None:
        try:
            rows = self._all(query)
        except sqlite3.Error as error:
            self._believe(error)
            return None
        return _verified(rows) if all(checksum(*row[:2]) == row[2] for row in rows) else None

    def marks(self) -> dict[str, str]:
        """Return the marks whose checksums are right."""
        try:
            return _verified(self._all("get_marks"))
        except sqlite3.Error as error:
            self._believe(error)
            return {}

    def edges(self) -> tuple[Edge | None, Edge | None]:
        """Return the first and the last entry, None twice in an empty segment.

        Raises:
            ValueError: one of them is not what was written.
            sqlite3.Error: the file cannot be read.
        """
        return self._edge("first_entry"), self._edge("last_entry")

    def _edge(self, query: str) -> Edge | None:
        row = self._connection.execute(QUERIES[query]).fetchone()
        if row is None:
            return None
        if not columns_intact(row):
            raise ValueError("an entry at the edge of the segment is damaged")
        return Edge(row[0], row[0] + row[1], row[3])

    def sums(self, before: int) -> dict[str, int]:
        """Return the events of each table before an offset, as far as they can be read.

        Raises:
            sqlite3.Error: for passing reasons only.
        """
        try:
            with self._snapshot():
                self._load_origins()
                rows = self._connection.execute(QUERIES["sum_events"], {"before": before})
                sums: dict[str, int] = {}
                for origin_id, kind, events in rows.fetchall():
                    origin = self._origins.get(origin_id)
                    if origin is not None:
                        add(sums, origin.table, kind, int(events))
                return sums
        except (sqlite3.Error, TypeError) as error:
            if isinstance(error, sqlite3.Error):
                self._believe(error)
        return self._readable_sums(before)

    def sizes(self) -> dict[str, int]:
        """Return about how many bytes each table has in it, as far as they can be read.

        Raises:
            sqlite3.Error: for passing reasons only.
        """
        try:
            with self._snapshot():
                self._load_origins()
                return self._by_table(self._all("sum_bytes"))
        except (sqlite3.Error, TypeError) as error:
            if isinstance(error, sqlite3.Error):
                self._believe(error)
        return {}

    def _readable_sums(self, before: int) -> dict[str, int]:
        sums: dict[str, int] = {}
        position = self.place.first
        while position < before:
            page = self.read(Wanted(position, before, sealed=True))
            for offset, count, entry in page.entries:
                add(sums, entry.table, kind_of(entry), min(count, before - offset))
            position = page.next
        return sums

    def _by_table(self, rows: list[tuple[int, int]]) -> dict[str, int]:
        sums: dict[str, int] = {}
        for origin_id, events in rows:
            origin = self._origins.get(origin_id)
            if origin is not None:
                sums[origin.table] = sums.get(origin.table, 0) + int(events)
        return sums

    def read(self, wanted: Wanted) -> Page:
        """Read entries in short transactions.

        Raises:
            sqlite3.Error: for passing reasons only; damage is part of the page.
        """
        start, limit = wanted.start, wanted.limit
        scan = Scan(wanted, self.place.thin, [], [], start)
        try:
            if not self._origins:
                self._load_origins()
            at: int | None = start if start == self._next_entry else self._floor_or(start, scan)
            while at is not None and not scan.full:
                at = self._walk(scan, at)
        except sqlite3.Error as error:
            self._believe(error)
            scan.trouble = str(error)
        if not scan.full and scan.position < limit and (wanted.sealed or scan.trouble):
            scan.skip_to(limit)
        return Page(scan.entries, scan.position, scan.damaged)

    def _walk(self, scan: Scan, at: int) -> int | None:
        """Add rows from `at` on to the scan; return where to try again, None at the end."""
        _, limit, sealed, _, left, tables = scan.wanted
        start = at
        values = {"at": at, "limit": left, "unwanted": self._unwanted(tables)}
        try:
            # Closed at once: a statement that is not at its end holds its transaction open.
            with closing(self._connection.execute(QUERIES["read_entries"], values)) as rows:
                for row in rows:
                    left -= 1
                    # A damaged key can lead back, or far beyond the end.
                    if at <= row[0] < limit or not sealed:
                        at = max(at, row[0] + 1)
                    if sealed and row[0] >= limit and columns_intact(row):
                        return None  # a transaction that was reported as failed
                    self._take(scan, row)
                    if scan.full:
                        return None
        except sqlite3.Error as error:
            self._believe(error)
            scan.trouble = str(error)
            return first_readable(self._seek, at, limit, self._is_bad)
        if left > 0:
            return None
        # A page that ends here must have moved on: one of unreadable rows alone has not.
        scan.full = scan.position > scan.wanted.start
        return at if at > start else None

    def _take(self, scan: Scan, row: tuple[Any, ...]) -> None:
        wanted = scan.wanted
        offset, count, kind, time, origin_id, check, detail, payload = row
        origin = self._origin(origin_id) if columns_intact(row) else None
        if origin is None:
            scan.trouble = "an entry is damaged"
            return
        self._next_entry = offset + count
        if offset + count <= scan.position:
            return
        entry: StoredEntry | None = None
        if wanted.tables is None or origin.table in wanted.tables:
            if (payload is not None and not isinstance(payload, bytes)) or (
                crc32(payload or b"") != check & 0xFFFFFFFF
            ):
                scan.trouble = "the payload of an entry is damaged"
                return
            try:
                entry = stored_entry(count, kind, time, origin, detail, payload)
            except (ValueError, KeyError, TypeError) as error:
                scan.trouble = f"an entry is not understood: {error}"
                return
        if offset > scan.position:
            scan.skip_to(offset)
        scan.position = offset + count
        if entry is None:
            return
        scan.entries.append(Stored(offset, count, entry))
        if isinstance(entry, Block | Undecodable):
            scan.bytes += len(entry.payload)
        scan.full = scan.bytes >= wanted.max_bytes or len(scan.entries) >= wanted.max_entries

    def _origin(self, origin_id: int) -> Origin | None:
        if origin_id > self._last_origin:
            self._load_origins()  # written since: never later than the entries that name it
        return self._origins.get(origin_id)

    def _unwanted(self, tables: Collection[str] | None) -> str | None:
        """Return as a JSON array the origins whose payloads need not be read, None without."""
        if tables is None:
            return None
        unwanted = [
            number for number, origin in self._origins.items() if origin.table not in tables
        ]
        return json.dumps(unwanted) if unwanted else None

    def _floor(self, offset: int) -> int:
        row = self._connection.execute(QUERIES["floor_entry"], (offset,)).fetchone()
        return offset if row is None else int(row[0])

    def _floor_or(self, start: int, scan: Scan) -> int:
        try:
            return self._floor(start)
        except sqlite3.Error as error:
            self._believe(error)
            scan.trouble = str(error)
            return start

    def _seek(self, offset: int) -> int | None:
        row = self._connection.execute(QUERIES["seek_entry"], (offset,)).fetchone()
        return None if row is None else int(row[0])

    def _load_origins(self) -> None:
        rows = self._connection.execute(QUERIES["get_origins"], (self._last_origin,))
        for origin_id, table, cluster, schema, crc in rows:
            if checksum(origin_id, table, cluster, schema) == crc:
                parsed = None if schema is None else parse_schema_text(schema)
                self._origins[origin_id] = Origin(table, cluster, parsed)
            self._last_origin = max(self._last_origin, origin_id)

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(QUERIES[query]).fetchall()


def _verified(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    return {name: value for name, value, crc in rows if checksum(name, value) == crc}
