"""What arrives on a topic before it is certain what it means: kept back, in order, bounded.

A monitor may be made a moment after its table was altered, and then publishes a layout that
is not the one it was made for. What it sends is held until the layout was looked at again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, TypeVar

N = TypeVar("N")

# For all topics together: a few calls take milliseconds, a cluster that hangs takes longer.
MAX_HELD_BYTES = 16 * 2**20


class Holding(Generic[N]):
    """Notifications of topics that are not certain yet. Used by one thread."""

    def __init__(self) -> None:
        self._topics: set[bytes] = set()
        self._overrun: set[bytes] = set()
        self._held: list[tuple[bytes, N, int]] = []
        self._bytes = 0

    def begin(self, topics: Collection[bytes]) -> None:
        """Hold what arrives on these topics from now on."""
        self._topics.update(topics)

    def holds(self, topic: bytes, notification: N, size: int) -> bool:
        """Take a notification of `size` bytes if its topic is held; False if it is not."""
        if topic not in self._topics:
            return False
        if self._bytes + size > MAX_HELD_BYTES:
            self._overrun.add(topic)
        else:
            self._held.append((topic, notification, size))
            self._bytes += size
        return True

    def end(self, topics: Collection[bytes]) -> tuple[list[N], bool]:
        """Hold these topics no more; return what was held, and whether that is all."""
        given = [notification for topic, notification, _ in self._held if topic in topics]
        whole = self._overrun.isdisjoint(topics)
        self._held = [item for item in self._held if item[0] not in topics]
        self._bytes = sum(size for _, _, size in self._held)
        self._topics.difference_update(topics)
        self._overrun.difference_update(topics)
        return given, whole
