"""The gaps of one table: the span that goes on, and what is over and not closed.

A *span* is none, open, or ending: the trouble is over, and another that begins within a probe
interval continues it. Then its gap event is posted, and it is a *gap*, unclosed until somebody
proves that every row which could have been missed was delivered, or an operator accepts it.

One lock covers the change and what is posted of it, so that the mark stored says what memory
says.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from bridge.events import Gap, GapReason, Schema
from bridge.monitor.counts import Counts
from bridge.monitor.gap_events import GapEvents
from bridge.monitor.levels import Levels
from bridge.monitor.mark import Post
from bridge.monitor.moment import Moment
from bridge.monitor.spans import (
    SPANS,
    Evidence,
    GoingOn,
    OpenGap,
    Span,
    Turn,
    Unclosed,
    take_up,
    unclosed_from_json,
)
from bridge.monitor.starts import BEGINNING, Start
from bridge.monitor.writes import WriteMark, Writes

__all__ = ["MOST_GAPS", "Closing", "Gaps", "OpenGap"]

# The newest are kept.
MOST_GAPS = 1000

# Beside them a failover, which begins as a lost connection, gives a span its own name.
_RENAMED = {("overrun", "journal_full")}

Closing = Literal["quiet", "read"]


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
        keeps: whether gaps are kept until they are closed; not where nobody can.
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
        keeps: bool = True,
    ) -> None:
        self._table = table
        self._events = GapEvents(table, post, counts)
        self._counts = counts
        self._levels = levels
        self._writes = writes
        self._hold = hold
        self._obstacle = obstacle
        self._keeps = keeps
        self._lock = threading.Lock()  # guards all below, and what is posted of it
        self._state = Span.NONE
        self._span: GoingOn | None = None
        self._unclosed: dict[str, Unclosed] = {}
        self._overrun = False
        self._stalled = False

    def __repr__(self) -> str:
        return f"<Gaps of {self._table}, span {self._state.value}, {len(self._unclosed)} unclosed>"

    @property
    def going_on(self) -> bool:
        """Whether a span is open, or ending and not posted."""
        return self._span is not None

    @property
    def open(self) -> tuple[OpenGap, ...]:
        """All that is open, the oldest first, the span last."""
        if not self._counts.gaps_open:  # as it mostly is; one number, as a span ends into a gap
            return ()
        obstacle = self._obstacle()
        with self._lock:
            shown = [gap.shown(self._table, obstacle) for gap in self._unclosed.values()]
            if self._span is not None:
                shown.append(self._span.shown(self._table, closable=obstacle is None))
        return tuple(shown)

    @property
    def unclosed(self) -> tuple[OpenGap, ...]:
        """What is over and can be closed: a read that begins now serves these."""
        if not self._unclosed:  # as it mostly is
            return ()
        return tuple(gap for gap in self.open if gap.until is not None and gap.closable)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            finally:
                lines = self._events.taken()
        for line in lines:
            line()

    # The span.

    def begin(self, reason: GapReason, since: Moment, evidence: str) -> str:
        """Note that events may be missed since a moment; return the gap's id.

        A span that goes on continues under its first reason, but for two: a failover begins as
        a lost connection, a full journal as an overrun.
        """
        with self._changing():
            return self._begin(reason, since, evidence).gap

    def _begin(
        self, reason: GapReason, since: Moment, evidence: str, *, stalled: bool = False
    ) -> GoingOn:
        span = self._span
        if span is not None and self._is_over(span, since):
            self._post_span(span, None)
            span = None
        self._turn(Turn.BEGIN)
        if span is None:
            start, before = self._captured(since)
            gap = secrets.token_hex(8)
            span = self._span = GoingOn(gap, reason, since, since, start, before, stalled)
            self._count()
            self._events.say("warning", "gap_opened", cause=reason, gap=gap)
        else:
            self._continue(span, reason, since, stalled=stalled)
        span.evidence.add(evidence)
        return span

    def _captured(self, since: Moment) -> tuple[Start | None, WriteMark | None]:
        try:
            start = None if self._levels is None else self._levels.start(since)
            return start, self._writes.before(since)
        except Exception as error:  # noqa: BLE001 (a fault of ours must not keep a gap from being told)
            self._events.say("error", "level_unknown", cause=str(error))
            return BEGINNING, None

    def _continue(self, span: GoingOn, reason: GapReason, since: Moment, *, stalled: bool) -> None:
        span.until = None
        span.latest = max(span.latest, since)
        if since < span.since:
            span.start, span.before = self._captured(since)
        if since < span.since or (span.stalled and not stalled):
            span.since = since  # until it is no mere stall nothing is missed: it waits in memory
        span.stalled &= stalled
        if span.reason != reason and (reason == "failover" or (span.reason, reason) in _RENAMED):
            span.reason = reason
            self._events.say("warning", "gap_renamed", cause=reason, gap=span.gap)

    def _is_over(self, span: GoingOn, moment: Moment) -> bool:
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
            if not (self._overrun or self._stalled):
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
        with self._changing():
            span = self._span
            if span is None or span.until is None or not (force or self._is_over(span, now)):
                return None
            span.cluster = cluster
            return self._post_span(span, writes)

    def withdraw(self, why: str) -> None:
        """Let the span go: nothing was missed in it."""
        with self._changing():
            self._withdraw(why)

    def _withdraw(self, why: str) -> None:
        if self._span is not None:
            self._turn(Turn.WITHDRAW)
            self._events.say("info", "gap_withdrawn", gap=self._span.gap, cause=why)
            self._span = None
            self._count()

    def _turn(self, turn: Turn) -> None:
        self._state = SPANS[self._state][turn]

    def _post_span(self, span: GoingOn, writes: WriteMark | None) -> Gap:
        self._turn(Turn.POST)
        self._span = None
        until = round((span.until or span.since).wall * 1e6)
        since = round(span.since.wall * 1e6)
        gap = self._events.over(span.gap, span.reason, since, until, span.cluster)
        kept = Unclosed(gap, span.start, None, span.evidence)
        if span.was_quiet(writes):
            self._events.ended(kept.posted, "quiet", 0, span.cluster)
            self._count()
        else:
            self._keep(kept)
        return gap

    # What the intake reports: there was no room, or the journal takes nothing.

    def overrun(self, since: Moment, reason: GapReason, evidence: str) -> None:
        """Note that something was discarded; the span lasts at least until `end_overrun`."""
        with self._changing():
            self._overrun = True
            self._begin(reason, since, evidence)

    def end_overrun(self) -> None:
        """Note that there is room again; the next good probe ends the span."""
        with self._lock:
            self._overrun = False

    def stall(self, since: Moment, evidence: str) -> None:
        """Note that what arrived since a moment waits in memory, as the journal is full."""
        with self._changing():
            self._stalled = True
            self._begin("journal_full", since, evidence, stalled=True)

    def resume(self) -> None:
        """Note that the journal took what waited; where nothing was discarded there is no gap."""
        with self._changing():
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
        told = Evidence()
        told.add(evidence)
        with self._changing():
            gap = self._events.over(secrets.token_hex(8), reason, since, until, cluster)
            self._keep(Unclosed(gap, start, None, told))
        return gap.gap

    def close(self, gaps: Collection[str], by: Closing, rows: int, cluster: str) -> None:
        """Post the second event of gaps that are proven closed.

        The rows delivered count for the first of them. What is closed already, or is not over,
        is left out.
        """
        with self._changing():
            known = [name for name in self._unclosed if name in gaps]
            for name in known:
                self._events.ended(self._unclosed.pop(name).posted, by, rows, cluster)
                rows = 0
            if known:
                self._save()

    def accept(self, gap: str, cluster: str) -> bool:
        """Post that an operator accepts a gap as it is; False where it is not open, or not over."""
        with self._changing():
            kept = self._unclosed.pop(gap, None)
            if kept is not None:
                self._events.ended(kept.posted, "accepted", None, cluster)
                self._save()
        return kept is not None

    def note(self, gap: str, evidence: str) -> None:
        """Add to what is known of a gap, if it is open."""
        with self._changing():
            if self._span is not None and self._span.gap == gap:
                self._span.evidence.add(evidence)
            elif gap in self._unclosed:
                self._unclosed[gap].evidence.add(evidence)
                self._save()

    def explain(self, gap: str, why_open: str | None) -> None:
        """Say why a gap is still open; None for the usual."""
        with self._changing():
            kept = self._unclosed.get(gap)
            if kept is not None and kept.why_open != why_open:
                kept.why_open = why_open
                self._save()

    def set_back(self, wall: float) -> None:
        """Note that the clock was set back: what is received now is as old as `wall`, seconds."""
        with self._changing():
            for kept in (self._span, *self._unclosed.values()):
                if kept is not None and kept.start is not None and kept.start.since > wall:
                    kept.start = replace(kept.start, since=wall)
            if self._unclosed:
                self._save()

    def restart(self, start: Start | None, why_open: str | None = None) -> None:
        """Let every read begin elsewhere: it is another table."""
        with self._changing():
            for kept in (self._span, *self._unclosed.values()):
                if kept is not None:
                    kept.restart(start, why_open)
            if self._unclosed:
                self._save()

    def take_layout(self, schema: Schema) -> None:
        """Let reads begin with the first row where their start's column is another one now."""
        with self._changing():
            for kept in (self._span, *self._unclosed.values()):
                if kept is not None and kept.start and not kept.start.counts_in(schema):
                    kept.restart(BEGINNING, f"column {kept.start.name} is another one now")
            if self._unclosed:
                self._save()

    def _keep(self, gap: Unclosed) -> None:
        if not self._keeps:
            self._count()
            return
        self._unclosed[gap.posted.gap] = gap
        if len(self._unclosed) > MOST_GAPS:
            oldest = next(iter(self._unclosed))
            del self._unclosed[oldest]
            self._events.say(
                "error", "gap_forgotten", gap=oldest, cause=f"more than {MOST_GAPS} are open"
            )
        self._save()

    def _count(self) -> None:
        self._counts.gaps_open = len(self._unclosed) + (self._span is not None)

    # What outlives a restart.

    def _save(self) -> None:
        self._count()
        self._events.unclosed(self._unclosed.values())

    def restore(self, text: str) -> None:
        """Take up the gaps that an earlier run left open."""
        with self._changing():
            gaps = unclosed_from_json(text, self._table)[-MOST_GAPS:]
            self._unclosed |= {gap.posted.gap: gap for gap in gaps}
            self._count()
            if self._levels is not None and take_up(gaps, self._levels.taken_up):
                self._save()  # before any mark says that the column is another one
