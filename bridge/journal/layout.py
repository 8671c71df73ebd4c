"""How a journal lies on disk: a folder with a lock, `state.db`, and a folder of segments.

A segment is named after its first offset, so a listing is an index. Database files are
never opened except through SQLite: closing any other descriptor of such a file would drop
the locks that SQLite holds on it in this process.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from bridge.errors import JournalUnavailable

FORMAT = 1
# A segment never holds this many events: after a damage that hides how many there were, the
# next segment starts this far on, so that no offset is ever given twice.
SPAN = 10**9

_SEGMENT = re.compile(r"(\d{20})\.db")
_BESIDES = ("-wal", "-shm")


def segments_folder(journal: Path) -> Path:
    """Return the folder that holds the segments."""
    return journal / "segments"


def segment_path(journal: Path, first: int) -> Path:
    """Return the file of the segment whose first offset is `first`."""
    return segments_folder(journal) / f"{first:020d}.db"


def building_path(journal: Path) -> Path:
    """Return where a segment is built before it gets its name, whole."""
    return segments_folder(journal) / "building.db"


def state_path(journal: Path) -> Path:
    """Return the file that holds cursors, counts and dead letters."""
    return journal / "state.db"


def lock_path(journal: Path) -> Path:
    """Return the file that says who writes the journal."""
    return journal / "lock"


def list_segments(journal: Path) -> list[int]:
    """Return the first offsets of all segments, oldest first; empty where there are none."""
    try:
        names = [path.name for path in segments_folder(journal).iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(match[1]) for match in map(_SEGMENT.fullmatch, names) if match)


def database_bytes(path: Path) -> int:
    """Return the size of a database with its write-ahead log; 0 where it is gone."""
    return _size(path) + _size(wal_path(path))


def wal_path(path: Path) -> Path:
    """Return the write-ahead log beside a database."""
    return path.with_name(path.name + "-wal")


def has_wal(path: Path) -> bool:
    """Return whether a write-ahead log with content stands beside a database."""
    return _size(wal_path(path)) > 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def remove_database(path: Path) -> None:
    """Delete a database and what stands beside it; the database first, so no log is missed."""
    for name in (path.name, *(path.name + end for end in _BESIDES)):
        path.with_name(name).unlink(missing_ok=True)


def move_database(path: Path, target: Path) -> None:
    """Rename a database and what stands beside it, replacing what had that name."""
    remove_database(target)
    for end in ("", *_BESIDES):
        source = path.with_name(path.name + end)
        if source.exists():
            source.replace(target.with_name(target.name + end))


def remove_leftovers(journal: Path) -> None:
    """Delete a half-built segment, and logs whose segment is gone."""
    remove_database(building_path(journal))
    for path in segments_folder(journal).iterdir():
        for end in _BESIDES:
            if path.name.endswith(end) and not path.with_name(path.name[: -len(end)]).exists():
                path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def prepare_folder(journal: Path) -> None:
    """Create the journal's folders where they are missing, and make sure they can be written.

    Raises:
        JournalUnavailable: a file stands in the way, or this user may not write there.
    """
    try:
        segments_folder(journal).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise JournalUnavailable(
            f"journal {journal}: {error.filename or journal} is no folder",
            hint="set journal.path to a folder",
        ) from error
    except OSError as error:
        raise unwritable(journal, error.filename or journal, error.strerror) from error
    for folder in (journal, segments_folder(journal)):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise unwritable(journal, folder, "it cannot be written")


def require_writable(journal: Path, path: Path) -> None:
    """Refuse a database that exists and that this user may not read and write.

    Raises:
        JournalUnavailable: naming the file and whose it should be.
    """
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise unwritable(journal, path, "it cannot be read and written")


def unwritable(journal: Path, path: Path | str, reason: str | None) -> JournalUnavailable:
    """Describe a file or folder that this process may not use."""
    user = os.geteuid()
    return JournalUnavailable(
        f"journal {journal}: {path}: {reason or 'not accessible'}",
        hint=f"give it to the user that runs the bridge (uid {user}), on a writable disk",
    )


def newer_format(journal: Path, version: int) -> JournalUnavailable:
    """Describe a journal that this version cannot read."""
    return JournalUnavailable(
        f"journal {journal} was written by a newer version (format {version}, not {FORMAT})",
        hint="run that version, or give this one another journal.path",
    )
