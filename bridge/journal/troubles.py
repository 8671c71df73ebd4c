"""What a failure of the disk means: never that stored bytes are bad, unless it goes on.

A read that has failed for `PATIENCE` seconds while others succeed counts as damage: a bad sector
does not heal, and what stands behind it is wanted.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from errno import EDQUOT, ENOSPC
from pathlib import Path

from bridge.errors import JournalDiskError, JournalError, JournalFull
from bridge.journal.database import code, is_damage, is_full
from bridge.journal.layout import FORBIDDEN, unwritable

# Seconds.
PATIENCE = 600.0
_INDEX_BYTES = 2**16


class Troubles:
    """Since when which file cannot be read; shared by all readers of a journal.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}  # each use is one operation of the dict

    def lasts(self, name: str) -> bool:
        """Note that a file could not be read; return whether that has gone on for too long."""
        return self._clock() - self._since.setdefault(name, self._clock()) >= PATIENCE

    def over(self, name: str) -> None:
        """Note that a file could be read."""
        if self._since:
            self._since.pop(name, None)


def translated(error: sqlite3.Error | OSError, journal: Path, path: Path) -> JournalError:
    """Return what to raise in place of a failure of SQLite or of the system.

    Args:
        error: what failed.
        journal: the journal's folder.
        path: the file that was read or written.
    """
    if isinstance(error, sqlite3.Error) and is_damage(error):
        # SQLite says so of a page that cannot be read, too.
        return JournalDiskError(
            f"journal {journal}: {path.name}: {error}",
            hint="if it stays so, restart the bridge: it repairs the journal",
        )
    if _is_no_room(error, path):
        return JournalFull(
            f"journal {journal}: the disk is full", hint="free space, or lower journal.max_size"
        )
    forbidden = _forbidden(error, path)
    if forbidden is not None:
        return unwritable(journal, *forbidden)
    return JournalDiskError(f"journal {journal}: {path.name}: {error}", hint="see the disk")


def _is_no_room(error: sqlite3.Error | OSError, path: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in {ENOSPC, EDQUOT}
    if is_full(error):
        return True
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    # Where its index does not fit, SQLite calls that an I/O error.
    return code(error) == sqlite3.SQLITE_IOERR and room.f_bavail * room.f_frsize < _INDEX_BYTES


def _forbidden(error: sqlite3.Error | OSError, path: Path) -> tuple[Path | str, str | None] | None:
    """Return what this user may not use, and why; None where it is not a matter of rights."""
    if isinstance(error, OSError):
        return (error.filename or path, error.strerror) if error.errno in FORBIDDEN else None
    for place, rights in ((path.parent, os.R_OK | os.X_OK), (path, os.R_OK)):
        if os.access(place, os.F_OK) and not os.access(place, rights):
            return place, "it cannot be read"
    return None
