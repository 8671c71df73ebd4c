"""What one sink still has to get: read from the journal, rendered, cut into batches.

An *item* is what is next in line: the events of an entry, which are moved together as long
as they fit, or a stretch that cannot become any (bytes that do not decode, a damaged span)
and only needs to be settled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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


class _Stretch(NamedTuple):
    """Events that follow each other, and the bytes of their values together."""

    events: Sequence[Event]
    bytes: int


class Backlog:
    """The line of one sink. Used by its worker's thread alone.

    Args:
        sink: the sink's id.
        tables: the tables routed to it.
        start: the sink's cursor.
        reader: for this line alone.
        renderer: shared with other lines.
        keyed: whether the sink wants the keys of rows.
    """

    def __init__(
        self,
        sink: str,
        tables: Collection[str],
        start: int,
        reader: JournalReader,
        renderer: Renderer,
        *,
        keyed: bool,
    ) -> None:
        self._sink = sink
        self._tables = tables
        self._start = start
        self._reader = reader
        self._renderer = renderer
        self._keyed = keyed
        self._items: deque[_Stretch | Unsendable] = deque()
        self._events = 0
        self._bytes = 0
        self._unsendable = 0
        self.read_to = start  # all before it is in line or was settled

    def __len__(self) -> int:
        return self._events + self._unsendable

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
        items, left = self._items, max_bytes
        while items and len(batch) < max_events and (left > 0 or not batch):
            item = items[0]
            if isinstance(item, Unsendable):
                break
            events, size = item
            if size <= left and len(batch) + len(events) <= max_events:
                items.popleft()
                batch += events
                left -= size
                continue
            count, size = _fitting(events, max_events - len(batch), left)
            if count == 0 and not batch:
                count, size = 1, len(events[0].value)
            batch += events[:count]
            left -= size
            if count < len(events):
                items[0] = _Stretch(events[count:], item.bytes - size)
            else:
                items.popleft()
            break
        self._bytes -= max_bytes - left
        self._events -= len(batch)
        return batch

    def holds(self, max_events: int, max_bytes: int) -> bool:
        """Whether waiting longer would not make the next batch larger."""
        full = self._events >= max_events or self._bytes >= max_bytes
        return full or self._unsendable > 0

    def read(self) -> bool:
        """Read on in the journal; False if there was nothing new."""
        page = self._reader.read(
            self.read_to, max_bytes=_READ_BYTES, max_entries=_READ_ENTRIES, tables=self._tables
        )
        stretches: Sequence[Stored | Damage] = page.entries
        if page.damaged:
            stretches = sorted([*page.entries, *page.damaged], key=_first_offset)
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
            events = self._renderer.events(stored, keyed=self._keyed)
        except DecodeError as error:
            raw = stored.entry.payload if isinstance(stored.entry, Records) else b""
            self._set_aside(stored, str(error), raw)
            return
        if stored.offset < self._start:  # the cursor stands inside this entry
            events = [event for event in events if event.offset >= self._start]
        if not events:
            return
        size = sum([len(event.value) for event in events])
        self._items.append(_Stretch(events, size))
        self._events += len(events)
        self._bytes += size

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


def _fitting(events: Sequence[Event], max_events: int, max_bytes: int) -> tuple[int, int]:
    """Return how many of the first events fit, and their bytes."""
    count = size = 0
    for event in events[:max_events]:
        length = len(event.value)
        if size + length > max_bytes:
            break
        size += length
        count += 1
    return count, size


def _first_offset(stretch: Stored | Damage) -> int:
    return stretch.first if isinstance(stretch, Damage) else stretch.offset
