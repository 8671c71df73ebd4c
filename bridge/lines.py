"""Events as bytes: the lines of one stored entry, as a format writes them, and slices of them.

What the transcoder made of a block stays together on its way to a sink: one buffer with a line
for each event, one with their keys, and where each ends. An `Event` is made only where somebody
looks at one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from bridge.events import Event, EventType, Times

JSON = "application/json"


class Attributes(Protocol):
    """What a format puts beside the values of events, for sinks that have headers."""

    def of(
        self, lines: Lines, start: int, stop: int, prefix: str = ""
    ) -> Sequence[Sequence[tuple[str, str]]]:
        """Return the attributes of the events `start` up to, not including, `stop`.

        Values are not escaped: that is the sink's way of carrying them.

        Args:
            lines: the events.
            start: the first of them.
            stop: behind the last.
            prefix: what stands before each name.
        """


@dataclass(frozen=True, slots=True)
class Lines:
    """The events of one entry: contiguous offsets of one table.

    Attributes:
        journal_id: 16 hexadecimal digits, the first part of every id.
        table: the qualified name.
        type: of all of them.
        first: offset of the first.
        times: when they were received: runs of (events, microseconds since the epoch).
        buffer: each event as its format writes it, one after the other.
        ends: where each event ends in `buffer`, behind its line feed; unsigned 64-bit.
        keys: the message keys one after the other; None where nobody asked, or rows have none.
        key_ends: where each key ends in `keys`.
        content_type: of each value.
        line_feed: whether one stands behind each event; False where values may be any bytes.
        attributes: what goes beside the values, None for nothing.
        header: the line that stands first in a file of them, with its line feed; None for none.
        notification: whether it is JSON because the format has no form for it: it goes to the
            place for notifications, not among the rows.
    """

    journal_id: str
    table: str
    type: EventType
    first: int
    times: Times
    buffer: bytes
    ends: memoryview
    keys: bytes | None = None
    key_ends: memoryview | None = None
    content_type: str = JSON
    line_feed: bool = True
    attributes: Attributes | None = None
    notification: bool = False
    header: bytes | None = None

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def nbytes(self) -> int:
        """Bytes held, about."""
        keys = 0 if self.keys is None else len(self.keys) + 8 * len(self.ends)
        return len(self.buffer) + 8 * len(self.ends) + keys + 200

    def start(self, index: int) -> int:
        """Where an event begins in `buffer`."""
        return int(self.ends[index - 1]) if index else 0

    def id(self, index: int) -> str:
        """The id of an event."""
        return f"{self.journal_id}-{self.first + index}"

    def key(self, index: int) -> bytes | None:
        """The message key of an event."""
        if self.keys is None or self.key_ends is None:
            return None
        begin = int(self.key_ends[index - 1]) if index else 0
        return self.keys[begin : int(self.key_ends[index])]

    def time(self, index: int) -> int:
        """When an event was received, microseconds since the epoch."""
        for events, time in self.times:
            if index < events:
                return time
            index -= events
        raise IndexError(index)

    def event(self, index: int) -> Event:
        """Make the event that stands at an index."""
        value = self.buffer[self.start(index) : int(self.ends[index]) - self.line_feed]
        return Event(
            self.first + index,
            self.id(index),
            self.type,
            self.table,
            self.time(index),
            self.key(index),
            value,
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the events of `lines`: those from `start` up to, not including, `stop`."""

    lines: Lines
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def table(self) -> str:
        """The table of all of them."""
        return self.lines.table

    @property
    def offset(self) -> int:
        """The offset of the first."""
        return self.lines.first + self.start

    @property
    def end(self) -> int:
        """The first offset behind the last."""
        return self.lines.first + self.stop

    @property
    def nbytes(self) -> int:
        """Bytes of the events, line feeds included."""
        return int(self.lines.ends[self.stop - 1]) - self.lines.start(self.start)

    @property
    def data(self) -> memoryview:
        """The events as they stand, each with its line feed if it has one."""
        begin, end = self.lines.start(self.start), int(self.lines.ends[self.stop - 1])
        return memoryview(self.lines.buffer)[begin:end]

    def event(self, index: int) -> Event:
        """Make the event at an index of this slice."""
        return self.lines.event(self.start + index)

    def part(self, start: int, stop: int) -> Self:
        """Return the slice of `start` up to `stop`, counted within this one."""
        return type(self)(self.lines, self.start + start, self.start + stop)
