"""What follows from a destination's answer: the same again, later, apart, or set aside.

Pure: answers and the monotonic clock go in, the next step comes out; nothing here waits, reads or
sends. The worker and the conformance kit share it.

A whole batch that fails is held as it is (`Hold`) until it goes through or its turn comes to be
taken apart. From then on each of its tables has a `Trouble` of its own: the ends of the stretches
still to be tried, the innermost last. A stretch that is refused is halved; one event that is
refused alone is a suspect, and its `Proof` begins:

    refused alone ──▶ another event of its table, further and further ahead
         ▲                 │ none accepted: wait              │ accepted
         └─────────────────┘                                  ▼
                                        the suspect once more: refused ──▶ set aside

An answer that says nothing about events (nobody there, come later) voids what was proven: no
verdict rests on evidence from before a recovery.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from bridge.errors import Disabled, Reject, Retry, SinkError, excerpt
from bridge.loop import backoff

# How many events in a row a sink may refuse by its own knowledge before its table waits.
MOST_CERTAIN = 100
# So often in a row the last refusal is asked for where it is an error, which may be by chance.
MOST_ERRORS = 3
# So far ahead every event is looked at in turn, so that order is kept; then ever further ones.
_NEAR = 8
REST = 9  # times as long as a try took, nothing is tried that waits
EVERYTHING = 1 << 62  # an end behind all that there is


class Said(Enum):
    """What an answer is about."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # the events
    ERROR = "error"  # maybe the events: the destination looked at them and failed
    AWAY = "away"  # not the events
    FAULT = "fault"  # a defect in the sink's code
    DISABLED = "disabled"  # nothing more until a reload


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a try.

    Attributes:
        said: what it is about.
        error: the cause in words, empty where all was accepted.
        answer: what the destination said, its status first; None where it said nothing.
        after: seconds that it asked us to wait.
        certain: the sink knows by itself that the event can never be sent.
    """

    said: Said
    error: str = ""
    answer: str | None = None
    after: float | None = None
    certain: bool = False


ACCEPTED = Answer(Said.ACCEPTED)


def answer_of(error: BaseException | None) -> Answer:
    """Read what a sink raised, or marked events with; None is acceptance."""
    match error:
        case None:
            return ACCEPTED
        case Reject():
            return Answer(Said.REFUSED, str(error), error.answer, certain=error.certain)
        case Disabled():
            return Answer(Said.DISABLED, str(error), error.answer)
        case Retry():
            said = Said.ERROR if error.answered else Said.AWAY
            return Answer(said, str(error), error.answer, error.after)
        case SinkError():
            return Answer(Said.AWAY, str(error))
    return Answer(Said.FAULT, excerpt(f"{type(error).__name__}: {error}"))


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers of the policy.

    Attributes:
        max_attempts: tries after which an error counts as a refusal.
        pause: seconds to wait after so many failed tries.
        longest_rest: most seconds without a try that a lane has for the others' sake.
        proof: whether an event is poison only if another one is accepted; without it the
            refusal of one event alone is enough.
    """

    max_attempts: int = 8
    pause: Callable[[int], float] = backoff
    longest_rest: float = 300.0
    proof: bool = True

    def due(self, answer: Answer, failed: int, now: float) -> float:
        """Return when to try again after an answer, the `failed`-th in a row."""
        if answer.said is Said.DISABLED:
            return math.inf
        return now + max(self.pause(failed), answer.after or 0.0)


@dataclass(frozen=True, slots=True)
class Share:
    """What lanes in trouble have of a sink's time while others flow: about a tenth, together.

    After a try nine times as long passes without one. A lane whose last try was quicker waits for
    nine times that alone: one that is refused at once need not wait for one that hangs.

    Attributes:
        tries: end, length and the rest after it, of those that count; the later, the shorter.
    """

    tries: tuple[tuple[float, float, float], ...] = ()

    def after(self, seconds: float, now: float, rules: Rules) -> Share:
        """Return the share after a try that ended now."""
        longer = (t for t in self.tries if t[1] > seconds and t[0] + t[2] > now)
        return Share((*longer, (now, seconds, min(REST * seconds, rules.longest_rest))))

    def due(self, seconds: float) -> float:
        """Return from when a lane may be tried whose last try took so long."""
        return max((end + min(rest, REST * seconds) for end, _, rest in self.tries), default=0.0)


@dataclass(frozen=True, slots=True)
class Hold:
    """A whole batch that goes out again as it is.

    Attributes:
        due: when, by the monotonic clock; infinite until a reload.
        failed: tries that came to nothing.
        errors: those of them that may have been about the events.
        last: the last answer.
    """

    due: float = 0.0
    failed: int = 0
    errors: int = 0
    last: Answer = ACCEPTED

    def after(self, answer: Answer, tables: int, now: float, rules: Rules) -> Hold | None:
        """Return how it goes on after an answer other than acceptance; None: take it apart.

        A defect of the sink's own may be met by one table alone, so it parts tables, no more.
        """
        errors = self.errors + (answer.said in {Said.ERROR, Said.FAULT})
        if answer.said is Said.REFUSED:
            return None
        if errors >= rules.max_attempts and (
            answer.said is Said.ERROR or (answer.said is Said.FAULT and tables > 1)
        ):
            return None
        failed = self.failed + 1
        return Hold(rules.due(answer, failed, now), failed, errors, answer)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of a suspect.

    Attributes:
        suspect: its offset.
        refused: whether it was refused alone, since the destination was last away.
        accepted: whether another event of its table was accepted after that.
        distance: how far ahead the next other event is looked for; None: the suspect's turn.
        errors: answers to the suspect since then, each of which may have been by chance.
    """

    suspect: int
    refused: bool = True
    accepted: bool = False
    distance: int | None = 1
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Try:
    """Send all that is unsettled before `stop` as one batch."""

    stop: int


@dataclass(frozen=True, slots=True)
class Alone:
    """Send one event."""

    offset: int


@dataclass(frozen=True, slots=True)
class Ahead:
    """Send one event that stands at least `distance` behind `offset`, else the newest."""

    offset: int
    distance: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """The event is poison."""

    offset: int
    reason: str
    attempts: int
    answer: str | None


Step = Try | Alone | Ahead


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a lane waits, and what is tried next.

    Attributes:
        stops: ends (offsets) of the stretches to be tried, the innermost last.
        last: the last answer.
        due: when the next step is due, by the monotonic clock.
        failed: tries in a row that came to nothing, for the backoff.
        errors: of the present stretch, answered with an error.
        apart: whether the stretch is part of what was refused: an error halves it at once.
        tries: tries in which the first event took part.
        proof: of the suspect, if there is one.
    """

    stops: tuple[int, ...]
    last: Answer
    due: float
    failed: int = 0
    errors: int = 0
    apart: bool = False
    tries: int = 1
    proof: Proof | None = field(default=None)

    @property
    def step(self) -> Step:
        """What to do when it is due."""
        proof = self.proof
        if proof is None:
            return Try(self.stops[-1])
        if proof.distance is None:
            return Alone(proof.suspect)
        return Ahead(proof.suspect, proof.distance)

    @property
    def is_proven(self) -> bool:
        """Whether one more refusal of the suspect convicts it."""
        proof = self.proof
        return proof is not None and proof.refused and proof.accepted and proof.distance is None

    def after(
        self, answer: Answer, first: int, events: int, middle: int, now: float, rules: Rules
    ) -> Trouble | SetAside | None:
        """Return what follows from the answer to a `Try` or to `Alone`.

        Args:
            answer: to all of the events.
            first: offset of the first of them.
            events: how many they were.
            middle: offset of the event that begins the second half.
            now: by the monotonic clock.
            rules: the numbers.

        Returns:
            The trouble as it goes on; None where all went through.
        """
        said = answer.said
        if said is Said.ACCEPTED:
            return self.passed(now)
        if said not in {Said.REFUSED, Said.ERROR}:
            proof = self.proof and replace(self.proof, refused=False, accepted=False, distance=None)
            return self._wait(answer, now, rules, errors=self.errors, proof=proof)
        if said is Said.ERROR and not self.apart and self.errors + 1 < rules.max_attempts:
            return self._wait(answer, now, rules, errors=self.errors + 1)
        return self._refused(answer, first, events, middle, now, rules)

    def after_ahead(self, answer: Answer | None, now: float, rules: Rules) -> Trouble:
        """Return what follows from the answer to `Ahead`; None: there is nothing further ahead."""
        proof = self.proof
        distance = None if proof is None else proof.distance
        if proof is None or distance is None:
            raise ValueError("nothing was to be looked for")
        if answer is None:
            proof = replace(proof, distance=None, accepted=False)
            return self._wait(self.last, now, rules, errors=self.errors, proof=proof)
        if answer.said is Said.ACCEPTED:
            proof = replace(proof, accepted=True, distance=None)
            return replace(self, due=now, proof=proof)
        if answer.said in {Said.REFUSED, Said.ERROR}:
            return replace(self, due=now, proof=replace(proof, distance=_further(distance)))
        proof = replace(proof, refused=False, accepted=False, distance=None)
        return self._wait(answer, now, rules, errors=self.errors, proof=proof)

    def witnessed(self, now: float) -> Trouble:
        """Note that the destination has just accepted another event of the table."""
        if self.proof is None or not self.proof.refused or self.proof.accepted:
            return self
        return replace(self, due=now, proof=replace(self.proof, accepted=True, distance=None))

    def passed(self, now: float) -> Trouble | None:
        """Return how it goes on once the present stretch went through; None where all is well."""
        # A suspect that went through after all says that the destination is well again.
        apart = self.apart and self.proof is None
        stops = self.stops
        if self.proof is None or stops[-1] <= self.proof.suspect + 1:
            stops = stops[:-1]
        if not stops:
            return None
        return Trouble(stops, self.last, now, apart=apart)

    def resolved(self, now: float) -> Trouble | None:
        """Return how it goes on once the suspect was set aside; None where all is well."""
        going_on = self.passed(now)
        return going_on and replace(going_on, apart=self.apart)

    def halved(self, answer: Answer, middle: int, now: float) -> Trouble:
        """Return how it goes on with the first half of a stretch that was refused."""
        stops, tries = (*self.stops, middle), self.tries + 1
        return replace(self, stops=stops, last=answer, due=now, apart=True, tries=tries)

    def _refused(
        self, answer: Answer, first: int, events: int, middle: int, now: float, rules: Rules
    ) -> Trouble | SetAside:
        tries = self.tries + 1
        if events > 1:
            return self.halved(answer, middle, now)
        if not rules.proof:
            return SetAside(first, answer.error, tries - 1, answer.answer)
        if answer.certain:
            return self._wait(answer, now, rules, errors=0)
        proof = self.proof
        if proof is not None and proof.refused and proof.accepted:
            errors = proof.errors + 1
            if answer.said is Said.ERROR and errors < min(MOST_ERRORS, rules.max_attempts):
                due, proof = rules.due(answer, errors, now), replace(proof, errors=errors)
                return replace(self, last=answer, due=due, tries=tries, proof=proof)
            reason = f"refused again after another event was accepted: {answer.error}"
            return SetAside(first, reason, tries, answer.answer)
        return replace(self, last=answer, due=now, apart=True, tries=tries, proof=Proof(first))

    def _wait(
        self, answer: Answer, now: float, rules: Rules, *, errors: int, proof: Proof | None = None
    ) -> Trouble:
        failed = self.failed + 1
        return replace(
            self,
            last=answer,
            due=rules.due(answer, failed, now),
            failed=failed,
            errors=errors,
            tries=self.tries + 1,
            proof=proof,
        )


def _further(distance: int) -> int:
    return distance + 1 if distance < _NEAR else distance * 2


def begin(
    stop: int, answer: Answer, failed: int, now: float, rules: Rules, *, apart: bool
) -> Trouble:
    """Return the trouble of a lane whose events before `stop` did not go through.

    Args:
        stop: the end of what was tried.
        answer: to it.
        failed: tries that came to nothing before.
        now: by the monotonic clock.
        rules: the numbers.
        apart: whether the events were refused, so that they are tried anew at once.
    """
    due = now if apart else rules.due(answer, failed + 1, now)
    return Trouble((stop,), answer, due, failed=failed + 1, apart=apart, tries=failed + 1)
