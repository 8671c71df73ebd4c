"""Connections to SQLite, and what its errors mean here.

One connection writes and checkpoints each database. Readers open read-only and never
checkpoint; what is sealed and has no write-ahead log is opened as immutable, which takes no
lock, leaves no file behind and needs no right to write in the folder.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from bridge.journal.layout import has_wal, wal_path

PAGE_SIZE = 4096
_READER_PATIENCE = 5.0
_WRITER_PATIENCE = 1.0
_descriptors: dict[tuple[int, int], int] = {}  # of files that were looked at, by device and inode

# SQLite's result codes (the low byte) that say nothing about what the file holds: all others,
# and what Python itself cannot make sense of, mean that it does not hold what was written.
_NOT_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_ABORT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_IOERR,
    }
)


def connect_writer(path: Path, *, synchronous: str) -> sqlite3.Connection:
    """Open the one connection that writes a database; the caller guards it with a lock."""
    connection = sqlite3.connect(
        path, timeout=_WRITER_PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA fullfsync=ON")  # on macOS a plain fsync reaches no platter
        connection.execute("PRAGMA trusted_schema=OFF")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


class ReadConnection(sqlite3.Connection):
    """A read-only connection.

    Attributes:
        immutable: whether it was opened on the promise that nobody writes the file; it sees
            nothing of what is written all the same.
    """

    immutable = False


def connect_reader(path: Path, *, sealed: bool = False) -> ReadConnection:
    """Open a database to read it; it must exist.

    Args:
        path: the file.
        sealed: whether it is known that nobody writes it any more.
    """
    if sealed and not has_wal(path):
        return _connect_read_only(path, immutable=True)
    try:
        return _connect_read_only(path, immutable=False)
    except sqlite3.OperationalError as error:
        # Without a log, and without the right to create its index, only this way is left.
        if code(error) in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY} and not has_wal(path):
            return _connect_read_only(path, immutable=True)
        raise


def _connect_read_only(path: Path, *, immutable: bool) -> ReadConnection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}",
        uri=True,
        timeout=_READER_PATIENCE,
        isolation_level=None,
        check_same_thread=False,
        factory=ReadConnection,
    )
    connection.immutable = immutable
    try:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA query_only=ON")
        # Lets a file that was cut short be opened, so that what is left of it can be read.
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("PRAGMA user_version").fetchone()  # the first touch of the file
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 where the error came from Python's side."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error means that the file is damaged, rather than out of reach."""
    if isinstance(error, sqlite3.ProgrammingError):
        return False  # a connection that was closed
    # Where a read comes to the end of the file too early, the file was cut short.
    cut = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHORT_READ
    return cut or code(error) not in _NOT_DAMAGE


def is_passing(error: sqlite3.Error) -> bool:
    """Return whether an error leaves the connection and its file as they were before."""
    return code(error) in {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
    }


def is_full(error: sqlite3.Error) -> bool:
    """Return whether an error means that the disk has no room."""
    return code(error) == sqlite3.SQLITE_FULL


def roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction that failed, if SQLite has not ended it already."""
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()


def require_readable(path: Path) -> None:
    """Read a database and its log as plain files, so that the disk speaks for itself.

    SQLite calls a page that cannot be read (EIO) damaged, so its verdict is believed only where
    this returns.

    Raises:
        OSError: the disk failed.
    """
    for file in (path, wal_path(path)):
        try:
            status = file.stat()
        except FileNotFoundError:
            continue
        identity = status.st_dev, status.st_ino
        # Left open: closing it would drop the locks that SQLite holds on the file here. There
        # are as many as there are damaged files.
        if identity not in _descriptors:
            _descriptors[identity] = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        descriptor = _descriptors[identity]
        at = 0
        while data := os.pread(descriptor, 2**20, at):
            at += len(data)
