"""Opening `state.db`, or making it anew when it is lost.

A lost state costs duplicates, never loss: every sink starts again at the oldest entry, and
the dead letters that can still be read are saved.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import structlog

from bridge.journal.database import connect_reader, is_damage
from bridge.journal.layout import (
    FORMAT,
    list_segments,
    move_database,
    newer_format,
    require_writable,
    state_path,
    unwritable,
)
from bridge.journal.lock import JournalLock, noted_head
from bridge.journal.queries import QUERIES
from bridge.journal.segment_reader import SegmentReader
from bridge.journal.state import State

_log = structlog.get_logger(__name__)


def open_state(journal: Path, lock: JournalLock) -> State:
    """Open `state.db`, or make it: for a new journal, or in place of one that was lost.

    Raises:
        JournalUnavailable: written by a newer version, or not accessible to this user.
    """
    path = state_path(journal)
    require_writable(journal, path)
    firsts = list_segments(journal)
    problem = "the file is missing"
    if path.exists():
        try:
            state = State(journal)
        except (sqlite3.Error, ValueError) as error:
            if isinstance(error, sqlite3.Error) and not is_damage(error):
                raise unwritable(journal, path, str(error)) from error
            problem = str(error)
        else:
            if state.format > FORMAT:
                state.close()
                raise newer_format(journal, state.format)
            return state
    elif not firsts:
        lock.note(0)
        return _create_state(journal, secrets.token_hex(8), 0)
    journal_id = _id_of_segments(journal, firsts) or secrets.token_hex(8)
    rescued = path.with_name("state.db.damaged")
    if path.exists():
        move_database(path, rescued)
    rebuilt_at = max(noted_head(journal), firsts[-1] + 1) if firsts else 0
    state = _create_state(journal, journal_id, rebuilt_at)
    letters = list(_saved_dead_letters(rescued)) if problem != "the file is missing" else []
    state.add_dead_letters(letters)
    _log.error(
        "journal_state_rebuilt",
        path=str(path),
        cause=problem,
        consequence="every sink starts again at the oldest entry stored",
        dead_letters_saved=len(letters),
    )
    return state


def _create_state(journal: Path, journal_id: str, rebuilt_at: int) -> State:
    try:
        return State.create(journal, journal_id, rebuilt_at=rebuilt_at)
    except sqlite3.Error as error:
        raise unwritable(journal, state_path(journal), str(error)) from error


def _saved_dead_letters(path: Path) -> Iterator[tuple[object, ...]]:
    try:
        connection = connect_reader(path)
    except sqlite3.Error:
        return
    try:
        for row in connection.execute(QUERIES["salvage_dead_letters"]):
            if all(isinstance(value, int) for value in (row[2], row[4], row[5])):
                yield row
    except sqlite3.Error:
        return
    finally:
        connection.close()


def _id_of_segments(journal: Path, firsts: list[int]) -> str | None:
    for first in reversed(firsts):
        try:
            segment = SegmentReader(journal, first, sealed=False)
        except sqlite3.Error:
            continue
        try:
            return segment.header().journal_id
        except (sqlite3.Error, ValueError):
            continue
        finally:
            segment.close()
    return None
