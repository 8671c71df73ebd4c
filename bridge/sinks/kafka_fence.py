"""One bridge at a time writes under a transactional id: whoever was fenced waits its turn."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from bridge.sinks.base import Assignment, NotConnected
from bridge.sinks.kafka_cursor_topic import CursorTopic
from bridge.sinks.kafka_errors import Fenced
from bridge.sinks.kafka_log import QuietLog
from bridge.sinks.kafka_settings import KafkaSettings

# Seconds for which another bridge must have written nothing before we take over from it.
SILENCE = 60.0

_log = structlog.get_logger(__name__)


class Fence:
    """Remembers, over all producers of one sink, who writes under its transactional id.

    A new bridge takes over at once, as Kafka has it. The one that it took over from waits, and
    takes over in turn once the other was silent.

    Args:
        settings: of the sink.
        assignment: whose cursors they are.
        place_of: gives a table's topic.
        log: takes librdkafka's lines.
        clock: monotonic.

    Attributes:
        assignment: as given.
        cursors: what was delivered.
        transactional_id: has the journal's id and the sink's in it.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        assignment: Assignment,
        place_of: Callable[[str], str],
        log: QuietLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.assignment = assignment
        self.transactional_id = f"kinetica-bridge-{assignment.journal_id}-{assignment.sink}"
        self.cursors = CursorTopic(settings.connection(), assignment, place_of, log, clock)
        self._clock = clock
        self._fenced_at: float | None = None

    def note(self, error: NotConnected) -> None:
        """Note why the producer cannot go on."""
        if isinstance(error, Fenced):
            self._fenced_at = self._clock()
            _log.warning(
                "kafka_fenced",
                sink=self.assignment.sink,
                transactional_id=self.transactional_id,
                cause=str(error),
            )

    def wait_for_its_turn(self) -> None:
        """See that no other bridge writes under this id, if one was met.

        Raises:
            NotConnected: one does.
        """
        if self._fenced_at is None:
            return
        cursors = self.cursors
        cursors.read()
        rival = cursors.last_writer not in {None, cursors.writer}
        silent = self._clock() - max(cursors.last_seen, self._fenced_at)
        if rival and silent < SILENCE:
            raise NotConnected(
                f"another bridge writes under the transactional id {self.transactional_id}, so "
                "with a copy of this journal: stop one of them; this one takes over once the "
                f"other was silent for {SILENCE:.0f} s",
            )
        if rival:
            _log.warning(
                "kafka_takes_over",
                sink=self.assignment.sink,
                transactional_id=self.transactional_id,
            )
        self._fenced_at = None
