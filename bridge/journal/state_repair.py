"""Opening `state.db`, or making it anew when it is lost.

A lost state costs duplicates, never loss: every sink starts again at the oldest entry, and
the dead letters that can still be read are saved.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from bridge.errors import JournalDiskError, JournalError
from bridge.journal.database import connect_reader, is_damage, require_readable
from bridge.journal.extent import missing, thinned_of
from bridge.journal.layout import (
    FORMAT,
    Place,
    Spans,
    exists,
    list_files,
    move_database,
    place_path,
    require_writable,
    state_path,
)
from bridge.journal.lock import JournalLock, noted_head
from bridge.journal.queries import QUERIES
from bridge.journal.segment_reader import SegmentReader
from bridge.journal.state import State
from bridge.journal.state_file import create_state
from bridge.journal.troubles import Troubles, translated

_log = structlog.get_logger(__name__)


def open_state(journal: Path, lock: JournalLock, troubles: Troubles) -> State:
    """Open `state.db`, or make it: for a new journal, or in place of one that was lost.

    Raises:
        JournalUnavailable: written by a newer version, or not accessible to this user.
        JournalDiskError: the disk failed; nothing was changed.
        OSError: likewise.
    """
    path = state_path(journal)
    require_writable(journal, path)
    files = list_files(journal)
    problem = "the file is missing"
    if exists(path):
        state: State | None = None
        for _ in range(2):  # where the disk failed for a moment only, the second look is right
            try:
                state = State(journal)
                break
            except (sqlite3.Error, ValueError) as error:
                problem = _problem(error, journal, path, troubles)
        if state is not None:
            troubles.over(path.name)
            if state.format < FORMAT:
                _log.info("journal_upgraded", path=str(path), to=FORMAT, before=state.format)
            return state
    elif not files:
        lock.note(0)
        return _made_anew(journal, secrets.token_hex(8), 0, (), ())
    journal_id = _id_of_segments(journal, files) or secrets.token_hex(8)
    rescued = path.with_name("state.db.damaged")
    letters: list[tuple[object, ...]] = []
    if exists(path):
        letters = _saved_dead_letters(path)
        move_database(path, rescued)
    rebuilt_at = max(noted_head(journal), max(files)[0] + 1) if files else 0
    state = _made_anew(journal, journal_id, rebuilt_at, thinned_of(files), letters)
    _log.error(
        "journal_state_rebuilt",
        path=str(path),
        cause=problem,
        consequence="every sink starts again at the oldest entry stored",
        dead_letters_saved=len(letters),
    )
    return state


def note_created(journal: Path, state: State, first: int | None, began: int | None) -> None:
    """Note, once, a time before all entries: where much is damaged later on, no entry tells it.

    Args:
        journal: the journal's folder.
        state: of it.
        first: the oldest offset stored, None where nothing is.
        began: a time before all from there on, None where that cannot be told.
    """
    if "created" in state.facts or began is None:
        return
    oldest = max(noted_head(journal), state.furthest()) if first is None else first
    # After a repair no sink wants anything that was before the oldest entry.
    if missing(0, oldest, state.thinned) and not (state.rebuilt and first is not None):
        return
    with suppress(JournalError):  # a full disk, say: at the next opening, then
        state.note({"created": str(began)}, (), began)


def _problem(
    error: sqlite3.Error | ValueError, journal: Path, path: Path, troubles: Troubles
) -> str:
    """Return what is wrong with the file, unless it is only out of reach and not for long."""
    failure: sqlite3.Error | OSError | None = None
    if isinstance(error, sqlite3.Error) and not is_damage(error):
        failure = error
    else:
        try:
            require_readable(path)
        except OSError as unreadable:
            failure = unreadable
    if failure is not None:
        failed = translated(failure, journal, path)
        if not isinstance(failed, JournalDiskError) or not troubles.lasts(path.name):
            raise failed from error
    return str(error)


def _made_anew(
    journal: Path,
    journal_id: str,
    rebuilt_at: int,
    thinned: Spans,
    letters: Sequence[tuple[object, ...]],
) -> State:
    try:
        create_state(journal, journal_id, rebuilt_at=rebuilt_at, thinned=thinned, letters=letters)
        return State(journal)
    except (sqlite3.Error, OSError) as error:
        raise translated(error, journal, state_path(journal)) from error


def _saved_dead_letters(path: Path) -> list[tuple[object, ...]]:
    """Read what is left of the events set aside; what fails for other reasons, fails.

    Raises:
        sqlite3.Error: the file cannot be read just now.
    """
    saved: list[tuple[object, ...]] = []
    for query in (
        "salvage_dead_letters",
        "salvage_dead_letters_of_format_2",
        "salvage_dead_letters_of_format_1",
    ):
        try:
            connection = connect_reader(path)
            try:
                rows = connection.execute(QUERIES[query])
                saved += (row for row in rows if _is_letter(row))
            finally:
                connection.close()
        except sqlite3.Error as error:
            if not is_damage(error) and "no such" not in str(error):
                raise
        if saved:
            break
    return saved


def _is_letter(row: tuple[object, ...]) -> bool:
    return all(isinstance(value, int) for value in (row[2], row[4], row[5]))


def _id_of_segments(journal: Path, files: Sequence[tuple[int, int | None]]) -> str | None:
    for first, end in sorted(files, key=lambda file: file[0], reverse=True):
        place = Place(first, end, thin=end is not None)
        try:
            segment = SegmentReader(journal, place, sealed=False)
            try:
                return segment.header().journal_id
            finally:
                segment.close()
        except ValueError:
            continue
        except sqlite3.Error as error:
            if not is_damage(error):
                raise translated(error, journal, place_path(journal, place)) from error
    return None
