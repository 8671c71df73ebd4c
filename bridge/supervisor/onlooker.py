"""What people look at besides the snapshot: how much went through lately, and events as such."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from bridge.delivery.encoding import Writer
from bridge.delivery.tail import Look, look
from bridge.errors import BridgeError
from bridge.journal import Journal
from bridge.loop import Loop
from bridge.supervisor.plan import table_shapes
from bridge.supervisor.running import Running
from bridge.supervisor.trends import STEP_SECONDS, Trends


class Onlooker:
    """Looks at a service that runs. Any thread may ask; owns the thread that counts.

    Args:
        running: gives what runs, None while nothing does.
        journal: open while something runs.

    Attributes:
        trends: events of each stretch of the last ten minutes, as `table/NAME` and `sink/ID`.
        loop: the thread that counts them.
    """

    def __init__(self, running: Callable[[], Running | None], journal: Journal) -> None:
        self._running = running
        self._journal = journal
        self.trends = Trends()
        self.loop = Loop("trends", self._count)

    def tail(self, table: str, start: int | None) -> Look:
        """Return events of a table as they stand in the journal, a page of them.

        Args:
            table: the qualified name.
            start: an offset; None for what is yet to come.

        Raises:
            BridgeError: the service does not run, or the journal cannot be read.
            KeyError: the table is not watched.
        """
        running = self._running()
        if running is None:
            raise BridgeError("the service does not run")
        if table not in running.tables:
            raise KeyError(table)
        if start is None:
            return Look([], self._journal.head, [])
        writer = Writer.of_json(self._journal.id, table_shapes(running.plan.config, [table]))
        with self._journal.reader() as reader:
            return look(reader, writer, table, start)

    def _count(self) -> bool:
        running = self._running()
        if running is not None:
            received = {f"table/{n}": t.counts.received.total() for n, t in running.tables.items()}
            delivered: Counter[str] = Counter()
            for account in self._journal.accounts():
                delivered[f"sink/{account.sink}"] += account.delivered
            self.trends.look(received | delivered)
        return not self.loop.wait(STEP_SECONDS)
