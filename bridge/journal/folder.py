"""What a journal's folder says of itself, to whoever has not got the journal open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bridge.errors import JournalDiskError, JournalError, JournalUnavailable
from bridge.journal.extent import Extent, thinned_of
from bridge.journal.layout import (
    Spans,
    exists,
    list_files,
    no_journal,
    places_of,
    segments_folder,
    state_path,
)
from bridge.journal.lock import noted_head
from bridge.journal.state_reader import StateReader
from bridge.journal.troubles import translated


def look(journal: Path) -> Extent:
    """Return the segments and the head.

    Raises:
        JournalUnavailable: there is no journal here, or it may not be read.
        JournalDiskError: the disk failed; try again.
    """
    try:
        # Files first, then what is thinned: what went in between is known to be gone.
        files = list_files(journal)
        if not files:
            raise no_journal(journal)
        thinned = _thinned(journal, files)
        heads = [noted_head(journal), *(end or first for first, end in files)]
        head = max([*heads, *(end for _, end in thinned)])
        return Extent(places_of(files, thinned), thinned, head)
    except OSError as error:
        raise translated(error, journal, segments_folder(journal)) from error


def _thinned(journal: Path, files: Sequence[tuple[int, int | None]]) -> Spans:
    try:
        if not exists(state_path(journal)):
            return thinned_of(files)
        with StateReader(journal) as state:
            return state.thinned()
    except (JournalDiskError, JournalUnavailable):
        raise
    except JournalError:
        return thinned_of(files)
