"""How a cluster can misbehave on demand, as one plain value that the HTTP server looks at."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """The faults in force; changed from any thread, seen by the next request.

    Attributes:
        status: answer every request in `endpoints` with this HTTP status.
        refusal: answer every request in `endpoints` with an ERROR reply of this text.
        dropping: close the connection of every request in `endpoints` without an answer.
        hanging: keep every request in `endpoints` waiting until it is cleared.
        endpoints: paths the four above apply to; empty for all, pings included.
        after: carry the request out before it fails, so that only the answer is lost.
    """

    status: int | None = None
    refusal: str | None = None
    dropping: bool = False
    hanging: bool = False
    endpoints: frozenset[str] = frozenset()
    after: bool = False
    _released: threading.Event = field(default_factory=threading.Event)

    def set(
        self,
        *,
        status: int | None = None,
        refusal: str | None = None,
        dropping: bool = False,
        hanging: bool = False,
        endpoints: Iterable[str] = (),
        after: bool = False,
    ) -> None:
        """Put one fault in force, in place of the one before."""
        self.clear()
        if hanging:
            self._released = threading.Event()
        self.endpoints = frozenset(endpoints)
        self.after = after
        self.status, self.refusal = status, refusal
        self.dropping, self.hanging = dropping, hanging

    def clear(self) -> None:
        """End all faults; what hung goes on."""
        self.status, self.refusal, self.dropping, self.hanging = None, None, False, False
        self._released.set()

    def concern(self, path: str) -> bool:
        """Say whether a fault is in force for a path."""
        said = self.status is not None or self.refusal is not None
        return (said or self.dropping or self.hanging) and (
            not self.endpoints or path in self.endpoints
        )

    def wait(self) -> None:
        """Wait until a hanging request may go on."""
        self._released.wait()
