"""What one sink still has to get: read from the journal, rendered, cut into batches.

An *item* is what is next in line: an event, or a stretch that cannot become one (bytes that
do not decode, a damaged span) and only needs to be settled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from bridge.delivery.rendering import Renderer
from bridge.errors import DecodeError
from bridge.events import Event, Undecodable
from bridge.journal import Damage, DeadLetter, JournalReader, Records, Settled, Stored

_READ_BYTES = 2 * 2**20
_READ_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A stretch of the journal that no sink can get.

    Attributes:
        offset: its first offset.
        end: the first offset after it.
        settled: how it is accounted for.
        dead_letters: what is set aside for it.
    """

    offset: int
    end: int
    settled: tuple[Settled, ...]
    dead_letters: tuple[DeadLetter, ...] = ()


class Backlog:
    """The line of one sink. Used by its worker's thread alone.

    Args:
        sink: the sink's id.
        tables: the tables routed to it.
        start: the sink's cursor.
    """

    def __init__(
        self,
        sink: str,
        tables: Collection[str],
        start: int,
        reader: JournalReader,
        renderer: Renderer,
    ) -> None:
        self._sink = sink
        self._tables = tables
        self._start = start
        self._reader = reader
        self._renderer = renderer
        self._items: deque[Event | Unsendable] = deque()
        self._bytes = 0
        self._unsendable = 0
        self.read_to = start  # all before it is in line or was settled

    def __len__(self) -> int:
        return len(self._items)

    def next_unsendable(self) -> Unsendable | None:
        """Take the next item if it is one that no sink can get."""
        item = self._items[0] if self._items else None
        if not isinstance(item, Unsendable):
            return None
        self._items.popleft()
        self._unsendable -= 1
        return item

    def take(self, max_events: int, max_bytes: int) -> list[Event]:
        """Take the next events, up to the first item that is none; at least one if there is."""
        batch: list[Event] = []
        items, size = self._items, 0
        while items and len(batch) < max_events:
            item = items[0]
            if not isinstance(item, Event):
                break
            length = len(item.value)
            if size + length > max_bytes and batch:
                break
            size += length
            batch.append(item)
            items.popleft()
        self._bytes -= size
        return batch

    def holds(self, max_events: int, max_bytes: int) -> bool:
        """Whether waiting longer would not make the next batch larger."""
        full = len(self._items) >= max_events or self._bytes >= max_bytes
        return full or self._unsendable > 0

    def read(self) -> bool:
        """Read on in the journal; False if there was nothing new."""
        page = self._reader.read(
            self.read_to, max_bytes=_READ_BYTES, max_entries=_READ_ENTRIES, tables=self._tables
        )
        stretches: list[Stored | Damage] = [*page.entries, *page.damaged]
        stretches.sort(key=lambda s: s.first if isinstance(s, Damage) else s.offset)
        for stretch in stretches:
            if isinstance(stretch, Damage):
                self._add_damage(stretch)
            else:
                self._add(stretch)
        moved = page.next > self.read_to
        self.read_to = page.next
        return moved

    def _add(self, stored: Stored) -> None:
        if isinstance(stored.entry, Undecodable):
            self._set_aside(stored, stored.entry.reason, stored.entry.payload)
            return
        try:
            events = self._renderer.events(stored)
        except DecodeError as error:
            raw = stored.entry.payload if isinstance(stored.entry, Records) else b""
            self._set_aside(stored, str(error), raw)
            return
        if stored.offset < self._start:  # the cursor stands inside this entry
            events = [event for event in events if event.offset >= self._start]
        self._items.extend(events)
        self._bytes += sum(len(event.value) for event in events)

    def _set_aside(self, stored: Stored, reason: str, raw: bytes) -> None:
        entry, offset = stored.entry, stored.offset
        letter = DeadLetter(
            self._sink,
            entry.table,
            offset,
            f"{self._renderer.journal_id}-{offset}",
            entry.time,
            reason,
            raw=raw,
        )
        settled = Settled(entry.table, offset, stored.count, "dead_lettered")
        self._append(Unsendable(offset, offset + stored.count, (settled,), (letter,)))

    def _add_damage(self, damage: Damage) -> None:
        self._append(Unsendable(damage.first, damage.last + 1, ()))

    def _append(self, item: Unsendable) -> None:
        self._items.append(item)
        self._unsendable += 1
