"""What the pool of readers knows of a table."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

from bridge.wire.calls import Cluster


@dataclass(slots=True)
class ReadState:
    """What the pool knows of a table.

    Attributes:
        cluster: where it was last heard.
        busy: whether it is being read, or waits for a reader.
        retry_at: by the monotonic clock.
        failures: in a row.
        final: gaps of which another read would prove no more.
        asked: gaps that somebody asked to be closed, and waits for.
    """

    cluster: Cluster
    busy: bool = False
    retry_at: float = 0.0
    failures: int = 0
    final: frozenset[str] = field(default_factory=frozenset)
    asked: list[tuple[str, Future[int]]] = field(default_factory=list)
