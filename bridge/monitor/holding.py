"""What arrives on a route before it is certain what it means: kept back, in order, bounded.

A monitor may be made a moment after its table was altered, and then publishes a layout that
is not the one it was made for. What it sends is held until the layout was looked at again.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

N = TypeVar("N")

# For all routes together: a few calls take milliseconds, a cluster that hangs takes longer.
MAX_HELD_BYTES = 16 * 2**20


class Holding(Generic[N]):
    """What arrived on routes that are not certain yet. Used by one thread."""

    def __init__(self) -> None:
        self._routes: set[Hashable] = set()
        self._overrun: set[Hashable] = set()
        self._held: list[tuple[Hashable, N, int]] = []
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._routes)

    def begin(self, routes: Collection[Hashable]) -> None:
        """Hold what arrives on these routes from now on."""
        self._routes.update(routes)

    def holds(self, route: Hashable, item: N, size: int) -> bool:
        """Take an item of `size` bytes if its route is held; False if it is not."""
        if route not in self._routes:
            return False
        if self._bytes + size > MAX_HELD_BYTES:
            self._overrun.add(route)
        else:
            self._held.append((route, item, size))
            self._bytes += size
        return True

    def replace(self, route: Hashable, by: Hashable) -> None:
        """Hold what is held of a route under another one, which takes its place."""
        if route in self._routes:
            self._routes.remove(route)
            self._routes.add(by)
            self._held = [(by if key is route else key, *rest) for key, *rest in self._held]  # type: ignore[misc]
        if route in self._overrun:
            self._overrun.remove(route)
            self._overrun.add(by)

    def end(self, routes: Collection[Hashable]) -> tuple[list[N], bool]:
        """Hold these routes no more; return what was held, and whether that is all."""
        given = [item for route, item, _ in self._held if route in routes]
        whole = self._overrun.isdisjoint(routes)
        self._held = [held for held in self._held if held[0] not in routes]
        self._bytes = sum(size for _, _, size in self._held)
        self._routes.difference_update(routes)
        self._overrun.difference_update(routes)
        return given, whole
