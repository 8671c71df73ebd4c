"""A replay without the service: the journal under its lock, and one sink."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bridge.config import Config
from bridge.delivery.calls import Connection
from bridge.delivery.job import Job
from bridge.delivery.replaying import Replayer
from bridge.errors import BridgeError, JournalError
from bridge.journal import Journal, Replay
from bridge.sinks.base import Assignment
from bridge.supervisor.plan import Plan, make_plan
from bridge.supervisor.replays import Wish, begin, replay_fields
from bridge.supervisor.running import recall_found


def begin_alone(config: Config, journal: Journal, wish: Wish) -> list[Replay]:
    """Begin what somebody asks for; see `begin` in `bridge.supervisor.replays`."""
    return begin(wish, config, _plan(config, journal).tables.keys(), journal)


def stop_alone(journal: Journal, number: int) -> Replay:
    """Let a replay be over.

    Raises:
        BridgeError: none has the number, or it could not be written.
    """
    try:
        return journal.replays.finish(number, "stopped", "by hand")
    except KeyError:
        raise BridgeError(f"no replay has the number {number}") from None


def carry_out(config: Config, journal: Journal, replay: Replay) -> Iterator[dict[str, Any]]:
    """Deliver, and yield what is shown of the replay after each pass, its end included.

    Those of the sink that were begun earlier and are not over go first.

    Args:
        config: the whole configuration.
        journal: open.
        replay: begun, and running.

    Raises:
        BridgeError: the sink cannot be made.
    """
    sink_plan = _plan(config, journal).sinks[replay.sink]
    sink = sink_plan.build(replay.sink)
    sink.assignment = Assignment(replay.sink, journal.id, sink_plan.tables)
    connection = Connection(replay.sink, sink)
    replayer = Replayer(
        replay.sink,
        connection,
        journal,
        Job(sink, sink_plan.settings, sink_plan.tables, sink_plan.output(sink)),
    )
    try:
        while (now := journal.replays.find(replay.number)).state == "running":
            try:
                replayer.step()
            except JournalError as error:
                replayer.failed(error)
            yield replay_fields(now, replayer.why)
        yield replay_fields(now)
    finally:
        replayer.close()
        connection.close()


def _plan(config: Config, journal: Journal) -> Plan:
    return make_plan(config, recall_found(config, journal).names)
