"""Storing entries, and making room for them where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog

from bridge.errors import JournalFull
from bridge.journal.opening import Limits, Opened
from bridge.journal.rows import Draft

_log = structlog.get_logger(__name__)


def append(
    require_open: Callable[[], Opened],
    limits: Limits,
    drafts: Sequence[Draft],
    marks: Mapping[str, str],
) -> int:
    """Store drafts, and marks with them, in one transaction.

    Args:
        require_open: gives what is open; raises where the journal was closed.
        limits: of the journal.
        drafts: in their order.
        marks: facts to remember with them.

    Returns:
        The new head.

    Raises:
        JournalFull: no room; nothing was stored. Try again once sinks have caught up.
        JournalDiskError: the disk failed; nothing was stored.
    """
    size = sum(draft.size for draft in drafts)
    opened = require_open()
    while True:
        with opened.log.append_lock:
            require_open()
            if not drafts and not marks:
                return opened.log.head
            disk_full, before = None, opened.log.head
            if opened.log.bytes() + size <= limits.max_size:
                try:
                    return opened.log.append(drafts, marks, size)
                except JournalFull as error:
                    disk_full = error
                except Exception:
                    if opened.log.head == before:
                        raise
                    # It is stored: whoever appended it again would store it twice.
                    _log.exception("journal_fault_after_commit")
                    return opened.log.head
        if disk_full is not None:
            # The disk is smaller than max_size: it has to make do with what there is.
            if not opened.upkeep.free():
                raise disk_full
            continue
        if size > limits.max_size // 2:
            raise JournalFull(
                f"{size} bytes at once are too much for a journal of {limits.max_size}",
                hint="raise journal.max_size",
            )
        opened.upkeep.make_room(size)
