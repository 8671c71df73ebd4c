"""A wall clock that is set on demand, for one process: see `wall_clock.c`."""

from __future__ import annotations

import math
import struct
import time
from pathlib import Path

from .preload import compiled


class WallClock:
    """The wall clock of processes that are started with `env`.

    Raises:
        CompilerMissing: without a C compiler there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wall_clock"
        self._file.write_bytes(bytes(8))
        self.env = {"LD_PRELOAD": str(compiled("wall_clock")), "WALL_CLOCK": str(self._file)}
        # Since when by this process's clock, and by how many seconds it was ahead then.
        self._steps: list[tuple[float, int]] = [(-math.inf, 0)]

    def step(self, seconds: int) -> None:
        """Set it forward, or back."""
        ahead = self._steps[-1][1] + seconds
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", ahead))
        self._steps.append((time.time(), ahead))

    def times(self, told: float) -> list[float]:
        """Return when, by this process's clock, it may have shown a time; all in seconds.

        Of a time that it never showed, as it was set past it: when it would have.
        """
        ends = [at for at, _ in self._steps[1:]] + [math.inf]
        steps = list(zip(self._steps, ends, strict=True))
        shown = [told - ahead for (at, ahead), end in steps if at <= told - ahead <= end]
        return shown or [told - ahead for _, ahead in self._steps]
