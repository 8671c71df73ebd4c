"""The sinks' workers, by name: a name owns its worker for as long as the process runs.

A worker whose sink is no longer configured may hang in its destination for hours. Until it has
ended it is kept, so that a sink that takes its name later gets the same worker, and two of one
name never deliver at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bridge.delivery.health import SinkStats
from bridge.delivery.worker import Worker
from bridge.loop import Deadline, Loop
from bridge.sinks.base import Sink
from bridge.supervisor.plan import SinkPlan

# How long a worker with nothing to deliver may take to end.
_IDLE_SECONDS = 1.0


class SinkWorkers:
    """All workers: those of the configured sinks, and those that are about to end.

    Args:
        make: makes the worker of a name.
    """

    def __init__(self, make: Callable[[str], Worker]) -> None:
        self._make = make
        self._workers: dict[str, Worker] = {}
        self._retired: set[str] = set()

    def configure(self, name: str, sink: Sink, plan: SinkPlan) -> None:
        """Let a name's worker deliver to this sink as soon as it has its hands free."""
        worker = self._workers.get(name)
        new = worker is None
        if worker is None:
            worker = self._make(name)
        worker.configure(sink, plan.settings, plan.tables, plan.output(sink))
        if new:
            worker.start()
            # A copy, as other threads look at it meanwhile.
            self._workers = {**self._workers, name: worker}
        self._retired.discard(name)

    def of(self, name: str) -> Worker:
        """Return the worker of a sink that is configured; raises `KeyError` where it is not."""
        if name in self._retired:
            raise KeyError(name)
        return self._workers[name]

    def retire(self, name: str) -> None:
        """Let a name's worker end; `ended` says when it has."""
        self._workers[name].retire()
        self._retired.add(name)

    def replay(self, name: str) -> None:
        """Let a name's worker carry out the replays that the journal has for it."""
        worker = self._workers.get(name)
        if worker is not None:
            worker.replay()

    def replay_waits(self, name: str) -> str | None:
        """Return why a sink's present replay does not go on, None where it does."""
        worker = self._workers.get(name)
        return "the sink has no worker" if worker is None else worker.replay_waits

    def ended(self) -> list[str]:
        """Forget the retired workers that have ended, and return their names."""
        names = [name for name in self._retired if self._workers[name].join(0.0)]
        self._retired.difference_update(names)
        self._workers = {name: w for name, w in self._workers.items() if name not in names}
        return names

    def stop(self, deadline: Deadline, pending: Callable[[], bool]) -> bool:
        """Let all deliver what is there; False if one did not end in time.

        Args:
            deadline: when to wait no longer.
            pending: whether anything waits to be delivered; if not, little time is given.
        """
        workers = list(self._workers.values())
        for worker in workers:
            worker.stop()
        idle = Deadline(min(_IDLE_SECONDS, deadline.left))
        ended = all(worker.join(idle.left) for worker in workers)
        if ended or not pending():
            return ended
        return all(worker.join(deadline.left) for worker in workers)

    def stats(self) -> Mapping[str, SinkStats]:
        """Return how each configured sink gets on."""
        workers, retired = self._workers, self._retired
        return {name: w.stats() for name, w in workers.items() if name not in retired}

    def loops(self) -> list[Loop]:
        """Return the loops of all workers."""
        return [loop for worker in self._workers.values() for loop in worker.loops]
