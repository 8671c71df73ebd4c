"""What waits for the intake: in order, counted in bytes as it is held, marks by their names."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from itertools import islice

from bridge.errors import BridgeError
from bridge.events import Entry
from bridge.monitor.arrivals import Arrival, Damaged
from bridge.monitor.mark import Mark
from bridge.monitor.route import Route

# What an entry, or a mark, costs beside its texts.
_OVERHEAD = 400


class Barrier(threading.Event):
    """Set once all that was queued before it has been emitted."""

    cost = 0


Received = Arrival[Route] | Damaged[Route]
Item = Received | Entry | Barrier


class Stopping(BridgeError):
    """The service is about to end: what was being read from a table is left for later."""


class Queue:
    """Items in order. Any thread may put, one takes.

    A mark takes the place of an earlier one of its name that still waits, and waits for what was
    queued before the later one: so marks take no more room than there are names.

    Args:
        enough: bytes that are taken at once.
        hurry: bytes from which on nobody waits for more.

    Attributes:
        taken: how many items were taken in all.
    """

    def __init__(self, enough: int, hurry: int) -> None:
        self._enough = enough
        self._hurry = hurry
        self._items: deque[Item] = deque()
        self._marks: dict[str, tuple[int, str]] = {}  # how many items were queued before, in all
        # Guards all here; reentrant, as what is posted may cause something to be posted.
        self._changed = threading.Condition()
        self._put = 0
        self.taken = 0
        self._waiting: float | None = None  # how much makes the taker wake, None: it does not wait
        self._urgent = False
        self._taken_at = 0.0
        self.bytes = 0
        self.stopping = False

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._items and not self._marks

    def put(self, items: Iterable[Item]) -> None:
        """Queue items; never blocks."""
        with self._changed:
            before = self._put
            for item in items:
                self._items.append(item)
                self._put += 1
                self.bytes += _cost(item)
                self._urgent |= isinstance(item, Barrier)
            if self._put != before:
                self._note_put()

    def put_mark(self, mark: Mark) -> None:
        """Queue a mark; never blocks."""
        with self._changed:
            earlier = self._marks.pop(mark.name, None)
            if earlier is not None:
                self.bytes -= _mark_cost(mark.name, earlier[1])
            self._marks[mark.name] = self._put, mark.text
            self.bytes += _mark_cost(mark.name, mark.text)
            self._note_put()

    def behind(self, first: int) -> tuple[list[Item], int]:
        """Return what waits of the items but the first so many in all, and how many there were."""
        with self._changed:
            return list(islice(reversed(self._items), self._put - first))[::-1], self._put

    def put_patiently(self, items: Iterable[Item], most: int) -> None:
        """Queue items once no more than `most` bytes wait.

        Raises:
            Stopping: the intake is about to end.
        """
        with self._changed:
            while self.bytes > most and not self.stopping:
                self._changed.wait(0.1)
            if self.stopping:
                raise Stopping("the bridge is stopping")
            self.put(items)

    def stop(self) -> None:
        """Let `take` return nothing once nothing waits."""
        with self._changed:
            self.stopping = True
            self._changed.notify_all()

    def take(self, linger: float) -> tuple[list[Item], dict[str, str], int]:
        """Wait for something and take it.

        Args:
            linger: seconds since it was last taken that are waited for more.

        Returns:
            Items, marks that stand behind none that is still queued, and what they cost, which
            is given back by `free`; nothing when it is time to end, or after a second.
        """
        with self._changed:
            self._wait(1.0, 0)
            left = self._taken_at + linger - time.monotonic()
            if left > 0:
                self._wait(left, self._hurry)
            number = size = 0
            for item in self._items:
                if size >= self._enough:
                    break
                number += 1
                size += _cost(item)
            items = list(islice(self._items, number))
            marks: dict[str, str] = {}
            for name, (place, text) in self._marks.items():
                if place > self.taken + number:
                    break
                marks[name] = text
                size += _mark_cost(name, text)
            # Whatever failed until here has taken nothing; what follows cannot fail.
            for _ in items:
                self._items.popleft()
            for name in marks:
                del self._marks[name]
            self.taken += number
            self._urgent = any(isinstance(item, Barrier) for item in self._items)
            self._taken_at = time.monotonic()
            return items, marks, size

    def free(self, size: int) -> None:
        """Give back what was taken."""
        with self._changed:
            self.bytes -= size
            self._changed.notify_all()

    def _note_put(self) -> None:
        if self._waiting is None:
            return
        if self._urgent or self.bytes > self._waiting:
            self._waiting = None
            self._changed.notify_all()

    def _wait(self, seconds: float, more_than: int) -> None:
        """Wait until more than so many bytes wait, or for so long."""
        deadline = time.monotonic() + seconds
        while self._empty(more_than) and not self.stopping and not self._urgent:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._waiting = more_than
            self._changed.wait(left)
            self._waiting = None

    def _empty(self, more_than: int) -> bool:
        if more_than == 0:
            return self.empty
        return self.bytes <= more_than


def _cost(item: Item) -> int:
    return item.cost if isinstance(item, (Arrival, Damaged, Barrier)) else _OVERHEAD


def _mark_cost(name: str, text: str) -> int:
    return _OVERHEAD + len(name) + len(text)
