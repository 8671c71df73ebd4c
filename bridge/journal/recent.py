"""The newest entries in memory: who reads at the head need not fetch what was just written.

Each stands here once its commit is durable, as it would be read from its segment, and goes with
its segment. A reader that is further behind goes to the segments.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence

from bridge.journal.records import Page, Stored
from bridge.journal.rows import Draft, stored_draft

# The largest commit, so that it can be read while the next is written.
KEPT_BYTES = 8 * 2**20
_KEPT_ENTRIES = 4096


class Recent:
    """The last entries before the head, without a hole; its owner's lock guards it.

    Args:
        head: the offset that the next event gets.
        most: bytes that are kept.
    """

    def __init__(self, head: int, most: int) -> None:
        self._head = head
        self._most = most
        self._entries: list[Stored] = []
        self._offsets: list[int] = []  # of each
        self._sizes: list[int] = []  # of each, on disk
        self._bytes = 0

    def add(self, drafts: Sequence[Draft]) -> None:
        """Take in what was committed at the head; let go of what is too much."""
        for draft in drafts:
            self._entries.append(Stored(self._head, draft.events, stored_draft(draft)))
            self._offsets.append(self._head)
            self._sizes.append(draft.size)
            self._bytes += draft.size
            self._head += draft.events
        gone, left = max(0, len(self._entries) - _KEPT_ENTRIES), self._bytes
        left -= sum(self._sizes[:gone])
        while left > self._most:
            left -= self._sizes[gone]
            gone += 1
        self._drop(gone)

    def forget(self, before: int) -> None:
        """Let go of what stands before an offset: its segment is gone."""
        self._drop(bisect_left(self._offsets, before))

    def page(
        self, start: int, max_bytes: int, max_entries: int, tables: Collection[str] | None
    ) -> Page | None:
        """Return what follows an offset, as `JournalReader.read` does; None where it is gone."""
        entries = self._entries
        index = bisect_right(self._offsets, start) - 1
        if index < 0 or start >= self._head:
            return None
        found: list[Stored] = []
        size = 0
        stop = min(len(entries), index + max_entries)
        while index < stop and size < max_bytes:
            entry = entries[index].entry
            if tables is None or entry.table in tables:
                found.append(entries[index])
                size += len(getattr(entry, "payload", b""))
            index += 1
        last = entries[index - 1]
        return Page(found, last.offset + last.count, [])

    def _drop(self, entries: int) -> None:
        if entries:
            self._bytes -= sum(self._sizes[:entries])
            del self._entries[:entries], self._offsets[:entries], self._sizes[:entries]
