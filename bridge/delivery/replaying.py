"""What a sink gets once more, beside its live stream and never in its way.

One replay after the other has a courier of its own, with small batches at the replay's rate, on
the sink's one connection. It rests while the live stream has trouble or is paused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from bridge.delivery.calls import Connection
from bridge.delivery.courier import Courier
from bridge.delivery.encoding import Encoder
from bridge.delivery.health import text_of
from bridge.delivery.policy import REST, Rules
from bridge.delivery.sources import Span
from bridge.errors import JournalError
from bridge.formats.base import Output
from bridge.journal import Journal, Replay
from bridge.sinks.base import Batching

log = structlog.get_logger()

_MOST_EVENTS = 1000
_MOST_BYTES = 2**20
# Batches a second at least, so that one of them is small beside the live stream.
_LEAST_BATCHES = 4
_LOOK_SECONDS = 0.5
# A rate is kept to over this time: what could not go out before is not made up for.
_CATCH_UP_SECONDS = 0.5


@dataclass(slots=True)
class _Round:
    """What is delivered now: a span, or some dead letters."""

    replay: Replay
    source: Span
    courier: Courier


class Replayer:
    """Carries out the replays of one sink. Its methods run in its thread, if not said otherwise.

    Args:
        name: the sink's id.
        connection: to the sink, shared with the live stream.
        journal: open.
        batching: how large a batch of the sink may be.
        rules: the numbers of the policy.
        output: the form that the sink wants.
        tables: those routed to it; nothing else is delivered.
        hindrance: says why nothing may be replayed now, None where it may.
        clock: monotonic.

    Attributes:
        leaving: set by its owner: end after the try that is under way.
    """

    def __init__(
        self,
        name: str,
        connection: Connection,
        journal: Journal,
        *,
        batching: Batching,
        rules: Rules,
        output: Output,
        tables: Collection[str],
        hindrance: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._connection = connection
        self._journal = journal
        # Nothing of it is shared with other sinks, or kept: it is read once.
        self._encoder = Encoder(journal.id, keep_bytes=0)
        self._batching = batching
        self._rules = rules
        self._output = output
        self._tables = frozenset(tables)
        self._hindrance = hindrance
        self._clock = clock
        self._wake = threading.Event()
        self._round: _Round | None = None
        self._due = 0.0
        self._why: str | None = None
        self.leaving = False

    def __repr__(self) -> str:
        return f"<Replayer of {self.name}>"

    @property
    def why(self) -> str | None:
        """Why the present replay does not go on, None where it does. Any thread may ask."""
        if self._why is not None or (now := self._round) is None:
            return self._why
        courier = now.courier
        if courier.fault is not None:
            return courier.fault
        if courier.calls.trouble is not None:
            return courier.calls.trouble.error
        troubles = (lane.trouble for lane in courier.lanes.values())
        return next((trouble.last.error for trouble in troubles if trouble is not None), None)

    def leave(self) -> None:
        """Ask it to end. Any thread may call."""
        self.leaving = True
        now = self._round
        if now is not None:
            now.courier.leaving = True
        self._wake.set()

    def look(self) -> None:
        """Let it notice what is asked for. Any thread may call."""
        self._wake.set()

    def failed(self, error: BaseException) -> None:
        """Note that a pass raised; the next one begins anew with what the journal says."""
        self._why = text_of(error)
        if self._round is not None:
            self._round.courier.failed(error)

    def close(self) -> None:
        """Let go of the journal's files."""
        now, self._round = self._round, None
        if now is not None:
            now.courier.close()

    def step(self) -> bool:
        """Make one pass: a try, or a wait. Returns whether to go on."""
        if self.leaving:
            return False
        now = self._round or self._begin()
        if now is None:
            self._why = None
            self._pause(_LOOK_SECONDS)
            return True
        if self._over(now):
            return True
        self._why = self._hindrance()
        left = self._due - self._clock()
        if self._why is not None or left > 0:
            self._pause(_LOOK_SECONDS if self._why is not None else left)
            return True
        self._deliver(now)
        return True

    def _begin(self) -> _Round | None:
        replay = self._journal.replays.next_of(self.name)
        if replay is None:
            return None
        self._round = begun = _Round(replay, *self._made(replay))
        begun.courier.leaving = self.leaving
        log.info("replay_goes_on", sink=self.name, replay=replay.number, expected=replay.expected)
        return begun

    def _made(self, replay: Replay) -> tuple[Span, Courier]:
        source = Span(self._journal, replay)
        tables = sorted(replay.tables.keys() & self._tables)
        return source, self._courier(replay, source, tables, self._rules)

    def _courier(self, replay: Replay, source: Span, tables: list[str], rules: Rules) -> Courier:
        own, most = self._batching, _MOST_EVENTS
        if replay.rate:
            most = min(most, max(1, replay.rate // _LEAST_BATCHES))
        batching = own.model_copy(
            update={
                "max_events": min(own.max_events, most),
                "max_bytes": min(own.max_bytes, _MOST_BYTES),
                "max_wait": 0.0,
            }
        )
        return Courier(
            self.name,
            tables,
            self._connection,
            source,
            self._encoder,
            batching=batching,
            rules=rules,
            output=self._output,
            by_key=False,
            ahead=lambda _: None,
            wake=self._wake,
            replaying=True,
            clock=self._clock,
        )

    def _deliver(self, now: _Round) -> None:
        number, courier, calls = now.replay.number, now.courier, now.courier.calls
        before, tries, busy = self._journal.replays.find(number), calls.retries, calls.busy_seconds
        courier.step()
        try:
            self._journal.replays.write()
        except JournalError as error:
            self._why = text_of(error)
        after, at = self._journal.replays.find(number), self._clock()
        events = after.replayed + after.refused - before.replayed - before.refused
        if before.rate:
            self._due = max(self._due, at - _CATCH_UP_SECONDS) + events / before.rate
        if calls.retries > tries:
            # A call that fails may have kept the live stream waiting, for as long as it took.
            rest = min(REST * (calls.busy_seconds - busy), self._rules.longest_rest)
            self._due = max(self._due, at + rest)

    def _over(self, now: _Round) -> bool:
        """End a round that was stopped, or is through; return whether it did."""
        replays, number = self._journal.replays, now.replay.number
        replay = replays.find(number)
        if replay.state == "running" and not now.courier.is_through(now.source.end):
            return False
        if replay.state == "running":
            replay = replays.finish(number, "done")
        self.close()
        log.info(
            "replay_ended",
            sink=self.name,
            replay=number,
            state=replay.state,
            replayed=replay.replayed,
            refused=replay.refused,
            gone=replay.gone,
        )
        return True

    def _pause(self, seconds: float) -> None:
        if self._wake.wait(seconds):
            self._wake.clear()
