"""Which of the events in hand are settled, and how far the cursor may move.

Events are settled in any order (one piece of a batch may be accepted before another), but a
cursor says *all before it*: it moves over the settled prefix only. Nearly always all in hand
are delivered at once: then nothing is noted event by event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from bridge.events import Event
from bridge.journal import DeadLetter, Settled, Verdict


@dataclass(frozen=True, slots=True)
class Prefix:
    """What can be written down: the cursor's new place, and what lies before it."""

    to: int
    settled: list[Settled]
    dead_letters: list[DeadLetter]


class Ledger:
    """The events in hand of one sink, in journal order."""

    def __init__(self, sink: str) -> None:
        self._sink = sink
        self._order: list[Event] = []
        self._all_delivered = False
        self._verdicts: dict[int, tuple[Verdict, DeadLetter | None]] = {}

    def __len__(self) -> int:
        return len(self._order)

    @property
    def first(self) -> Event | None:
        """The first event that is not settled and written down. Any thread may ask."""
        return next(iter(self._order), None)

    def add(self, events: Iterable[Event]) -> None:
        """Take events in hand."""
        self._order.extend(events)

    def deliver(self, events: Sequence[Event]) -> None:
        """Note events in hand as delivered."""
        if 0 < len(events) == len(self._order) and not self._verdicts:
            self._all_delivered = True
        else:
            self._verdicts.update((event.offset, ("delivered", None)) for event in events)

    def set_aside(self, event: Event, reason: str) -> None:
        """Note an event as dead-lettered."""
        letter = DeadLetter(
            self._sink, event.table, event.offset, event.id, event.time, reason, event.value
        )
        self._verdicts[event.offset] = "dead_lettered", letter

    def pop_prefix(self) -> Prefix | None:
        """Take the settled prefix; None where the first event is not settled."""
        order = self._order
        letters: list[DeadLetter] = []
        verdicts: list[Verdict] = []
        if self._all_delivered:
            count = len(order)
        else:
            count = 0
            for event in order:
                found = self._verdicts.pop(event.offset, None)
                if found is None:
                    break
                verdicts.append(found[0])
                if found[1] is not None:
                    letters.append(found[1])
                count += 1
        if count == 0:
            return None
        prefix = order[:count]
        runs = _runs(prefix, "delivered") if self._all_delivered else _split(prefix, verdicts)
        self._order = order[count:]
        self._all_delivered = False
        return Prefix(prefix[-1].offset + 1, runs, letters)


def _split(events: Sequence[Event], verdicts: Sequence[Verdict]) -> list[Settled]:
    """Return the runs of events, each of which has its verdict at the same place."""
    runs: list[Settled] = []
    start = 0
    for verdict, same in groupby(verdicts):
        end = start + len(list(same))
        runs += _runs(events[start:end], verdict)
        start = end
    return runs


def _runs(events: Sequence[Event], verdict: Verdict) -> list[Settled]:
    """Return the runs of events that all have one verdict."""
    runs: list[Settled] = []
    for table, same in groupby(events, attrgetter("table")):
        group = list(same)
        first, count = group[0].offset, len(group)
        if group[-1].offset - first == count - 1:
            runs.append(Settled(table, first, count, verdict))
            continue
        # Other tables' events, which go elsewhere, stand between them.
        for _, pairs in groupby(enumerate(group), lambda pair: pair[1].offset - pair[0]):
            part = [event for _, event in pairs]
            runs.append(Settled(table, part[0].offset, len(part), verdict))
    return runs
