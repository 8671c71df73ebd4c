"""The least engine that keeps its side of a sink's contract: what a test delivers with.

Retries, halving and the proof that an event is poison are the engine's own policy; there are no
cursors, and hardly a backoff. A test has no events yet to come: a suspect that no other event of
its table can clear or convict counts as rejected.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bridge.delivery.calls import Outcome, attempt
from bridge.delivery.policy import (
    ACCEPTED,
    Ahead,
    Alone,
    Answer,
    Hold,
    Rules,
    Said,
    SetAside,
    Trouble,
    answer_of,
    begin,
)
from bridge.errors import Reject, Retry, SinkError
from bridge.events import Event
from bridge.sinks.base import NotConnected, Sink
from bridge.testing.events import slices_of

PAUSE = 0.05  # seconds between two tries
_RULES = Rules(max_attempts=3, pause=lambda _: PAUSE)
# What an `open` raises because nobody is there. Anything else says that it is wrong.
_AWAY = (SinkError, OSError)


@dataclass(slots=True)
class Delivery:
    """What became of the events: each is in exactly one of the first two.

    Attributes:
        delivered: what the sink confirmed, in the order of its confirmation.
        rejected: what it will never take, with the reason.
        retries: the errors after which something was sent again.
    """

    delivered: list[Event] = field(default_factory=list)
    rejected: list[tuple[Event, Reject]] = field(default_factory=list)
    retries: list[Exception] = field(default_factory=list)


def drive(sink: Sink, events: Sequence[Event], *, timeout: float = 60.0) -> Delivery:
    """Deliver events through an opened sink until each is confirmed or rejected.

    Raises:
        TimeoutError: some were still retried after `timeout` seconds; its cause is the last error.
        Disabled: the sink says that the destination is gone for good.
        Exception: whatever the sink raises that is no `SinkError`, at once: a defect of its own.
    """
    drive_ = _Drive(sink, timeout)
    for left, trouble in drive_.together(list(events)):
        drive_.apart(left, trouble)
    return drive_.result


class _Drive:
    """One call of `drive`."""

    def __init__(self, sink: Sink, timeout: float) -> None:
        self._sink = sink
        self._end = time.monotonic() + timeout
        self.result = Delivery()

    def together(self, events: list[Event]) -> list[tuple[list[Event], Trouble]]:
        """Send all as one batch until it goes through; what is left of each table, and why."""
        tables = list(dict.fromkeys(event.table for event in events))
        hold: Hold | None = Hold()
        outcome = Outcome()
        while events and hold is not None:
            outcome = self._try(events)
            if outcome.error is None:
                break
            hold = hold.after(outcome.answer, len(tables), time.monotonic(), _RULES)
            if hold is not None:
                self._wait(hold.due, outcome.error)
        if outcome.error is None:
            marked = outcome.events
            self._take(
                e for e in events if e.table not in outcome.tables and e.offset not in marked
            )
        left = []
        for table in tables:
            mine = [event for event in events if event.table == table]
            mark = outcome.error or outcome.tables.get(table)
            trouble = self._marked(mine, outcome) if mark is None else None
            if mark is not None:
                apart = hold is None or isinstance(mark, Reject)
                answer, stop = answer_of(mark), mine[-1].offset + 1
                now, middle = time.monotonic(), mine[len(mine) // 2].offset
                trouble = begin(stop, answer, 0, now, _RULES, apart=apart)
                if apart and len(mine) == len(events) > 1:
                    trouble = trouble.halved(answer, middle, now)
            if trouble is not None:
                left.append((mine, trouble))
        return left

    def apart(self, left: list[Event], trouble: Trouble | None) -> None:
        """Send what is left of one table, as the policy says."""
        tried: set[int] = set()
        while left:
            if trouble is None:
                trouble = Trouble((left[-1].offset + 1,), ACCEPTED, time.monotonic())
            self._wait(trouble.due, Retry(trouble.last.error))
            match trouble.step:
                case Ahead(suspect):
                    trouble = self._ahead(left, trouble, suspect, tried)
                    continue
                case Alone(offset):
                    part = [event for event in left if event.offset == offset]
                case step:
                    part = [event for event in left if event.offset < step.stop]
                    tried.clear()
            trouble = self._step(left, part, trouble) if part else trouble.passed(0.0)

    def _step(self, left: list[Event], part: list[Event], trouble: Trouble) -> Trouble | None:
        outcome, first = self._try(part), part[0]
        mark = outcome.error or outcome.tables.get(first.table)
        if len(part) == 1:
            mark = mark or outcome.events.get(first.offset)
        now = time.monotonic()
        if mark is None:
            rest = list(part)
            self._take(event for event in part if event.offset not in outcome.events)
            after = self._marked(rest, outcome)
            gone = {event.offset for event in part} - {event.offset for event in rest}
            left[:] = [event for event in left if event.offset not in gone]
            return after or trouble.passed(now)
        answer, middle = answer_of(mark), part[len(part) // 2].offset
        following = trouble.after(answer, first.offset, len(part), middle, now, _RULES)
        if isinstance(following, SetAside) or (answer.certain and len(part) == 1):
            self._reject(left, first, answer)
            return trouble.resolved(now)
        return following

    def _ahead(
        self, left: list[Event], trouble: Trouble, suspect: int, tried: set[int]
    ) -> Trouble | None:
        others = [e for e in left if e.offset > suspect and e.offset not in tried]
        if not others:
            (first,) = [event for event in left if event.offset == suspect]
            self._reject(left, first, trouble.last)
            return trouble.resolved(time.monotonic())
        other = others[0]
        tried.add(other.offset)
        outcome = self._try([other])
        mark = outcome.error or outcome.tables.get(other.table) or outcome.events.get(other.offset)
        if mark is None:
            left.remove(other)
            self._take([other])
        return trouble.after_ahead(answer_of(mark), time.monotonic(), _RULES)

    def _take(self, events: Iterable[Event]) -> None:
        self.result.delivered += events

    def _marked(self, events: list[Event], outcome: Outcome) -> Trouble | None:
        """Leave of some events those that are marked and may still be delivered; why, if any."""
        events[:] = [event for event in events if event.offset in outcome.events]
        for event in list(events):
            answer = answer_of(outcome.events[event.offset])
            if answer.certain:
                self._reject(events, event, answer)
        if not events:
            return None
        first, stop = events[0].offset, events[-1].offset + 1
        answer = answer_of(outcome.events[first])
        apart = answer.said is Said.REFUSED
        trouble = begin(stop, answer, 0, time.monotonic(), _RULES, apart=apart)
        # The engine, too, tries what was marked as refused by itself.
        return replace(trouble, stops=(stop, first + 1)) if apart and len(events) > 1 else trouble

    def _reject(self, left: list[Event], event: Event, answer: Answer) -> None:
        left.remove(event)
        error = Reject(answer.error, certain=answer.certain, answer=answer.answer)
        self.result.rejected.append((event, error))

    def _try(self, events: Sequence[Event]) -> Outcome:
        outcome = attempt(self._sink, slices_of(events))
        if outcome.error is not None and not isinstance(outcome.error, SinkError):
            raise outcome.error
        marks = [outcome.error, *outcome.tables.values(), *outcome.events.values()]
        for mark in marks:
            if mark is not None and not isinstance(mark, SinkError):
                raise TypeError(f"events are marked with a SinkError, not {mark!r}") from mark
        self.result.retries += [mark for mark in marks if isinstance(mark, Retry)]
        if isinstance(outcome.error, NotConnected):
            self._reopen(outcome.error)
        return outcome

    def _wait(self, due: float, cause: BaseException) -> None:
        if due == math.inf:
            raise cause
        now = time.monotonic()
        if now > self._end:
            raise TimeoutError(f"still failing: {cause}") from cause
        time.sleep(max(0.0, min(due - now, PAUSE)))

    def _reopen(self, cause: Exception) -> None:
        self._sink.close()
        while True:
            try:
                self._sink.open()
            except _AWAY as error:
                cause = error
            else:
                return
            self._wait(time.monotonic() + PAUSE, cause)
