"""Carrying forward: what is still wanted of a few segments becomes one small file.

The file is built under another name, forced to disk, and only then named after its span; until
`state.db` says that the span is thinned it does not count. So at every step either the whole
segments or the thinned one is what readers see. Offsets are kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from bridge.errors import DecodeError
from bridge.events import Block
from bridge.journal.blocks import cut
from bridge.journal.database import PAGE_SIZE, connect_writer
from bridge.journal.extent import Extent
from bridge.journal.layout import (
    Place,
    database_bytes,
    place_path,
    remove_database,
    segments_folder,
    sync_file,
    sync_folder,
    thinning_path,
)
from bridge.journal.prune import Need
from bridge.journal.queries import QUERIES, SEGMENT_SCHEMA
from bridge.journal.reader import JournalReader
from bridge.journal.records import Damage, Stored
from bridge.journal.rows import draft_of, with_checksums
from bridge.journal.sealed import SealedSegment
from bridge.journal.segment import OriginRow, Origins, put_header, row_of
from bridge.journal.troubles import Troubles, translated

_SMALL_PAGE = 1024
_SMALL = 2**18


class _Copy:
    """A thinned segment on its way."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.sizes: dict[str, int] = {}
        self.oldest_time: int | None = None
        self.newest_time: int | None = None
        self._origins = Origins()

    def add(self, connection: sqlite3.Connection, entries: Sequence[Stored]) -> None:
        """Write entries."""
        new_origins: list[OriginRow] = []
        rows = []
        for offset, count, entry in entries:
            draft = draft_of(entry)
            origin = self._origins.number(draft.table, draft.cluster, draft.schema, new_origins)
            rows.append(row_of(offset, draft, origin))
            self.kept[draft.table] = offset + count
            self.sizes[draft.table] = self.sizes.get(draft.table, 0) + draft.size
            self.oldest_time = draft.time if self.oldest_time is None else self.oldest_time
            self.newest_time = max(draft.time, self.newest_time or 0)
        connection.executemany(QUERIES["put_origin"], new_origins)
        connection.executemany(QUERIES["put_entry"], rows)


def thin(
    journal: Path,
    sources: Sequence[SealedSegment],
    wanted: Mapping[str, Need],
    *,
    journal_id: str,
    created: int,
    expected: int,
    troubles: Troubles,
    on_damage: Callable[[Damage], None],
) -> tuple[SealedSegment | None, list[Damage]]:
    """Copy what is wanted of segments into a thinned one, which has its name on return.

    Args:
        journal: the journal's folder.
        sources: segments that follow each other.
        wanted: by table.
        journal_id: 16 hex digits.
        created: microseconds since the epoch.
        expected: about how many bytes it will have.
        troubles: since when which file cannot be read.
        on_damage: told of what cannot be read.

    Returns:
        The new segment, None where nothing is left to keep, and what could not be read.

    Raises:
        JournalFull: the disk is full; nothing changed.
        JournalDiskError: the disk failed; nothing changed.
    """
    path = thinning_path(journal)
    place = Place(sources[0].first, sources[-1].end, thin=True)
    copy, damaged = _Copy(), list[Damage]()
    try:
        remove_database(path)
        connection = connect_writer(path, synchronous="OFF")
        try:
            connection.execute(
                f"PRAGMA page_size={_SMALL_PAGE if expected < _SMALL else PAGE_SIZE}"
            )
            connection.execute("PRAGMA journal_mode=OFF")
            connection.executescript(f"BEGIN;{SEGMENT_SCHEMA}")
            put_header(connection, place.first, journal_id, created, sources[0].totals, {})
            with _reader(journal, sources, troubles, on_damage) as reader:
                position, end = place.first, sources[-1].end
                while position < end:
                    page = reader.read(position, tables=wanted.keys())
                    damaged += page.damaged
                    copy.add(connection, [*_parts(page.entries, wanted)])
                    position = page.next
            connection.executemany(QUERIES["put_kept"], with_checksums(copy.kept))
            facts = with_checksums({"end": str(place.end)})
            connection.executemany(QUERIES["put_meta"], facts)
            connection.execute("COMMIT")
        finally:
            connection.close()
        if not copy.kept:
            remove_database(path)
            return None, damaged
        sync_file(path)
        place = place._replace(tables=frozenset(copy.kept))
        target = place_path(journal, place)
        path.replace(target)
        sync_folder(segments_folder(journal))
        size = database_bytes(target)
    except (sqlite3.Error, OSError) as error:
        raise translated(error, journal, path) from error
    return SealedSegment(
        place,
        size,
        copy.oldest_time,
        copy.newest_time,
        sources[0].totals,
        sources[-1].ends,
        copy.kept,
        copy.sizes,
    ), damaged


def _reader(
    journal: Path,
    sources: Sequence[SealedSegment],
    troubles: Troubles,
    on_damage: Callable[[Damage], None],
) -> JournalReader:
    first, end = sources[0].first, sources[-1].end
    # Between them, and behind them, nothing is looked for.
    extent = Extent(
        (*(segment.place for segment in sources), Place(end, None)), ((first, end),), end
    )
    return JournalReader(journal, extent=lambda: extent, troubles=troubles, on_damage=on_damage)


def _parts(entries: Sequence[Stored], wanted: Mapping[str, Need]) -> Iterator[Stored]:
    """Give what is wanted of entries, cut between records."""
    for stored in entries:
        need = wanted.get(stored.entry.table)
        runs = [] if need is None else list(_runs(stored, need))
        if not runs:
            continue
        if not isinstance(stored.entry, Block):
            yield stored
            continue
        try:
            blocks = list(cut(stored.entry, runs))
        except DecodeError:
            yield stored  # no records of its schema: it is settled as a whole
            continue
        for (first, count), block in zip(runs, blocks, strict=True):
            yield Stored(stored.offset + first, count, block)


def _runs(stored: Stored, need: Need) -> Iterator[tuple[int, int]]:
    """Give first record and number for each run of records of an entry that is wanted."""
    offset, end = stored.offset, stored.offset + stored.count
    start = end if need.start is None else min(end, max(offset, need.start))
    single = sorted(one for one in need.offsets if offset <= one < start)
    # Offsets that follow each other differ from their index by the same number.
    for _, group in groupby(enumerate(single), lambda item: item[1] - item[0]):
        run = [one for _, one in group]
        yield run[0] - offset, len(run)
    if start < end:
        yield start - offset, end - start
