"""Finding another event of a table, to tell a poison event from a destination that is broken."""

from __future__ import annotations

from collections.abc import Callable

from bridge.delivery.feed import Feed
from bridge.delivery.lane import Lane, Load, Part
from bridge.delivery.policy import Ahead

FeedOf = Callable[..., Feed]


def in_order(alone: FeedOf, lane: Lane, step: Ahead, tried: int) -> Load | None:
    """Find the event that stands so far ahead, else the newest; holds no more than one piece.

    Args:
        alone: makes a feed of one lane.
        lane: whose event.
        step: behind which offset, and how far.
        tried: the last one that was tried for this suspect.

    Returns:
        It, alone; None where all that there are were tried.
    """
    low, high = max(tried, step.offset) + 1, step.offset + step.distance
    found = _first(alone, lane, max(low, high))
    if found is not None or high <= low:
        return found
    newest: Load | None = None
    while low < high:
        middle = (low + high) // 2
        found = _first(alone, lane, middle)
        if found is None:
            high = middle
        else:
            newest, low = found, max(low, found.slices[0].end)
    return newest


def by_key(alone: FeedOf, lane: Lane, step: Ahead, tried: int) -> Load | None:
    """Find the next event that waits behind the suspect with its key; so no other key's is hurt."""
    suspect = lane.waiting.get(step.offset)
    for offset, waits in lane.waiting.items():
        if suspect is not None and offset > max(tried, step.offset) and waits.key == suspect.key:
            load = Load(1, 1)
            alone(lane, only=[offset]).extend(load)
            return load if load.slices else None
    return None


def only_part(load: Load) -> Part:
    """Return the one part of a load that was read for one lane."""
    (part,) = load.parts.values()
    return part


def _first(alone: FeedOf, lane: Lane, start: int) -> Load | None:
    load = Load(1, 1)
    alone(lane, start=start, looking=True).extend(load)
    return load if load.slices else None
