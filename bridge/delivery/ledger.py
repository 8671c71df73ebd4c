"""Which of the events in hand are settled, and how far the cursor may move.

Events are settled in any order (one piece of a batch may be accepted before another), but a
cursor says *all before it*: it moves over the settled prefix only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

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
        self._order: deque[Event] = deque()
        self._verdicts: dict[int, tuple[Verdict, DeadLetter | None]] = {}

    def __len__(self) -> int:
        return len(self._order)

    @property
    def first(self) -> Event | None:
        """The first event that is not settled and written down."""
        return self._order[0] if self._order else None

    def add(self, events: Iterable[Event]) -> None:
        """Take events in hand."""
        self._order.extend(events)

    def deliver(self, events: Iterable[Event]) -> None:
        """Note events as delivered."""
        self._verdicts.update((event.offset, ("delivered", None)) for event in events)

    def set_aside(self, event: Event, reason: str) -> None:
        """Note an event as dead-lettered."""
        letter = DeadLetter(
            self._sink, event.table, event.offset, event.id, event.time, reason, event.value
        )
        self._verdicts[event.offset] = "dead_lettered", letter

    def pop_prefix(self) -> Prefix | None:
        """Take the settled prefix; None where the first event is not settled."""
        to = -1
        runs: list[Settled] = []
        letters: list[DeadLetter] = []
        table, start, end = "", 0, -1
        verdict: Verdict = "delivered"
        order, verdicts = self._order, self._verdicts
        while order and (found := verdicts.pop(order[0].offset, None)) is not None:
            event = order.popleft()
            if event.offset != end or event.table != table or found[0] != verdict:
                if end > start:
                    runs.append(Settled(table, start, end - start, verdict))
                table, start, verdict = event.table, event.offset, found[0]
            to = end = event.offset + 1
            if found[1] is not None:
                letters.append(found[1])
        if to < 0:
            return None
        runs.append(Settled(table, start, end - start, verdict))
        return Prefix(to, runs, letters)
