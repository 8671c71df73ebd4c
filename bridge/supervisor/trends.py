"""How much went through lately: events in each stretch of the last ten minutes."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Mapping, Sequence

STEP_SECONDS = 10.0
_MOST = 60


class Trends:
    """Counters seen again and again, kept as what was added between two looks.

    Any thread may ask; one thread takes the looks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._last: dict[str, int] = {}
        self._added: dict[str, array[int]] = {}

    def look(self, counters: Mapping[str, int]) -> None:
        """Take in where counters stand; those that are not given any more are forgotten."""
        with self._lock:
            added: dict[str, array[int]] = {}
            for name, value in counters.items():
                steps = self._added.get(name, array("Q"))
                if name in self._last:
                    steps.append(max(0, value - self._last[name]))
                    del steps[:-_MOST]
                added[name] = steps
            self._last, self._added = dict(counters), added

    def of(self, names: Sequence[str]) -> dict[str, list[int]]:
        """Return what was added in each stretch, the newest last, of counters that are known."""
        with self._lock:
            return {name: self._added[name].tolist() for name in names if name in self._added}

    def rates(self) -> dict[str, float]:
        """Return events a second in the last stretch, of all counters."""
        with self._lock:
            return {n: s[-1] / STEP_SECONDS if s else 0.0 for n, s in self._added.items()}
