"""A replay without the service: the journal under its lock, and one sink."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from bridge.config import Config
from bridge.delivery.calls import Connection
from bridge.delivery.replaying import Replayer
from bridge.delivery.worker import rules_of
from bridge.errors import BridgeError, JournalError
from bridge.journal import Replay
from bridge.sinks.base import Assignment
from bridge.supervisor.keeping import make_journal
from bridge.supervisor.plan import make_plan
from bridge.supervisor.replays import Wish, begin, replay_fields
from bridge.supervisor.running import recall_found


class Alone:
    """Replays while no service runs; used as a context manager, by one thread.

    Args:
        config: the whole configuration.

    Raises:
        BridgeError: on entering; the journal cannot be opened, or another process has it.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._journal = make_journal(config)

    def __enter__(self) -> Self:
        self._journal.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._journal.close()

    def begin(self, wish: Wish) -> list[Replay]:
        """Begin what somebody asks for; see `begin` in `bridge.supervisor.replays`."""
        plan = make_plan(self._config, recall_found(self._config, self._journal).names)
        return begin(wish, self._config, plan.tables.keys(), self._journal)

    def stop(self, number: int) -> Replay:
        """Let a replay be over.

        Raises:
            BridgeError: none has the number, or it could not be written.
        """
        try:
            return self._journal.replays.finish(number, "stopped", "by hand")
        except KeyError:
            raise BridgeError(f"no replay has the number {number}") from None

    def carry_out(self, replay: Replay) -> Iterator[dict[str, Any]]:
        """Deliver, and yield what is shown of the replay after each pass, its end included.

        Those of the sink that were begun earlier and are not over go first.

        Raises:
            BridgeError: the sink cannot be made.
        """
        plan = make_plan(self._config, recall_found(self._config, self._journal).names)
        sink_plan = plan.sinks[replay.sink]
        sink = sink_plan.build(replay.sink)
        sink.assignment = Assignment(replay.sink, self._journal.id, sink_plan.tables)
        connection = Connection(replay.sink, sink)
        replayer = Replayer(
            replay.sink,
            connection,
            self._journal,
            batching=sink_plan.settings.batch,
            rules=rules_of(sink_plan.settings.retry),
            output=sink_plan.output(sink),
            tables=sink_plan.tables,
            events=sink_plan.events,
        )
        try:
            while (now := self._journal.replays.find(replay.number)).state == "running":
                try:
                    replayer.step()
                except JournalError as error:
                    replayer.failed(error)
                yield replay_fields(now, replayer.why)
            yield replay_fields(now)
        finally:
            replayer.close()
            connection.close()
