"""Writing one segment: built under another name, appended to by one connection, sealed.

A segment appears under its name whole and on disk, so one that cannot be read is always
damage, never a crash in the middle of its making. Each append is one transaction in WAL mode
with `synchronous=FULL`: when it returns, an fsync has returned.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path

from bridge.events import Schema
from bridge.journal.database import PAGE_SIZE, connect_writer, is_damage, roll_back
from bridge.journal.layout import (
    FORMAT,
    building_path,
    remove_database,
    segment_path,
    segments_folder,
    sync_file,
    sync_folder,
)
from bridge.journal.queries import QUERIES, SEGMENT_SCHEMA
from bridge.journal.rows import (
    Draft,
    checksum,
    row_checksum,
    schema_text,
    with_checksums,
)

# Bytes in the write-ahead log before they move to the database: each move costs two fsyncs.
_CHECKPOINT_BYTES = 2**24
# In a large segment pages are large: half the processor time for much, and little more for a
# commit of one row.
LARGE_PAGE_SIZE = 2**14
LARGE_SEGMENT = 2**22
_MOST_SCHEMAS_BY_IDENTITY = 4096
# Every statement gives the interpreter's lock away and waits to get it back, which beside a
# busy reader takes longer than writing a row does: many rows a statement.
_ROWS_AT_ONCE = 64
# Bytes appended until the file is measured again: that takes a statement, too.
_UNMEASURED_BYTES = 2**16

Row = tuple[int, int, str, int, int, int, str | None, bytes | None]
OriginRow = tuple[int, str, str, str | None, int]


def create_segment(
    journal: Path,
    first: int,
    journal_id: str,
    created: int,
    totals: Mapping[str, int],
    marks: Mapping[str, str],
    *,
    page_size: int = PAGE_SIZE,
) -> None:
    """Create an empty segment; it has its name once it is durable.

    Args:
        journal: the journal's folder.
        first: the offset its first event will get.
        journal_id: 16 hex digits.
        created: microseconds since the epoch.
        totals: events of each table before it.
        marks: carried over from the segment before.
        page_size: of the database, in bytes.

    Raises:
        sqlite3.Error, OSError: nothing was created.
    """
    building = building_path(journal)
    remove_database(building)
    # Its own fsync below is enough: until then nobody knows the file.
    connection = connect_writer(building, synchronous="OFF")
    try:
        connection.execute(f"PRAGMA page_size={page_size}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(f"BEGIN;{SEGMENT_SCHEMA}")
        put_header(connection, first, journal_id, created, totals, marks)
        connection.execute("COMMIT")
        connection.close()
        sync_file(building)
        building.replace(segment_path(journal, first))
    except BaseException:
        connection.close()
        remove_database(building)  # on a full disk its room is missed
        raise
    sync_folder(segments_folder(journal))


def put_header(
    connection: sqlite3.Connection,
    first: int,
    journal_id: str,
    created: int,
    totals: Mapping[str, int],
    marks: Mapping[str, str],
) -> None:
    """Write what a segment says of itself; arguments as for `create_segment`."""
    meta = {
        "journal_id": journal_id,
        "first_offset": str(first),
        "format": str(FORMAT),
        "created": str(created),
    }
    connection.executemany(QUERIES["put_meta"], with_checksums(meta))
    connection.executemany(QUERIES["put_total"], with_checksums(totals))
    connection.executemany(QUERIES["put_mark"], with_checksums(marks))


class Origins:
    """Numbers where entries come from, for one segment."""

    def __init__(self, next_number: int = 1) -> None:
        self._next = next_number
        self._numbers: dict[tuple[str, str, Schema | None], int] = {}
        # Hashing a schema costs more than the rest of a row: found by identity first. The
        # value holds the schema, so that its identity is not given to another.
        self._by_identity: dict[tuple[str, str, int], tuple[int, Schema | None]] = {}

    def number(self, table: str, cluster: str, schema: Schema | None, new: list[OriginRow]) -> int:
        """Return the number of an origin; one not numbered yet is added to `new`."""
        identity = (table, cluster, id(schema))
        known = self._by_identity.get(identity)
        if known is not None:
            return known[0]
        key = (table, cluster, schema)
        origin = self._numbers.get(key)
        if origin is None:
            origin, self._next = self._next, self._next + 1
            text = None if schema is None else schema_text(schema)
            crc = checksum(origin, table, cluster, text)
            new.append((origin, table, cluster, text, crc))
            self._numbers[key] = origin
        if len(self._by_identity) >= _MOST_SCHEMAS_BY_IDENTITY:
            self._by_identity.clear()
        self._by_identity[identity] = origin, schema
        return origin

    def forget(self) -> None:
        """Number all anew; those written before are written again, which does no harm."""
        self._numbers.clear()
        self._by_identity.clear()


def row_of(offset: int, draft: Draft, origin: int) -> Row:
    """Return a draft as the row at an offset."""
    count, kind, time, _, _, _, detail, payload, _, _, _ = draft
    check = row_checksum(offset, count, kind, time, origin, detail, payload)
    return offset, count, kind, time, origin, check, detail, payload


@cache
def _put_entries(rows: int) -> str:
    return QUERIES["put_entry"].removesuffix(";") + ", (?, ?, ?, ?, ?, ?, ?, ?)" * (rows - 1)


class SegmentWriter:
    """The one connection that appends to the newest segment; not for two threads at once.

    Attributes:
        first: its first offset.
        created: when it was created, microseconds since the epoch.
        totals: events of each table before it.
        oldest_time: when its first event was received, None while it is empty.
        newest_time: when its last event was received, None while it is empty.
        bytes: its size, about, once all is moved out of its write-ahead log.
        sizes: about how many bytes each table has in it, as far as this writer wrote them.
        measures_all: whether that is all there is.
    """

    def __init__(
        self, journal: Path, first: int, *, created: int, totals: Mapping[str, int]
    ) -> None:
        self.path = segment_path(journal, first)
        self.first = first
        self.created = created
        self.totals = totals
        self.oldest_time: int | None = None
        self.newest_time: int | None = None
        self.bytes = 0
        self.sizes: dict[str, int] = {}
        self._unmeasured = 0
        self._connection = connect_writer(self.path, synchronous="FULL")
        try:
            self._page_size = self._scalar("PRAGMA page_size")
            pages = _CHECKPOINT_BYTES // self._page_size
            self._connection.execute(f"PRAGMA wal_autocheckpoint={pages}")
            last = self._scalar("SELECT coalesce(max(origin_id), 0) FROM origins")
            self._origins = Origins(last + 1)
            self.measures_all = last == 0
            self.bytes = self._measured()
        except BaseException:
            self._connection.close()
            raise

    def __repr__(self) -> str:
        return f"<SegmentWriter of {self.path.name}, {self.bytes} bytes>"

    @property
    def empty(self) -> bool:
        """Whether nothing was appended yet."""
        return self.oldest_time is None

    def problem(self) -> str | None:
        """Walk the whole file; return what is wrong with it, None if nothing is.

        Raises:
            sqlite3.Error: it could not be read, whatever it holds.
        """
        try:
            found = str(self._connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            return str(error)
        return None if found == "ok" else found

    def append(self, head: int, drafts: Sequence[Draft], marks: Mapping[str, str]) -> int:
        """Write drafts from offset `head` on, and marks, in one durable transaction.

        Returns:
            The new head.

        Raises:
            sqlite3.Error: nothing was written.
        """
        new_origins: list[OriginRow] = []
        rows: list[Row] = []
        size = 0
        for draft in drafts:
            size += draft.size
            origin = self._origins.number(draft.table, draft.cluster, draft.schema, new_origins)
            rows.append(row_of(head, draft, origin))
            head += draft.events
        unmeasured = self._unmeasured + size
        try:
            if (
                unmeasured <= _UNMEASURED_BYTES
                and 0 < len(rows) <= _ROWS_AT_ONCE
                and not (new_origins or marks)
            ):
                self._put_entries(rows)  # one statement is a transaction by itself
                self._unmeasured, self.bytes = unmeasured, self.bytes + size
            else:
                self.bytes = self._put_all(new_origins, rows, marks)
                self._unmeasured = 0
        except BaseException:
            roll_back(self._connection)
            if new_origins:
                self._origins.forget()
            raise
        if drafts:
            self.oldest_time = drafts[0].time if self.oldest_time is None else self.oldest_time
            self.newest_time = max(draft.time for draft in drafts)
        for draft in drafts:
            self.sizes[draft.table] = self.sizes.get(draft.table, 0) + draft.size
        return head

    def seal(self) -> None:
        """Move all into the database file and let go of it; may be called twice."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.ProgrammingError:
            return
        except sqlite3.Error:
            # All is in the log, and the log is read wherever it stands.
            pass
        self._connection.close()

    def _put_all(
        self, origins: Sequence[OriginRow], rows: Sequence[Row], marks: Mapping[str, str]
    ) -> int:
        """Write all in one transaction, and return how large the segment is then."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        if origins:
            connection.executemany(QUERIES["put_origin"], origins)
        self._put_entries(rows)
        if marks:
            connection.executemany(QUERIES["put_mark"], with_checksums(marks))
        size = self._measured()  # inside the transaction, where it takes no lock of its own
        connection.execute("COMMIT")
        return size

    def _put_entries(self, rows: Sequence[Row]) -> None:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            self._connection.execute(_put_entries(len(part)), tuple(chain.from_iterable(part)))

    def _measured(self) -> int:
        return self._scalar("PRAGMA page_count") * self._page_size

    def _scalar(self, statement: str) -> int:
        return int(self._connection.execute(statement).fetchone()[0])
