"""A table's gaps: one span at a time, proven closed or open, and memory says what was stored."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from bridge.codec import compile_schema
from bridge.events import Column, Entry, Gap, Schema
from bridge.monitor.counts import Counts
from bridge.monitor.gaps import MOST_GAPS, Gaps
from bridge.monitor.levels import Levels
from bridge.monitor.mark import Mark
from bridge.monitor.moment import Moment
from bridge.monitor.spans import GAPS, SPANS, Fate, Span, Turn, unclosed_from_json
from bridge.monitor.starts import Start
from bridge.monitor.writes import WriteMark, Writes

TABLE, CLUSTER = "s.t", "http://a"
HOLD = 5.0
EPOCH = 1_000_000.0
SCHEMA = Schema("7", (Column("n", "int", "int"),))
N = ("n", "int", "int")
CODEC = compile_schema(SCHEMA)


def at(order: float) -> Moment:
    return Moment(order, EPOCH + order)


def us(order: float) -> int:
    return round((EPOCH + order) * 1e6)


@dataclass
class Stored:
    """What was posted: events in order, and each mark as it was last."""

    events: list[Gap] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)

    def post(self, entry: Entry | Mark) -> None:
        if isinstance(entry, Mark):
            self.marks[entry.name] = entry.text
        else:
            assert isinstance(entry, Gap)
            self.events.append(entry)

    @property
    def unclosed(self) -> list[str]:
        text = self.marks.get(f"gaps/{TABLE}", "[]")
        return [gap.posted.gap for gap in unclosed_from_json(text, TABLE)]


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def levels() -> Levels:
    made = Levels("n")
    made.adopt(SCHEMA)
    made.first(CODEC, b"\x02", 1, at(0))
    return made


@pytest.fixture
def writes() -> Writes:
    return Writes()


@pytest.fixture
def gaps(stored: Stored, counts: Counts, levels: Levels, writes: Writes) -> Gaps:
    return Gaps(TABLE, stored.post, counts, levels, writes, hold=HOLD)


def written(order: float, count: int, time: str = "noon", cluster: str = "c") -> WriteMark:
    return WriteMark(at(order), cluster, "oid", count, time)


def one_gap(gaps: Gaps, since: float, until: float) -> str:
    name = gaps.begin("disconnected", at(since), "the socket said so")
    gaps.end(at(until), CLUSTER)
    assert gaps.settle(at(until), CLUSTER, None, force=True)
    return name


# The span.


def test_a_span_is_posted_once_a_probe_interval_has_passed_without_another(
    gaps: Gaps, stored: Stored, counts: Counts
) -> None:
    """It counts as open from when it was noticed."""
    name = gaps.begin("disconnected", at(100), "the socket said so")
    assert counts.gaps_open == 1
    (shown,) = gaps.open
    assert (shown.gap, shown.since, shown.until) == (name, us(100), None)
    assert shown.why_open == "it goes on"
    assert [text for _, text in shown.evidence] == ["the socket said so"]

    gaps.end(at(110), CLUSTER)
    assert gaps.open[0].why_open == "it was over a moment ago"
    assert gaps.settle(at(114), CLUSTER, None) is None
    gap = gaps.settle(at(115), CLUSTER, None)

    assert stored.events == [gap]
    assert gap is not None
    assert (gap.gap, gap.since, gap.until) == (name, us(100), us(110))
    assert (gap.reason, gap.closed, gap.rows, gap.by) == ("disconnected", False, None, None)
    assert stored.unclosed == [name]
    assert (counts.gaps_open, counts.gaps["disconnected"]) == (1, 1)
    assert not gaps.going_on


def test_what_begins_within_a_probe_interval_continues_the_span(gaps: Gaps, stored: Stored) -> None:
    """Under the first reason, from the first moment: one gap, not one a probe."""
    names = set()
    for second in range(100, 200, 4):
        names.add(gaps.begin("disconnected" if second == 100 else "overrun", at(second), "again"))
        gaps.end(at(second + 1), CLUSTER)
        assert gaps.settle(at(second + 2), CLUSTER, None) is None
    gaps.settle(at(300), CLUSTER, None)

    (gap,) = stored.events
    assert names == {gap.gap}
    assert (gap.reason, gap.since, gap.until) == ("disconnected", us(100), us(197))


def test_what_begins_later_is_another_gap(gaps: Gaps, stored: Stored) -> None:
    """The one before is posted first, though no probe came between."""
    first = gaps.begin("disconnected", at(100), "a")
    gaps.end(at(101), CLUSTER)
    second = gaps.begin("altered", at(107), "b")

    assert first != second
    assert [gap.gap for gap in stored.events] == [first]
    assert [gap.gap for gap in gaps.open] == [first, second]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("disconnected", "failover", "failover"),
        ("overrun", "journal_full", "journal_full"),
        ("disconnected", "journal_full", "disconnected"),
        ("failover", "disconnected", "failover"),
        ("journal_full", "overrun", "journal_full"),
    ],
)
def test_two_reasons_take_the_place_of_what_they_began_as(
    gaps: Gaps, first: Any, second: Any, reason: str
) -> None:
    """All others leave the first."""
    gaps.begin(first, at(100), "a")
    gaps.begin(second, at(102), "b")

    assert gaps.open[0].reason == reason


def test_an_earlier_beginning_moves_the_span_and_where_it_is_read_from(
    gaps: Gaps, levels: Levels
) -> None:
    """What may be missed since then is no less missed for being noticed second."""
    for second in range(100, 400, 10):
        levels.note(CODEC, bytes([2 * (second // 10)]), 1, at(second))
    gaps.begin("disconnected", at(390), "a")
    later = gaps.open[0].start
    gaps.begin("failover", at(250), "b")

    (shown,) = gaps.open
    assert shown.since == us(250)
    assert later is not None
    assert shown.start is not None
    assert shown.start.value < later.value


def test_where_to_begin_reading_is_fixed_when_the_span_opens(gaps: Gaps, levels: Levels) -> None:
    """However long it lasts, and whatever comes meanwhile."""
    levels.note(CODEC, b"\x06", 1, at(100))
    gaps.begin("disconnected", at(100), "a")
    start = gaps.open[0].start
    for second in range(200, 4000, 50):
        levels.note(CODEC, b"\x0a", 1, at(second))
        levels.settle(at(second))
    gaps.end(at(4000), CLUSTER)
    gaps.settle(at(4010), CLUSTER, None)

    assert gaps.unclosed[0].start == start
    assert start is not None
    assert start.value == 1


def test_a_probe_of_before_the_trouble_ends_nothing(gaps: Gaps) -> None:
    """What was asked then proves nothing of what came after."""
    gaps.begin("disconnected", at(100), "a")
    gaps.begin("disconnected", at(120), "b")
    gaps.end(at(119), CLUSTER)
    assert gaps.settle(at(1000), CLUSTER, None) is None
    gaps.end(at(120), CLUSTER)
    assert gaps.settle(at(1000), CLUSTER, None) is not None


def test_what_is_withdrawn_leaves_no_trace(gaps: Gaps, stored: Stored, counts: Counts) -> None:
    """Open or ending."""
    for ending in (False, True):
        gaps.begin("start", at(100), "a")
        if ending:
            gaps.end(at(101), CLUSTER)
        gaps.withdraw("the table was not there")
        assert not gaps.going_on
    gaps.withdraw("there is nothing")

    assert (stored.events, stored.marks, counts.gaps_open) == ([], {}, 0)


# Quiet.


def test_a_span_in_which_nothing_was_written_is_closed_at_once(
    gaps: Gaps, writes: Writes, stored: Stored, counts: Counts
) -> None:
    """By the word of one cluster, from a minute before it until after it."""
    writes.note(written(10, 5), 0)
    gaps.begin("disconnected", at(100), "a")
    gaps.end(at(110), CLUSTER)
    gaps.settle(at(115), CLUSTER, written(115, 5))

    opened, closed = stored.events
    assert (opened.closed, closed.closed, closed.rows, closed.by) == (False, True, 0, "quiet")
    assert opened.gap == closed.gap
    assert counts.gaps_open == 0
    assert gaps.open == ()


@pytest.mark.parametrize(
    "after",
    [
        None,
        written(115, 6),
        written(115, 5, time="later"),
        written(115, 5, cluster="d"),
        WriteMark(at(115), "c", "another", 5, "noon"),
        written(109, 5),
    ],
    ids=["unsaid", "counted", "time", "cluster", "identity", "asked before the end"],
)
def test_what_is_not_proven_quiet_is_read(
    gaps: Gaps, writes: Writes, stored: Stored, after: WriteMark | None
) -> None:
    """Both must be said, by the same cluster of the same table, after the span."""
    writes.note(written(10, 5), 0)
    gaps.begin("disconnected", at(100), "a")
    gaps.end(at(110), CLUSTER)
    gaps.settle(at(115), CLUSTER, after)

    assert [event.closed for event in stored.events] == [False]
    assert len(gaps.unclosed) == 1


def test_a_count_without_a_time_proves_nothing(gaps: Gaps, writes: Writes, stored: Stored) -> None:
    """As of a table that was never written, or of a server that does not count."""
    writes.note(written(10, 0, time=""), 0)
    gaps.begin("disconnected", at(100), "a")
    gaps.end(at(110), CLUSTER)
    gaps.settle(at(115), CLUSTER, written(115, 0, time=""))

    assert [event.closed for event in stored.events] == [False]


def test_what_was_said_within_the_minute_before_proves_nothing(
    gaps: Gaps, writes: Writes, stored: Stored
) -> None:
    """A write may count later than it is done."""
    writes.note(written(50, 5), 0)
    gaps.begin("disconnected", at(100), "a")
    gaps.end(at(110), CLUSTER)
    gaps.settle(at(115), CLUSTER, written(115, 5))

    assert [event.closed for event in stored.events] == [False]


# Gaps.


def test_one_read_closes_several_and_its_rows_count_once(
    gaps: Gaps, stored: Stored, counts: Counts
) -> None:
    """What is not open any more, or goes on, is left out."""
    names = [one_gap(gaps, second, second + 1) for second in (100, 200, 300)]
    going_on = gaps.begin("overrun", at(400), "a")
    gaps.close([names[0], names[2], going_on, "none"], "read", 7, CLUSTER)
    gaps.close(names[:1], "read", 9, CLUSTER)

    closed = [event for event in stored.events if event.closed]
    assert [(gap.gap, gap.rows, gap.by) for gap in closed] == [
        (names[0], 7, "read"),
        (names[2], 0, "read"),
    ]
    assert stored.unclosed == [names[1]]
    assert counts.gaps_open == 2


def test_a_gap_that_is_accepted_is_open_no_more_and_was_not_closed(
    gaps: Gaps, stored: Stored, counts: Counts
) -> None:
    """The event says so; what goes on cannot be accepted."""
    name = one_gap(gaps, 100, 101)
    assert gaps.accept(name, CLUSTER)
    assert not gaps.accept(name, CLUSTER)
    assert not gaps.accept(gaps.begin("overrun", at(200), "a"), CLUSTER)

    event = stored.events[-1]
    assert (event.gap, event.closed, event.by, event.rows) == (name, False, "accepted", None)
    assert (stored.unclosed, counts.gaps_open) == ([], 1)


def test_a_gap_declared_afterwards_is_read_from_as_far_back_as_the_table_was_heard(
    gaps: Gaps, stored: Stored
) -> None:
    """Unless it is known from where."""
    gaps.declare("journal_damaged", us(5), us(6), CLUSTER, "a page was damaged")
    gaps.declare("unaccounted", us(7), us(8), CLUSTER, "counted", Start(4, 9.0))

    assert [gap.start for gap in gaps.unclosed] == [
        Start(1, EPOCH, tuple(CODEC.digests(b"\x02", 1)), column=N),
        Start(4, 9.0),
    ]
    assert [event.reason for event in stored.events] == ["journal_damaged", "unaccounted"]


def test_why_it_is_open_is_what_the_last_try_says_else_what_is_in_the_way(
    stored: Stored, counts: Counts, writes: Writes
) -> None:
    """And a restart forgets none of it."""
    obstacle: list[str | None] = [None]

    def made() -> Gaps:
        return Gaps(
            TABLE, stored.post, counts, None, writes, hold=HOLD, obstacle=lambda: obstacle[0]
        )

    gaps = made()
    name = one_gap(gaps, 100, 101)
    assert [gap.why_open for gap in gaps.open] == ["it was not read yet"]
    obstacle[0] = "catch_up is off"
    assert [(gap.why_open, gap.closable) for gap in gaps.open] == [("catch_up is off", False)]
    assert gaps.unclosed == ()
    gaps.explain(name, "rows moved while they were read")
    gaps.note(name, "read at noon")

    again = made()
    again.restore(stored.marks[f"gaps/{TABLE}"])
    (gap,) = again.open
    assert gap == gaps.open[0]
    assert gap.why_open == "rows moved while they were read"
    assert [text for _, text in gap.evidence] == ["the socket said so", "read at noon"]
    assert counts.gaps_open == 1


def test_a_restart_knows_where_each_gap_is_read_from(
    gaps: Gaps, stored: Stored, levels: Levels, counts: Counts, writes: Writes
) -> None:
    """Also those that an earlier version left, which said nothing of it."""
    one_gap(gaps, 100, 101)
    gaps.declare("unaccounted", us(7), us(8), CLUSTER, "counted", Start(4, 9.0, (1, 2), True, N))
    again = Gaps(TABLE, stored.post, counts, levels, writes, hold=HOLD)
    again.restore(stored.marks[f"gaps/{TABLE}"])
    assert again.open == gaps.open

    old = Gaps(TABLE, stored.post, counts, levels, writes, hold=HOLD)
    old.restore('[["http://a", 3, "0123456789abcdef", 1, 2, "start"]]')
    (gap,) = old.open
    assert (gap.gap, gap.since, gap.until, gap.reason) == ("0123456789abcdef", 1, 2, "start")
    assert gap.start == levels.from_origin()


def test_of_too_many_the_oldest_is_let_go_and_that_is_said(
    gaps: Gaps, stored: Stored, counts: Counts
) -> None:
    """The mark stays small, and a restart knows the newest."""
    with capture_logs() as logs:
        names = [
            gaps.declare("unaccounted", n, n + 1, CLUSTER, "x" * 1000) for n in range(MOST_GAPS + 2)
        ]
    assert [line["gap"] for line in logs if line["event"] == "gap_forgotten"] == names[:2]
    assert stored.unclosed == names[2:]
    assert counts.gaps_open == MOST_GAPS
    assert len(stored.marks[f"gaps/{TABLE}"]) < 500 * MOST_GAPS


def test_evidence_is_the_first_of_it_and_the_latest(gaps: Gaps) -> None:
    """Said twice in a row it is one."""
    name = gaps.begin("overrun", at(100), "first")
    for number in range(50):
        gaps.note(name, str(number))
        gaps.note(name, str(number))

    told = [text for _, text in gaps.open[0].evidence]
    assert told[0] == "first"
    assert told[-2:] == ["48", "49"]
    assert len(told) == 8


def test_another_table_of_the_name_is_read_from_its_beginning(
    gaps: Gaps, stored: Stored, counts: Counts, levels: Levels, writes: Writes
) -> None:
    """Gaps of the one before stay open: what it lost before it went is lost."""
    name = one_gap(gaps, 100, 101)
    gaps.restart(Start(None, 5.0), "the table was dropped before it was read")

    (gap,) = gaps.unclosed
    assert (gap.gap, gap.start) == (name, Start(None, 5.0))
    assert gap.why_open == "the table was dropped before it was read"
    again = Gaps(TABLE, stored.post, counts, levels, writes, hold=HOLD)
    again.restore(stored.marks[f"gaps/{TABLE}"])
    assert again.open == gaps.open


def test_a_clock_set_back_moves_what_must_be_remembered(gaps: Gaps) -> None:
    """Rows received after it have times from before it."""
    one_gap(gaps, 100, 101)
    gaps.begin("overrun", at(200), "a")
    gaps.set_back(EPOCH - 600)

    starts = [gap.start for gap in gaps.open]
    assert [start and start.since for start in starts] == [EPOCH - 600] * 2


# No room.


def test_a_full_journal_is_one_gap_however_often_it_is_probed(
    gaps: Gaps, stored: Stored, counts: Counts
) -> None:
    """From what was discarded first, until there is room."""
    gaps.stall(at(100), "full")
    for second in range(110, 400):
        gaps.overrun(at(second), "journal_full", "no room")
        gaps.end(at(second), CLUSTER)
        assert gaps.settle(at(second + HOLD), CLUSTER, None) is None
    gaps.resume()
    gaps.end(at(400), CLUSTER)
    assert gaps.settle(at(500), CLUSTER, None) is None
    gaps.end_overrun()
    gaps.end(at(500), CLUSTER)
    gaps.settle(at(505), CLUSTER, None)

    (gap,) = stored.events
    assert (gap.reason, gap.since, gap.until) == ("journal_full", us(110), us(500))
    assert counts.gaps_open == 1


def test_what_only_waited_is_no_gap(gaps: Gaps, stored: Stored, counts: Counts) -> None:
    """The journal took it in the end."""
    gaps.stall(at(100), "full")
    assert counts.gaps_open == 1
    gaps.resume()

    assert (stored.events, stored.marks, counts.gaps_open) == ([], {}, 0)


def test_trouble_of_before_the_journal_was_full_is_read_from_where_it_began(
    stored: Stored, counts: Counts
) -> None:
    """Not from where the waiting began."""
    levels = Levels("n")
    levels.adopt(SCHEMA)
    levels.first(CODEC, b"\x00", 1, at(0))
    for number in range(1, 64):
        levels.note(CODEC, bytes([number * 2]), 1, at(1300 + 10 * number))
    made = [Gaps(TABLE, stored.post, counts, levels, Writes(), hold=HOLD) for _ in range(2)]
    made[0].stall(at(2000), "full")
    for gaps in made:
        gaps.begin("unaccounted", at(1400), "an audit")
    stalled, alone = (gaps.open[0] for gaps in made)
    assert (stalled.start, stalled.since) == (alone.start, alone.since)


def test_other_trouble_while_the_journal_is_full_is_a_gap_from_where_it_began(
    gaps: Gaps, stored: Stored
) -> None:
    """And one that began before it keeps its beginning."""
    gaps.stall(at(100), "full")
    gaps.begin("disconnected", at(120), "a")
    gaps.resume()
    gaps.end(at(130), CLUSTER)
    gaps.settle(at(130), CLUSTER, None, force=True)
    gaps.begin("disconnected", at(200), "a")
    gaps.stall(at(210), "full")
    gaps.overrun(at(220), "journal_full", "no room")
    gaps.end_overrun()
    gaps.resume()
    gaps.end(at(230), CLUSTER)
    gaps.settle(at(230), CLUSTER, None, force=True)

    assert [(gap.reason, gap.since) for gap in stored.events] == [
        ("journal_full", us(120)),
        ("disconnected", us(200)),
    ]


# Whatever comes, in whatever order.


def test_the_tables_know_every_state() -> None:
    """And an end that is none cannot come about."""
    assert set(SPANS) == set(Span)
    assert set(GAPS) == set(Fate)
    assert all(Turn.POST not in SPANS[span] for span in (Span.NONE, Span.OPEN))
    assert {by for ends in GAPS.values() for by in ends} == {"quiet", "read", "accepted"}


def test_the_mark_stored_says_what_memory_says_whoever_else_is_at_it(
    gaps: Gaps, stored: Stored, short_switches: None
) -> None:
    """Five thousand pairs of a gap and its closing, by two threads each."""
    lock, names = threading.Lock(), list[str]()
    strange: list[str] = []
    done = threading.Event()

    def declare() -> None:
        for number in range(2500):
            name = gaps.declare("unaccounted", number, number + 1, CLUSTER, "a")
            with lock:
                names.append(name)

    def close() -> None:
        while not done.is_set() or names:
            with lock:
                name = names.pop() if names else None
            if name is not None:
                gaps.close([name], "read", 0, CLUSTER)

    makers = [threading.Thread(target=declare) for _ in range(2)]
    closers = [threading.Thread(target=close) for _ in range(2)]
    for thread in (*makers, *closers):
        thread.start()
    for thread in makers:
        thread.join()
    done.set()
    for thread in closers:
        thread.join()

    opened = {event.gap for event in stored.events if not event.closed}
    closed = {event.gap for event in stored.events if event.closed}
    assert not strange
    assert len(opened) == 5000
    assert closed | set(stored.unclosed) == opened
    assert stored.unclosed == [gap.gap for gap in gaps.open]


@pytest.fixture
def short_switches() -> Iterator[None]:
    """Threads take turns as often as can be."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens, in whatever order: nothing is lost and nothing is made up."""

    def __init__(self) -> None:
        super().__init__()
        self.stored, self.counts, self.writes = Stored(), Counts(), Writes()
        self.gaps = self.made()
        self.now = self.started = 100.0
        self.troubles: list[float] = []  # that no event tells of yet
        self.overrun = self.stalled = False

    def made(self) -> Gaps:
        return Gaps(TABLE, self.stored.post, self.counts, None, self.writes, hold=HOLD)

    @rule(seconds=st.sampled_from([0.5, 3.0, 6.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(back=st.sampled_from([0.0, 3.0, 20.0]), reason=st.sampled_from(["start", "failover"]))
    def begin(self, back: float, reason: Any) -> None:
        self.gaps.begin(reason, at(self.now - back), "it began")
        self.troubles.append(self.now - back)

    @rule()
    def lose(self) -> None:
        self.overrun = True
        self.gaps.overrun(at(self.now), "overrun", "no room")
        self.troubles.append(self.now)

    @rule()
    def room(self) -> None:
        self.overrun = False
        self.gaps.end_overrun()

    @rule()
    def stall(self) -> None:
        self.stalled = True
        self.gaps.stall(at(self.now), "full")

    @rule()
    def resume(self) -> None:
        self.stalled = False
        self.gaps.resume()

    @rule(age=st.sampled_from([0.0, 2.0]))
    def probe(self, age: float) -> None:
        asked = at(max(self.now - age, self.started))  # none is asked before the start
        self.gaps.end(asked, CLUSTER)
        self.gaps.settle(asked, CLUSTER, None)

    @precondition(lambda self: self.gaps.unclosed)
    @rule(data=st.data(), accepted=st.booleans())
    def close(self, data: st.DataObject, accepted: bool) -> None:
        gap = data.draw(st.sampled_from([gap.gap for gap in self.gaps.unclosed]))
        if accepted:
            assert self.gaps.accept(gap, CLUSTER)
        else:
            self.gaps.close([gap], "read", 1, CLUSTER)

    @rule()
    def restart(self) -> None:
        before = [gap for gap in self.gaps.open if gap.until is not None]
        self.gaps = self.made()
        self.gaps.restore(self.stored.marks.get(f"gaps/{TABLE}", "[]"))
        assert list(self.gaps.open) == before
        self.overrun = self.stalled = False
        self.started = self.now
        # As a start does: since it was last good, which it was not while a span went on.
        if self.troubles:
            self.gaps.begin("start", at(min(self.troubles)), "the bridge was not running")

    @invariant()
    def every_trouble_is_told(self) -> None:
        """It lies in a gap that was posted, or in the span that goes on."""
        spans = [(gap.since, gap.until) for gap in self.stored.events]
        goes_on = [gap.since for gap in self.gaps.open if gap.until is None]
        left = []
        for trouble in self.troubles:
            if any(since <= us(trouble) <= until for since, until in spans):
                continue
            left.append(trouble)
            assert goes_on, "it is neither told nor going on"
            assert goes_on[0] <= us(trouble)
        self.troubles = left

    @invariant()
    def memory_says_what_is_stored(self) -> None:
        shown = self.gaps.open
        assert self.stored.unclosed == [gap.gap for gap in shown if gap.until is not None]
        assert self.counts.gaps_open == len(shown)
        ended = [event.gap for event in self.stored.events if event.by is not None]
        assert len(ended) == len(set(ended))
        posted = [event.gap for event in self.stored.events if event.by is None]
        assert len(posted) == len(set(posted))
        assert set(posted) - set(ended) == set(self.stored.unclosed)

    @invariant()
    def nothing_ends_while_there_is_no_room(self) -> None:
        if self.overrun or self.stalled:
            assert self.gaps.going_on


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
