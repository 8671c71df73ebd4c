"""What became of each event of a part: moves of lanes, dead letters, and what goes on waiting.

In order, a lane's cursor stops at its first event that failed; what the destination took behind
it is remembered. Where order is per key the cursor passes what failed, which then waits alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bridge.delivery.calls import Outcome
from bridge.delivery.lane import (
    MOST_WAITING,
    Lane,
    Part,
    Waits,
    dead_letter,
    offsets_of,
    settled_runs,
)
from bridge.delivery.policy import (
    EVERYTHING,
    MOST_CERTAIN,
    Answer,
    Rules,
    Said,
    SetAside,
    Trouble,
    answer_of,
    begin,
)
from bridge.errors import Reject, Retry
from bridge.journal import DeadLetter, Move, Settled

Failures = Mapping[int, Retry | Reject]

# Why an event is a dead letter that somebody skipped.
BY_HAND = "set aside by hand"


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Judges the parts of one sink.

    Args:
        sink: its id.
        rules: the numbers of the policy.
        by_key: whether its order is per key.
    """

    sink: str
    rules: Rules
    by_key: bool

    def conclude(self, part: Part, outcome: Outcome, now: float) -> Move | None:
        """Judge a part that was tried, in step or as the stretch of a lane in trouble.

        The lane's `trouble` says afterwards whether it waits.

        Returns:
            What is to be written down, None for nothing.
        """
        lane = part.lane
        mark = outcome.tables.get(lane.table)
        if mark is None and part.events == 1 and not self.by_key:
            mark = outcome.events.get(part.first)
        if mark is not None and part.slices:
            return self.failed(part, answer_of(mark), now)
        if outcome.events and part.slices:
            return self._marked(part, outcome.events, now)
        return self.passed(part, now)

    def passed(self, part: Part, now: float) -> Move:
        """Settle all of a part: the destination took it, or there was nothing to take."""
        lane = part.lane
        if part.slices:
            lane.certain = 0
            lane.witness(now)
        if lane.trouble is not None:
            lane.trouble = lane.trouble.passed(now)
        return self._move(part, part.to, settled_runs(part.runs()), [], {})

    def failed(
        self, part: Part, answer: Answer, now: float, *, failed: int = 0, refused: bool = False
    ) -> Move | None:
        """Judge a part of which the destination took nothing.

        Args:
            part: of one lane.
            answer: to all of it.
            now: by the monotonic clock.
            failed: tries of it that came to nothing before, where it was in step.
            refused: whether the answer counts as a refusal, whatever it was.
        """
        lane = part.lane
        trouble = lane.trouble
        if trouble is None:
            apart = refused or answer.said is Said.REFUSED
            trouble = begin(part.stop, answer, failed, now, self.rules, apart=apart)
            if not apart:
                lane.trouble = trouble
                return None
        after = self._after(part, answer, trouble, now)
        if isinstance(after, SetAside):
            lane.trouble = trouble.resolved(now)
            letter = self._letter(part, after.offset, after.reason, after.attempts, after.answer)
            return self._move(part, after.offset + 1, [], [letter], {})
        lane.trouble = after
        if self.by_key and after is not None and after.proof is not None:
            return self._park(part, after)
        return None

    def waited(self, part: Part, outcome: Outcome, now: float) -> Move | None:
        """Judge events that waited by themselves, beside their lane, and were tried."""
        lane, trouble = part.lane, part.lane.parked
        if trouble is None:
            raise ValueError("nothing waits by itself")
        mark: BaseException | None = outcome.error or outcome.tables.get(lane.table)
        if mark is None and part.events == 1:
            mark = outcome.events.get(part.first)
        if mark is not None:
            after = self._after(part, answer_of(mark), trouble, now)
            if isinstance(after, SetAside):
                lane.parked = trouble.resolved(now)
                letter = self._letter(
                    part, after.offset, after.reason, after.attempts, after.answer
                )
                return self._release(lane, [], [letter], now)
            lane.parked = after
            return None
        failed = offsets_of(outcome.events, part)
        runs = part.runs(failed)
        letters, rest = self._certain(part, failed, outcome.events, runs)
        if rest:
            before = None if runs or letters else trouble
            mark = outcome.events[rest[0]]
            lane.parked = self._trouble(before, mark, rest[0], (EVERYTHING,), now)
        else:
            lane.parked = trouble.passed(now)
        return self._release(lane, settled_runs(runs), letters, now)

    def ahead(self, part: Part, now: float) -> Move | None:
        """Note an event as delivered that stands behind others."""
        lane = part.lane
        lane.certain = 0
        if part.first in lane.waiting:
            return self._release(lane, settled_runs(part.runs()), [], now)
        lane.remember(part.runs())
        return None

    def skip(self, part: Part, tries: int, answer: str | None, now: float) -> Move:
        """Set the one event of a part aside because somebody said so."""
        lane, offset = part.lane, part.first
        lane.certain = 0
        letter = self._letter(part, offset, BY_HAND, tries, answer)
        if offset in lane.waiting:
            return self._release(lane, [], [letter], now)
        return self._move(part, offset + 1, [], [letter], {})

    def _marked(self, part: Part, marks: Failures, now: float) -> Move:
        """Settle what was delivered of a part, and say what becomes of the marked events.

        Those that fail become the lane's trouble, or wait by themselves where order is per key.
        """
        lane = part.lane
        failed = offsets_of(marks, part)
        runs = part.runs(failed)
        letters, rest = self._certain(part, failed, marks, runs, in_order=not self.by_key)
        waits: dict[int, Waits] = {}
        if self.by_key:
            room = max(0, MOST_WAITING - len(lane.waiting) - len(part.parked))
            waits = {offset: _waits(part, offset) for offset in rest[:room]}
            rest = rest[room:]
        if lane.parked is not None and runs:
            lane.witness(now)
        to = rest[0] if rest else part.to
        if runs and runs[-1][1] > to:
            lane.remember((max(start, to), stop) for start, stop in runs if stop > to)
            runs = [(start, min(stop, to)) for start, stop in runs if start < to]
        letters = [letter for letter in letters if letter.offset < to]
        move = self._move(part, to, settled_runs(runs), letters, waits)
        if waits and lane.parked is None:
            first = next(iter(waits))
            lane.parked = self._trouble(None, marks[first], first, (EVERYTHING,), now)
        before, lane.trouble = lane.trouble, lane.trouble and lane.trouble.passed(now)
        if rest:
            outer = before.stops[:-1] if before is not None else ()
            stops = (*(s for s in outer if s > rest[-1] + 1), rest[-1] + 1)
            progress = runs or letters or waits
            lane.trouble = self._trouble(
                None if progress else before, marks[rest[0]], rest[0], stops, now
            )
        return move

    def _after(
        self, part: Part, answer: Answer, trouble: Trouble, now: float
    ) -> Trouble | SetAside | None:
        if answer.certain and part.events == 1 and self._may_set_aside(part.lane):
            return SetAside(part.first, answer.error, trouble.tries, answer.answer)
        return trouble.after(answer, part.first, part.events, part.middle, now, self.rules)

    def _park(self, part: Part, trouble: Trouble) -> Move:
        """Let a suspect wait by itself, so that its lane's other keys go on."""
        lane, offset = part.lane, part.first
        if lane.parked is None:
            lane.parked = replace(trouble, stops=(EVERYTHING,))
        lane.trouble = None
        return self._move(part, offset + 1, [], [], {offset: _waits(part, offset)})

    def _certain(
        self,
        part: Part,
        failed: Sequence[int],
        marks: Failures,
        runs: Sequence[tuple[int, int]],
        *,
        in_order: bool = False,
    ) -> tuple[list[DeadLetter], list[int]]:
        """Set aside what the sink knows that it can never send; return the letters and the rest.

        With `in_order` all behind the first event that only failed is the rest.
        """
        lane = part.lane
        letters: list[DeadLetter] = []
        rest: list[int] = []
        previous = -1
        for offset in failed:
            mark = marks[offset]
            if any(previous < start < offset for start, _ in runs):
                lane.certain = 0  # one between them was accepted
            previous = offset
            certain = isinstance(mark, Reject) and mark.certain and not (in_order and rest)
            if certain and self._may_set_aside(lane):
                letters.append(self._letter(part, offset, str(mark), 1, mark.answer))
            else:
                rest.append(offset)
        if runs and (not failed or runs[-1][0] > failed[-1]):
            lane.certain = 0
        return letters, rest

    def _may_set_aside(self, lane: Lane) -> bool:
        """Whether one more event may go without a proof."""
        if lane.certain >= MOST_CERTAIN:
            return False
        lane.certain += 1
        return True

    def _trouble(
        self,
        before: Trouble | None,
        mark: Retry | Reject,
        first: int,
        stops: tuple[int, ...],
        now: float,
    ) -> Trouble:
        answer = answer_of(mark)
        errors = (before.errors if before else 0) + (answer.said is Said.ERROR)
        refused = answer.said is Said.REFUSED or errors >= self.rules.max_attempts
        apart = refused and not answer.certain
        failed = before.failed if before else 0
        trouble = begin(stops[-1], answer, failed, now, self.rules, apart=apart)
        if apart and stops[-1] > first + 1:
            stops = (*stops, first + 1)
        return replace(trouble, stops=stops, errors=errors)

    def _letter(
        self, part: Part, offset: int, reason: str, tries: int, answer: str | None
    ) -> DeadLetter:
        return dead_letter(self.sink, part.find(offset), reason, tries, answer)

    def _release(
        self, lane: Lane, settled: list[Settled], letters: Sequence[DeadLetter], now: float
    ) -> Move:
        """Settle events that waited."""
        settled = settled + [_aside(letter) for letter in letters]
        for run in settled:
            for offset in range(run.offset, run.offset + run.count):
                lane.waiting.pop(offset, None)
        lane.more_waits(now)
        return Move(lane.table, lane.cursor, _in_order(settled), (), tuple(letters))

    def _move(
        self,
        part: Part,
        to: int,
        settled: list[Settled],
        letters: Sequence[DeadLetter],
        waits: Mapping[int, Waits],
    ) -> Move:
        """Move the lane's cursor over what is settled and what begins to wait."""
        lane = part.lane
        settled = settled + [_aside(letter) for letter in letters if letter.offset < to]
        letters = list(letters)
        asides = [aside for aside in part.asides if aside.offset < to]
        for aside in asides:
            settled += aside.settled
            letters += aside.letters
        settled += lane.pass_done(to)
        waiting = dict(waits)
        waiting |= {o: each for o, each in part.parked.items() if o < to}
        for offset in sorted(waiting):
            lane.waiting[offset] = waiting[offset]
        lane.move_to(to)
        return Move(lane.table, to, _in_order(settled), tuple(sorted(waiting)), tuple(letters))


def _waits(part: Part, offset: int) -> Waits:
    piece = part.find(offset)
    key = piece.lines.key(piece.start)
    return Waits(None if key is None else hash(key), piece.lines.time(piece.start))


def _aside(letter: DeadLetter) -> Settled:
    return Settled(letter.offset, 1, "dead_lettered")


def _in_order(settled: list[Settled]) -> tuple[Settled, ...]:
    if len(settled) > 1:
        settled.sort(key=lambda run: run.offset)
    return tuple(settled)
