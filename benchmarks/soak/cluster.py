"""`cluster_program.py` in a process of its own."""

from __future__ import annotations

import json
import threading
from typing import Any, Self

from benchmarks.processes import Program


class Cluster(Program):
    """The ring. Any thread may tell it something.

    Attributes:
        urls: of its members, primary first.
    """

    def __init__(self) -> None:
        super().__init__("soak/cluster_program.py")
        self._one = threading.Lock()  # an answer belongs to the line before it

    def __enter__(self) -> Self:
        super().__enter__()
        self.urls: list[str] = self.read()["urls"]
        return self

    def tell(self, do: str, **what: object) -> dict[str, Any]:
        """Have it do something and return its answer once it is done."""
        with self._one:
            self.write(json.dumps({"do": do, **what}))
            return self.read()

    def fault(self, name: str) -> None:
        """Have the primary do what the method of `Emulator` says."""
        self.tell("fault", name=name)
