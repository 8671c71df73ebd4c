"""A moment by both clocks: the monotonic one tells order and duration, the other is shown."""

from __future__ import annotations

import math
import time
from typing import NamedTuple


class Moment(NamedTuple):
    """A moment; compared by its order.

    >>> Moment.now() >= NEVER
    True

    Attributes:
        order: seconds by the monotonic clock.
        wall: seconds since the epoch.
    """

    order: float
    wall: float

    @classmethod
    def now(cls) -> Moment:
        """Return the present moment."""
        return cls(time.monotonic(), time.time())

    def earlier(self, seconds: float) -> Moment:
        """Return the moment so many seconds before."""
        return Moment(self.order - seconds, self.wall - seconds)


NEVER = Moment(-math.inf, 0.0)
"""Before every moment."""
