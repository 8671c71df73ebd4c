"""Marks, gap events and replays of a journal, read beside a running bridge, without records."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from bridge.events import Gap
from bridge.journal.database import connect_reader, is_damage
from bridge.journal.folder import look
from bridge.journal.layout import Place, place_path
from bridge.journal.queries import QUERIES
from bridge.journal.replay import Replay
from bridge.journal.scan import columns_intact
from bridge.journal.segment_reader import SegmentReader
from bridge.journal.state_reader import StateReader
from bridge.journal.troubles import translated

_Result = TypeVar("_Result")


def stored_marks(journal: Path) -> dict[str, str]:
    """Return the marks as of the last append.

    Raises:
        JournalUnavailable: there is no journal here, or it may not be read.
        JournalDiskError: the disk failed; try again.
    """
    newest = list(look(journal).places)[-1]

    def read() -> dict[str, str]:
        segment = SegmentReader(journal, newest, sealed=False)
        try:
            return segment.marks()
        finally:
            segment.close()

    return _guarded(journal, newest, read) or {}


def stored_replays(journal: Path) -> list[Replay]:
    """Return what is delivered again, and what was, in the order it was asked for.

    Raises:
        JournalError: `state.db` cannot be read.
    """
    with StateReader(journal) as state:
        return state.replays()


def stored_gaps(journal: Path, table: str | None = None) -> Iterator[Gap]:
    """Yield the gap events that are still stored, oldest first.

    Args:
        journal: the folder.
        table: of this one alone, by its qualified name.

    Raises:
        JournalUnavailable: there is no journal here, or it may not be read.
        JournalDiskError: the disk failed; try again.
    """
    places = list(look(journal).places)
    for place in places:

        def read(place: Place = place) -> list[Gap]:
            return _gaps(place_path(journal, place), table, sealed=place is not places[-1])

        yield from _guarded(journal, place, read) or ()


def _guarded(journal: Path, place: Place, read: Callable[[], _Result]) -> _Result | None:
    """Return what was read, None of a segment that is damaged or pruned meanwhile."""
    path = place_path(journal, place)
    try:
        return read()
    except (sqlite3.Error, OSError) as error:
        if not path.exists() or (isinstance(error, sqlite3.Error) and is_damage(error)):
            return None
        raise translated(error, journal, path) from error


def _gaps(path: Path, table: str | None, *, sealed: bool) -> list[Gap]:
    connection = connect_reader(path, sealed=sealed)
    try:
        rows = connection.execute(QUERIES["get_gaps"], {"table": table}).fetchall()
    finally:
        connection.close()
    return [
        Gap(table_name, cluster, row[3], **json.loads(row[6]))
        for *row, table_name, cluster in rows
        if columns_intact(tuple(row))
    ]
