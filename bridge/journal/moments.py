"""Where in the journal a moment lies, also where the clock was set back meanwhile.

Between two steps of the clock times only grow, so a moment is found by bisection. Where a step
was is a mark, stored with the entries that came after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from bridge.events import Block, Entry

MARK = "clock_steps"

# Blocks may be stored in another order than they were received, by less than this.
_SLACK_US = 1_000_000
# A clock that is set back again and again costs no more room; far fewer are ever needed.
_MOST = 1000


class Timed(Protocol):
    """What entries can be looked up in."""

    def bounds(self) -> tuple[int, int]:
        """Return the first offset still stored and the offset that the next event gets."""

    def time_of(self, offset: int) -> int | None:
        """Return when the event at or after an offset was received, None at the head."""


def is_step(before: int | None, after: int) -> bool:
    """Whether the clock was set back between two entries that follow each other.

    Args:
        before: when the first was received, microseconds; None where there is none.
        after: when the second was.
    """
    return before is not None and after < before - _SLACK_US


def between_steps(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Cut entries, in the order they were received, wherever the clock was set back.

    Those without events are left out.
    """
    run: list[Entry] = []
    latest: int | None = None
    for entry in entries:
        if isinstance(entry, Block) and not entry.count:
            continue  # nothing says when it was
        if is_step(latest, entry.time):
            yield run
            run, latest = [], None
        run.append(entry)
        latest = entry.time if latest is None else max(latest, entry.time)
    yield run


def with_step(marks: Mapping[str, str], offset: int, oldest: int) -> str:
    """Return the mark with one step more, before an offset, without those of what was pruned."""
    kept = [step for step in steps_of(marks) if step > oldest]
    return json.dumps([*kept, offset][-_MOST:])


def steps_of(marks: Mapping[str, str]) -> tuple[int, ...]:
    """Return the offsets before which the clock was set back, ascending."""
    return tuple(json.loads(marks.get(MARK, "[]")))


def offset_at(reader: Timed, since: int, steps: Sequence[int]) -> int:
    """Return an offset before which nothing was received at a moment or later.

    Args:
        reader: of the journal.
        since: microseconds since the epoch.
        steps: as `steps_of` gives them.

    Raises:
        JournalError: it cannot be read.
    """
    edges = _edges(reader, steps)
    for low, high in pairwise(edges):
        found = _within(reader, since, low, high)
        if found < high:
            return found
    return edges[-1]


def offset_until(reader: Timed, until: int, steps: Sequence[int]) -> int:
    """Return an offset from which on nothing was received before a moment.

    Args:
        reader: of the journal.
        until: microseconds since the epoch.
        steps: as `steps_of` gives them.

    Raises:
        JournalError: it cannot be read.
    """
    edges = _edges(reader, steps)
    for low, high in reversed(list(pairwise(edges))):
        found = _within(reader, until, low, high)
        if found > low:
            return found
    return edges[0]


def _edges(reader: Timed, steps: Sequence[int]) -> list[int]:
    """Return the bounds of the journal, and the steps of the clock between them."""
    first, head = reader.bounds()
    return sorted({first, head, *(step for step in steps if first < step < head)})


def _within(reader: Timed, since: int, low: int, high: int) -> int:
    """Return the first offset of a stretch at which something was received at `since` or later."""
    while low < high:
        middle = (low + high) // 2
        time = reader.time_of(middle)
        if time is None or time >= since:
            high = middle
        else:
            low = middle + 1
    return low
