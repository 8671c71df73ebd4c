"""The policy: answers and a clock go in, the next step comes out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.delivery.policy import (
    ACCEPTED,
    Ahead,
    Alone,
    Answer,
    Hold,
    Rules,
    Said,
    SetAside,
    Share,
    Trouble,
    Try,
    answer_of,
    begin,
)
from bridge.errors import Disabled, Reject, Retry, SinkError

RULES = Rules(max_attempts=3, pause=float)
REFUSED = Answer(Said.REFUSED, "HTTP 400", "400")
ERROR = Answer(Said.ERROR, "HTTP 500", "500")
AWAY = Answer(Said.AWAY, "nobody there")
FAULT = Answer(Said.FAULT, "ValueError: a bug")
DISABLED = Answer(Said.DISABLED, "HTTP 410")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, Said.ACCEPTED),
        (Reject("no"), Said.REFUSED),
        (Retry("no", answered=True), Said.ERROR),
        (Retry("no"), Said.AWAY),
        (SinkError("no"), Said.AWAY),
        (Disabled("no"), Said.DISABLED),
        (ValueError("no"), Said.FAULT),
        (SystemExit(), Said.FAULT),
    ],
)
def test_what_a_sink_raises_says_what_it_is_about(error: BaseException, said: Said) -> None:
    """Every exception has a meaning."""
    assert answer_of(error).said is said


def test_a_batch_is_held_as_long_as_its_destination_is_away() -> None:
    """With a growing pause, or the one that was asked for."""
    hold: Hold | None = Hold()
    for failed in range(1, 100):
        assert hold is not None
        hold = hold.after(AWAY, 1, 10.0, RULES)
        assert hold is not None
        assert hold.due == 10.0 + failed
    asked = Hold().after(Answer(Said.AWAY, "later", after=60.0), 1, 10.0, RULES)
    assert asked is not None
    assert asked.due == 70.0


def test_an_error_is_a_refusal_once_the_attempts_are_used_up() -> None:
    """Those without an answer do not count."""
    hold = Hold()
    for answer in (ERROR, AWAY, ERROR, AWAY, AWAY):
        after = hold.after(answer, 1, 0.0, RULES)
        assert after is not None
        hold = after
    assert hold.after(ERROR, 1, 0.0, RULES) is None
    assert Hold().after(REFUSED, 1, 0.0, RULES) is None


def test_a_defect_parts_the_tables_of_a_batch_and_refuses_nothing() -> None:
    """Of one table alone it is held for as long as it takes."""
    one = two = Hold()
    for _ in range(2):
        one, two = one.after(FAULT, 1, 0.0, RULES) or one, two.after(FAULT, 2, 0.0, RULES) or two
    assert one.after(FAULT, 1, 0.0, RULES) is not None
    assert two.after(FAULT, 2, 0.0, RULES) is None


def test_what_is_disabled_is_due_never() -> None:
    """Until a reload begins anew."""
    hold = Hold().after(DISABLED, 1, 5.0, RULES)
    assert hold is not None
    assert hold.due == math.inf


def refused(stop: int = 10) -> Trouble:
    return begin(stop, REFUSED, 0, 0.0, RULES, apart=True)


def after(trouble: Trouble, answer: Answer, events: int = 1, now: float = 0.0) -> Trouble:
    found = trouble.after(answer, 3, events, 5, now, RULES)
    assert isinstance(found, Trouble)
    return found


def test_what_is_refused_is_halved_at_once() -> None:
    """First half, second half, and then all is well."""
    trouble = after(refused(), REFUSED, events=4)
    assert (trouble.step, trouble.due) == (Try(5), 0.0)
    trouble = after(trouble, ACCEPTED)
    assert trouble.step == Try(10)
    assert trouble.after(ACCEPTED, 5, 2, 6, 0.0, RULES) is None


def test_an_event_is_poison_if_refused_alone_another_accepted_and_refused_again() -> None:
    """The three in this order, and nothing less."""
    trouble = after(refused(), REFUSED)
    assert trouble.step == Ahead(3, 1)
    trouble = trouble.after_ahead(REFUSED, 0.0, RULES)
    assert trouble.step == Ahead(3, 2)
    trouble = trouble.after_ahead(ACCEPTED, 0.0, RULES)
    assert trouble.step == Alone(3)
    verdict = trouble.after(REFUSED, 3, 1, 3, 0.0, RULES)
    assert isinstance(verdict, SetAside)
    assert (verdict.offset, verdict.answer) == (3, "400")
    assert verdict.attempts >= 2


def test_a_suspect_that_is_accepted_after_all_is_none() -> None:
    """And what was refused with it gets all its attempts anew."""
    trouble = after(refused(), REFUSED).after_ahead(ACCEPTED, 0.0, RULES)
    trouble = after(trouble, ACCEPTED)
    assert (trouble.step, trouble.apart) == (Try(10), False)


def test_where_nothing_else_is_accepted_the_table_waits_longer_and_longer() -> None:
    """The suspect is tried first again, however often that is."""
    trouble, due = refused(4), 0.0
    for _ in range(20):
        trouble = after(trouble, REFUSED, now=due)
        trouble = trouble.after_ahead(REFUSED, due, RULES).after_ahead(None, due, RULES)
        assert trouble.step == Alone(3)
        assert trouble.due == due + trouble.failed
        due = trouble.due


@pytest.mark.parametrize("answer", [AWAY, FAULT, DISABLED])
def test_an_answer_that_is_not_about_events_voids_what_was_proven(answer: Answer) -> None:
    """At any point: refused alone and accepted another have to come again."""
    ahead = after(refused(), REFUSED)
    proven = ahead.after_ahead(ACCEPTED, 0.0, RULES)
    for trouble in (ahead.after_ahead(answer, 0.0, RULES), after(proven, answer)):
        assert trouble.step == Alone(3)
        again = after(trouble, REFUSED)
        assert again.step == Ahead(3, 1)


def test_looking_ahead_goes_one_by_one_and_then_in_leaps() -> None:
    """So that a few poison events in a row cost no order, and a million no million tries."""
    trouble, seen = after(refused(), REFUSED), []
    while isinstance(trouble.step, Ahead) and trouble.step.distance < 10**9:
        seen.append(trouble.step.distance)
        trouble = trouble.after_ahead(ERROR, 0.0, RULES)
    assert seen[:10] == [1, 2, 3, 4, 5, 6, 7, 8, 16, 32]
    assert len(seen) < 40


def proven(answer: Answer) -> Trouble:
    return after(refused(), answer).after_ahead(ACCEPTED, 0.0, RULES)


def test_the_last_refusal_is_asked_for_again_where_it_is_an_error() -> None:
    """One answer in three of a destination with a broken part would else convict the good."""
    trouble, due = proven(ERROR), 0.0
    for _ in range(2):
        trouble = after(trouble, ERROR, now=due)
        assert (trouble.step, trouble.is_proven) == (Alone(3), True)
        assert trouble.due > due
        due = trouble.due
    verdict = trouble.after(ERROR, 3, 1, 3, due, RULES)
    assert isinstance(verdict, SetAside)
    assert verdict.attempts > 4

    once = after(proven(ERROR), ERROR)
    assert once.after(ACCEPTED, 3, 1, 3, due, RULES) == Trouble((10,), once.last, due)


def test_an_error_convicts_at_once_where_one_attempt_is_all() -> None:
    """As `retry.max_attempts` says."""
    verdict = proven(ERROR).after(ERROR, 3, 1, 3, 0.0, Rules(max_attempts=1, pause=float))
    assert isinstance(verdict, SetAside)


def test_after_a_try_nine_times_as_long_passes_without_one() -> None:
    """Or as long as a lane rests at most."""
    share = Share()
    assert share.due(10.0) == 0.0
    assert share.after(2.0, 100.0, RULES).due(2.0) == 118.0
    assert share.after(2.0, 100.0, RULES).due(60.0) == 118.0
    assert share.after(60.0, 100.0, RULES).due(60.0) == 100.0 + RULES.longest_rest


def test_a_lane_that_is_refused_at_once_does_not_wait_for_one_that_hangs() -> None:
    """And its tries do not shorten the rest after the other's."""
    share = Share().after(10.0, 100.0, RULES)
    assert share.due(0.01) == pytest.approx(100.09)
    share = share.after(0.01, 105.0, RULES)
    assert share.due(0.01) == pytest.approx(105.09)
    assert share.due(10.0) == 190.0
    assert share.after(10.0, 200.0, RULES).due(10.0) == 290.0
    assert len(share.after(10.0, 200.0, RULES).tries) == 1


@given(st.lists(st.sampled_from([0.001, 0.1, 1.0, 10.0]), min_size=1, max_size=30))
def test_lanes_in_trouble_take_a_tenth_of_the_time_together(lengths: list[float]) -> None:
    """However many there are; a tenth for each order of magnitude, at most."""
    share, now, spent = Share(), 0.0, 0.0
    for _ in range(200):
        dues = [share.due(each) for each in lengths]
        place = min(range(len(lengths)), key=lambda p: (dues[p], lengths[p]))
        now = max(now, dues[place]) + lengths[place]
        spent += lengths[place]
        share = share.after(lengths[place], now, RULES)
    assert spent <= 0.1 * len(set(lengths)) * now + max(lengths)


class Destination:
    """Refuses some offsets for ever, and everything from one call up to another."""

    def __init__(self, poison: set[int], begin_: int, end: int, answer: Answer) -> None:
        self.poison = poison
        self.out = range(begin_, end)
        self.outage = answer
        self.calls = 0

    def answer(self, offsets: list[int]) -> Answer:
        self.calls += 1
        if self.calls in self.out:
            return self.outage
        return REFUSED if self.poison & set(offsets) else ACCEPTED


@given(
    events=st.integers(1, 40),
    poison=st.sets(st.integers(0, 39)),
    begin_=st.integers(1, 60),
    length=st.integers(0, 60),
    outage=st.sampled_from([ERROR, AWAY, FAULT, REFUSED]),
)
def test_nothing_good_is_set_aside_and_nothing_good_is_left(
    events: int, poison: set[int], begin_: int, length: int, outage: Answer
) -> None:
    """For any poison events and any one outage: the good are delivered, each exactly once.

    But that more poison than is looked at one by one may hide the good behind it.
    """
    poison &= set(range(events))
    destination = Destination(poison, begin_, begin_ + length, outage)
    left, delivered, aside = list(range(events)), [], []
    trouble: Trouble | None = begin(events, REFUSED, 0, 0.0, RULES, apart=True)
    now, tried, rounds = 0.0, -1, 0
    while trouble is not None and left and rounds < 100:
        assert destination.calls < 20_000
        now = max(now, trouble.due)
        step = trouble.step
        if isinstance(step, Ahead):
            tried = tried if step.distance > 1 else -1
            others = [o for o in left if o > max(tried, step.offset)]
            others = [o for o in others if o >= step.offset + step.distance] or others[-1:]
            if not others:
                rounds += 1  # nobody is there to testify
                trouble = trouble.after_ahead(None, now, RULES)
                continue
            tried = others[0]
            answer = destination.answer([tried])
            if answer is ACCEPTED:
                left.remove(tried)
                delivered.append(tried)
            trouble = trouble.after_ahead(answer, now, RULES)
            continue
        part = [o for o in left if o < step.stop] if isinstance(step, Try) else [step.offset]
        if not part:
            trouble = trouble.passed(now)
            continue
        answer = destination.answer(part)
        found = trouble.after(answer, part[0], len(part), part[len(part) // 2], now, RULES)
        if isinstance(found, SetAside):
            aside.append(found.offset)
            left.remove(found.offset)
            trouble = trouble.resolved(now)
            continue
        if answer is ACCEPTED:
            delivered += part
            left = [o for o in left if o not in part]
        trouble = found
    assert set(aside) <= poison
    assert set(left[:1] if len(poison) > 8 else left) <= poison
    assert sorted(delivered + aside + left) == list(range(events))
