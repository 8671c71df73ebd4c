"""Which lines go to which file of a path: as large as it may be, and all of one kind."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.lines import Slice
from bridge.sinks.file_note import Kind


class Part(NamedTuple):
    """What of a batch goes to one path."""

    events: Slice
    kind: Kind


@dataclass(slots=True)
class Run:
    """Lines that are appended to one file at once.

    Attributes:
        kind: of them.
        first: offset of the first event.
        fresh: whether they begin a new file.
        events: they, in order.
    """

    kind: Kind
    first: int
    fresh: bool
    events: list[Slice] = field(default_factory=list)

    @property
    def pieces(self) -> list[memoryview]:
        """Their bytes."""
        return [each.data for each in self.events]


def runs_of(
    parts: Iterable[Part], kind: Kind, size: int, max_size: int | None, *, fresh: bool = False
) -> list[Run]:
    """Divide lines among the file that is there and those that follow it.

    Args:
        parts: in their order.
        kind: of the lines of the file that is there.
        size: bytes that it has.
        max_size: of a file; one event that is larger has a file of its own. None for no limit.
        fresh: whether the first of them begin a new file.
    """
    runs: list[Run] = []
    if fresh:
        size, kind = 0, Kind("")
    for part in parts:
        events = part.events
        while len(events):
            if not runs or part.kind != runs[-1].kind:
                fresh = bool(runs) or fresh or (size > 0 and part.kind != kind)
                runs.append(Run(part.kind, events.offset, fresh))
                size = 0 if fresh else size
            if not size:
                size = len(part.kind.header)
            empty = size == len(part.kind.header)
            count = len(events) if max_size is None else _fitting(events, max_size - size)
            if not count and not empty:
                runs.append(Run(part.kind, events.offset, fresh=True))
                size = 0
                continue
            taken = events.part(0, max(count, 1))
            runs[-1].events.append(taken)
            size += taken.nbytes
            events = events.part(len(taken), len(events))
    return [run for run in runs if run.events]


def _fitting(events: Slice, room: int) -> int:
    """Return how many of the first events have room."""
    lines = events.lines
    most = lines.start(events.start) + room
    return bisect_right(lines.ends, most, events.start, events.stop) - events.start
