"""Opening what a former life left behind: after a clean end, a kill, a power cut, or damage.

Nothing found damaged keeps a journal from opening. What can be read stays readable; what
cannot is a span between two segments. If the newest segment is not whole, a new one starts
so far on that no offset is given twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import structlog

from bridge.journal.database import connect_writer, is_damage
from bridge.journal.layout import (
    FORMAT,
    SPAN,
    database_bytes,
    has_wal,
    list_segments,
    move_database,
    newer_format,
    remove_database,
    remove_leftovers,
    require_writable,
    segment_path,
    unwritable,
)
from bridge.journal.lock import JournalLock, noted_head
from bridge.journal.records import Damage, SealedSegment
from bridge.journal.segment import SegmentWriter, create_segment
from bridge.journal.segment_reader import Edge, Header, SegmentReader
from bridge.journal.state import State
from bridge.journal.state_repair import open_state

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Recovered:
    """A journal ready to be written."""

    state: State
    writer: SegmentWriter
    sealed: list[SealedSegment]
    head: int
    totals: dict[str, int]
    marks: dict[str, str]
    damaged: list[Damage]


@dataclass(slots=True)
class _Found:
    """One segment as it was found."""

    first: int
    header: Header | None = None
    edges: tuple[Edge | None, Edge | None] = (None, None)
    problem: str | None = None
    totals: dict[str, int] | None = None


def recover(journal: Path, lock: JournalLock, now: int) -> Recovered:
    """Open a journal whose lock is held, making it first where there is none.

    Args:
        journal: its folder, prepared.
        lock: held.
        now: microseconds since the epoch.

    Raises:
        JournalUnavailable: written by a newer version, or not accessible to this user.
    """
    remove_leftovers(journal)
    state = open_state(journal, lock)
    writer: SegmentWriter | None = None
    try:
        found = [_examine(journal, first) for first in _kept_segments(journal, state)]
        found = [segment for segment in found if not _is_foreign(journal, segment, state)]
        _fill_totals(journal, found)
        damaged = [Damage(a.first, b.first - 1, a.problem) for a, b in _pairs(found) if a.problem]
        sealed = [_sealed(journal, a, b.first) for a, b in _pairs(found)]
        if found:
            writer = _open_newest(journal, found[-1], state)
        if writer is not None:
            return _recovered(journal, state, writer, sealed, damaged)
        writer, lost = _start_behind(journal, found[-1] if found else None, state, now)
        if found:
            sealed.append(_sealed(journal, found[-1], writer.first))
        if lost is not None:
            damaged.append(lost)
        return _recovered(journal, state, writer, sealed, damaged)
    except BaseException:
        if writer is not None:
            writer.seal()
        state.close()
        raise


def _kept_segments(journal: Path, state: State) -> list[int]:
    """List the segments, after deleting those that were pruned before a power cut."""
    firsts = list_segments(journal)
    while len(firsts) > 1 and firsts[1] <= state.oldest:
        remove_database(segment_path(journal, firsts.pop(0)))
    return firsts


def _examine(journal: Path, first: int) -> _Found:
    path = segment_path(journal, first)
    require_writable(journal, path)
    found = _Found(first)
    try:
        segment = SegmentReader(journal, first, sealed=False)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise unwritable(journal, path, str(error)) from error
        found.problem = str(error)
        return found
    try:
        found.header = segment.header()
        found.edges = segment.edges()
    except (sqlite3.Error, ValueError) as error:
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise unwritable(journal, path, str(error)) from error
        found.problem = str(error)
    finally:
        segment.close()
    if found.header is not None:
        if found.header.format > FORMAT:
            raise newer_format(journal, found.header.format)
        found.totals = None if found.header.totals is None else dict(found.header.totals)
    return found


def _is_foreign(journal: Path, found: _Found, state: State) -> bool:
    if found.header is None or found.header.journal_id == state.journal_id:
        return False
    path = segment_path(journal, found.first)
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
            segment.totals = _sum(before.totals, _sums(journal, before.first, segment.first))
    for segment, after in reversed(list(_pairs(found))):
        if segment.totals is None and after.totals is not None:
            own = _sums(journal, segment.first, after.first)
            segment.totals = {
                table: max(0, events - own.get(table, 0)) for table, events in after.totals.items()
            }


def _sums(journal: Path, first: int, before: int) -> dict[str, int]:
    try:
        segment = SegmentReader(journal, first, sealed=False)
    except sqlite3.Error:
        return {}
    try:
        return segment.sums(before)
    except sqlite3.Error:
        return {}
    finally:
        segment.close()


def _sealed(journal: Path, found: _Found, end: int) -> SealedSegment:
    path = segment_path(journal, found.first)
    if has_wal(path):
        _empty_log(path)
    oldest, newest = found.edges
    return SealedSegment(
        found.first,
        end,
        database_bytes(path),
        None if oldest is None else oldest.time,
        None if newest is None else newest.time,
        found.totals or {},
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


def _open_newest(journal: Path, found: _Found, state: State) -> SegmentWriter | None:
    """Open the newest segment to append to it, None (and the problem noted) if it is not whole."""
    if found.problem is not None or found.header is None:
        return None
    try:
        writer = SegmentWriter(
            journal, found.first, created=found.header.created, totals=found.totals or {}
        )
    except sqlite3.Error as error:
        if not is_damage(error):
            path = segment_path(journal, found.first)
            raise unwritable(journal, path, str(error)) from error
        found.problem = str(error)
        return None
    oldest, newest = found.edges
    head = found.first if newest is None else newest.end
    known = max(noted_head(journal), state.furthest())
    found.problem = writer.problem()
    if found.problem is None and found.header.totals is None:
        found.problem = "the totals of the segment are damaged"
    if found.problem is None and known > head:
        found.problem = f"offsets {head} to {known - 1} were written and are missing"
    if found.problem is None and sum(_sums(journal, found.first, head).values()) != (
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
    known = max(noted_head(journal), state.furthest(), state.oldest)
    first, totals, marks, lost = 0, dict[str, int](), dict[str, str](), None
    if damaged is not None:
        known = max(known, damaged.first, _end(damaged))
        totals = _sum(damaged.totals or {}, _sums(journal, damaged.first, known))
        marks = _marks(journal, damaged.first)
    if damaged is not None or known > 0:
        first = known + SPAN
        cause = damaged.problem if damaged is not None else None
        lost = Damage(
            damaged.first if damaged is not None else state.oldest,
            first - 1,
            cause or "the segment is missing",
        )
        _log.error(
            "journal_damaged",
            path=str(segment_path(journal, lost.first)),
            cause=lost.reason,
            consequence="what can be read stays readable; new events get offsets behind it",
            next_offset=first,
        )
    totals = _largest(totals, state.settled_totals())
    try:
        create_segment(journal, first, state.journal_id, now, totals, marks)
        return SegmentWriter(journal, first, created=now, totals=totals), lost
    except (sqlite3.Error, OSError) as error:
        raise unwritable(journal, segment_path(journal, first), str(error)) from error


def _end(found: _Found) -> int:
    newest = found.edges[1]
    return found.first if newest is None else newest.end


def _marks(journal: Path, first: int) -> dict[str, str]:
    for number in reversed([known for known in list_segments(journal) if known <= first]):
        try:
            segment = SegmentReader(journal, number, sealed=False)
        except sqlite3.Error:
            continue
        try:
            marks = segment.marks()
        except sqlite3.Error:
            continue
        finally:
            segment.close()
        if marks:
            return marks
    return {}


def _recovered(
    journal: Path,
    state: State,
    writer: SegmentWriter,
    sealed: list[SealedSegment],
    damaged: list[Damage],
) -> Recovered:
    with_newest = SegmentReader(journal, writer.first, sealed=False)
    try:
        _, last = with_newest.edges()
        marks = with_newest.marks()
        head = writer.first if last is None else last.end
        totals = _sum(writer.totals, with_newest.sums(head))
    finally:
        with_newest.close()
    totals = _largest(totals, state.settled_totals())
    return Recovered(state, writer, sealed, head, totals, marks, damaged)


def _pairs(found: list[_Found]) -> Iterator[tuple[_Found, _Found]]:
    return pairwise(found)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {table: one.get(table, 0) + other.get(table, 0) for table in {**one, **other}}


def _largest(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {table: max(one.get(table, 0), other.get(table, 0)) for table in {**one, **other}}
