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
from bridge.journal.database import is_damage, is_full
from bridge.journal.layout import FORBIDDEN, unwritable

# Seconds.
PATIENCE = 600.0


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
    if isinstance(error, OSError):
        if error.errno in {ENOSPC, EDQUOT}:
            return _full(journal)
        if error.errno in FORBIDDEN:
            return unwritable(journal, error.filename or path, error.strerror)
    elif is_full(error):
        return _full(journal)
    elif is_damage(error):
        return JournalError(
            f"journal {journal}: {path.name} is damaged: {error}",
            hint="restart the bridge: it repairs the journal",
        )
    elif not os.access(path.parent, os.R_OK | os.X_OK):
        return unwritable(journal, path.parent, "it cannot be read")
    elif os.access(path, os.F_OK) and not os.access(path, os.R_OK):
        return unwritable(journal, path, "it cannot be read")
    return JournalDiskError(f"journal {journal}: {path.name}: {error}", hint="see the disk")


def _full(journal: Path) -> JournalFull:
    return JournalFull(
        f"journal {journal}: the disk is full", hint="free space, or lower journal.max_size"
    )
