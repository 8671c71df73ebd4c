"""What lasts as long as the configuration: the garbage collector does not look through it.

With a thousand tables one full collection stops all threads for 50 to 90 ms, every few seconds.
"""

from __future__ import annotations

import gc

from bridge.supervisor import Supervisor


class Lasting:
    """Sets aside what there is once every table was tried, and anew after each change.

    Args:
        supervisor: the service; whatever else the process has lasts as long.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._settled: object = None

    def look(self) -> None:
        """Set aside what is new."""
        settled = self._supervisor.settled
        if settled is None or settled is self._settled:
            return
        self._settled = settled
        gc.unfreeze()  # what a change has replaced is collected
        gc.collect()
        gc.freeze()
