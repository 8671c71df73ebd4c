"""The gaps of one table: the span that goes on, and what is over and not closed.

A *span* is none, open, or ending: the trouble is over, and another that begins within a probe
interval continues it. Then its gap event is posted, and it is a *gap*, unclosed until somebody
proves that every row which could have been missed was delivered, or an operator accepts it.
`SPANS` and `GAPS` are the tables of that; nothing else changes either.

One lock covers the change and what is posted of it, so that the mark stored says what memory says.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal

import structlog

from bridge.events import Gap, GapReason
from bridge.monitor.counts import Counts
from bridge.monitor.levels import Levels, Start
from bridge.monitor.mark import Mark, Post
from bridge.monitor.moment import Moment
from bridge.monitor.writes import WriteMark, Writes

log = structlog.get_logger()

# The newest are kept; a gap takes about a kibibyte of the mark.
MOST_GAPS = 1000
_MOST_EVIDENCE = 8
_MOST_TEXT = 200
_MOST_TIES = 20_000

# A failover begins as a lost connection, and a full journal as an overrun.
_RENAMED = {("overrun", "journal_full")}

Closing = Literal["quiet", "read"]


class Span(Enum):
    """What there is of a span."""

    NONE = "none"
    OPEN = "open"
    ENDING = "ending"


class Turn(Enum):
    """What can happen to a span."""

    BEGIN = "events may be missed"
    END = "the trouble is over"
    POST = "nothing began again for a probe interval"
    WITHDRAW = "nothing was missed"


class Fate(Enum):
    """What there is of a gap, and what can happen to it."""

    UNCLOSED = "unclosed"
    CLOSED = "closed"
    ACCEPTED = "accepted"


SPANS: Mapping[Span, Mapping[Turn, Span]] = {
    Span.NONE: {Turn.BEGIN: Span.OPEN},
    Span.OPEN: {Turn.BEGIN: Span.OPEN, Turn.END: Span.ENDING, Turn.WITHDRAW: Span.NONE},
    Span.ENDING: {
        Turn.BEGIN: Span.OPEN,
        Turn.END: Span.ENDING,
        Turn.POST: Span.NONE,
        Turn.WITHDRAW: Span.NONE,
    },
}

GAPS: Mapping[Fate, Mapping[str, Fate]] = {
    Fate.UNCLOSED: {"quiet": Fate.CLOSED, "read": Fate.CLOSED, "accepted": Fate.ACCEPTED},
    Fate.CLOSED: {},
    Fate.ACCEPTED: {},
}


@dataclass(frozen=True, slots=True)
class OpenGap:
    """A gap that is not closed, the span that goes on included.

    Attributes:
        since: microseconds since the epoch.
        until: likewise, None while the span goes on.
        why_open: in words.
        evidence: what told of it, and when, seconds since the epoch; oldest first.
        start: where a read must begin that closes it; None where there is no growing column.
        closable: whether a read can close it.
    """

    gap: str
    table: str
    since: int
    until: int | None
    reason: GapReason
    why_open: str
    evidence: tuple[tuple[float, str], ...] = ()
    start: Start | None = None
    closable: bool = True


@dataclass(slots=True)
class _Span:
    """The span that goes on; see `Gaps.begin` and `Gaps.end` for its moments.

    Attributes:
        latest: no probe asked before then ends it.
        stalled: whether it is nothing but a full journal, behind which all waits in memory.
        until: since when the trouble is over.
        cluster: where it is.
    """

    gap: str
    reason: GapReason
    since: Moment
    latest: Moment
    start: Start | None
    before: WriteMark | None
    stalled: bool
    until: Moment | None = None
    cluster: str = ""
    evidence: list[tuple[float, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Unclosed:
    """A gap that was posted and not closed."""

    posted: Gap
    start: Start | None
    why_open: str | None = None
    evidence: list[tuple[float, str]] = field(default_factory=list)


class Gaps:
    """One table's gaps. All methods may be called from any thread.

    Args:
        table: its qualified name.
        post: takes gap events and marks, in order with the rows.
        counts: kept up to date.
        levels: of the growing column, if there is one.
        writes: what the server counts.
        hold: a probe interval, seconds.
        obstacle: why no read can close a gap; None where one can.
    """

    def __init__(
        self,
        table: str,
        post: Post,
        counts: Counts,
        levels: Levels | None,
        writes: Writes,
        *,
        hold: float,
        obstacle: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._table = table
        self._post = post
        self._counts = counts
        self._levels = levels
        self._writes = writes
        self._hold = hold
        self._obstacle = obstacle
        self._lock = threading.Lock()  # guards all below, and what is posted of it
        self._state = Span.NONE
        self._span: _Span | None = None
        self._unclosed: dict[str, _Unclosed] = {}
        self._overrun = False
        self._stalled = False
        self._discarded = False  # in the span that goes on

    def __repr__(self) -> str:
        return f"<Gaps of {self._table}, span {self._state.value}, {len(self._unclosed)} unclosed>"

    @property
    def going_on(self) -> bool:
        """Whether a span is open, or ending and not posted."""
        return self._span is not None

    @property
    def open(self) -> tuple[OpenGap, ...]:
        """All that is open, the oldest first, the span last."""
        obstacle = self._obstacle()
        with self._lock:
            shown = [
                OpenGap(
                    gap.posted.gap,
                    self._table,
                    gap.posted.since,
                    gap.posted.until,
                    gap.posted.reason,
                    gap.why_open or obstacle or "it was not read yet",
                    tuple(gap.evidence),
                    gap.start,
                    obstacle is None,
                )
                for gap in self._unclosed.values()
            ]
            span = self._span
            if span is not None:
                why = "it goes on" if span.until is None else "it was over a moment ago"
                shown.append(
                    OpenGap(
                        span.gap,
                        self._table,
                        _us(span.since),
                        None,
                        span.reason,
                        why,
                        tuple(span.evidence),
                        span.start,
                        obstacle is None,
                    )
                )
        return tuple(shown)

    @property
    def unclosed(self) -> tuple[OpenGap, ...]:
        """What is over and can be closed; a read that begins now serves these."""
        return tuple(gap for gap in self.open if gap.until is not None and gap.closable)

    # The span.

    def begin(self, reason: GapReason, since: Moment, evidence: str) -> str:
        """Note that events may be missed since a moment; return the gap's id.

        A span that goes on continues under its first reason, but for two: a failover begins as
        a lost connection, a full journal as an overrun.
        """
        with self._lock:
            return self._begin(reason, since, evidence, stalled=False)

    def _begin(self, reason: GapReason, since: Moment, evidence: str, *, stalled: bool) -> str:
        span = self._span
        if span is not None and self._is_over(span, since):
            self._post_span(span)
            span = None
        self._turn(Turn.BEGIN)
        if span is None:
            span = self._new_span(reason, since, stalled=stalled)
            log.warning("gap_opened", table=self._table, cause=reason, gap=span.gap)
        else:
            self._continue(span, reason, since, stalled=stalled)
        _add(span.evidence, evidence)
        return span.gap

    def _new_span(self, reason: GapReason, since: Moment, *, stalled: bool) -> _Span:
        start = None if self._levels is None else self._levels.start(since)
        before = self._writes.before(since)
        gap = secrets.token_hex(8)
        self._span = _Span(gap, reason, since, since, start, before, stalled)
        self._discarded = False
        self._count()
        return self._span

    def _continue(self, span: _Span, reason: GapReason, since: Moment, *, stalled: bool) -> None:
        span.until = None
        span.stalled &= stalled
        span.latest = max(span.latest, since)
        if since < span.since:
            span.since = since
            span.start = None if self._levels is None else self._levels.start(since)
            span.before = self._writes.before(since)
        if span.reason != reason and (reason == "failover" or (span.reason, reason) in _RENAMED):
            span.reason = reason
            log.warning("gap_renamed", table=self._table, cause=reason, gap=span.gap)

    def _is_over(self, span: _Span, moment: Moment) -> bool:
        return span.until is not None and moment.order >= span.until.order + self._hold

    def end(self, at: Moment, cluster: str) -> None:
        """Note that the trouble is over since a moment; `settle` posts it a probe interval later.

        Does nothing where there is no span, where it began after that moment, or while there is
        no room.
        """
        with self._lock:
            span = self._span
            if span is None or span.until is not None or at.order < span.latest.order:
                return
            if self._overrun or self._stalled:
                return
            self._turn(Turn.END)
            span.until, span.cluster = at, cluster

    def settle(
        self, now: Moment, cluster: str, writes: WriteMark | None, *, force: bool = False
    ) -> Gap | None:
        """Post the span that is over, if there is one; called at each good probe.

        Args:
            now: of the probe, before it was asked.
            cluster: where.
            writes: what the probe said of the table's writes. Where nothing was written since a
                minute before the span it is closed at once.
            force: post what is ending now, whatever might begin again.

        Returns:
            The event posted.
        """
        with self._lock:
            span = self._span
            if span is None or span.until is None or not (force or self._is_over(span, now)):
                return None
            span.cluster = cluster
            return self._post_span(span, writes)

    def withdraw(self, why: str) -> None:
        """Let the span go: nothing was missed in it."""
        with self._lock:
            self._withdraw(why)

    def _withdraw(self, why: str) -> None:
        span = self._span
        if span is None:
            return
        self._turn(Turn.WITHDRAW)
        self._span = None
        self._count()
        log.info("gap_withdrawn", table=self._table, gap=span.gap, cause=why)

    def _turn(self, turn: Turn) -> None:
        self._state = SPANS[self._state][turn]

    def _post_span(self, span: _Span, writes: WriteMark | None = None) -> Gap:
        self._turn(Turn.POST)
        self._span = None
        until = span.until or span.since
        gap = self._new_gap(span.gap, span.reason, _us(span.since), _us(until), span.cluster)
        if _was_quiet(span, until, writes):
            self._count()
            self._post(replace(gap, closed=True, rows=0, by="quiet"))
            log.info("gap_closed", table=self._table, gap=gap.gap, by="quiet", rows=0)
        else:
            self._keep(_Unclosed(gap, span.start, None, span.evidence))
        return gap

    def _new_gap(self, gap: str, reason: GapReason, since: int, until: int, cluster: str) -> Gap:
        now = time.time_ns() // 1000
        self._counts.gaps[reason] += 1
        # Where the clock was set back meanwhile, the span reaches over both times.
        since, until = min(since, until), max(since, until)
        made = Gap(self._table, cluster, now, gap, since, until, reason)
        self._post(made)
        seconds = round((until - since) / 1e6, 3)
        log.warning("gap_ended", table=self._table, cause=reason, gap=gap, seconds=seconds)
        return made

    # What the intake reports: there was no room, or the journal takes nothing.

    def overrun(self, since: Moment, reason: GapReason, evidence: str) -> None:
        """Note that something was discarded; the span lasts at least until `end_overrun`."""
        with self._lock:
            span, first = self._span, not (self._discarded and self._span is not None)
            # What waited until now is not lost yet.
            moved = first and self._stalled and span is not None and span.stalled
            self._begin(reason, since, evidence, stalled=False)
            self._overrun = self._discarded = True
            if moved and span is not None:
                span.since = max(span.since, since)

    def end_overrun(self) -> None:
        """Note that there is room again; the next good probe ends the span."""
        with self._lock:
            self._overrun = False

    def stall(self, since: Moment, evidence: str) -> None:
        """Note that what arrived since a moment waits in memory, as the journal is full."""
        with self._lock:
            self._stalled = True
            self._begin("journal_full", since, evidence, stalled=True)

    def resume(self) -> None:
        """Note that the journal took what waited; where nothing was discarded there is no gap."""
        with self._lock:
            self._stalled = False
            if self._span is not None and self._span.stalled:
                self._withdraw("the journal took what waited")

    # Gaps.

    def declare(
        self,
        reason: GapReason,
        since: int,
        until: int,
        cluster: str,
        evidence: str,
        start: Start | None = None,
    ) -> str:
        """Post the gap of a span that was over before it was noticed; return its id.

        Args:
            reason: why.
            since: microseconds since the epoch.
            until: likewise.
            cluster: where.
            evidence: what told of it.
            start: where a read must begin, None for as far back as the table was listened to.
        """
        if start is None and self._levels is not None:
            start = self._levels.from_origin()
        told: list[tuple[float, str]] = []
        _add(told, evidence)
        with self._lock:
            gap = self._new_gap(secrets.token_hex(8), reason, since, until, cluster)
            self._keep(_Unclosed(gap, start, None, told))
        return gap.gap

    def close(self, gaps: Collection[str], by: Closing, rows: int, cluster: str) -> None:
        """Post the second event of gaps that are proven closed.

        The rows delivered count for the first of them. What is closed already, or is not over,
        is left out.
        """
        with self._lock:
            known = [name for name in self._unclosed if name in gaps]
            for name in known:
                self._close(name, by, rows, cluster)
                rows = 0
            if known:
                self._save()

    def accept(self, gap: str, cluster: str) -> bool:
        """Post that an operator accepts a gap as it is; False where it is not open, or not over."""
        with self._lock:
            if gap not in self._unclosed:
                return False
            self._close(gap, "accepted", None, cluster)
            self._save()
            return True

    def _close(
        self, name: str, by: Closing | Literal["accepted"], rows: int | None, cluster: str
    ) -> None:
        closed = GAPS[Fate.UNCLOSED][by] is Fate.CLOSED
        gap = self._unclosed.pop(name).posted
        now = time.time_ns() // 1000
        self._post(replace(gap, cluster=cluster, time=now, closed=closed, rows=rows, by=by))
        log.info(
            "gap_closed" if closed else "gap_accepted",
            table=self._table,
            gap=name,
            by=by,
            rows=rows,
        )

    def note(self, gap: str, evidence: str) -> None:
        """Add to what is known of a gap, if it is open."""
        with self._lock:
            if self._span is not None and self._span.gap == gap:
                _add(self._span.evidence, evidence)
            elif gap in self._unclosed:
                _add(self._unclosed[gap].evidence, evidence)
                self._save()

    def explain(self, gap: str, why_open: str | None) -> None:
        """Say why a gap is still open; None for the usual."""
        with self._lock:
            kept = self._unclosed.get(gap)
            if kept is not None and kept.why_open != why_open:
                kept.why_open = why_open
                self._save()

    def set_back(self, wall: float) -> None:
        """Note that the clock was set back: what is received now is as old as `wall`, seconds."""
        with self._lock:
            for kept in (self._span, *self._unclosed.values()):
                if kept is not None and kept.start is not None and kept.start.since > wall:
                    kept.start = replace(kept.start, since=wall)

    def restart(self, start: Start | None, why_open: str | None = None) -> None:
        """Let every read begin elsewhere: it is another table, or another column."""
        with self._lock:
            if self._span is not None:
                self._span.start = start
                self._span.before = None
            for kept in self._unclosed.values():
                kept.start, kept.why_open = start, why_open
            if self._unclosed:
                self._save()

    def _keep(self, gap: _Unclosed) -> None:
        self._unclosed[gap.posted.gap] = gap
        if len(self._unclosed) > MOST_GAPS:
            oldest = next(iter(self._unclosed))
            del self._unclosed[oldest]
            log.error("gap_forgotten", table=self._table, gap=oldest, cause="too many are open")
        self._save()

    def _count(self) -> None:
        self._counts.gaps_open = len(self._unclosed) + (self._span is not None)

    # What outlives a restart.

    def _save(self) -> None:
        self._count()
        self._post(Mark(f"gaps/{self._table}", _to_json(list(self._unclosed.values()))))

    def restore(self, text: str) -> None:
        """Take up the gaps that an earlier run left open."""
        with self._lock:
            for gap in _from_json(text, self._table)[-MOST_GAPS:]:
                if self._levels is not None and gap.start is None:
                    gap.start = self._levels.from_origin()
                self._unclosed[gap.posted.gap] = gap
            self._count()


def _was_quiet(span: _Span, until: Moment, writes: WriteMark | None) -> bool:
    """Whether nothing was written from a minute before the span until after it."""
    return (
        writes is not None
        and span.before is not None
        and writes.moment.order >= until.order
        and span.before.same(writes)
    )


def _to_json(gaps: list[_Unclosed]) -> str:
    starts: dict[Start, int] = {}  # many gaps share theirs
    saved: list[list[Any]] = []
    for gap in gaps:
        told = gap.posted
        place = None if gap.start is None else starts.setdefault(gap.start, len(starts))
        saved.append(
            [
                *(told.cluster, told.time, told.gap, told.since, told.until, told.reason),
                *(place, gap.why_open, gap.evidence),
            ]
        )
    room = _MOST_TIES
    written: list[list[Any]] = []
    for start in starts:
        # What is not written is read for a second time, which is better than a mark without bound.
        ties = start.ties[:room]
        room -= len(ties)
        written.append([start.value, start.since, ties, start.nulls])
    return json.dumps({"starts": written, "gaps": saved})


def _from_json(text: str, table: str) -> list[_Unclosed]:
    saved = json.loads(text)
    if isinstance(saved, list):  # of an earlier version, which had no more of each
        return [_Unclosed(Gap(table, *told), None) for told in saved]
    starts = [Start(s[0], s[1], tuple(s[2]), s[3]) for s in saved["starts"]]
    return [
        _Unclosed(
            Gap(table, *told),
            None if place is None else starts[place],
            why_open,
            [(wall, text) for wall, text in evidence],
        )
        for *told, place, why_open, evidence in saved["gaps"]
    ]


def _add(evidence: list[tuple[float, str]], text: str) -> None:
    """Keep the first of what was told, and the latest."""
    if evidence and evidence[-1][1] == text:
        return
    evidence.append((round(time.time(), 3), text[:_MOST_TEXT]))
    if len(evidence) > _MOST_EVIDENCE:
        del evidence[_MOST_EVIDENCE // 2]


def _us(moment: Moment) -> int:
    return round(moment.wall * 1e6)
