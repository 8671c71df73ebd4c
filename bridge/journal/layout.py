"""How a journal lies on disk: a folder with a lock, `state.db`, and a folder of segments.

A segment is named after its first offset, a thinned one (what some lane still waits for, out of
one segment or several) after its span, so a listing is an index. Which spans are thinned says
`state.db`: a thinned segment that it does not know yet is not there yet, and whole segments in
a span that it knows are gone already, whatever the folder has. Database files are never opened
except through SQLite: closing any other descriptor of such a file would drop the locks that
SQLite holds on it in this process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, EPERM, EROFS
from pathlib import Path
from typing import NamedTuple

from bridge.errors import JournalUnavailable

# 1: cursors by sink, small notifications bundled. 2: lanes, blocks, thinned segments.
# 3: dead letters with their entries, what is paused, lanes that take some events, totals by type.
FORMAT = 3
# A segment never holds this many events: after a damage that hides how many there were, the
# next segment starts this far on, so that no offset is ever given twice.
SPAN = 10**9

Spans = tuple[tuple[int, int], ...]
"""Spans of offsets, each from its first to the one behind it; disjoint and ascending."""

_SEGMENT = re.compile(r"(\d{20})(?:-(\d{20}))?\.db")
_BESIDES = ("-wal", "-shm")
# What the operating system says where it is a matter of rights or of the place.
FORBIDDEN = frozenset({EACCES, EPERM, EROFS, ENOENT, ELOOP, ENAMETOOLONG})


def segments_folder(journal: Path) -> Path:
    """Return the folder that holds the segments."""
    return journal / "segments"


class Place(NamedTuple):
    """A segment among the others.

    Attributes:
        first: its first offset.
        end: the first offset behind it, None for the newest.
        thin: whether it holds only what was carried forward.
        tables: those that have events in it, None where that is not known.
    """

    first: int
    end: int | None
    thin: bool = False
    tables: frozenset[str] | None = None


def segment_path(journal: Path, first: int, thin_to: int | None = None) -> Path:
    """Return the file of a segment: whole, or thinned and reaching to `thin_to`."""
    name = f"{first:020d}" if thin_to is None else f"{first:020d}-{thin_to:020d}"
    return segments_folder(journal) / f"{name}.db"


def place_path(journal: Path, place: Place) -> Path:
    """Return the file of a segment."""
    return segment_path(journal, place.first, place.end if place.thin else None)


def building_path(journal: Path) -> Path:
    """Return where a segment is built before it gets its name, whole."""
    return segments_folder(journal) / "building.db"


def thinning_path(journal: Path) -> Path:
    """Return where a thinned segment is built before it gets its name."""
    return segments_folder(journal) / "thinning.db"


def state_path(journal: Path) -> Path:
    """Return the file that holds cursors, counts and dead letters."""
    return journal / "state.db"


def ballast_path(journal: Path) -> Path:
    """Return the file that holds room for a full disk."""
    return journal / "ballast"


def lock_path(journal: Path) -> Path:
    """Return the file that says who writes the journal."""
    return journal / "lock"


def list_files(journal: Path) -> list[tuple[int, int | None]]:
    """Return first offset and, of thinned ones, end of all segments; empty without a folder.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        names = [path.name for path in segments_folder(journal).iterdir()]
    except FileNotFoundError:
        return []
    found = [match for match in map(_SEGMENT.fullmatch, names) if match]
    return [(int(match[1]), int(match[2]) if match[2] else None) for match in found]


def places_of(files: Iterable[tuple[int, int | None]], thinned: Spans) -> list[Place]:
    """Return the segments that count, oldest first; those superseded or not ready are left out.

    Args:
        files: of all segments.
        thinned: what `state.db` says.
    """
    files = list(files)
    thin = [(first, end) for first, end in files if end is not None]
    thin = [span for span in thin if _within(span, thinned)]
    thin = [span for span in thin if not any(_covers(other, span) for other in thin)]
    whole = [first for first, end in files if end is None]
    whole = [first for first in whole if not _within((first, first + 1), thinned)]
    places = [Place(first, end, thin=True) for first, end in thin]
    places += [Place(first, None) for first in whole]
    places.sort()
    starts = [first for first, _ in thinned]
    for index, place in enumerate(places):
        if not place.thin:
            later = [start for start in starts if start > place.first]
            if index + 1 < len(places):
                later.append(places[index + 1].first)
            places[index] = place._replace(end=min(later, default=None))
    return places


def add_span(spans: Spans, first: int, end: int) -> Spans:
    """Return the spans with one more; those that touch become one.

    >>> add_span(((0, 5), (9, 12)), 5, 9)
    ((0, 12),)
    """
    merged: list[tuple[int, int]] = []
    for low, high in sorted((*spans, (first, end))):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], high)
        else:
            merged.append((low, high))
    return tuple(merged)


def _within(span: tuple[int, int], spans: Spans) -> bool:
    return any(low <= span[0] and span[1] <= high for low, high in spans)


def _covers(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one != other and one[0] <= other[0] and other[1] <= one[1]


def database_bytes(path: Path) -> int:
    """Return the size of a database with its write-ahead log; 0 where it is gone."""
    return _size(path) + _size(wal_path(path))


def wal_path(path: Path) -> Path:
    """Return the write-ahead log beside a database."""
    return path.with_name(path.name + "-wal")


def has_wal(path: Path) -> bool:
    """Return whether a write-ahead log with content stands beside a database."""
    return _size(wal_path(path)) > 0


def exists(path: Path) -> bool:
    """Return whether a file is there.

    Raises:
        OSError: that cannot be told.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def remove_database(path: Path) -> None:
    """Delete a database and what stands beside it; the database first, so no log is missed."""
    for file in (path, wal_path(path)):
        _unlink_with_content(file)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def _unlink_with_content(path: Path) -> None:
    """Delete a file and give its room back, also where a reader has it open and rests."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        path.unlink(missing_ok=True)
        return
    try:
        path.unlink(missing_ok=True)
        # Only now: whoever reads on sees that the file is gone, and not that it is damaged.
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def move_database(path: Path, target: Path) -> None:
    """Rename a database and what stands beside it, replacing what had that name."""
    remove_database(target)
    for end in ("", *_BESIDES):
        source = path.with_name(path.name + end)
        if exists(source):
            source.replace(target.with_name(target.name + end))


def remove_leftovers(journal: Path) -> None:
    """Delete half-built segments, and logs whose segment is gone."""
    remove_database(building_path(journal))
    remove_database(thinning_path(journal))
    for path in list(segments_folder(journal).iterdir()):
        for end in _BESIDES:
            owner = path.with_name(path.name.removesuffix(end))
            if path != owner and not exists(owner):
                path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    sync_file(folder)


def sync_file(path: Path) -> None:
    """Make what a file holds durable; not for a database that is open."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def prepare_folder(journal: Path) -> None:
    """Create the journal's folders where they are missing, and make sure they can be written.

    The journal's own is made for this user alone, as it will hold rows; one that is there stays as
    it is.

    Raises:
        JournalUnavailable: a file stands in the way, or this user may not write there.
        OSError: the disk failed.
    """
    try:
        journal.mkdir(mode=0o700, parents=True, exist_ok=True)
        segments_folder(journal).mkdir(exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise JournalUnavailable(
            f"journal {journal}: {error.filename or journal} is no folder",
            hint="set journal.path to a folder",
        ) from error
    except OSError as error:
        if error.errno not in FORBIDDEN:
            raise
        raise unwritable(journal, error.filename or journal, error.strerror) from error
    for folder in (journal, segments_folder(journal)):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise unwritable(journal, folder, "it cannot be written")


def require_writable(journal: Path, path: Path) -> None:
    """Refuse a database that exists and that this user may not read and write.

    Raises:
        JournalUnavailable: naming the file and whose it should be.
        OSError: the disk failed.
    """
    if exists(path) and not os.access(path, os.R_OK | os.W_OK):
        raise unwritable(journal, path, "it cannot be read and written")


def unwritable(journal: Path, path: Path | str, reason: str | None) -> JournalUnavailable:
    """Describe a file or folder that this process may not use."""
    user = owner = os.geteuid()
    with suppress(OSError):
        owner = journal.stat().st_uid
    cure = f"give it to the user that runs the bridge (uid {user}), on a writable disk"
    if owner != user:  # the bridge may well run as the owner, and this be somebody's command
        cure = f"run this as its owner (uid {owner}); if this user is to run the bridge, {cure}"
    return JournalUnavailable(f"journal {journal}: {path}: {reason or 'not accessible'}", hint=cure)


def no_journal(journal: Path) -> JournalUnavailable:
    """Describe a folder without a journal in it, or none at all."""
    return JournalUnavailable(
        f"journal {journal}: there is no journal here",
        hint="name the folder that journal.path names",
    )


def newer_format(journal: Path, version: int) -> JournalUnavailable:
    """Describe a journal that this version cannot read."""
    return JournalUnavailable(
        f"journal {journal} was written by a newer version (format {version}, not {FORMAT})",
        hint="run that version, or give this one another journal.path",
    )
