"""Where in the journal a moment is: the offset of the first event that was received then."""

from __future__ import annotations

from bridge.events import Block
from bridge.journal.reader import JournalReader
from bridge.journal.records import Stored


def offset_at(reader: JournalReader, time: int) -> int:
    """Return the offset of the first event received at a time or later, the head if none was.

    Where the wall clock was set back, it is one of those that come into question.

    Args:
        reader: of the journal.
        time: microseconds since the epoch.

    Raises:
        JournalError: the journal cannot be read.
    """
    low, high = reader.bounds()
    while low < high:
        middle = (low + high) // 2
        found = _time_at(reader, middle)
        if found is not None and found < time:
            low = middle + 1
        else:
            high = middle
    return low


def _time_at(reader: JournalReader, offset: int) -> int | None:
    """Return when the event at an offset, or the next that is stored, was received."""
    while True:
        page = reader.read(offset, max_bytes=1, max_entries=1)
        if page.entries:
            return record_time(page.entries[0], offset)
        if page.next <= offset:
            return None
        offset = page.next


def record_time(stored: Stored, offset: int) -> int:
    """Return when the event of an entry at an offset was received."""
    entry, left = stored.entry, offset - stored.offset
    if isinstance(entry, Block):
        for records, time in entry.times:
            if left < records:
                return time
            left -= records
    return entry.time
