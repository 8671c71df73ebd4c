"""A ring of emulated clusters: what changes one reaches the others, rows later, tables at once.

Every cluster has a queue of the calls it has yet to repeat; one thread carries out what is due.
A change of tables first carries out all that is queued before it, so that each cluster sees one
order. A cluster that was down or cut off drains its queue before it serves again, as Kinetica's
do; table monitors belong to the cluster they were made on. Source: protocol, section 6.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from kinetica_emulator.emulator import Emulator
from kinetica_emulator.endpoints import Endpoint, Kind
from kinetica_emulator.errors import RequestError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Queued:
    """One call to repeat, not before `due` (on the ring's clock)."""

    due: float
    endpoint: Endpoint
    request: Mapping[str, Any]


@dataclass(slots=True)
class _Member:
    """One cluster with the calls it has yet to repeat; `returning` until it has caught up."""

    cluster: Emulator
    returning: bool = False
    queue: deque[_Queued] = field(default_factory=deque)
    # Held by whoever carries out calls of the queue, so that they stay in order.
    applying: threading.Lock = field(default_factory=threading.Lock)


class Ring:
    """Several emulated clusters that replicate.

    A context manager, like each of its clusters; faults are asked of these.

    Args:
        size: how many clusters.
        hosts: an address for each; by default 127.0.0.1, 127.0.0.2 and so on, since the vendor's
            client tells clusters apart by host alone.
        delay: seconds after which changed rows reach the other clusters; may be set at any time.
        clock: seconds, monotonic.
        options: what else `Emulator` takes, the same for all.
    """

    def __init__(
        self,
        size: int = 2,
        *,
        hosts: Sequence[str] | None = None,
        delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        hosts = hosts or [f"127.0.0.{number}" for number in range(1, size + 1)]
        self.delay = delay
        self._clock = clock
        self._members = [_Member(Emulator(host=host, **options)) for host in hosts]
        # Guards the queues, and wakes the thread.
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __getitem__(self, index: int) -> Emulator:
        return self._members[index].cluster

    def __len__(self) -> int:
        return len(self._members)

    @property
    def urls(self) -> list[str]:
        """Where the clusters answer, primary first; known once the ring was started."""
        return [member.cluster.url for member in self._members]

    def start(self) -> None:
        """Start every cluster and the replication between them; idempotent.

        Raises:
            EmulatorError: an address or port cannot be had.
        """
        if self._thread is not None:
            return
        try:
            for member in self._members:
                member.cluster.start()
        except BaseException:
            self.stop()
            raise
        for member in self._members:
            member.cluster.join_ring(self.urls, _Link(self, member))
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="emulator-ring", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop every cluster and the replication; what is queued stays queued; idempotent."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for member in self._members:
            member.cluster.stop()

    def close(self) -> None:
        """Stop, and let go of all data."""
        self.stop()
        for member in self._members:
            member.cluster.close()

    def pending(self) -> list[int]:
        """Return how many calls each cluster has yet to repeat."""
        with self._changed:
            return [len(member.queue) for member in self._members]

    def kick(self) -> None:
        """Look at the clock again, after it or `delay` was set by hand."""
        with self._changed:
            self._changed.notify_all()

    def wait_replicated(self, timeout: float = 10.0) -> bool:
        """Wait until every cluster that can be reached has repeated all calls; False if not."""

        def settled() -> bool:
            return not any(member.queue for member in self._members if member.cluster.reachable)

        with self._changed:
            return self._changed.wait_for(settled, timeout)

    def _replicate(
        self,
        source: _Member,
        kind: Kind,
        endpoint: Endpoint,
        request: Mapping[str, Any],
        group: str,
    ) -> None:
        """Queue a call for every other cluster; tables and what is asked for so at once."""
        if group == "REPL_NONE":
            return
        at_once = kind is Kind.DDL or group.startswith("REPL_SYNC")
        due = self._clock() + (0.0 if at_once else self.delay)
        others = [member for member in self._members if member is not source]
        with self._changed:
            for member in others:
                member.queue.append(_Queued(due, endpoint, request))
            self._changed.notify_all()
        if kind is Kind.DDL:
            for member in others:
                if member.cluster.reachable:
                    self._apply(member, everything=True)

    def _apply(self, member: _Member, *, everything: bool) -> None:
        """Carry out a cluster's queued calls, in order: those that are due, or all."""
        with member.applying:
            while True:
                with self._changed:
                    if not member.queue or not member.cluster.reachable:
                        return
                    queued = member.queue[0]
                    if not everything and queued.due > self._clock():
                        return
                try:
                    member.cluster.carry_out(queued.endpoint, queued.request)
                except RequestError as error:
                    _log.debug("%r refused %s: %s", member.cluster, queued.endpoint.path, error)
                with self._changed:
                    member.queue.popleft()
                    self._changed.notify_all()

    def _run(self) -> None:
        """Carry out what is due, whenever it is; ended by `stop`, after the call under way."""
        while not self._stopping:
            for member in self._members:
                self._apply(member, everything=member.returning)
                self._finish_return(member)
            with self._changed:
                if not self._stopping:
                    self._changed.wait(self._next_due())

    def _return(self, member: _Member) -> None:
        """Have a cluster that comes back drain its queue first, if there is anything in it."""
        with self._changed:
            if member.queue:
                member.returning = True
                member.cluster.drain()
            self._changed.notify_all()

    def _finish_return(self, member: _Member) -> None:
        with self._changed:
            if member.returning and not member.queue:
                member.returning = False
                member.cluster.drain(False)

    def _next_due(self) -> float | None:
        """Return the seconds until the next call is due, None if none is queued."""
        dues = [
            member.queue[0].due
            for member in self._members
            if member.queue and member.cluster.reachable
        ]
        return max(0.0, min(dues) - self._clock()) if dues else None


class _Link:
    """What a cluster knows of its ring: whom to tell."""

    def __init__(self, ring: Ring, member: _Member) -> None:
        self._ring = ring
        self._member = member

    def preparing(self) -> None:
        """Catch up with all that is queued for this cluster."""
        self._ring._apply(self._member, everything=True)

    def changed(
        self, kind: Kind, endpoint: Endpoint, request: Mapping[str, Any], group: str
    ) -> None:
        """Tell the others of a call that changed rows or tables here."""
        self._ring._replicate(self._member, kind, endpoint, request, group)

    def returning(self) -> None:
        """Catch up before serving again."""
        self._ring._return(self._member)
