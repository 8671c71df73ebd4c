"""Opening what a former life left behind: after a clean end, a kill, a power cut, or damage.

Nothing found damaged keeps a journal from opening. What can be read stays readable; what
cannot is a span between two segments. If the newest segment is not whole, a new one starts
so far on that no offset is given twice. What cannot be read just now is no damage: opening
fails then, with nothing changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import structlog

from bridge.errors import JournalDiskError
from bridge.journal.ballast import has_room
from bridge.journal.database import connect_writer, is_damage, require_readable
from bridge.journal.layout import (
    FORMAT,
    SPAN,
    Place,
    database_bytes,
    has_wal,
    list_files,
    move_database,
    newer_format,
    place_path,
    places_of,
    remove_database,
    remove_leftovers,
    require_writable,
    segment_path,
    wal_path,
)
from bridge.journal.lock import JournalLock, noted_head
from bridge.journal.records import Damage
from bridge.journal.sealed import SealedSegment, tables_of
from bridge.journal.segment import SegmentWriter, create_segment
from bridge.journal.segment_reader import Edge, Header, SegmentReader
from bridge.journal.state import State
from bridge.journal.state_repair import note_created, open_state
from bridge.journal.totals import largest, sum_of_tables, sums
from bridge.journal.troubles import Troubles, translated
from bridge.journal.typed import all_events

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Recovered:
    """A journal ready to be written; `outdated` if its newest segment is of an older format."""

    state: State
    writer: SegmentWriter
    sealed: list[SealedSegment]
    head: int
    totals: dict[str, int]
    marks: dict[str, str]
    damaged: list[Damage]
    outdated: bool = False


@dataclass(slots=True)
class _Found:
    """One segment as it was found."""

    place: Place
    header: Header | None = None
    edges: tuple[Edge | None, Edge | None] = (None, None)
    problem: str | None = None
    totals: dict[str, int] | None = None

    @property
    def first(self) -> int:
        """Its first offset."""
        return self.place.first

    @property
    def began(self) -> int | None:
        """A time before all of its entries, None where it cannot be trusted."""
        if self.header is None or self.problem is not None:
            return None
        oldest = self.edges[0]
        return self.header.created if oldest is None else min(self.header.created, oldest.time)


def recover(journal: Path, lock: JournalLock, now: int, troubles: Troubles) -> Recovered:
    """Open a journal whose lock is held, making it first where there is none.

    Args:
        journal: its folder, prepared.
        lock: held.
        now: microseconds since the epoch.
        troubles: since when which file cannot be read, also by former attempts.

    Raises:
        JournalUnavailable: written by a newer version, or not accessible to this user.
        JournalDiskError: the disk failed; nothing was changed but for what may go anyway.
        OSError: likewise.
    """
    remove_leftovers(journal)
    state = open_state(journal, lock, troubles)
    writer: SegmentWriter | None = None
    try:
        places = _kept_segments(journal, state)
        found = [_examine(journal, place, troubles) for place in places]
        found = [segment for segment in found if not _is_foreign(journal, segment, state)]
        if found:
            note_created(journal, state, found[0].first, found[0].began)
        else:
            note_created(journal, state, None, now)
        _fill_totals(journal, found)
        damaged = _between(found)
        sealed = [_sealed(journal, a, b) for a, b in _pairs(found)]
        if found:
            writer = _open_newest(journal, found[-1], state, troubles)
        if writer is not None:
            return _recovered(journal, state, writer, sealed, damaged, found[-1])
        newest = found[-1] if found else None
        writer, lost = _start_behind(journal, newest, state, now)
        if newest is not None:
            end = newest.place.end if newest.place.thin else writer.first
            newest.place = newest.place._replace(end=end)
            sealed.append(_sealed(journal, newest, None))
        if lost is not None:
            damaged.append(lost)
        return _recovered(journal, state, writer, sealed, damaged)
    except BaseException:
        if writer is not None:
            writer.seal()
        state.close()
        raise


def _kept_segments(journal: Path, state: State) -> list[Place]:
    """List the segments, after deleting those that went, or never came, before a crash."""
    files = list_files(journal)
    places = places_of(files, state.thinned)
    kept = {(place.first, place.end if place.thin else None) for place in places}
    for first, end in files:
        if (first, end) not in kept:
            remove_database(segment_path(journal, first, end))
    return places


def _between(found: list[_Found]) -> list[Damage]:
    """Return the spans that are lost because a segment cannot be read."""
    return [
        Damage(segment.first, segment.place.end - 1, segment.problem)
        for segment in found[:-1]
        if segment.problem and segment.place.end is not None
    ]


def _examine(journal: Path, place: Place, troubles: Troubles) -> _Found:
    path = place_path(journal, place)
    require_writable(journal, path)
    found = _Found(place)
    for _ in range(2):  # where the disk failed for a moment only, the second look is right
        try:
            segment = SegmentReader(journal, place, sealed=False)
            try:
                found.header = segment.header()
                found.edges = segment.edges()
            finally:
                segment.close()
        except (sqlite3.Error, ValueError, OSError) as error:
            found.problem = _problem(error, journal, path, troubles)
        else:
            found.problem = None
            troubles.over(path.name)
            break
    if found.header is not None:
        if found.header.format > FORMAT:
            raise newer_format(journal, found.header.format)
        found.totals = None if found.header.totals is None else dict(found.header.totals)
    return found


def _problem(
    error: sqlite3.Error | ValueError | OSError, journal: Path, path: Path, troubles: Troubles
) -> str:
    """Return what is wrong with a file, unless it is only out of reach and not for long."""
    if isinstance(error, ValueError) or (isinstance(error, sqlite3.Error) and is_damage(error)):
        try:
            require_readable(path)
        except OSError as failure:
            error = failure
        else:
            return str(error)
    failed = translated(error, journal, path)
    if isinstance(failed, JournalDiskError) and troubles.lasts(path.name):
        return str(error)
    raise failed from error


def _is_foreign(journal: Path, found: _Found, state: State) -> bool:
    if found.header is None or found.header.journal_id == state.journal_id:
        return False
    path = place_path(journal, found.place)
    target = path.with_suffix(".foreign")
    move_database(path, target)
    _log.error(
        "journal_segment_foreign",
        path=str(target),
        cause=f"it belongs to journal {found.header.journal_id}, not {state.journal_id}",
        consequence="it was set aside; its span counts as damaged",
    )
    return True


def _fill_totals(journal: Path, found: list[_Found]) -> None:
    """Work out totals that a damaged header does not tell, from the segments around it."""
    for before, segment in _pairs(found):
        if segment.totals is None and before.totals is not None:
            segment.totals = sum_of_tables(
                before.totals, sums(journal, before.place, segment.first)
            )
    for segment, after in reversed(list(_pairs(found))):
        if segment.totals is None and after.totals is not None:
            own = sums(journal, segment.place, after.first)
            segment.totals = {
                table: max(0, events - own.get(table, 0)) for table, events in after.totals.items()
            }


def _sealed(journal: Path, found: _Found, after: _Found | None) -> SealedSegment:
    place, path = found.place, place_path(journal, found.place)
    end = place.end if place.end is not None else found.first
    if has_wal(path) and has_room(journal, wal_path(path).stat().st_size):
        _empty_log(path)
    oldest, newest = found.edges
    totals = found.totals or {}
    if after is not None and after.first == end and after.totals is not None:
        ends: Mapping[str, int] = after.totals
    else:
        ends = {} if found.problem else sum_of_tables(totals, sums(journal, place, end))
    kept = found.header.kept if found.header is not None else None
    if place.thin and kept is None:
        # It cannot tell what it holds: it may be anything.
        kept = dict.fromkeys(ends or totals, end)
    return SealedSegment(
        place._replace(tables=None if found.problem else tables_of(totals, ends, kept)),
        database_bytes(path),
        None if oldest is None else oldest.time,
        None if newest is None else newest.time,
        totals,
        ends,
        kept,
    )


def _empty_log(path: Path) -> None:
    """Move what a killed writer left in a write-ahead log into its database."""
    try:
        connection = connect_writer(path, synchronous="FULL")
    except sqlite3.Error:
        return
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error:
        return  # it is read with its log, as far as it can be
    finally:
        connection.close()


def _open_newest(
    journal: Path, found: _Found, state: State, troubles: Troubles
) -> SegmentWriter | None:
    """Open the newest segment to append to it, None (and the problem noted) if it is not whole."""
    if found.problem is not None or found.header is None or found.place.thin:
        return None
    path = place_path(journal, found.place)
    writer: SegmentWriter | None = None
    try:
        writer = SegmentWriter(
            journal, found.first, created=found.header.created, totals=found.totals or {}
        )
        found.problem = writer.problem()
        if found.problem is not None:
            require_readable(path)
            found.problem = writer.problem()
    except (sqlite3.Error, OSError) as error:
        if writer is not None:
            writer.seal()
        found.problem = _problem(error, journal, path, troubles)
        return None
    oldest, newest = found.edges
    head = found.first if newest is None else newest.end
    known = max(noted_head(journal), state.furthest())
    if found.problem is None and found.header.totals is None:
        found.problem = "the totals of the segment are damaged"
    if found.problem is None and known > head:
        found.problem = f"offsets {head} to {known - 1} were written and are missing"
    if found.problem is None and all_events(sums(journal, found.place, head)) != (
        head - found.first
    ):
        found.problem = "entries are missing"
    if found.problem is not None:
        writer.seal()
        return None
    writer.oldest_time = None if oldest is None else oldest.time
    writer.newest_time = None if newest is None else newest.time
    return writer


def _start_behind(
    journal: Path, damaged: _Found | None, state: State, now: int
) -> tuple[SegmentWriter, Damage | None]:
    """Start a segment where no offset can have been used: behind a damaged one, or at 0."""
    known = max(noted_head(journal), state.furthest(), state.pruned_to)
    first, totals, marks, lost, before = 0, dict[str, int](), dict[str, str](), None, 0
    if damaged is not None:
        known = max(known, damaged.first, _end(damaged))
        totals = sum_of_tables(damaged.totals or {}, sums(journal, damaged.place, known))
        marks = _marks(journal, state, damaged.first)
        before = 0 if damaged.totals is None else damaged.first - all_events(damaged.totals)
    totals = largest(totals, state.settled_totals())
    if damaged is not None and damaged.problem is None and known == damaged.place.end:
        first = known  # a thinned segment is the newest: nothing is lost behind it
    elif damaged is not None or known > 0:
        first = known + SPAN
        cause = damaged.problem if damaged is not None else None
        lost = Damage(
            damaged.first if damaged is not None else state.pruned_to,
            first - 1,
            cause or "the segment is missing",
            counted=all_events(totals) >= known - before,
        )
        _log.error(
            "journal_damaged",
            path=str(segment_path(journal, lost.first)),
            cause=lost.reason,
            consequence="what can be read stays readable; new events get offsets behind it",
            next_offset=first,
        )
    try:
        create_segment(journal, first, state.journal_id, now, totals, marks)
        return SegmentWriter(journal, first, created=now, totals=totals), lost
    except (sqlite3.Error, OSError) as error:
        raise translated(error, journal, segment_path(journal, first)) from error


def _end(found: _Found) -> int:
    newest = found.edges[1]
    end = found.first if newest is None else newest.end
    return max(end, found.place.end or 0)


def _marks(journal: Path, state: State, first: int) -> dict[str, str]:
    places = places_of(list_files(journal), state.thinned)
    for place in reversed([known for known in places if known.first <= first and not known.thin]):
        try:
            segment = SegmentReader(journal, place, sealed=False)
            try:
                marks = segment.marks()
            finally:
                segment.close()
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.Error) and is_damage(error):
                continue
            raise translated(error, journal, place_path(journal, place)) from error
        if marks:
            return marks
    return {}


def _recovered(
    journal: Path,
    state: State,
    writer: SegmentWriter,
    sealed: list[SealedSegment],
    damaged: list[Damage],
    newest: _Found | None = None,
) -> Recovered:
    with_newest = SegmentReader(journal, Place(writer.first, None), sealed=False)
    try:
        _, last = with_newest.edges()
        marks = with_newest.marks()
        head = writer.first if last is None else last.end
        totals = sum_of_tables(writer.totals, with_newest.sums(head))
    except sqlite3.Error as error:
        raise translated(error, journal, writer.path) from error
    finally:
        with_newest.close()
    totals = largest(totals, state.settled_totals())
    old = newest is not None and newest.header is not None and newest.header.format < FORMAT
    return Recovered(state, writer, sealed, head, totals, marks, damaged, outdated=old)


def _pairs(found: list[_Found]) -> Iterator[tuple[_Found, _Found]]:
    return pairwise(found)
