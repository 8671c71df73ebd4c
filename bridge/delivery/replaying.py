"""What a sink gets once more, beside its live stream and never in its way.

One replay after the other has a courier of its own, with small batches at the replay's rate, on
the sink's one connection. It rests while the live stream has trouble or is paused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import structlog

from bridge.delivery.calls import Connection
from bridge.delivery.courier import Courier
from bridge.delivery.encoding import Encoder, Writer
from bridge.delivery.health import text_of
from bridge.delivery.job import Job
from bridge.delivery.letters import LetterMaker
from bridge.delivery.policy import REST, Rules
from bridge.delivery.sources import LetterPage, Span
from bridge.errors import JournalError
from bridge.events import Undecodable
from bridge.journal import (
    WHOLE,
    DeadLetter,
    Journal,
    LetterFilter,
    Letters,
    Move,
    Replay,
    Settled,
    kind_of,
)

log = structlog.get_logger()

_MOST_EVENTS = 1000
_MOST_BYTES = 2**20
# Batches a second at least, so that one of them is small beside the live stream.
_LEAST_BATCHES = 4
_LOOK_SECONDS = 0.5
# A rate is kept to over this time: what could not go out before is not made up for.
_CATCH_UP_SECONDS = 0.5
# So many dead letters are read at once.
_PAGE = 500
_NONE = Letters(LetterFilter(), 0)


@dataclass(slots=True)
class _Round:
    """What is delivered now: a span, or some dead letters."""

    replay: Replay
    source: Span | LetterPage
    courier: Courier


class Replayer:
    """Carries out the replays of one sink. Its methods run in its thread, if not said otherwise.

    Args:
        name: the sink's id.
        connection: to the sink, shared with the live stream.
        journal: open.
        job: what is configured of it.
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
        job: Job,
        *,
        hindrance: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._connection = connection
        self._journal = journal
        # Nothing of it is shared with other sinks, or kept: it is read once.
        self._writer = Writer(Encoder(journal.id, keep_bytes=0), job.output)
        self._batching = job.settings.batch
        self._rules = job.rules
        self._tables = job.tables
        self._events = job.settings.taken
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
        self._why = self._rests(now) or self._hindrance()
        left = self._due - self._clock()
        if self._why is not None or left > 0:
            self._pause(_LOOK_SECONDS if self._why is not None else left)
            return True
        self._deliver(now)
        return True

    def _begin(self) -> _Round | None:
        """Return what is next, None where there is nothing."""
        replay = self._journal.replays.next_of(self.name)
        if replay is None:
            return None
        begun = self._span(replay) if replay.letters is None else self._letters(replay)
        if begun is not None:
            begun.courier.leaving = self.leaving
            self._round = begun
        return begun

    def _span(self, replay: Replay) -> _Round:
        source = Span(self._journal, replay, self._events)
        tables = replay.tables.keys() & self._tables
        log.info("replay_goes_on", sink=self.name, replay=replay.number, expected=replay.expected)
        return _Round(replay, source, self._courier(replay, source, tables, self._rules))

    def _letters(self, replay: Replay) -> _Round | None:
        """Return the next dead letters, None where there are no more, or some are passed over."""
        which, last = replay.letters or _NONE
        with self._journal.reader() as reader:
            maker = LetterMaker(reader, self._writer)
            found = reader.dead_letters(which, limit=_PAGE, entries=True)
            page = [maker.whole(letter) for letter in found if letter.number <= last]
        if not page:
            self._end(replay.number)
            return None
        unable = list(takewhile(lambda letter: not self._is_able(letter), page))
        if unable:
            self._pass_over(replay, unable)
            return None
        able: list[DeadLetter] = []
        for letter in page:
            if not self._is_able(letter) or any(letter.offset == o.offset for o in able):
                break
            able.append(letter)
        source = LetterPage(self._journal, replay, able)
        # What is refused again was proven poison before, or was set aside by hand.
        rules = replace(self._rules, proof=False)
        tables = {letter.table for letter in able}
        return _Round(replay, source, self._courier(replay, source, tables, rules))

    def _pass_over(self, replay: Replay, letters: Sequence[DeadLetter]) -> None:
        """Leave letters as they are: no event is in them any more, or it is not for this sink."""
        moves = [
            Move(
                letter.table,
                0,
                (Settled(letter.offset, 1, "dead_lettered" if _has_any(letter) else "discarded"),),
            )
            for letter in letters
        ]
        after = letters[-1].number
        self._journal.replays.settle(replay.number, moves, after=after, at_once=True)
        self._wake.set()  # the next ones follow

    def _is_able(self, letter: DeadLetter) -> bool:
        entry = letter.entry
        if entry is None or isinstance(entry, Undecodable) or letter.table not in self._tables:
            return False
        return self._events is None or kind_of(entry) in self._events

    def _courier(
        self, replay: Replay, source: Span | LetterPage, tables: Collection[str], rules: Rules
    ) -> Courier:
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
            sorted(tables),
            self._connection,
            source,
            self._writer,
            batching=batching,
            rules=rules,
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
        running = replays.find(number).state == "running"
        if running and not now.courier.is_through(now.source.end):
            return False
        if running and isinstance(now.source, LetterPage):
            replays.settle(number, (), after=now.source.last, at_once=True)
            self.close()
            return True  # the next page follows
        self.close()
        self._end(number)
        return True

    def _rests(self, now: _Round) -> str | None:
        resting = self._journal.pauses.of(self.name).keys()
        tables = now.source.lanes(self.name).keys()
        return "paused by hand" if WHOLE in resting or tables & resting else None

    def _end(self, number: int) -> None:
        replay = self._journal.replays.finish(number, "done")
        log.info(
            "replay_ended",
            sink=self.name,
            replay=number,
            state=replay.state,
            replayed=replay.replayed,
            refused=replay.refused,
            gone=replay.gone,
        )

    def _pause(self, seconds: float) -> None:
        if self._wake.wait(seconds):
            self._wake.clear()


def _has_any(letter: DeadLetter) -> bool:
    return letter.entry is not None or letter.raw is not None
