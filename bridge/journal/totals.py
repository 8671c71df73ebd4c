"""Events by table: of a segment, and added up."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from bridge.journal.database import is_damage, require_readable
from bridge.journal.layout import Place, place_path
from bridge.journal.segment_reader import SegmentReader
from bridge.journal.troubles import translated


def sums(journal: Path, place: Place, before: int) -> dict[str, int]:
    """Return the events of each table in a segment, as far as it is sound.

    Raises:
        JournalDiskError: it cannot be read just now.
    """
    try:
        segment = SegmentReader(journal, place, sealed=False)
        try:
            return segment.sums(before)
        finally:
            segment.close()
    except (sqlite3.Error, OSError) as error:
        path = place_path(journal, place)
        if isinstance(error, sqlite3.Error) and is_damage(error):
            _require_readable(journal, path)
            return {}
        raise translated(error, journal, path) from error


def _require_readable(journal: Path, path: Path) -> None:
    try:
        require_readable(path)
    except OSError as error:
        raise translated(error, journal, path) from error


def sum_of_tables(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Add two counts up."""
    return {table: one.get(table, 0) + other.get(table, 0) for table in {**one, **other}}


def largest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Take the larger of two counts of each table."""
    return {table: max(one.get(table, 0), other.get(table, 0)) for table in {**one, **other}}
